"""Find everything that is wrong with a flow, without running it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from headrace import compat
from headrace.config import process_environment
from headrace.domain.flow import Flow, Node
from headrace.domain.tool import ToolSpec
from headrace.errors import DefinitionError, Problem
from headrace.formats.flow_file import read_flow
from headrace.formats.includes import check_includes, code_folder, open_includes
from headrace.formats.multimedia import ImageReader
from headrace.operations.prepare_flow import check_environment, load_tools, tool_specs
from headrace.operations.workspace import Workspace
from headrace.planning import check
from headrace.planning.chat import find_chat_ports
from headrace.planning.complete import complete_flow
from headrace.providers.loading import load_by_name
from headrace.tools.literals import read_literals
from headrace.tools.project import working_folder
from headrace.tools.registry import PACKAGE_LOADERS

_CHECK_MODEL = "headrace.tools.model_definitions:check_model_node"
"""Reached by name, like the node kinds: many flows have no model node."""


def check_flow(workspace: Workspace, path: Path) -> tuple[Problem, ...]:
    """All problems of a flow at once: its file, its templates, its tools, its references, every variant.

    Tools are imported, as running would; nothing is called.

    Args:
        workspace: For connections.
        path: Flow folder or file.

    Returns:
        Errors and warnings in order of their place; empty when there is nothing to say.
    """
    try:
        flow, problems = read_flow(path, environment=workspace.settings.environment)
    except DefinitionError as error:
        return error.problems
    if flow is None:
        return problems
    return _in_order((*problems, *_check_inside(workspace, flow)))


def _check_inside(workspace: Workspace, flow: Flow) -> tuple[Problem, ...]:
    compat.install()
    there, problems = check_includes(flow)
    with (
        open_includes(there) as folder,
        process_environment(flow.environment_variables),
        working_folder(code_folder(there, folder)),
    ):
        found = (*problems, *_check_variants(workspace, there, folder))
    lost = {Path(text).name for text in flow.additional_includes if text not in there.additional_includes}
    sources = {(*node.pointer, "source", "path"): node.source.path for node in _all_nodes(flow)}
    # A file that was to come with an include that is missing is not missed once more.
    return tuple(
        item for item in found if Path(sources.get(item.pointer) or "").parts[:1] not in _roots(lost)
    )


def _roots(names: Collection[str]) -> Sequence[tuple[str, ...]]:
    return [(name.removesuffix(".zip"),) for name in names] + [(name,) for name in names]


def _all_nodes(flow: Flow) -> Iterator[Node]:
    yield from flow.nodes
    for variants in flow.node_variants.values():
        yield from variants.variants.values()


def _check_variants(workspace: Workspace, flow: Flow, folder: Path) -> Iterator[Problem]:
    """The problems of the flow as it stands, then those of every variant that is not the default."""
    tools, problems = load_tools(workspace, flow, flow.nodes, folder)
    yield from check_environment(workspace, flow)
    yield from problems
    specs = tool_specs(tools)
    yield from _check_nodes(complete_flow(flow, specs), specs, folder)
    yield from _check_chat(flow)
    yield from _check_models(workspace, flow, flow.nodes, tools)
    for variants in flow.node_variants.values():
        for node in (node for name, node in variants.variants.items() if name != variants.default):
            chosen = replace(
                flow, nodes=tuple(node if item.name == node.name else item for item in flow.nodes)
            )
            variant_tools, problems = load_tools(workspace, flow, (node,), folder)
            yield from problems
            yield from _check_nodes(chosen, tool_specs({**tools, **variant_tools}), folder)
            yield from _check_models(workspace, flow, (node,), variant_tools)


def _check_nodes(flow: Flow, specs: Mapping[str, ToolSpec], folder: Path) -> Iterator[Problem]:
    """What is wrong with the nodes, also with the files that their literals name; addresses are not asked."""
    reader = ImageReader(message_format=flow.message_format, folders=(folder,), fetch=lambda _: b"")
    _, problems = read_literals(flow, specs, reader)
    yield from problems
    yield from check.check_flow(flow, specs)


def _check_chat(flow: Flow) -> Iterator[Problem]:
    """What keeps a flow that says it is a chat from being one; it runs all the same."""
    if flow.type == "chat":
        for problem in find_chat_ports(flow)[1]:
            yield replace(problem, severity="warning")


def _check_models(
    workspace: Workspace, flow: Flow, nodes: Iterable[Node], tools: Collection[str]
) -> Iterator[Problem]:
    for node in nodes:
        is_model = node.type == "llm" or (node.source.tool or "") in PACKAGE_LOADERS
        if is_model:
            yield from load_by_name(_CHECK_MODEL)(
                node, flow, workspace.connections, is_loaded=node.name in tools
            )


def _in_order(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    unique = {(item.code, item.span, item.what): item for item in problems}
    return tuple(
        sorted(
            unique.values(),
            key=lambda item: (item.span.file, item.span.line, item.span.column) if item.span else ("", 0, 0),
        )
    )
