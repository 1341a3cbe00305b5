"""What a case says: files, connections, the model's replies, steps, and where headrace differs on purpose."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.model_server import ModelServer, Reply, Request

HERE = Path(__file__).parent
CASES = HERE / "cases"
RECORDED = HERE / "recorded"

STEP_KINDS = {
    "flow test": "test",
    "run create": "run",
    **dict.fromkeys(("run show", "run list", "run show-metrics", "run update"), "show"),
    **dict.fromkeys((f"connection {verb}" for verb in ("create", "update", "show", "list")), "show"),
    **dict.fromkeys(("config show", "flow validate", "tool list", "tool validate"), "show"),
    **dict.fromkeys((f"experiment {verb}" for verb in ("create", "show", "list", "test")), "show"),
    "experiment start": "chain",
}
"""Command lines whose results are compared beyond success; any other is only run."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One HTTP request to a flow that is served.

    Attributes:
        method: ``GET`` or another verb.
        path: With its query.
        body: What is sent; ``None`` for nothing.
        headers: Of the request.
        shows: Names of headers of the answer to compare, beside the media type.
    """

    method: str
    path: str
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    shows: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command line or script, or a look at the files that earlier ones wrote.

    Attributes:
        words: After ``pf`` or ``headrace``; empty for a script and for a look at files.
        script: A Python file of the case that imports promptflow; its last line on standard output is JSON.
        says: What a person types into a chat, line by line; ``None`` for a step that is no chat.
        asks: Requests to the flow that the command serves; ``None`` for a step that serves none.
        lists: Patterns of files whose names are compared.
        reads: Patterns of files whose contents are compared.
    """

    words: tuple[str, ...] = ()
    script: str | None = None
    says: str | None = None
    asks: tuple[Ask, ...] | None = None
    lists: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What is compared of the step (README.md): of ``other`` only success."""
        if self.lists or self.reads:
            return "files"
        if self.asks is not None:
            return "serve"
        if self.script is not None:
            return "python"
        if self.says is not None:
            return "chat"
        return STEP_KINDS.get(" ".join(self.words[:2]), "other")

    def option(self, name: str) -> str | None:
        """The first value of an option."""
        return self.words[self.words.index(name) + 1] if name in self.words else None


@dataclass(frozen=True, kw_only=True, repr=False)
class Case:
    """One case; README.md describes the keys of its file."""

    section: str
    name: str
    title: str
    files: Mapping[str, bytes]
    steps: tuple[Step, ...]
    connections: tuple[Mapping[str, Any], ...] = ()
    replies: tuple[Reply, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ours: Mapping[str, Any] = field(default_factory=dict)
    deviation: str | None = None

    @property
    def path(self) -> str:
        """Section and name, as tests and ``record`` call the case."""
        return f"{self.section}/{self.name}"

    def write_files(self, folder: Path, url: str) -> None:
        """Write the case's files below ``folder``; ``{url}`` in them becomes ``url``."""
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content.replace(b"{url}", url.encode()))

    def write_connections(self, folder: Path, url: str) -> list[Path]:
        """Write one connection file each and return them."""
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for number, connection in enumerate(self.connections):
            path = folder / f"{number}.yaml"
            path.write_text(filled(json.dumps(connection), url))  # JSON is YAML
            written.append(path)
        return written

    def serve_model(self) -> ModelServer:
        """The model service of this case, not started."""
        return ModelServer(self.replies, default=answer_from_request)


def filled(text: str, url: str) -> str:
    """``text`` with the address of the model service."""
    return text.replace("{url}", url)


def answer_from_request(request: Request) -> Reply:
    """The reply where a case has no script: it follows from the request alone."""
    body = request.body if isinstance(request.body, dict) else {}
    model = body.get("model")
    if request.operation == "chat":
        messages = body.get("messages") or [{}]
        last = messages[-1]
        return Reply(text=f"{model} answers {last.get('role')}: {_text(last.get('content'))}")
    if request.operation == "embeddings":
        return Reply(vector=(float(len(str(body.get("input")))), 0.5))
    return Reply(text=f"{model} goes on after: {body.get('prompt')}")


def _text(content: Any) -> str:
    """Content of a message as one line; parts of another kind than text by their kind."""
    if isinstance(content, list):
        return " | ".join(part.get("text", f"<{part.get('type')}>") for part in content)
    return str(content)


def load_case(path: Path) -> Case:
    """Read one case file."""
    data = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return Case(
        section=path.parent.name,
        name=path.stem,
        title=data.pop("title"),
        files={name: _content(given) for name, given in (data.pop("files", None) or {}).items()},
        steps=tuple(_step(given) for given in data.pop("steps")),
        connections=tuple(data.pop("connections", ())),
        replies=tuple(Reply(**reply) for reply in data.pop("replies", ())),
        environment={name: str(text) for name, text in data.pop("env", {}).items()},
        **{key: data.pop(key) for key in ("ours", "deviation") if key in data},
        **data,  # a key that a case does not have
    )


def _content(given: Any) -> bytes:
    if isinstance(given, Mapping):
        return base64.b64decode(given["base64"])
    return str(given).encode()


def _step(given: Any) -> Step:
    if isinstance(given, Mapping) and "chat" in given:
        lines = "".join(f"{line}\n" for line in given["says"])
        return Step(words=tuple(shlex.split(given["chat"])), says=lines)
    if isinstance(given, Mapping) and "serve" in given:
        return Step(words=tuple(shlex.split(given["serve"])), asks=tuple(map(_ask, given["asks"])))
    if isinstance(given, Mapping) and "python" not in given:
        return Step(**{key: tuple(patterns) for key, patterns in given.items()})
    if isinstance(given, Mapping):
        return Step(script=given["python"])
    return Step(words=tuple(shlex.split(given)))


def _ask(given: Mapping[str, Any]) -> Ask:
    """A request such as ``{post: /score, json: {…}, headers: {…}}``; ``text`` in place of ``json`` goes as it is."""
    request = dict(given)
    method = next(key for key in request if key in ("get", "post", "put", "options"))
    path, headers = request.pop(method), request.pop("headers", {})
    body = request.pop("text", None)
    if "json" in request:
        body = json.dumps(request.pop("json"))
        headers = {"Content-Type": "application/json", **headers}
    shows = tuple(request.pop("shows", ()))
    return Ask(method=method.upper(), path=path, body=body, headers=headers, shows=shows, **request)


def load_cases() -> tuple[Case, ...]:
    """Every case, in order of section and name."""
    return tuple(load_case(path) for path in sorted(CASES.glob("*/*.yaml")))


def load_recordings() -> dict[str, Any]:
    """What stock did, by section and name of the case."""
    return {
        f"{path.stem}/{name}": recording
        for path in sorted(RECORDED.glob("*.json"))
        for name, recording in json.loads(path.read_text(encoding="utf-8")).items()
    }
