"""``flow.dag.yaml`` → :class:`~headrace.domain.flow.Flow`, with the place of every value.

:func:`read_flow` never raises for findings: it returns what could be read together with all problems.
:func:`load_flow` is for callers that cannot go on with a broken flow. Everything that prompt flow accepts is
accepted; what it ignores is ignored with a warning.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headrace.domain.flow import NO_DEFAULT, Flow, FlowInput, FlowOutput
from headrace.domain.values import INPUT_TYPES
from headrace.errors import DefinitionError, Problem, raise_if_errors
from headrace.formats.digest import flow_digest
from headrace.formats.nodes import read_nodes, value_or_reference
from headrace.formats.positions import read_text, read_yaml
from headrace.formats.shape import WARNING, Block, Findings, by_place
from headrace.source import file_span

__all__ = ["FLOW_FILE_NAMES", "find_flow_file", "flow_digest", "load_flow", "read_flow"]

FLOW_FILE_NAMES = ("flow.dag.yaml", "flow.dag.yml", "flow.flex.yaml", "flow.flex.yml")
_SUFFIXES = (".yaml", ".yml", ".prompty")

_FLOW_KEYS = (
    "$schema", "id", "name", "display_name", "description", "type", "language", "message_format", "tags",
    "environment", "environment_variables", "additional_includes", "inputs", "outputs", "nodes",
    "node_variants", "tools",
)  # fmt: skip
_INPUT_KEYS = ("type", "default", "description", "enum", "is_chat_input", "is_chat_history")
_OUTPUT_KEYS = ("type", "reference", "description", "is_chat_output", "evaluation_only")
_UNREAD_TYPES = ("image", "assistant_definition")
"""Input types whose values prompt flow turns into objects of its own; passed on as text they would be wrong."""

_TYPE_HINTS = {
    "str": "string", "text": "string", "float": "double", "number": "double", "integer": "int",
    "boolean": "bool", "dict": "object", "any": "object", "json": "object", "array": "list",
    "file": "file_path",
}  # fmt: skip


def find_flow_file(path: Path) -> Path:
    """The flow file that a path means: the file itself, or the only flow file of a folder.

    Raises:
        DefinitionError: F001 when there is nothing at the path, F004 when it holds no flow or more than one.
    """
    if path.is_dir():
        found = [path / name for name in FLOW_FILE_NAMES if (path / name).is_file()]
        if len(found) == 1:
            return found[0]
        raise DefinitionError(_folder_problem(path, found))
    if not path.exists():
        what = f"{path} does not exist."
        raise DefinitionError(Problem(code="F001", what=what, fix="Name a flow folder or a flow file."))
    if path.suffix not in _SUFFIXES:
        what = f"{path} is not a flow file: its name does not end in .yaml, .yml or .prompty."
        raise DefinitionError(Problem(code="F004", what=what, fix="Name a flow folder or its flow.dag.yaml."))
    return path


def _folder_problem(folder: Path, found: list[Path]) -> Problem:
    if found:
        names = " and ".join(file.name for file in found)
        what = f"{folder} holds more than one flow file: {names}."
        fix = "Keep one, or name the file that is meant."
        return Problem(code="F004", what=what, span=file_span(str(found[1])), fix=fix)
    inside = sorted({str(file.parent) for name in FLOW_FILE_NAMES for file in folder.glob(f"*/{name}")})
    fix = "Name a folder with a flow."
    if inside:
        fix = f"Name one of the folders with a flow: {', '.join(inside[:5])}."
    return Problem(code="F004", what=f"{folder} holds neither flow.dag.yaml nor flow.flex.yaml.", fix=fix)


def load_flow(path: Path) -> Flow:
    """Read a flow, given its folder or its file.

    Raises:
        DefinitionError: Every problem of the file, warnings included, when at least one is an error.
    """
    flow, problems = read_flow(path)
    if flow is None:
        raise DefinitionError(*problems)
    raise_if_errors(problems)
    return flow


def read_flow(path: Path) -> tuple[Flow | None, tuple[Problem, ...]]:
    """Read as much of a flow as can be read, with everything that is wrong with it.

    Args:
        path: A flow folder or a flow file.

    Returns:
        The flow without its broken parts (``None`` when the file is no flow at all), and all problems.
    """
    try:
        file = find_flow_file(path)
        if file.suffix == ".prompty":
            return None, (_unsupported(str(file), "A .prompty file"),)
        data, source_map, problems = read_yaml(read_text(file), str(file))
    except DefinitionError as error:
        return None, error.problems
    flow, found = _read_data(data, file, Findings(source_map, list(problems)))
    return flow, tuple(sorted(found, key=by_place))


def _read_data(data: Any, file: Path, findings: Findings) -> tuple[Flow | None, list[Problem]]:
    if not isinstance(data, dict):
        return None, [*findings.problems, _no_mapping(str(file))]
    root = Block(data, (), findings)
    if "entry" in root:
        what = "A flex flow (entry: …) cannot be run yet."
        findings.add("F010", ("entry",), what, "Use a DAG flow.", at_key=True)
        return None, findings.problems
    return _read_root(root, file), findings.problems


def _unsupported(file: str, what: str) -> Problem:
    what = f"{what} cannot be run yet."
    return Problem(code="F010", what=what, span=file_span(file), fix="Use a DAG flow.")


def _no_mapping(file: str) -> Problem:
    return Problem(
        code="F005",
        what="The file holds no flow: it should be a mapping with the key nodes.",
        span=file_span(file),
        fix="Write at least nodes: with one node; `headrace flow init` makes a flow to start from.",
    )


def _read_root(root: Block, file: Path) -> Flow:
    root.check_keys(_FLOW_KEYS, "A flow")
    if root.text("language") not in (None, "python"):
        what = "headrace runs Python flows only."
        fix = "Remove the key, or run this flow with its own engine."
        root.findings.add("F010", ("language",), what, fix)
    nodes = read_nodes(root)
    folder = file.resolve().parent
    return Flow(
        name=folder.name,
        file=str(file),
        folder=str(folder),
        type=root.word("type", ("standard", "chat", "evaluation"), severity=WARNING) or "standard",
        display_name=root.note("display_name"),
        message_format=root.word("message_format", ("basic", "openai-vision")) or "basic",
        inputs=_read_inputs(root.block("inputs")),
        outputs=_read_outputs(root.block("outputs")),
        nodes=nodes.nodes,
        node_variants=nodes.variants,
        environment_variables=_read_environment(root.block("environment_variables")),
        additional_includes=_read_includes(root),
        source_map=root.findings.source_map,
    )


def _read_inputs(block: Block) -> dict[str, FlowInput]:
    inputs: dict[str, FlowInput] = {}
    for name, item in block.blocks():
        owner = f"The flow input {name!r}"
        item.check_keys(_INPUT_KEYS, owner)
        if item.data.get("type") in _UNREAD_TYPES:
            what = f"{owner} is of type {item.data['type']}, which headrace cannot read yet."
            item.findings.add("F010", item.at("type"), what, "Take the input out, or use type string.")
        default = item.data.get("default")
        inputs[name] = FlowInput(
            name=name,
            type=_read_value_type(item, owner),
            default=NO_DEFAULT if default is None else default,
            description=item.note("description"),
            is_chat_input=item.flag("is_chat_input"),
            is_chat_history=item.flag("is_chat_history"),
        )
    return inputs


def _read_outputs(block: Block) -> dict[str, FlowOutput]:
    outputs: dict[str, FlowOutput] = {}
    for name, item in block.blocks():
        owner = f"The flow output {name!r}"
        item.check_keys(_OUTPUT_KEYS, owner)
        value = item.data.get("reference")
        value_type = _read_value_type(item, owner)
        if value is None or value == "":
            item.missing("reference", owner)
            continue
        outputs[name] = FlowOutput(
            name=name,
            type=value_type,
            value=value_or_reference(value),
            description=item.note("description"),
            is_chat_output=item.flag("is_chat_output"),
            is_evaluation_only=item.flag("evaluation_only"),
        )
    return outputs


def _read_value_type(block: Block, owner: str) -> str:
    """The declared type; ``object`` stands in for a missing or unknown one, which is an error anyway."""
    if block.required_text("type", owner) is None:
        return "object"
    word = block.word("type", INPUT_TYPES, hints=_TYPE_HINTS)
    return word if word in INPUT_TYPES else "object"


def _read_environment(block: Block) -> dict[str, str]:
    return {name: _environment_text(value) for name, value in block.data.items()}


def _environment_text(value: Any) -> str:
    return json.dumps(value, default=str) if isinstance(value, (dict, list)) else str(value)


def _read_includes(root: Block) -> tuple[str, ...]:
    includes = []
    for pointer, value in root.items("additional_includes"):
        if isinstance(value, str) and value:
            includes.append(value)
        else:
            what = "An include should be the path of a file or folder."
            root.findings.add("F005", pointer, what, "Write a path here.")
    return tuple(includes)
