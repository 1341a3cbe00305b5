"""Find what is wrong with tools themselves: of a Python file, of an installed package, or one by its id."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from headrace import compat
from headrace.errors import DefinitionError, Problem, UsageError, nearest
from headrace.formats.paths import is_file
from headrace.source import Span, file_span
from headrace.tools.failure import failure_lines, failure_span
from headrace.tools.metadata import built_in_tools
from headrace.tools.package import describe_packages
from headrace.tools.project import project_in_use
from headrace.tools.python import FoundTool, tools_of
from headrace.tools.signature import read_signature
from headrace.tools.user_code import execute_file, run_user_code


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinding:
    """One problem of one tool; ``location`` is the file or the module that holds it."""

    function: str
    location: str
    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedTools:
    """How many tools were looked at, and what was found."""

    n_tools: int
    findings: tuple[ToolFinding, ...]

    @property
    def n_invalid(self) -> int:
        """How many tools have an error."""
        return len(
            {(item.location, item.function) for item in self.findings if item.problem.severity == "error"}
        )


def check_tools(source: str) -> CheckedTools:
    """Look at every tool that ``source`` names.

    Args:
        source: Path of a Python file, name of an installed package that offers tools, or id of a package tool.

    Raises:
        UsageError: C507 when it is none of these.
        DefinitionError: T206 when the file or the package cannot be imported.
    """
    compat.install()
    path = Path(source)
    if is_file(path):
        return _check_file(path)
    installed, problems = describe_packages()
    offered = built_in_tools() | installed
    if source in offered:
        return _check_offered({source: offered[source]})
    of_package = {
        tool_id: described
        for tool_id, described in offered.items()
        if source in (described.get("package"), tool_id.partition(".")[0])
    }
    if of_package:
        return _check_offered(of_package)
    if problems:
        raise DefinitionError(*problems)
    near = nearest(source, [*offered, *(str(item.get("package", "")) for item in offered.values())])
    raise UsageError(
        Problem(
            code="C507",
            what=f"{source} is no file, no installed package with tools and no id of a package tool.",
            fix=f'Did you mean "{near}"?' if near else "headrace tool list shows the ids of package tools.",
        )
    )


def _check_file(path: Path) -> CheckedTools:
    folder, flow_file = path.resolve().parent, str(path.parent / "flow.dag.yaml")

    def describe(error: BaseException) -> Problem:
        return Problem(
            code="T206",
            what=f"{path} cannot be loaded: {type(error).__name__}: {error}".splitlines()[0],
            span=failure_span(error, folder, flow_file) or file_span(str(path)),
            fix="Correct the file, or install what it imports.",
            detail=failure_lines(error, folder, flow_file),
        )

    with project_in_use(folder):
        module = run_user_code(lambda: execute_file(path), describe)
    tools = list({id(item.function): item for item in tools_of(module)}.values())
    findings = [
        ToolFinding(function=item.function.__name__, location=str(path.resolve()), problem=problem)
        for item in tools
        for problem in _check_tool(item, _place(item, str(path)), folder)
    ]
    return CheckedTools(n_tools=len(tools), findings=tuple(findings))


def _place(found: FoundTool, shown: str) -> Span:
    line = found.function.__code__.co_firstlineno
    return Span(file=shown, line=line, column=1, end_line=line, end_column=2)


def _check_tool(found: FoundTool, place: Span, folder: Path) -> Iterator[Problem]:
    name = found.function.__name__
    try:
        signature = read_signature(found.function, name=name, init=found.init)
    except (ValueError, TypeError) as error:
        yield _problem(
            "T206", place, f"The signature of {name} cannot be read: {error}.", "Change one of the two."
        )
        return
    known = [item.name for item in signature.spec.parameters]
    for setting, value in (found.options.get("input_settings") or {}).items():
        for wanted in (setting, getattr(value, "enabled_by", None)):
            if wanted and wanted not in known:
                near = nearest(wanted, known)
                fix = (
                    f'Did you mean "{near}"?'
                    if near
                    else f"Its parameters are: {', '.join(known) or 'none'}."
                )
                yield _problem("T204", place, f"{name} has no parameter {wanted!r} to be set up.", fix)
    for option, kind, wanted in (("category", str, "text"), ("tags", Mapping, "a mapping")):
        value = found.options.get(option)
        if value is not None and not isinstance(value, kind):
            yield _problem("F005", place, f"The {option} of {name} should be {wanted}.", f"Write {wanted}.")
    icons = [option for option in ("icon", "icon_light", "icon_dark") if found.options.get(option)]
    for option in icons:
        icon = str(found.options[option])
        if not icon.startswith("data:") and not is_file(folder / icon):
            fix = "Correct the path; it is relative to the folder of the tool."
            yield _problem("F001", place, f"The icon {icon} of {name} does not exist.", fix)
    if "icon" in icons and len(icons) > 1:
        fix = "Keep icon, or icon_light and icon_dark."
        yield _problem("F005", place, f"{name} has an icon and one for light or dark.", fix)


def _problem(code: str, place: Span, what: str, fix: str) -> Problem:
    return Problem(code=code, what=what, span=place, fix=fix)


def _check_offered(offered: Mapping[str, Mapping[str, Any]]) -> CheckedTools:
    findings = [
        ToolFinding(
            function=str(described.get("function")), location=str(described.get("module")), problem=problem
        )
        for tool_id, described in offered.items()
        for problem in _check_described(tool_id, described)
    ]
    return CheckedTools(n_tools=len(offered), findings=tuple(findings))


def _check_described(tool_id: str, described: Mapping[str, Any]) -> Iterator[Problem]:
    """Compare what a package says about a tool with the tool."""
    if tool_id in built_in_tools():
        return  # made from the tool itself
    try:
        function = _import(tool_id, described)
    except DefinitionError as error:
        yield from error.problems
        return
    parameters = inspect.signature(function).parameters
    takes_any = any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters.values())
    described_inputs = described.get("inputs") or {}
    for name in described_inputs:
        if name not in parameters and not takes_any and "class_name" not in described:
            what = f"The package describes the input {name!r} of {tool_id}, which its function does not take."
            yield Problem(
                code="T204", what=what, fix="Correct the description of the package, or the function."
            )


def _import(tool_id: str, described: Mapping[str, Any]) -> Any:
    def describe(error: BaseException) -> Problem:
        what = f"The package tool {tool_id!r} cannot be imported: {type(error).__name__}: {error}"
        return Problem(code="T206", what=what.splitlines()[0], fix="Install what the package needs.")

    def load() -> Any:
        module = import_module(described["module"])
        owner = getattr(module, described["class_name"]) if described.get("class_name") else module
        return getattr(owner, described["function"])

    return run_user_code(load, describe)
