"""Python nodes: one tool in one file, loaded afresh for every node (promptflow-format: 3.1 to 3.3)."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from headrace.domain.flow import Flow, Node
from headrace.domain.tool import TOOL_MARK
from headrace.errors import DefinitionError, Problem
from headrace.providers.loading import load_by_name
from headrace.source import Span, file_span
from headrace.tools.base import ConnectionLookup, Tool
from headrace.tools.binding import bind_function
from headrace.tools.declaration import ToolProvider
from headrace.tools.failure import UnservedNameError, failure_lines, failure_span
from headrace.tools.project import activate_project, forget_changed_modules, note_modules
from headrace.tools.signature import Signature, read_signature
from headrace.tools.sources import source_file
from headrace.tools.user_code import execute_file, run_user_code

_READ_CODE = "headrace.tools.identity:code_of_file"
_REQUIREMENTS = ("requirements.txt", "requirement.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTool:
    """A tool of a file: a function, or a method of a tool class."""

    function: Callable[..., Any]
    provider: type[ToolProvider] | None

    @property
    def options(self) -> Mapping[str, Any]:
        """What its decorator was given."""
        options: Mapping[str, Any] = getattr(self.function, TOOL_MARK)
        return options

    @property
    def init(self) -> Mapping[str, inspect.Parameter]:
        """Parameters of the class's constructor."""
        return self.provider.get_initialize_inputs() if self.provider else {}


def load_python_tool(node: Node, flow: Flow, folder: Path, connections: ConnectionLookup) -> Tool:
    """Load the tool of a python node from its file.

    Raises:
        DefinitionError: F001 for a missing file, T206 when the file fails or does not hold exactly one tool, C501 to
            C504 for connections that cannot be injected, T203 and T205 for constructor inputs.
    """
    found, signature = find_python_tool(node, flow, folder)
    return bind_function(
        found.function,
        found.provider,
        signature,
        node=node,
        flow=flow,
        folder=folder,
        connections=connections,
        read_code=lambda: load_by_name(_READ_CODE)(
            found.function, source_file(node, flow, folder).path, folder, node.inputs.values()
        ),
    )


def find_python_tool(node: Node, flow: Flow, folder: Path) -> tuple[FoundTool, Signature]:
    """Execute the file of a python node and find its tool.

    Raises:
        DefinitionError: F001 for a missing file, T206 when the file fails or does not hold exactly one tool.
    """
    source = source_file(node, flow, folder)
    activate_project(folder)
    forget_changed_modules(folder)
    module = run_user_code(
        lambda: execute_file(source.path), lambda error: _import_problem(error, node, flow, folder)
    )
    note_modules(folder)
    found = _find_tool(module, node, flow, source.shown)
    signature = run_user_code(
        lambda: read_signature(found.function, name=found.function.__qualname__, init=found.init),
        lambda error: _load_problem(f"The signature of its tool cannot be read: {error}", node, flow),
    )
    return found, signature


def _find_tool(module: types.ModuleType, node: Node, flow: Flow, shown: str) -> FoundTool:
    found = list({id(item.function): item for item in tools_of(module)}.values())
    if len(found) == 1:
        return found[0]
    place = file_span(shown)
    if found:
        names = ", ".join(item.function.__qualname__ for item in found)
        what = f"{shown} defines {len(found)} tools ({names}), but the node {node.name!r} needs exactly one."
        fix = "Leave @tool on one of them, or put each tool into a file of its own."
        code = found[1].function.__code__
        place = Span(
            file=shown, line=code.co_firstlineno, column=1, end_line=code.co_firstlineno, end_column=2
        )
    else:
        functions = [name for name, item in vars(module).items() if isinstance(item, types.FunctionType)]
        own = ", ".join(name for name in functions if vars(module)[name].__module__ == module.__name__)
        what = f"{shown} defines no tool for the node {node.name!r}."
        what += f" Its functions are: {own}." if own else ""
        fix = "Import tool from promptflow.core and put @tool above the function that the node calls."
    related = (("the node", flow.source_map.span((*node.pointer, "source", "path"))),)
    raise DefinitionError(Problem(code="T206", what=what, span=place, fix=fix, related=related))


def tools_of(module: types.ModuleType) -> list[FoundTool]:
    """Marked functions that are defined in the module, and marked methods of tool classes defined there."""
    found = []
    for value in vars(module).values():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if _is_marked(value):
            found.append(FoundTool(function=value, provider=None))
        elif isinstance(value, type) and issubclass(value, ToolProvider):
            methods = inspect.getmembers(value, _is_marked)
            found.extend(FoundTool(function=method, provider=value) for _, method in methods)
    return found


def _is_marked(value: Any) -> bool:
    return isinstance(value, types.FunctionType) and hasattr(value, TOOL_MARK)


def _import_problem(error: BaseException, node: Node, flow: Flow, folder: Path) -> Problem:
    span = failure_span(error, folder, flow.file)
    pointer = (*node.pointer, "source", "path")
    related = (("the node", flow.source_map.span(pointer)),)
    if isinstance(error, UnservedNameError):
        return replace(error.problem, span=span or error.problem.span, related=related)
    what = f"The file of the node {node.name!r} cannot be loaded: {type(error).__name__}: {error}"
    return Problem(
        code="T206",
        what=what.splitlines()[0],
        span=span or flow.source_map.span(pointer),
        pointer=pointer,
        fix=_import_fix(error, folder, flow),
        related=related,
        detail=failure_lines(error, folder, flow.file),
    )


def _import_fix(error: BaseException, folder: Path, flow: Flow) -> str:
    if isinstance(error, SystemExit):
        return 'Put what only a script should do below: if __name__ == "__main__":'
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        if failure_span(error, folder, flow.file) is None:
            return "Name a file of Python code, saved as UTF-8, whose name ends in .py."
        return "Correct this line; the file is executed when the flow is loaded."
    listed = [name for name in _REQUIREMENTS if (folder / name).is_file()]
    if listed:
        shown = PurePath(flow.file).parent / listed[0]
        return f"Install what the project needs: pip install -r {shown} (it must provide the module {error.name})."
    return (
        f"Install the package that provides the module {error.name}, which `headrace doctor` names, "
        "or check the spelling of the import."
    )


def _load_problem(what: str, node: Node, flow: Flow) -> Problem:
    pointer = (*node.pointer, "source", "path")
    fix = "Correct the parameters of the function that @tool marks."
    return Problem(code="T206", what=what, span=flow.source_map.span(pointer), pointer=pointer, fix=fix)
