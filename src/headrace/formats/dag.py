"""``flow.dag.yaml`` → :class:`~headrace.domain.flow.Flow`, with the place of every value.

Everything that prompt flow accepts is accepted; what it ignores is ignored with a warning.
"""

from __future__ import annotations

from pathlib import Path

from headrace.domain.flow import NO_DEFAULT, Flow, FlowInput, FlowOutput
from headrace.domain.multimedia import BASIC, MESSAGE_FORMATS
from headrace.domain.values import INPUT_TYPES
from headrace.formats.nodes import read_nodes, value_or_reference
from headrace.formats.shape import WARNING, Block
from headrace.formats.surroundings import read_environment, read_includes

_FLOW_KEYS = (
    "$schema", "id", "name", "display_name", "description", "type", "language", "message_format", "tags",
    "environment", "environment_variables", "additional_includes", "inputs", "outputs", "nodes",
    "node_variants", "tools",
)  # fmt: skip
_INPUT_KEYS = ("type", "default", "description", "enum", "is_chat_input", "is_chat_history")
_OUTPUT_KEYS = ("type", "reference", "description", "is_chat_output", "evaluation_only")

_TYPE_HINTS = {
    "str": "string", "text": "string", "float": "double", "number": "double", "integer": "int",
    "boolean": "bool", "dict": "object", "any": "object", "json": "object", "array": "list",
    "file": "file_path",
}  # fmt: skip


def read_dag(root: Block, file: Path) -> Flow:
    """Read the mapping of a ``flow.dag.yaml``; findings go to the block."""
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
        given_name=root.note("name"),
        message_format=root.word("message_format", MESSAGE_FORMATS) or BASIC,
        inputs=_read_inputs(root.block("inputs")),
        outputs=_read_outputs(root.block("outputs")),
        nodes=nodes.nodes,
        node_variants=nodes.variants,
        unread_nodes=nodes.unread,
        environment_variables=read_environment(root),
        additional_includes=read_includes(root),
        source_map=root.findings.source_map,
    )


def _read_inputs(block: Block) -> dict[str, FlowInput]:
    inputs: dict[str, FlowInput] = {}
    for name, item in block.blocks("{type: %s}"):
        owner = f"The flow input {name!r}"
        item.check_keys(_INPUT_KEYS, owner)
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
    for name, item in block.blocks('{type: string, reference: "%s"}'):
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
