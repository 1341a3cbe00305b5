"""Flow files are read as prompt flow 1.18.5 reads them: the .json beside each file was recorded from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.flow import Flow, Node
from headrace.domain.reference import Reference, parse_reference
from headrace.formats.flow_file import read_flow

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.yaml"))


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
def test_same_as_prompt_flow(file: Path) -> None:
    flow, problems = read_flow(file)
    assert flow is not None
    assert [problem for problem in problems if problem.severity == "error"] == []
    assert as_recorded(flow) == with_parsed_paths(
        json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    )


def as_recorded(flow: Flow) -> dict[str, Any]:
    return {
        "inputs": {
            name: {
                "type": item.type,
                "default": plain(item.default) if item.has_default else None,
                "is_chat_input": item.is_chat_input,
                "is_chat_history": item.is_chat_history,
            }
            for name, item in flow.inputs.items()
        },
        "outputs": {
            name: {"type": item.type, "value": assignment(item.value), "is_chat_output": item.is_chat_output}
            for name, item in flow.outputs.items()
        },
        "nodes": {node.name: recorded_node(node) for node in flow.nodes},
    }


def recorded_node(node: Node) -> dict[str, Any]:
    return {
        "type": node.type,
        "source": [node.source.type, node.source.path, node.source.tool],
        "inputs": {name: assignment(value) for name, value in node.inputs.items()},
        "connection": node.connection,
        "api": node.api,
        "provider": node.provider,
        "module": node.module,
        "aggregation": node.is_aggregation,
        "activate": [assignment(node.activate.when), plain(node.activate.equals)] if node.activate else None,
    }


def assignment(value: Any) -> list[Any]:
    if not isinstance(value, Reference):
        return ["literal", plain(value)]
    return (
        ["input", value.name]
        if value.kind == "input"
        else ["node", value.name, value.section, list(value.path)]
    )


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def with_parsed_paths(data: Any) -> Any:
    """The recording keeps property paths as text, which is how prompt flow keeps them until a line runs."""
    if isinstance(data, list) and len(data) == 4 and data[0] == "node":
        path = parse_reference(f"${{n.output.{data[3]}}}").path if data[3] else ()
        return [*data[:3], list(path)]
    if isinstance(data, dict):
        return {key: with_parsed_paths(item) for key, item in data.items()}
    return [with_parsed_paths(item) for item in data] if isinstance(data, list) else data
