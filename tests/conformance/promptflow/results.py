"""What a step gave, in a form that does not depend on the machine, and how both engines' are compared.

A result is a mapping: ``succeeded``, ``requests`` that reached the model service, and by kind of step ``outputs``
(test, python), ``shown`` (show), ``answers`` (serve), ``chain`` (the rows of an experiment), ``names`` or ``contents``
(files), or ``rows``, ``failed_lines``, ``metrics`` and, where the aggregation failed, ``failed_nodes`` (run).
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import re
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.conformance.promptflow.case import Case
from tests.support.model_server import Request

INFORMATION = "error"
"""The key under which a recording keeps stock's error; it is not compared."""

_INCIDENTAL = {
    "created_on", "output", "output_path", "system_metrics", "error",
    "created_date", "last_modified_date", "expiry_time",
    "last_start_time", "last_end_time", "message", "cli", "telemetry", "trace",
}  # fmt: skip

_PATTERNS = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "{uuid}"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:?\d\d|Z)?"), "{time}"),
    (re.compile(r"(?<=_attempt)\d{8}_\d{6}_\d+"), "{time}"),
)


def normalise(value: Any, places: Mapping[str, str]) -> Any:
    """``value`` as JSON has it, with ``places``, times and uuids replaced by words in braces.

    Args:
        places: Text to word, e.g. a folder to ``{folder}``; longer ones first.
    """
    if isinstance(value, str):
        for text, word in places.items():
            value = value.replace(text, word)
        for pattern, word in _PATTERNS:
            value = pattern.sub(word, value)
        return value
    if isinstance(value, Mapping):
        return {normalise(str(key), places): normalise(item, places) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [normalise(item, places) for item in value]
    return value


def show_images(results: Iterable[Mapping[str, Any]], folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Results whose outputs and rows have images by a digest of their bytes: files below ``folders``, or in base64."""
    return [
        {
            key: _show_images(value, folders) if key in ("outputs", "rows") else value
            for key, value in result.items()
        }
        for result in results
    ]


def _show_images(value: Any, folders: Sequence[Path]) -> Any:
    if isinstance(value, list | tuple):
        return [_show_images(item, folders) for item in value]
    if not isinstance(value, Mapping):
        return value
    content = _image_content(value, folders)
    if content is not None:
        name = next((key.rpartition(";")[0] for key in value if key.startswith("data:")), "image")
        return {name: hashlib.sha1(content, usedforsecurity=False).hexdigest()[:8]}
    return {key: _show_images(item, folders) for key, item in value.items()}


def _image_content(form: Mapping[str, Any], folders: Sequence[Path]) -> bytes | None:
    """The bytes of an image that a mapping stands for; ``None`` for other mappings, and for addresses."""
    key, kind = "".join(form) if len(form) == 1 else "", form.get("type")
    if re.fullmatch("data:image/.*;base64", key):
        return base64.b64decode(form[key])
    item = form.get(str(kind))
    item = item if isinstance(item, Mapping) and len(form) == 2 else {}
    if kind == "image_url" and str(item.get("url")).startswith("data:"):
        return base64.b64decode(item["url"].partition(",")[2])
    path = form[key] if re.fullmatch("data:image/.*;path", key) else None
    path = item.get("path") if kind == "image_file" else path
    if not isinstance(path, str):
        return None
    found = [file for folder in folders for file in folder.rglob(Path(path).name)]
    return found[0].read_bytes() if found else None


def read_chat(printed: str) -> dict[str, Any]:
    """Of what a chat prints: whom it welcomes to, what the flow answers, and whether it says that it ends."""
    return {
        "welcome": re.findall(r"^Welcome to chat flow, (.*)\.$", printed, re.MULTILINE),
        "answers": re.findall(r"^(?:User: )*Bot: (.*)$", printed, re.MULTILINE),
        "ends": "Terminate the chat." in printed,
    }


def drop_incidental(shown: Any) -> Any:
    """What a command shows, without times, places of files, the texts of findings, and settings that stock has set."""
    if isinstance(shown, list):
        return [drop_incidental(item) for item in shown]
    if not isinstance(shown, Mapping):
        return shown
    if isinstance(
        shown.get("node_runs"), Mapping
    ):  # stock writes the runs of an experiment's node as Python does
        runs = {node: ast.literal_eval(str(text)) for node, text in shown["node_runs"].items()}
        shown = {**shown, "node_runs": runs}
    if shown.keys() == {
        "package",
        "code",
    }:  # tools; of those of packages the names, for their texts are others'
        return {"package": dict.fromkeys(shown["package"]), "code": shown["code"]}
    return {key: drop_incidental(item) for key, item in shown.items() if not _is_incidental(key, item)}


def _is_incidental(key: str, item: Any) -> bool:
    return key in _INCIDENTAL or (key == "path" and str(item).startswith("/"))


def restrict(given: Any, expected: Any) -> Any:
    """``given`` without the keys that ``expected`` does not have at the same place: what we show beyond stock."""
    if isinstance(given, list) and isinstance(expected, list) and len(given) == len(expected):
        return [restrict(*pair) for pair in zip(given, expected, strict=True)]
    if isinstance(given, Mapping) and isinstance(expected, Mapping):
        return {key: restrict(item, expected[key]) for key, item in given.items() if key in expected}
    return given


def make_places(folder: Path, home: Path, url: str) -> dict[str, str]:
    """The places of one engine's run of a case, for :func:`normalise`."""
    texts = {
        str(folder.resolve()): "{folder}",
        str(folder): "{folder}",
        str(home): "{home}",
        url: "{url}",
        sysconfig.get_path("stdlib"): "{python}",
    }
    return dict(sorted(texts.items(), key=lambda item: -len(item[0])))


def requests_to_json(requests: Iterable[Request]) -> list[dict[str, Any]]:
    """Method, path with query, and body of requests, in an order that does not depend on their times."""
    plain = []
    for request in requests:
        query = "&".join(f"{name}={text}" for name, text in sorted(request.query.items()))
        body = request.body.decode(errors="replace") if isinstance(request.body, bytes) else request.body
        plain.append(
            {"method": request.method, "path": request.path + (f"?{query}" if query else ""), "body": body}
        )
    return sorted(plain, key=lambda item: json.dumps(item, sort_keys=True))


def compared(result: Mapping[str, Any]) -> dict[str, Any]:
    """What of a result is compared: of a step that failed nothing but that and its requests."""
    if not result["succeeded"]:
        return {"succeeded": False, "requests": result["requests"]}
    return {key: value for key, value in result.items() if key != INFORMATION}


def expected_results(case: Case, recording: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What headrace has to give for every step: what stock gave, but for the case's own ``ours``.

    ``ours`` speaks of the last step, or by ``steps: {number: …}`` of others.
    """
    results = [compared(result) for result in recording["steps"]]
    for number, changes in _changes(case, len(results)).items():
        result = {**results[number], **changes}
        results[number] = compared({key: value for key, value in result.items() if value is not None})
    return results


def _changes(case: Case, n_steps: int) -> dict[int, dict[str, Any]]:
    last = {key: value for key, value in case.ours.items() if key not in ("problem", "steps")}
    changes = {int(number): dict(given) for number, given in case.ours.get("steps", {}).items()}
    return {**changes, n_steps - 1: {**changes.get(n_steps - 1, {}), **last}}


def find_error(text: str) -> str:
    """Kind and message of the error in what stock printed, for people who read a recording."""
    failed = re.findall(r"^[\w.]+ failed with (\w+: .*(?:\n.*)?)", text, re.MULTILINE)
    raised = re.findall(
        r"^(?:\w+\.)*(\w*(?:Error|Exception|Defined|NotFound|Exit)\w*: .*)", text, re.MULTILINE
    )
    found = [*raised, *failed]
    return found[-1].strip()[:300] if found else text.strip()[-300:]
