"""Results as prompt flow's records: flow run info and node run info (promptflow-format: 9.3). Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.domain.flow import DAG
from headrace.domain.run import BYPASSED, CANCELED, COMPLETED, LineResult, NodeResult, Usage
from headrace.formats.error_info import render_cancellation, render_error

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FLOW_ID = "default_flow_id"

Record = dict[str, Any]
"""A record as plain data; its keys stand in prompt flow's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What the records of one run have in common.

    Attributes:
        run: Id of the run: its name, or the id of a test.
        kind: Kind of the flow; only the nodes of a DAG have records.
        message_format: ``basic`` or ``openai-vision``, as the flow says.
        has_result: Whether outputs stand under ``result`` as well, as in a test.
        defaulted: Flow inputs that took their default; in a batch run these stand behind ``line_number``.
        calls: Calls by node name, as :func:`headrace.telemetry.api_calls.render_calls` gives them.
    """

    run: str
    kind: str = DAG
    message_format: str = "basic"
    has_result: bool = False
    defaulted: Collection[str] = ()
    calls: Mapping[str, Sequence[Record]] = field(default_factory=dict)


def render_detail(
    line: LineResult, aggregation: Sequence[NodeResult], recording: Recording, metrics: Mapping[str, Any]
) -> Record:
    """What a test of a whole flow leaves in ``flow.detail.json``."""
    flow_run = render_flow_run(line, recording, inputs=line.inputs)
    if aggregation:
        flow_run["metrics"] = dict(metrics)
    node_runs = [*render_node_runs(line, recording), *render_aggregation(aggregation, recording)]
    return {"flow_runs": [flow_run], "node_runs": node_runs}


def render_flow_run(line: LineResult, recording: Recording, *, inputs: Mapping[str, Any]) -> Record:
    """The record of one line.

    Args:
        line: The line.
        recording: What the records of its run have in common.
        inputs: Flow inputs as they are to be shown.
    """
    output = flow_output(line) if line.status == COMPLETED else None
    error = render_error(line.problem, recording.kind) if line.problem is not None else None
    metrics = {"duration": _seconds(line.start_ns, line.end_ns), **_tokens(line.usage)}
    calls = [call for node in line.nodes for call in recording.calls.get(node.node, ())]
    if recording.kind == DAG:
        call = {
            "name": "flow",
            "node_name": "flow",
            "type": "Flow",
            "start_time": line.start_ns // 1000 / 1e6,
            "end_time": line.end_ns // 1000 / 1e6,
            "children": calls,
            "system_metrics": metrics,
            "inputs": inputs,
            "output": output,
            "error": error,
        }
        calls = [call]
    return {
        "run_id": f"{recording.run}_{line.line_number}",
        "status": line.status,
        "error": error,
        "inputs": inputs,
        "output": output,
        "metrics": None,
        "request": None,
        "parent_run_id": recording.run,
        "root_run_id": recording.run,
        "source_run_id": None,
        "flow_id": FLOW_ID,
        "start_time": render_time(line.start_ns),
        "end_time": render_time(line.end_ns),
        "index": line.line_number,
        "api_calls": calls,
        "name": "",
        "description": "",
        "tags": None,
        "system_metrics": metrics,
        "result": output if recording.has_result else None,
        "upload_metrics": False,
        "otel_trace_id": f"0x{line.trace_id}" if line.trace_id else None,
        "message_format": recording.message_format,
    }


def flow_output(line: LineResult) -> Mapping[str, Any]:
    """The outputs of a line; prompt flow puts the line number where a flow has none."""
    return line.outputs or {"line_number": line.line_number}


def batch_inputs(line: LineResult, recording: Recording) -> Record:
    """The inputs of a line of a batch run: those that were mapped, the line number, those that took their default."""
    mapped = {name: value for name, value in line.inputs.items() if name not in recording.defaulted}
    return {**mapped, "line_number": line.line_number, **line.inputs}


def render_node_runs(line: LineResult, recording: Recording) -> list[Record]:
    """The records of the nodes of one line, in the order in which they began; none but those of a DAG has any."""
    if recording.kind != DAG:
        return []
    run = recording.run
    return [
        render_node_run(
            node,
            recording,
            run_id=f"{run}_{node.node}_{line.line_number}",
            parent=f"{run}_{line.line_number}",
            index=line.line_number,
        )
        for node in _in_order(line.nodes, line.start_ns)
    ]


def render_aggregation(nodes: Sequence[NodeResult], recording: Recording) -> list[Record]:
    """The records of the aggregation nodes of a run; the aggregation of a flex flow has none."""
    if recording.kind != DAG:
        return []
    return [
        render_node_run(
            node, recording, run_id=f"{recording.run}_{node.node}_reduce", parent=recording.run, index=None
        )
        for node in _in_order(nodes, 0)
    ]


def render_node_run(
    node: NodeResult, recording: Recording, *, run_id: str, parent: str, index: int | None
) -> Record:
    """The record of one node.

    Args:
        node: What the node did.
        recording: What the records of its run have in common.
        run_id: Id of the node's own run.
        parent: Id of the run that it belongs to.
        index: Line number; ``None`` for an aggregation node and for a node that is tested alone.
    """
    is_bypassed = node.status == BYPASSED
    error = render_error(node.problem) if node.problem is not None else None
    if node.status == CANCELED and error is None:
        error = render_cancellation(node.node)
    metrics: Record = {"duration": _seconds(node.start_ns, node.end_ns)}
    if node.usage.calls:
        metrics |= _tokens(node.usage)
    return {
        "node": node.node,
        "flow_run_id": recording.run,
        "run_id": run_id,
        "status": node.status,
        "inputs": None if is_bypassed else node.inputs,
        "output": node.output,
        "metrics": None,
        "error": error,
        "parent_run_id": parent,
        "start_time": render_time(node.start_ns),
        "end_time": render_time(node.end_ns),
        "index": index,
        "api_calls": list(recording.calls.get(node.node, ())),
        "cached_run_id": None,
        "cached_flow_run_id": node.cached_from,
        "logs": None if is_bypassed else {name: node.logs.get(name, "") for name in ("stdout", "stderr")},
        "system_metrics": None if is_bypassed else metrics,
        "result": node.output if recording.has_result else None,
        "message_format": recording.message_format,
    }


def _in_order(nodes: Sequence[NodeResult], began_ns: int) -> list[NodeResult]:
    """Nodes by the time at which they began; one that was bypassed began when the one before it had ended."""
    timed = []
    latest_ns = began_ns
    for node in nodes:
        if node.end_ns == 0:
            timed.append(replace(node, start_ns=latest_ns, end_ns=latest_ns))
        else:
            latest_ns = max(latest_ns, node.end_ns)
            timed.append(node)
    return sorted(timed, key=lambda node: node.start_ns)


def render_time(time_ns: int) -> str:
    """Nanoseconds since the Unix epoch in the form ``2024-05-01T12:00:00.000001Z``."""
    return f"{render_plain_time(time_ns)}Z"


def render_plain_time(time_ns: int) -> str:
    """The same without the ``Z``, as it stands beside a record; UTC still."""
    return (_EPOCH + timedelta(microseconds=time_ns // 1000)).replace(tzinfo=None).isoformat()


def _seconds(start_ns: int, end_ns: int) -> float:
    return (end_ns // 1000 - start_ns // 1000) / 1e6


def _tokens(usage: Usage) -> Record:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def file_name(text: str) -> str:
    """A node's or variant's name as a part of a file name: one that cannot lead out of its folder."""
    plain = re.sub(r'[\\/:*?"<>|\x00]', "_", text)
    return plain if plain.strip(".") else plain.replace(".", "_")
