"""``flow.flex.yaml`` → :class:`~headrace.domain.flow.Flow` (promptflow-format: 6).

The file may say as little as its entry: which inputs, outputs and constructor parameters there are is read from the
code (:mod:`headrace.tools.flex`), and what the file says about them completes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.domain.flow import FLEX, NO_DEFAULT, Flow, FlowInput, FlowOutput, Node, ToolSource
from headrace.formats.front_matter import fill_values
from headrace.formats.paths import is_folder
from headrace.formats.shape import WARNING, Block, Findings
from headrace.formats.surroundings import read_environment, read_includes
from headrace.source import SourceMap

_ENTRY = re.compile(r"[a-zA-Z0-9_.]+:[a-zA-Z0-9_]+")
_FLOW_KEYS = (
    "$schema", "entry", "code", "display_name", "description", "type", "language", "tags", "environment",
    "environment_variables", "additional_includes", "inputs", "outputs", "init", "sample",
)  # fmt: skip
_PORT_KEYS = ("type", "default", "description", "is_chat_input", "is_chat_history", "is_chat_output")
_TYPES = ("string", "int", "double", "bool", "list", "object")
_OBJECTS = (
    "AzureOpenAIModelConfiguration", "OpenAIModelConfiguration", "AzureOpenAIConnection", "OpenAIConnection",
    "AzureContentSafetyConnection", "AzureAIServicesConnection", "CognitiveSearchConnection", "CustomConnection",
    "FormRecognizerConnection", "SerpConnection", "ServerlessConnection", "QdrantConnection", "WeaviateConnection",
)  # fmt: skip
"""What a constructor parameter may be besides plain data."""

_TYPE_HINTS = {
    "str": "string", "text": "string", "float": "double", "number": "double", "integer": "int",
    "boolean": "bool", "dict": "object", "any": "object", "json": "object", "array": "list",
}  # fmt: skip


def is_entry(text: str) -> bool:
    """Whether a text is ``module:callable``."""
    return _ENTRY.fullmatch(text) is not None


def read_flex(root: Block, file: Path) -> Flow | None:
    """Read the mapping of a flex flow; findings go to the block. ``None`` when it has no usable entry."""
    root.check_keys(_FLOW_KEYS, "A flex flow")
    if root.text("language") not in (None, "python"):
        what = "headrace runs Python flows only."
        fix = "Remove the key, or run this flow with its own engine."
        root.findings.add("F010", ("language",), what, fix)
    folder = file.resolve().parent
    sample = _read_sample(root, folder)
    inputs = _read_inputs(root, "inputs", _TYPES)
    init = _read_inputs(root, "init", (*_TYPES, *_OBJECTS))
    outputs = {
        name: FlowOutput(
            name=name,
            type=item.type,
            value=None,
            is_chat_output=root.block("outputs").block(name).flag("is_chat_output"),
        )
        for name, item in _read_inputs(root, "outputs", _TYPES).items()
    }
    entry = _read_entry(root)
    if entry is None:
        return None
    return Flow(
        name=folder.name,
        kind=FLEX,
        file=str(file),
        folder=str(folder),
        entry=entry,
        code=_read_code(root, folder),
        type=root.word("type", ("standard", "chat", "evaluation"), severity=WARNING) or "standard",
        inputs=inputs,
        outputs=outputs,
        init=init,
        nodes=(_entry_node(entry),),
        node_variants={},
        sample=sample.get("inputs", {}),
        sample_init=sample.get("init", {}),
        environment_variables=read_environment(root),
        additional_includes=read_includes(root),
        source_map=root.findings.source_map,
    )


def entry_flow(entry: str, folder: Path) -> Flow:
    """The flow that an entry is by itself, without a file.

    Args:
        entry: ``module:callable``.
        folder: Where its module is imported from, as the user names it.
    """
    top, *inner = entry.partition(":")[0].split(".")
    is_package = is_folder(folder / top)
    file = folder / (top if is_package else f"{top}.py")
    # Findings about the entry stand in its module, as far as they have a place.
    module = file.joinpath(*inner[:-1], f"{inner[-1]}.py") if inner and is_package else file
    return Flow(
        name=folder.resolve().name,
        kind=FLEX,
        file=str(file),
        folder=str(folder.resolve()),
        entry=entry,
        inputs={},
        outputs={},
        nodes=(_entry_node(entry),),
        node_variants={},
        environment_variables={},
        additional_includes=(),
        source_map=SourceMap(file=str(module), values={}, keys={}),
    )


def _entry_node(entry: str) -> Node:
    source = ToolSource(type="code", tool=entry)
    return Node(name=entry.partition(":")[2], type=FLEX, source=source, inputs={}, pointer=("entry",))


def _read_entry(root: Block) -> str | None:
    entry = root.required_text("entry", "The flow")
    if entry is None or is_entry(entry):
        return entry
    what = f"The entry {entry!r} does not name a function or class of a module."
    fix = "Write module:name, with dots for modules inside packages, e.g. entry: triage:classify."
    root.findings.add("F016", ("entry",), what, fix)
    return None


def _read_code(root: Block, folder: Path) -> str:
    code = root.text("code") or "."
    if not is_folder(folder / code):
        what = f"The folder of the code, {code}, does not exist."
        fix = "Correct the path; it is relative to the folder of the flow file."
        root.findings.add("F001", ("code",), what, fix)
        return "."
    return code


def _read_inputs(root: Block, section: str, types: Sequence[str]) -> dict[str, FlowInput]:
    """Inputs, outputs or constructor parameters; the three have the same form."""
    found: dict[str, FlowInput] = {}
    for name, item in root.block(section).blocks():
        owner = f"{section}.{name}"
        item.check_keys(_PORT_KEYS, owner)
        kind = item.required_text("type", owner)
        if kind is not None:
            item.word("type", types, hints=_TYPE_HINTS)
        found[name] = FlowInput(
            name=name,
            type=kind if kind is not None and kind in types else "object",
            default=item.data.get("default", NO_DEFAULT),
            description=item.note("description"),
            is_chat_input=item.flag("is_chat_input"),
            is_chat_history=item.flag("is_chat_history"),
        )
    return found


def _read_sample(root: Block, folder: Path) -> Mapping[str, dict[str, Any]]:
    """``inputs`` and ``init`` of the sample, with the values that stand in files."""
    findings: Findings = root.findings
    n_before = len(findings.problems)
    value = fill_values(root.data.get("sample"), folder, None, findings, ("sample",))
    if findings.has_errors(n_before):
        return {}
    block = Block(value, ("sample",), findings)
    block.check_keys(("inputs", "init"), "The sample", severity="error")
    return {name: block.block(name).data for name in ("inputs", "init")}
