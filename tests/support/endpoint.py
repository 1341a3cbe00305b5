"""Flows behind real HTTP on loopback."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.tool_nodes import serving_names
from uvicorn.loops.auto import auto_loop_factory

from headrace.config import load_settings
from headrace.domain.access import AccessRules
from headrace.operations.kept_requests import kept_requests
from headrace.operations.serve_flow import ServeRequest, load_flows, opened, serving_choice
from headrace.operations.workspace import Workspace, open_workspace
from headrace.serving.app import run_flow_server
from headrace.serving.served import Served
from headrace.serving.server import bind


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Endpoint:
    """Running endpoints."""

    port: int
    served: Served
    workspace: Workspace
    told: list[str]

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, content, dict(headers or {}))
        response = connection.getresponse()
        answer = Answer(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read().decode(),
        )
        connection.close()
        return answer


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


@contextmanager
def serving(
    folder: Path,
    files: Mapping[str, str],
    sources: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    access: AccessRules | None = None,
    traffic: Sequence[str] = (),
    keep: str | None = None,
) -> Iterator[Endpoint]:
    """Flows in a server in a thread of its own; they are loaded in this one, for that changes the working directory."""
    write(folder, files)
    settings = load_settings({"HOME": str(folder), **(environment or {})})
    ready = threading.Event()
    running: list[Any] = []
    told: list[str] = []
    loop = auto_loop_factory()()

    async def serve() -> None:
        rules = access or AccessRules()
        async with (
            opened(workspace, flows.loaded, rules, flows.splits) as served,
            asyncio.TaskGroup() as group,
        ):
            running.append(served)
            following = group.create_task(flows.splits.follow(group))
            try:
                await run_flow_server(served, settings, listener, on_ready=ready.set)
            finally:
                following.cancel()
                flows.splits.stop()

    with ExitStack() as stack:
        stack.enter_context(serving_names(folder))
        workspace = stack.enter_context(open_workspace(settings, folder))
        request = ServeRequest(
            sources=[Path(source) for source in sources],
            host="127.0.0.1",
            port=0,
            traffic=[Path(file) for file in traffic],
        )
        choice = serving_choice(settings, request, stack.enter_context(kept_requests(workspace, keep)))
        flows = load_flows(workspace, request, choice, stack, lambda text, _: told.append(text))
        listener = stack.enter_context(bind("127.0.0.1", 0))
        port = listener.getsockname()[1]
        task = loop.create_task(serve())

        def run() -> None:
            with pytest.raises(asyncio.CancelledError):
                loop.run_until_complete(task)

        thread = threading.Thread(target=run, name="flow-endpoint")
        thread.start()
        assert ready.wait(10)
        try:
            yield Endpoint(port, running[0], workspace, told)
        finally:
            loop.call_soon_threadsafe(task.cancel)
            thread.join(10)
            loop.close()
