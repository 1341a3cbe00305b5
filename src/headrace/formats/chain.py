"""Prompt flow's experiment files: flows that run one after another (promptflow-format: 12).

::

    data:
    - {name: d, path: d.jsonl}
    inputs:
    - {name: k, type: int, default: 1}
    nodes:
    - {name: m, type: flow, path: f1, inputs: {n: "${data.d.n}"}}
    - {name: e, type: flow, path: f2, inputs: {a: "${m.outputs.r}", b: "${inputs.k}"}}

They mean something else than the experiments of ``headrace compare`` (:mod:`headrace.formats.experiment`); what has
``nodes`` is one of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from headrace.domain.chain import DATA, INPUT, NODE_INPUT, NODE_OUTPUT, Chain, ChainNode, ChainReference
from headrace.domain.values import INPUT_TYPES
from headrace.errors import DefinitionError, nearest
from headrace.formats.paths import exists
from headrace.formats.positions import read_text, read_yaml
from headrace.formats.shape import Block, Findings, by_place, root_block

_KEYS = (
    "$schema", "name", "display_name", "description", "tags", "properties", "data", "inputs", "nodes",
    "node_runs", "status", "created_on", "last_start_time", "last_end_time",
)  # fmt: skip
_NODE_KEYS = (
    "name", "type", "path", "inputs", "variant", "connections", "environment_variables", "init",
    "display_name", "properties", "runtime",
)  # fmt: skip
_RESERVED = ("data", "inputs")
_REFERENCE = re.compile(r"\$\{([^{}]+)\}")


def load_chain(file: Path) -> Chain:
    """Read a chain.

    Raises:
        DefinitionError: Everything that is wrong with the file, at once.
    """
    data, source_map, problems = read_yaml(read_text(file), str(file))
    findings = Findings(source_map, list(problems))
    root = root_block(data, findings)
    is_other = "nodes" not in root and any(
        key in root for key in ("flow", "evaluators", "models", "variants")
    )
    if is_other:
        what = "This is an experiment that compares arms, not a chain of flows."
        findings.add("F004", (), what, f"Run it with: headrace compare {quote(str(file))}")
    chain = _read(root, file) if root.data and not is_other else None
    if findings.has_errors() or chain is None:
        raise DefinitionError(*sorted(findings.problems, key=by_place))
    return chain


def _read(root: Block, file: Path) -> Chain:
    root.check_keys(_KEYS, "A chain of flows")
    if root.data.get("nodes") is None:
        root.missing("nodes", "The chain")
    folder = file.resolve().parent
    data = _read_named(root, "data")
    inputs = _read_named(root, "inputs")
    items = root.items("nodes")
    nodes = [node for pointer, value in items if (node := _read_node(root, pointer, value, folder))]
    # A node that is refused is still one that others may name.
    listed = {str(value["name"]) for _, value in items if isinstance(value, dict) and value.get("name")}
    known = {DATA: data, INPUT: inputs, NODE_INPUT: listed, NODE_OUTPUT: listed}
    return Chain(
        file=str(file),
        description=root.note("description"),
        data={name: _read_path(block, folder, "The data") for name, block in data.items()},
        inputs={name: _read_input(block, name) for name, block in inputs.items()},
        nodes=_check(root.findings, nodes, known),
        source_map=root.findings.source_map,
    )


def _read_named(root: Block, key: str) -> dict[str, Block]:
    found: dict[str, Block] = {}
    for pointer, value in root.items(key):
        block = Block(value, pointer, root.findings)
        name = block.required_text("name", f"An item of {key}")
        if name in found:
            root.findings.add("F003", block.at("name"), f"Two of {key} are called {name!r}.", "Rename one.")
        elif name is not None:
            found[name] = block
    return found


def _read_path(block: Block, folder: Path, owner: str) -> str:
    text = block.required_text("path", owner)
    if text is None:
        return ""
    path = (folder / text).resolve()
    if not exists(path):
        fix = "Correct the path; it is relative to the folder of this file."
        block.findings.add("F001", block.at("path"), f"{text} does not exist.", fix)
    return str(path)


def _read_input(block: Block, name: str) -> Any:
    block.check_keys(("name", "type", "default", "description"), f"The input {name!r}")
    block.word("type", INPUT_TYPES)
    return block.data.get("default")


def _read_node(root: Block, pointer: Any, value: Any, folder: Path) -> ChainNode | None:
    block = Block(value, pointer, root.findings)
    name = block.required_text("name", "The node")
    kind = block.required_text("type", f"The node {name!r}")
    if kind in ("command", "chat_group"):
        what = f"The node {name!r} is of type {kind}, which headrace does not run."
        fix = "Run the command beforehand and name its result under data." if kind == "command" else None
        block.findings.add("F010", block.at("type"), what, fix or "Use nodes of type flow.")
        return None
    if kind is not None:
        block.word("type", ("flow",))
    if name is None or kind != "flow":
        return None
    if name in _RESERVED:
        what = f"A reference cannot name the node {name!r}: ${{{name}.…}} means something else."
        block.findings.add("F020", block.at("name"), what, "Rename the node.")
    block.check_keys(_NODE_KEYS, f"The node {name!r}")
    inputs = block.block("inputs")
    return ChainNode(
        name=name,
        path=_read_path(block, folder, f"The node {name!r}"),
        inputs={key: _read_value(inputs, key, item) for key, item in inputs.data.items()},
        variant=block.text("variant"),
        connections=_read_connections(block.block("connections")),
        environment_variables={
            key: item if isinstance(item, str) else json.dumps(item, default=str)
            for key, item in block.block("environment_variables").data.items()
        },
        init=block.block("init").data,
        display_name=block.note("display_name"),
        pointer=block.pointer,
    )


def _read_value(block: Block, key: str, value: Any) -> Any:
    found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    head, _, rest = found[1].partition(".")
    middle, _, column = rest.partition(".")
    if head == "inputs" and rest:
        return ChainReference(text=value, kind=INPUT, name=rest)
    if head == "data" and column:
        return ChainReference(text=value, kind=DATA, name=middle, column=column)
    kinds = {"outputs": NODE_OUTPUT, "inputs": NODE_INPUT}
    if middle in kinds and column:
        return ChainReference(text=value, kind=kinds[middle], name=head, column=column)
    what = f"{value} is no reference of a chain."
    fix = "Write ${data.NAME.column}, ${inputs.NAME}, ${node.outputs.NAME} or ${node.inputs.NAME}."
    block.findings.add("R101", block.at(key), what, fix)
    return value


def _read_connections(block: Block) -> dict[str, str]:
    """``{node: {field: value}}`` as ``node.field``."""
    return {
        f"{node}.{field}": str(value)
        for node, fields in block.blocks()
        for field, value in fields.data.items()
    }


def _check(
    findings: Findings, nodes: list[ChainNode], known: Mapping[str, Collection[str]]
) -> tuple[ChainNode, ...]:
    """The nodes in an order in which they can run; what they refer to in vain is reported."""
    by_name: dict[str, ChainNode] = {}
    for node in nodes:
        if node.name in by_name:
            what, fix = f"Two nodes are called {node.name!r}.", "Rename one of the two."
            findings.add("F008", (*node.pointer, "name"), what, fix)
        by_name.setdefault(node.name, node)
    codes = {DATA: "R103", INPUT: "R103", NODE_INPUT: "R102", NODE_OUTPUT: "R102"}
    for node in nodes:
        for key, value in node.inputs.items():
            if isinstance(value, ChainReference) and value.name not in known[value.kind]:
                near = nearest(value.name, list(known[value.kind]))
                fix = (
                    f'Did you mean "{near}"?'
                    if near
                    else f"Known: {', '.join(sorted(known[value.kind])) or 'none'}."
                )
                what = f"{value.text} names something that is not in this file."
                findings.add(codes[value.kind], (*node.pointer, "inputs", key), what, fix)
    return _in_order(findings, by_name)


def _in_order(findings: Findings, nodes: Mapping[str, ChainNode]) -> tuple[ChainNode, ...]:
    ordered: dict[str, ChainNode] = {}
    waiting = dict(nodes)
    while waiting:
        ready = [
            name for name, node in waiting.items() if not any(other in waiting for other in node.awaited())
        ]
        if not ready:
            name = next(iter(waiting))
            what = f"Nodes wait for each other in a circle: {', '.join(waiting)}."
            findings.add("R104", (*nodes[name].pointer, "name"), what, "Remove one of the references.")
            break
        ordered[ready[0]] = waiting.pop(ready[0])
    return tuple(ordered.values())
