"""Make a flow around a Python function that exists: ``flow init --entry FILE --function NAME``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace import compat
from headrace.domain.flow import NO_DEFAULT
from headrace.domain.tool import ToolParameter
from headrace.errors import Problem, UsageError, nearest
from headrace.formats.positions import dump_yaml, read_text
from headrace.formats.template import load_template
from headrace.operations.init_flow import STARTERS
from headrace.operations.new_files import write_files
from headrace.source import file_span
from headrace.tools.failure import failure_lines, failure_span
from headrace.tools.project import activate_project
from headrace.tools.signature import Signature, read_signature
from headrace.tools.user_code import execute_file, run_user_code

_ANNOTATIONS = {
    "int": "int", "double": "float", "bool": "bool", "string": "str", "list": "list",
}  # fmt: skip
_NOT_NODES = ("inputs", "flow")
"""Names that a reference reads as the flow's inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedFunction:
    """What was made.

    Attributes:
        files: The files that were written.
        inputs: The flow's inputs without a default, in order.
        left_out: Parameters that keep the function's own default, because a flow file cannot say it.
        connections: Names of connections that the flow asks for.
    """

    files: tuple[Path, ...]
    inputs: tuple[str, ...]
    left_out: tuple[str, ...]
    connections: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    module: str
    name: str
    function: Callable[..., Any]
    signature: Signature


def wrap_function(
    folder: Path,
    entry: str,
    function: str,
    prompt_templates: Mapping[str, str],
    *,
    is_replacing: bool = False,
) -> WrappedFunction:
    """Write a flow whose tool calls ``function`` of the file ``entry``; the file itself is left alone.

    Parameters become flow inputs with their types and defaults, connection parameters name a connection, and
    each prompt template becomes a prompt node whose text the parameter receives.

    Args:
        folder: Holds ``entry`` and the templates; the flow is written beside them.
        entry: Path of the Python file, relative to ``folder``.
        function: Name of a function of that file.
        prompt_templates: Parameter of the function to the path of a template, relative to ``folder``.
        is_replacing: Overwrite files of the same names.

    Raises:
        DefinitionError: F001 when a file does not exist, T206 when the Python file cannot be loaded, F009 for a
            template that cannot be parsed.
        UsageError: C507 when the file has no such function or the function no such parameter, S806 when a file is in
            the way.
        StateError: S808 when a file cannot be written.
    """
    found = _load_entry(folder, entry, function)
    _check_parameters(found, prompt_templates)
    variables = {
        name: load_template(read_text(folder / path), str(folder / path)).variables
        for name, path in prompt_templates.items()
    }
    wired = [item for item in found.signature.spec.parameters if _is_wired(item, prompt_templates)]
    connections = {
        item.name: _connection_name(found.signature.connections[item.name][0])
        for item in wired
        if item.name in found.signature.connections
    }
    inputs = _flow_inputs(wired, connections, variables)
    flow = _make_flow(found, wired, inputs, connections, prompt_templates, variables)
    files = {
        folder / "flow.dag.yaml": dump_yaml(flow),
        folder / f"{found.name}_tool.py": _make_tool(found, wired),
    }
    for source, target in (("requirements.txt", "requirements.txt"), ("gitignore", ".gitignore")):
        if not (folder / target).exists():
            files[folder / target] = (STARTERS / "standard" / source).read_text(encoding="utf-8")
    names = {item.name for item in wired}
    return WrappedFunction(
        files=write_files(files, is_replacing=is_replacing),
        inputs=tuple(name for name, declared in inputs.items() if "default" not in declared),
        left_out=tuple(i.name for i in found.signature.spec.parameters if i.name not in names),
        connections=tuple(dict.fromkeys(connections.values())),
    )


def _load_entry(folder: Path, entry: str, name: str) -> _Entry:
    path = folder / entry
    read_text(path)  # F001 or F011 where it is not there or no text
    compat.install()
    activate_project(path.resolve().parent)
    shown = str(path)
    module = run_user_code(lambda: execute_file(path), lambda error: _load_problem(error, path, folder))
    functions = [key for key, value in vars(module).items() if inspect.isfunction(value)]
    if name not in functions:
        near = nearest(name, functions)
        fix = f'Did you mean "{near}"?' if near else f"Its functions are: {', '.join(functions) or 'none'}."
        raise UsageError(
            Problem(code="C507", what=f"{shown} has no function {name!r}.", span=file_span(shown), fix=fix)
        )
    function = vars(module)[name]
    return _Entry(
        module=".".join(Path(entry).with_suffix("").parts),
        name=name,
        function=function,
        signature=read_signature(function, name=name, has_positions=True),
    )


def _load_problem(error: BaseException, path: Path, folder: Path) -> Problem:
    flow_file = str(folder / "flow.dag.yaml")
    return Problem(
        code="T206",
        what=f"{path} cannot be loaded: {type(error).__name__}: {error}".splitlines()[0],
        span=failure_span(error, folder.resolve(), flow_file) or file_span(str(path)),
        fix="Correct the file, or install what it imports.",
        detail=failure_lines(error, folder.resolve(), flow_file),
    )


def _check_parameters(found: _Entry, prompt_templates: Mapping[str, str]) -> None:
    known = [item.name for item in found.signature.spec.parameters]
    problems = []
    for name in prompt_templates:
        if name not in known:
            near = nearest(name, known)
            fix = f'Did you mean "{near}"?' if near else f"Its parameters are: {', '.join(known) or 'none'}."
            what = f"The function {found.name} has no parameter {name!r} to give a template to."
            problems.append(Problem(code="C507", what=what, fix=fix))
    if problems:
        raise UsageError(*problems)


def _is_wired(parameter: ToolParameter, prompt_templates: Mapping[str, str]) -> bool:
    """Whether the flow sets the parameter; one whose default a flow file cannot say keeps it."""
    if parameter.is_required or parameter.name in prompt_templates:
        return True
    return isinstance(parameter.default, (bool, int, float, str, list, dict))


def _connection_name(cls: type) -> str:
    """``OpenAIConnection`` → ``open_ai_connection``, the name under which the environment offers one."""
    words = cls.__name__.replace("OpenAI", "OpenAi").replace("AI", "Ai")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in words).lstrip("_")


def _flow_inputs(
    wired: list[ToolParameter],
    connections: Mapping[str, str],
    variables: Mapping[str, tuple[str, ...]],
) -> dict[str, dict[str, Any]]:
    inputs: dict[str, dict[str, Any]] = {}
    for item in wired:
        if item.name not in connections and item.name not in variables:
            inputs[item.name] = {"type": item.types[0]}
            if item.default is not NO_DEFAULT:
                inputs[item.name]["default"] = item.default
    for name in (name for names in variables.values() for name in names):
        inputs.setdefault(name, {"type": "string"})
    return inputs


def _make_flow(
    found: _Entry,
    wired: list[ToolParameter],
    inputs: Mapping[str, Any],
    connections: Mapping[str, str],
    prompt_templates: Mapping[str, str],
    variables: Mapping[str, tuple[str, ...]],
) -> dict[str, Any]:
    taken = (*_NOT_NODES, *prompt_templates)
    node = f"{found.name}_tool" if found.name in taken else found.name
    nodes: list[dict[str, Any]] = [
        {
            "name": name,
            "type": "prompt",
            "source": {"type": "code", "path": path},
            "inputs": {variable: f"${{inputs.{variable}}}" for variable in variables[name]},
        }
        for name, path in prompt_templates.items()
    ]
    values = {
        item.name: connections.get(item.name)
        or (f"${{{item.name}.output}}" if item.name in prompt_templates else f"${{inputs.{item.name}}}")
        for item in wired
    }
    nodes.append(
        {
            "name": node,
            "type": "python",
            "source": {"type": "code", "path": f"{found.name}_tool.py"},
            "inputs": values,
        }
    )
    return {
        "inputs": dict(inputs),
        "outputs": {"output": {"type": "string", "reference": f"${{{node}.output}}"}},
        "nodes": nodes,
        "environment": {"python_requirements_txt": "requirements.txt"},
    }


def _make_tool(found: _Entry, wired: list[ToolParameter]) -> str:
    classes = {name: cls for item in wired for name, cls in _classes(found.signature, item.name).items()}
    own = sorted(name for name, cls in classes.items() if cls.__module__ == found.function.__module__)
    served = sorted(set(classes) - set(own))
    kinds = inspect.signature(found.function).parameters
    parameters = ", ".join(_parameter(found.signature, item) for item in wired)
    arguments = ", ".join(
        item.name
        if kinds[item.name].kind is inspect.Parameter.POSITIONAL_ONLY
        else f"{item.name}={item.name}"
        for item in wired
    )
    is_async = inspect.iscoroutinefunction(found.function)
    lines = [
        *([f"from promptflow.connections import {', '.join(served)}"] if served else []),
        "from promptflow.core import tool",
        "",
        f"from {found.module} import {', '.join([*own, found.name])}",
        "",
        "",
        "@tool",
        f"{'async def' if is_async else 'def'} {found.name}_tool({parameters}):",
        f"    return {'await ' if is_async else ''}{found.name}({arguments})",
    ]
    return "\n".join(lines) + "\n"


def _classes(signature: Signature, name: str) -> dict[str, type]:
    return {cls.__name__: cls for cls in signature.connections.get(name, ())}


def _parameter(signature: Signature, item: ToolParameter) -> str:
    classes = _classes(signature, item.name)
    annotation = " | ".join(classes) if classes else _ANNOTATIONS.get(item.types[0], "")
    return f"{item.name}: {annotation}" if annotation else item.name
