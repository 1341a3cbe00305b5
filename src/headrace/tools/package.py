"""Package tools: functions that installed packages offer under an id (promptflow-format: 3.4).

A package announces its tools in the entry point group ``package_tools``; the entry point is a function that returns a
mapping of ids to descriptions. Only the package that has a node's tool is imported further.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from headrace.domain.flow import Flow, Node
from headrace.domain.tool import ToolParameter, ToolSpec
from headrace.errors import DefinitionError, Problem, nearest
from headrace.formats.positions import read_text
from headrace.formats.template import Template, load_template
from headrace.planning.retirement import retired_tool_fix
from headrace.providers.loading import load_by_name
from headrace.tools.base import ConnectionLookup, Tool
from headrace.tools.binding import bind_function
from headrace.tools.registry import BUILT_IN_TOOLS, PACKAGE_LOADERS
from headrace.tools.signature import Signature, read_signature
from headrace.tools.sources import source_file
from headrace.tools.user_code import run_user_code
from headrace.tools.value_types import PromptTemplate

_READ_CODE = "headrace.tools.identity:code_of_package"

GROUP = "package_tools"


def load_package_tool(node: Node, flow: Flow, folder: Path, connections: ConnectionLookup) -> Tool:
    """Load a tool that an installed package offers.

    Raises:
        DefinitionError: T207 when no package offers the id; T206 when the package cannot be imported; F001, F009 or
            F011 for the template of a ``custom_llm`` node; C501 to C504 for connections.
    """
    tool_id = node.source.tool or ""
    described = _find(tool_id, node, flow)
    function, provider = _import(described, tool_id, node, flow)
    name = f"{provider.__name__}.{function.__name__}" if provider else function.__name__
    init = provider.get_initialize_inputs() if provider else None
    signature = _with_described_types(read_signature(function, name=name, init=init), described)
    fixed: dict[str, Any] = {}
    if node.type == "custom_llm":
        signature, fixed = _with_prompt(signature, node, flow, folder)
    return bind_function(
        function,
        provider,
        signature,
        node=node,
        flow=flow,
        folder=folder,
        connections=connections,
        read_code=lambda: load_by_name(_READ_CODE)(function, folder, node.inputs.values()),
        fixed=fixed,
    )


def describe_packages() -> tuple[dict[str, dict[str, Any]], tuple[Problem, ...]]:
    """The descriptions of all tools that installed packages offer, by id, and the packages that cannot be asked."""
    tools: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for entry_point in entry_points(group=GROUP):
        try:
            offered = _offered(entry_point)
        except DefinitionError as error:
            problems.extend(error.problems)
            continue
        package = entry_point.dist
        origin = {"package": package.name, "package_version": package.version} if package else {}
        tools |= {tool_id: {**origin, **described} for tool_id, described in offered.items()}
    return tools, tuple(problems)


def _find(tool_id: str, node: Node, flow: Flow) -> Mapping[str, Any]:
    """The description of a tool; ids that a tool had earlier count as well."""
    if tool_id in BUILT_IN_TOOLS:
        return BUILT_IN_TOOLS[tool_id]
    available = [*PACKAGE_LOADERS, *BUILT_IN_TOOLS]
    failures: list[str] = []
    for entry_point in entry_points(group=GROUP):
        try:
            offered = _offered(entry_point)
        except DefinitionError as error:
            problem = error.problems[0]
            failures.append(f"{problem.what} {problem.fix}" if problem.fix else problem.what)
            continue
        for offered_id, described in offered.items():
            if tool_id in (offered_id, *described.get("deprecated_tools", ())):
                return dict(described)
        available.extend(offered)
    pointer = (*node.pointer, "source", "tool")
    is_retired = retired_tool_fix(tool_id) is not None  # nothing that is offered takes its place
    raise DefinitionError(
        Problem(
            code="T207",
            what=f"The node {node.name!r} uses the package tool {tool_id!r}, which no installed package offers.",
            span=flow.source_map.span(pointer),
            pointer=pointer,
            fix=_how_to_get(tool_id, available, has_failures=bool(failures)),
            detail=(*failures, *(f"available: {item}" for item in sorted(set(available)) if not is_retired)),
        )
    )


def _how_to_get(tool_id: str, available: list[str], *, has_failures: bool) -> str:
    """What to do about a tool that nobody offers; ``has_failures`` says that a package could not be asked."""
    instead = retired_tool_fix(tool_id)
    if instead:
        return f"Its package belongs to the retiring service and cannot be had without it. {instead}"
    near = nearest(tool_id, available)
    if near:
        return f'Did you mean "{near}"?'
    mend = "Mend the package that cannot be listed, where the tool is one of its; else install"
    return f"{mend if has_failures else 'Install'} the package that offers it."


def _offered(entry_point: EntryPoint) -> dict[str, Any]:
    def describe(error: BaseException) -> Problem:
        package = entry_point.dist.name if entry_point.dist else entry_point.value
        what = f"The tools of the package {package} cannot be listed: {type(error).__name__}: {error}"
        lacking = error.name if isinstance(error, ModuleNotFoundError) else None
        fix = f"Install what provides the module {lacking}, which the package imports." if lacking else None
        return Problem(code="T206", what=what.splitlines()[0], fix=fix)

    return run_user_code(lambda: dict(entry_point.load()()), describe)


def _import(
    described: Mapping[str, Any], tool_id: str, node: Node, flow: Flow
) -> tuple[Callable[..., Any], type[Any] | None]:
    pointer = (*node.pointer, "source", "tool")

    def describe(error: BaseException) -> Problem:
        what = f"The package tool {tool_id!r} cannot be imported: {type(error).__name__}: {error}"
        return Problem(
            code="T206",
            what=what.splitlines()[0],
            span=flow.source_map.span(pointer),
            pointer=pointer,
            fix="Install what the package needs, or another version of it.",
        )

    def load() -> tuple[Callable[..., Any], type[Any] | None]:
        module = import_module(described["module"])
        class_name = described.get("class_name")
        provider = getattr(module, class_name) if class_name else None
        return getattr(provider or module, described["function"]), provider

    return run_user_code(load, describe)


def _with_described_types(signature: Signature, described: Mapping[str, Any]) -> Signature:
    """The types that the package describes decide how literals are converted; the signature knows the defaults.

    A literal for a parameter that the description leaves out stays as it is, whatever the annotation.
    """
    inputs = described.get("inputs") or {}
    parameters = tuple(_described(item, inputs.get(item.name)) for item in signature.spec.parameters)
    return _replaced(signature, parameters)


def _described(parameter: ToolParameter, described: Mapping[str, Any] | None) -> ToolParameter:
    types = tuple((described or {}).get("type") or ())
    return ToolParameter(name=parameter.name, types=types, default=parameter.default)


def _with_prompt(
    signature: Signature, node: Node, flow: Flow, folder: Path
) -> tuple[Signature, dict[str, Any]]:
    """A ``custom_llm`` node: the text of its file goes to the parameter annotated ``PromptTemplate``."""
    if signature.prompt is None:
        pointer = (*node.pointer, "source", "tool")
        what = f"The tool of the custom_llm node {node.name!r} has no parameter annotated PromptTemplate."
        place = flow.source_map.span(pointer)
        fix = "Use it in a python node with source.type: package."
        raise DefinitionError(Problem(code="T206", what=what, span=place, pointer=pointer, fix=fix))
    source = source_file(node, flow, folder)
    text = read_text(source.path, source.shown)
    template = load_template(text, source.shown)
    parameters = tuple(item for item in signature.spec.parameters if item.name != signature.prompt)
    return (
        _replaced(signature, parameters, template=template),
        {signature.prompt: PromptTemplate(text)},
    )


def _replaced(
    signature: Signature,
    parameters: tuple[ToolParameter, ...],
    *,
    template: Template | None = None,
) -> Signature:
    spec = ToolSpec(
        name=signature.spec.name,
        parameters=parameters,
        takes_any=signature.spec.takes_any,
        template_variables=template.variables if template else (),
        image_variables=template.image_variables if template else (),
    )
    return Signature(spec=spec, connections=signature.connections, prompt=signature.prompt)
