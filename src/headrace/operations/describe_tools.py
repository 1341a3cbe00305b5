"""The tools that a flow uses and could use, described as in ``flow.tools.json`` (promptflow-format: 1.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace import compat
from headrace.domain.flow import Flow, Node
from headrace.errors import DefinitionError, Problem
from headrace.formats.positions import read_text
from headrace.formats.template import load_template
from headrace.tools.metadata import built_in_tools, describe_python_tool, describe_template
from headrace.tools.package import describe_packages
from headrace.tools.project import project_in_use
from headrace.tools.python import find_python_tool
from headrace.tools.sources import source_file


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedTools:
    """Descriptions by id (``package``) and by path of the source (``code``), and what could not be described."""

    package: dict[str, Any]
    code: dict[str, Any]
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        """The content of ``flow.tools.json``."""
        return {"package": self.package, "code": self.code}


def list_tools(flow: Flow | None) -> DescribedTools:
    """Every package tool that could be used here, and the tools of a flow's own files."""
    compat.install()
    offered, problems = describe_packages()
    package = built_in_tools() | offered
    if flow is None:
        return DescribedTools(package=package, code={}, problems=problems)
    used = describe_flow_tools(flow, Path(flow.folder))
    return DescribedTools(package=package, code=used.code, problems=(*problems, *used.problems))


def describe_flow_tools(flow: Flow, folder: Path) -> DescribedTools:
    """The tools that the nodes of a flow use, those of all variants among them.

    Args:
        flow: A DAG flow; its Python files are executed.
        folder: Where its files are.
    """
    compat.install()
    wanted = {node.source.tool for node in _all_nodes(flow) if node.source.tool}
    offered, problems = describe_packages() if wanted else ({}, ())
    known = built_in_tools() | offered
    code: dict[str, Any] = {}
    found = list(problems)
    with project_in_use(folder):
        for node in _all_nodes(flow):
            path = node.source.path
            if path is None or path in code:
                continue
            try:
                code[path] = _describe(node, flow, folder, path)
            except DefinitionError as error:
                found.extend(error.problems)
    package = {name: known[name] for name in sorted(wanted) if name in known}
    return DescribedTools(package=package, code=code, problems=tuple(found))


def _describe(node: Node, flow: Flow, folder: Path, path: str) -> dict[str, Any]:
    if node.type == "python":
        return describe_python_tool(*find_python_tool(node, flow, folder), path)
    source = source_file(node, flow, folder)
    template = load_template(read_text(source.path, source.shown), source.shown)
    kind = "prompt" if node.type == "custom_llm" else node.type
    return describe_template(kind, template.variables, path)


def _all_nodes(flow: Flow) -> Iterator[Node]:
    yield from flow.nodes
    for variants in flow.node_variants.values():
        yield from variants.variants.values()
