"""Single nodes for tests of tools: a flow in a folder, connections in memory, a node called without the engine."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace.compat import finder
from headrace.domain.connection import Connection, Secret
from headrace.domain.flow import Flow
from headrace.domain.reference import Reference, follow_path
from headrace.domain.span import SpanRecord
from headrace.formats.flow_file import load_flow
from headrace.planning.plan import Plan, make_plan
from headrace.providers.base import ModelClient
from headrace.providers.fake import FakeModelClient
from headrace.telemetry.spans import ActiveSpan, new_trace_id
from headrace.tools.base import ASYNC, NodeContext, Tool, current_node
from headrace.tools.registry import load_tool


@contextmanager
def serving_names(folder: Path) -> Iterator[None]:
    """Serve the promptflow names; afterwards the import system is as it was, without modules from ``folder``."""
    path, finders = list(sys.path), list(sys.meta_path)
    finder.install()
    try:
        yield
    finally:
        finder.uninstall()
        sys.path[:] = path
        sys.meta_path[:] = finders
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None) or ""
            if name.partition(".")[0] == "promptflow" or file.startswith(str(folder)):
                del sys.modules[name]


@pytest.fixture
def served_names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The promptflow names are served during the test."""
    with serving_names(tmp_path_factory.getbasetemp()):
        yield


class MemoryConnections:
    """Connections of a test; a :class:`~headrace.tools.base.ConnectionLookup`."""

    def __init__(self, *connections: Connection) -> None:
        self._connections = {connection.name: connection for connection in connections}

    def find(self, name: str) -> Connection | None:
        return self._connections.get(name)

    def names(self) -> tuple[str, ...]:
        return tuple(self._connections)

    def secret(self, connection: Connection, field_name: str) -> str | None:
        stored = connection.secrets.get(field_name)
        return stored.value if stored else None


def connection(
    name: str, type_name: str, secrets: Mapping[str, str | None] | None = None, **configs: str
) -> Connection:
    hidden = {key: Secret(value=value) for key, value in (secrets or {}).items()}
    return Connection(name=name, type=type_name, configs=configs, secrets=hidden, origin="a test")


MODELS = MemoryConnections(
    connection(
        "azure", "azure_open_ai", {"api_key": "k"}, api_base="http://127.0.0.1", api_version="2024-02-01"
    ),
    connection("openai", "open_ai", {"api_key": "k"}, base_url="http://127.0.0.1/v1"),
    connection("serverless", "serverless", {"api_key": "k"}, api_base="http://127.0.0.1"),
    connection("baseline", "baseline"),
    connection("custom", "custom", {"token": "t"}, url="u"),
    connection("unset", "custom", {"token": None}),
)


def write_flow(folder: Path, files: Mapping[str, str], **flow: Any) -> Flow:
    """Write a flow and its files, and load it; JSON is YAML."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    flow = {"inputs": {}, "outputs": {}, **flow}
    (folder / "flow.dag.yaml").write_text(json.dumps(flow, indent=1))
    return load_flow(folder)


def load_node(
    folder: Path, files: Mapping[str, str], node: Mapping[str, Any], lookup: MemoryConnections = MODELS
) -> Tool:
    """Load the tool of the only node of a flow."""
    flow = write_flow(folder, files, nodes=[{"name": "n", **node}])
    return load_tool(flow.nodes[0], flow, folder, lookup)


def python_node(folder: Path, code: str, inputs: Mapping[str, Any] | None = None, **more: Any) -> Tool:
    """Load a python node from its code."""
    node = {"type": "python", "source": {"type": "code", "path": "tool.py"}, "inputs": inputs or {}}
    return load_node(folder, {"tool.py": code, **more.pop("files", {})}, node, **more)


def make_context(
    client: ModelClient | None = None, *, spans: list[SpanRecord] | None = None, **fields: Any
) -> NodeContext:
    """The context of one node; call it inside a running loop."""
    sink = spans.append if spans is not None else (lambda _: None)
    return NodeContext(
        node="n",
        line_number=0,
        span=ActiveSpan("n", trace_id=new_trace_id(), parent_id=None, sink=sink),
        open_client=lambda _: client or FakeModelClient(),
        loop=asyncio.get_running_loop(),
        **fields,
    )


async def call(tool: Tool, arguments: Mapping[str, Any], context: NodeContext) -> Any:
    """Call a tool the way the engine does."""
    token = current_node.set(context)
    try:
        if tool.mode == ASYNC:
            return await tool.call(arguments, context)
        return await asyncio.to_thread(tool.call, arguments, context)
    finally:
        current_node.reset(token)


def call_once(
    tool: Tool, arguments: Mapping[str, Any] | None = None, client: ModelClient | None = None, **fields: Any
) -> Any:
    """Call a tool on a loop of its own; generators are collected into a list."""

    async def run() -> Any:
        result = await call(tool, arguments or {}, make_context(client, **fields))
        if inspect.isasyncgen(result):
            return [item async for item in result]
        return list(result) if inspect.isgenerator(result) else result

    return asyncio.run(run())


def run_nodes(flow: Flow, folder: Path, values: Mapping[str, Any], client: ModelClient) -> dict[str, Any]:
    """Run all nodes of a flow one after the other, literals converted as planning does; outputs by node."""
    tools = {node.name: load_tool(node, flow, folder, MODELS) for node in flow.nodes}
    plan = make_plan(flow, {name: tool.spec for name, tool in tools.items()})
    return asyncio.run(_run_plan(plan, tools, values, client))


async def _run_plan(
    plan: Plan, tools: Mapping[str, Tool], values: Mapping[str, Any], client: ModelClient
) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    for step in plan.steps:
        arguments = {}
        for binding in step.bindings:
            source = binding.reference
            arguments[binding.parameter] = (
                binding.literal if source is None else _resolve(source, values, outputs)
            )
        context = make_context(client, inputs_to_escape=step.inputs_to_escape)
        outputs[step.node.name] = await call(tools[step.node.name], arguments, context)
    return outputs


def _resolve(reference: Reference, values: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
    if reference.kind == "input":
        return values[reference.name]
    return follow_path(outputs[reference.name], reference.path)
