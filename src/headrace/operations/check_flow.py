"""Find everything that is wrong with a flow, without running it."""

from __future__ import annotations

from contextlib import chdir
from dataclasses import replace
from pathlib import Path

from headrace import compat
from headrace.config import process_environment
from headrace.domain.flow import Flow
from headrace.errors import DefinitionError, Problem
from headrace.formats.flow_file import read_flow
from headrace.formats.includes import open_includes
from headrace.operations.prepare_flow import load_tools, tool_specs
from headrace.operations.workspace import Workspace
from headrace.planning import check


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
        flow, problems = read_flow(path)
    except DefinitionError as error:
        return error.problems
    if flow is None:
        return problems
    return _in_order((*problems, *_check_inside(workspace, flow)))


def _check_inside(workspace: Workspace, flow: Flow) -> tuple[Problem, ...]:
    compat.install()
    try:
        with open_includes(flow) as folder, process_environment(flow.environment_variables), chdir(folder):
            tools, problems = load_tools(workspace, flow, flow.nodes, folder)
            found = [*problems, *check.check_flow(flow, tool_specs(tools))]
            for variants in flow.node_variants.values():
                others = tuple(node for name, node in variants.variants.items() if name != variants.default)
                for node in others:
                    chosen = replace(
                        flow, nodes=tuple(node if item.name == node.name else item for item in flow.nodes)
                    )
                    variant_tools, problems = load_tools(workspace, flow, (node,), folder)
                    found += problems
                    found += check.check_flow(chosen, tool_specs({**tools, **variant_tools}))
    except DefinitionError as error:
        return error.problems
    return tuple(found)


def _in_order(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    unique = {(item.code, item.span, item.what): item for item in problems}
    return tuple(
        sorted(
            unique.values(),
            key=lambda item: (item.span.file, item.span.line, item.span.column) if item.span else ("", 0, 0),
        )
    )
