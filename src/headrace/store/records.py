"""Runs, lines and spans as rows and back. Every store keeps these rows, so all of them give back the same.

Columns that hold plain data are compact JSON text. NaN and infinities stand in it as the bare words that Python
and prompt flow write, because an evaluation reads what a run recorded. Integers of thousands of digits, which
readers refuse, are recorded as ``null``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from headrace.domain.cache import CachedResult, CacheSummary
from headrace.domain.label import Label
from headrace.domain.run import (
    RUNNING,
    LineOutcome,
    LineResult,
    NodeResult,
    Run,
    RunSpec,
    Usage,
    sum_usage,
)
from headrace.domain.span import SpanRecord
from headrace.domain.values import MAX_INTEGER_BITS
from headrace.domain.variant import ModelSpec, Price
from headrace.errors import Problem, problem_from_json


class Row(Protocol):
    """A row whose columns are read by name."""

    def __getitem__(self, column: str, /) -> Any:
        """The value of a column."""
        ...


def encode_json(value: Any) -> str:
    """Plain data as compact JSON text; integers too long to be read back become ``null``."""
    try:
        return _encode(value)
    except ValueError:
        return _encode(_without_huge_integers(value))


def _without_huge_integers(value: Any) -> Any:
    if isinstance(value, int):
        return value if value.bit_length() <= MAX_INTEGER_BITS else None
    if isinstance(value, Mapping):
        return {key: _without_huge_integers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_huge_integers(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    # The C encoder knows dict only; domain types promise any Mapping.
    if isinstance(value, Mapping):
        return dict(value)
    what = f"a {type(value).__name__} is not plain data"
    raise TypeError(what)


_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), check_circular=False, default=_plain
).encode
_read = json.JSONDecoder().raw_decode


def decode_json(text: str) -> Any:
    """Plain data from :func:`encode_json`; as no blanks stand around it, none are looked for.

    Raises:
        ValueError: The text is something else.
    """
    value, end = _read(text)
    if end != len(text):
        what = "something stands behind the value"
        raise ValueError(what)
    return value


def encode_time(time: datetime) -> str:
    """A UTC-aware time as text whose order is the order of time."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def run_row(spec: RunSpec, *, n_lines: int, created_at: datetime, owner: str | None) -> dict[str, Any]:
    """Columns of a new run."""
    return {
        "name": spec.name,
        "status": RUNNING,
        "created_at": encode_time(created_at),
        "n_lines": n_lines,
        "flow_path": spec.flow_path,
        "flow_name": spec.flow_name,
        "flow_digest": spec.flow_digest,
        "flow_version": spec.flow_version,
        "data_path": spec.data_path,
        "data_digest": spec.data_digest,
        "data_version": spec.data_version,
        "column_mapping": encode_json(spec.column_mapping),
        "source_run": spec.source_run,
        "resume_from": spec.resume_from,
        "variant": spec.variant,
        "arm": spec.arm,
        "model": spec.model,
        "chosen_model": _encode_model(spec.chosen_model),
        "connections": encode_json(spec.connections),
        "init": encode_json(spec.init),
        "experiment": spec.experiment,
        "judgement": encode_json(spec.judgement),
        "repeat": spec.repeat,
        "display_name": spec.display_name,
        "description": spec.description,
        "tags": encode_json(spec.tags),
        "properties": encode_json(spec.properties),
        "owner": owner,
        "heartbeat_at": encode_time(created_at) if owner is not None else None,
        "environment_names": encode_json(spec.environment_names),
        "sources": encode_json(spec.sources),
        "is_served": int(spec.is_served),
    }


def claim_row(*, owner: str, at: datetime, seen: datetime | None) -> dict[str, Any]:
    """Columns that claiming a run sets, and ``seen``, the heartbeat that it has to have for that."""
    return {
        "status": RUNNING,
        "owner": owner,
        "heartbeat_at": encode_time(at),
        "seen": encode_time(seen) if seen is not None else None,
    }


def update_row(
    *,
    display_name: str | None,
    description: str | None,
    tags: Mapping[str, str] | None,
    properties: Mapping[str, Any] | None,
    is_archived: bool | None,
) -> dict[str, Any]:
    """Columns that changing a run sets; ``None`` leaves a column as it is."""
    return {
        "display_name": display_name,
        "description": description,
        "tags": None if tags is None else encode_json(tags),
        "properties": None if properties is None else encode_json(properties),
        "is_archived": None if is_archived is None else int(is_archived),
    }


def finish_row(
    *,
    status: str,
    finished_at: datetime,
    metrics: Mapping[str, Any],
    aggregation: Sequence[NodeResult],
    problem: Problem | None,
) -> dict[str, Any]:
    """Columns that closing a run sets."""
    return {
        "status": status,
        "finished_at": encode_time(finished_at),
        "metrics": encode_json(metrics),
        "aggregation": encode_json([_node_json(node) for node in aggregation]),
        "problem": _encode_problem(problem),
    }


def run_from_row(row: Row) -> Run:
    """A run from its columns and the totals of its lines."""
    n_completed, n_failed, is_served = row["n_completed"] or 0, row["n_failed"] or 0, bool(row["is_served"])
    return Run(
        spec=RunSpec(
            name=row["name"],
            flow_path=row["flow_path"],
            flow_name=row["flow_name"],
            flow_digest=row["flow_digest"],
            flow_version=row["flow_version"],
            data_path=row["data_path"],
            data_digest=row["data_digest"],
            data_version=row["data_version"],
            column_mapping=decode_json(row["column_mapping"]),
            source_run=row["source_run"],
            resume_from=row["resume_from"],
            variant=row["variant"],
            arm=row["arm"],
            model=row["model"],
            chosen_model=_decode_model(row["chosen_model"]),
            connections=decode_json(row["connections"]),
            init=decode_json(row["init"]),
            experiment=row["experiment"],
            judgement=decode_json(row["judgement"]),
            repeat=row["repeat"],
            display_name=row["display_name"],
            description=row["description"],
            tags=decode_json(row["tags"]),
            properties=decode_json(row["properties"]),
            environment_names=tuple(decode_json(row["environment_names"])),
            sources=decode_json(row["sources"]),
            is_served=is_served,
        ),
        status=row["status"],
        created_at=datetime.fromisoformat(row["created_at"]),
        n_lines=n_completed + n_failed if is_served else row["n_lines"],
        n_completed=n_completed,
        n_failed=n_failed,
        finished_at=datetime.fromisoformat(row["finished_at"]) if row["finished_at"] else None,
        metrics=decode_json(row["metrics"]),
        aggregation=tuple(_node_from_json(item) for item in decode_json(row["aggregation"])),
        problem=_decode_problem(row["problem"]),
        usage=_usage_from_row(row),
        is_archived=bool(row["is_archived"]),
        owner=row["owner"],
        heartbeat_at=datetime.fromisoformat(row["heartbeat_at"]) if row["heartbeat_at"] else None,
    )


def line_row(result: LineResult) -> dict[str, Any]:
    """Columns of one line, its spans among them."""
    usage = result.usage
    return {
        "line_number": result.line_number,
        "status": result.status,
        "calls": usage.calls,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost_usd": usage.cost_usd,
        "start_ns": result.start_ns,
        "end_ns": result.end_ns,
        "trace_id": result.trace_id,
        "inputs": encode_json(result.inputs),
        "outputs": encode_json(result.outputs),
        "problem": _encode_problem(result.problem),
        "nodes": encode_json([_node_json(node) for node in result.nodes]),
        "spans": encode_spans(result.spans),
    }


def line_from_row(row: Row, *, decode: Callable[[str], Any] = decode_json) -> LineResult:
    """A line result from its columns, without spans; ``decode`` reads those that hold what people put in."""
    return LineResult(
        line_number=row["line_number"],
        status=row["status"],
        inputs=decode(row["inputs"]),
        outputs=decode(row["outputs"]),
        problem=_decode_problem(row["problem"]),
        nodes=tuple(_node_from_json(item) for item in decode(row["nodes"])),
        usage=_usage_from_row(row),
        start_ns=row["start_ns"],
        end_ns=row["end_ns"],
        trace_id=row["trace_id"],
    )


def outcome_from_row(row: Row, *, decode: Callable[[str], Any] = decode_json) -> LineOutcome:
    """What came out of a line, from its columns; ``decode`` as in :func:`line_from_row`."""
    usage = _usage_from_row(row)
    if _SAVED in row["nodes"]:  # a text may say so as well: then the nodes are read for nothing
        nodes = map(_node_from_json, decode(row["nodes"]))
        usage = sum_usage((usage, *(node.saved for node in nodes)))
    return LineOutcome(
        line_number=row["line_number"],
        status=row["status"],
        outputs=decode(row["outputs"]),
        problem=_decode_problem(row["problem"]),
        whole_usage=usage,
    )


def cached_row(result: CachedResult) -> dict[str, Any]:
    """Columns of a kept result."""
    usage = result.usage
    return {
        "key": result.key,
        "output": result.output,
        "logs": encode_json(result.logs),
        "run": result.run,
        "line_number": result.line_number,
        "node": result.node,
        "calls": usage.calls,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost_usd": usage.cost_usd,
        "duration_ns": result.duration_ns,
        "made_ns": result.made_ns,
    }


def cached_from_row(row: Row) -> CachedResult:
    """A kept result from its columns."""
    return CachedResult(
        key=row["key"],
        output=row["output"],
        logs=decode_json(row["logs"]),
        run=row["run"],
        line_number=row["line_number"],
        node=row["node"],
        usage=_usage_from_row(row),
        duration_ns=row["duration_ns"],
        made_ns=row["made_ns"],
    )


def summary_from_row(row: Row) -> CacheSummary:
    """What there is in the cache."""
    return CacheSummary(
        n_results=row["n_results"],
        n_bytes=row["n_bytes"] or 0,
        n_uses=row["n_uses"] or 0,
        usage=_usage_from_row(row),
        saved_tokens=row["saved_tokens"] or 0,
        oldest_ns=row["oldest_ns"] or 0,
        newest_ns=row["newest_ns"] or 0,
    )


def encode_spans(spans: Sequence[SpanRecord]) -> str:
    """Spans as one JSON text: their trace id once, then each span as a list in the order of ``_SPAN_FIELDS``.

    Lists instead of mappings: a quarter of the space and of the encoding time of a small line is saved.
    """
    trace_id = spans[0].trace_id if spans else ""
    return encode_json({"trace_id": trace_id, "spans": [_span_json(span, trace_id) for span in spans]})


def decode_spans(text: str) -> tuple[SpanRecord, ...]:
    """Spans from :func:`encode_spans`."""
    data = decode_json(text)
    return tuple(_span_from_json(item, data["trace_id"]) for item in data["spans"])


def _usage_from_row(row: Row) -> Usage:
    return Usage(
        calls=row["calls"] or 0,
        prompt_tokens=row["prompt_tokens"] or 0,
        completion_tokens=row["completion_tokens"] or 0,
        cost_usd=row["cost_usd"],
    )


def _encode_model(model: ModelSpec | None) -> str | None:
    if model is None:
        return None
    price = model.price
    return encode_json(
        {
            "name": model.name,
            "connection": model.connection,
            "model": model.model,
            "parameters": model.parameters,
            "price": price and {"input_usd": price.input_usd, "output_usd": price.output_usd},
        }
    )


def _decode_model(text: str | None) -> ModelSpec | None:
    if text is None:
        return None
    data = decode_json(text)
    return ModelSpec(**{**data, "price": Price(**data["price"]) if data["price"] else None})


def _encode_problem(problem: Problem | None) -> str | None:
    return None if problem is None else encode_json(problem.to_json())


def _decode_problem(text: str | None) -> Problem | None:
    return None if text is None else problem_from_json(decode_json(text))


_SAVED = '"saved":'
"""Stands in the JSON of nodes as soon as one of them took a kept result."""


# What equals its default is left out of a node's JSON: most nodes have no problem, usage or logs.


def _node_json(node: NodeResult) -> dict[str, Any]:
    data: dict[str, Any] = {"node": node.node, "status": node.status}
    if node.inputs is not None:
        data["inputs"] = node.inputs
    if node.output is not None:
        data["output"] = node.output
    if node.problem is not None:
        data["problem"] = node.problem.to_json()
    usage = node.usage
    if usage.calls or usage.prompt_tokens or usage.completion_tokens or usage.cost_usd is not None:
        data["usage"] = _usage_json(usage)
    if node.end_ns or node.start_ns:
        data["start_ns"] = node.start_ns
        data["end_ns"] = node.end_ns
    if node.logs:
        data["logs"] = node.logs
    if node.parts:
        data["parts"] = node.parts
    if node.cached_from is not None:
        data["cached_from"] = node.cached_from
        data["saved"] = _usage_json(node.saved)
        data["saved_ns"] = node.saved_ns
    return data


def _usage_json(usage: Usage) -> dict[str, Any]:
    return {
        "calls": usage.calls,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost_usd": usage.cost_usd,
    }


def _node_from_json(data: Mapping[str, Any]) -> NodeResult:
    return NodeResult(
        node=data["node"],
        status=data["status"],
        inputs=data.get("inputs"),
        output=data.get("output"),
        problem=problem_from_json(data["problem"]) if "problem" in data else None,
        usage=Usage(**data["usage"]) if "usage" in data else Usage(),
        start_ns=data.get("start_ns", 0),
        end_ns=data.get("end_ns", 0),
        logs=data.get("logs", {}),
        parts=data.get("parts", {}),
        cached_from=data.get("cached_from"),
        saved=Usage(**data["saved"]) if "saved" in data else Usage(),
        saved_ns=data.get("saved_ns", 0),
    )


_SPAN_FIELDS = ("name", "span_id", "parent_id", "start_ns", "end_ns", "kind", "status", "status_text",
                "attributes", "events", "trace_id")  # fmt: skip


def _span_json(span: SpanRecord, trace_id: str) -> list[Any]:
    return [
        span.name,
        span.span_id,
        span.parent_id,
        span.start_ns,
        span.end_ns,
        span.kind,
        span.status,
        span.status_text,
        span.attributes,
        span.events,
        None if span.trace_id == trace_id else span.trace_id,
    ]


def _span_from_json(values: Sequence[Any], trace_id: str) -> SpanRecord:
    data = dict(zip(_SPAN_FIELDS, values, strict=True))
    data["trace_id"] = data["trace_id"] or trace_id
    data["events"] = tuple((name, time_ns, attributes) for name, time_ns, attributes in data["events"])
    return SpanRecord(**data)


def label_row(label: Label) -> dict[str, Any]:
    """Columns of a label."""
    return {
        "line_number": label.line_number,
        "metric": label.metric,
        "value": label.value,
        "labeller": label.labeller,
        "is_random": int(label.is_random),
        "at": encode_time(label.at),
        "note": label.note,
    }


def label_from_row(row: Row) -> Label:
    """A label from its columns.

    Raises:
        ValueError: The time cannot be read.
    """
    return Label(
        line_number=row["line_number"],
        metric=row["metric"],
        value=row["value"],
        labeller=row["labeller"],
        is_random=bool(row["is_random"]),
        at=datetime.fromisoformat(row["at"]),
        note=row["note"],
    )
