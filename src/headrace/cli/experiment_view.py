"""Experiments and where they stand, as people and programs read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from headrace.cli.table import Column, render_table
from headrace.cli.terminal import Terminal
from headrace.cli.wording import plural
from headrace.domain.run import Usage
from headrace.evaluation import wording
from headrace.operations.show_experiment import ArmStanding, ExperimentView

_UNKNOWN = "–"


def experiment_to_json(view: ExperimentView) -> dict[str, Any]:
    """Where an experiment stands, as plain data."""
    record = view.record
    return {
        **_summary(view),
        "seed": record.judgement.get("seed"),
        "race": record.judgement.get("race"),
        "cap": asdict(record.cap) if record.cap is not None else None,
        "lines_left": view.n_left,
        "usage": _usage(view.usage),
        "verdict": record.verdict,
        "again": view.again,
        "arms": [_arm(arm) for arm in view.arms],
        "flows": [asdict(pin) | {"version": pin.version_name} for pin in record.flows],
        "data": asdict(record.data),
        "planned_runs": [asdict(planned) for planned in record.planned],
        "environment_variables": list(record.environment_names),
        "texts": dict(record.texts),
        "definition": dict(record.definition),
    }


def listed_to_json(
    views: Sequence[ExperimentView], chains: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Experiments and chains of flows together, newest first."""
    listed = [*(_summary(view) for view in views), *({"kind": "chain", **record} for record in chains)]
    return sorted(listed, key=lambda item: str(item["created_on"]), reverse=True)


def render_experiment(view: ExperimentView, terminal: Terminal) -> str:
    """State and versions, how far each arm has come, and how to go on."""
    return "\n".join(_lines(view, terminal))


def _summary(view: ExperimentView) -> dict[str, Any]:
    record = view.record
    return {
        "kind": "arms",
        "id": record.id,
        "name": record.name,
        "status": view.status,
        "created_on": record.created_at.isoformat(),
        "finished_on": record.finished_at.isoformat() if record.finished_at else None,
        "rerun_of": record.rerun_of,
    }


def _arm(arm: ArmStanding) -> dict[str, Any]:
    return {
        "arm": arm.arm,
        "version": arm.version,
        "lines": {"completed": arm.n_completed, "failed": arm.n_failed, "left": arm.n_left},
        "judged": arm.n_judged,
        "note": arm.note,
        "usage": _usage(arm.usage),
        "runs": [
            {"name": run.spec.name, "status": run.status, "source_run": run.spec.source_run}
            for run in arm.runs
        ],
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "calls": usage.calls,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost_usd": usage.cost_usd if usage.calls else 0.0,
    }


def _lines(view: ExperimentView, terminal: Terminal) -> Iterator[str]:
    record = view.record
    yield f"{record.id}: {view.status}"
    if record.rerun_of is not None:
        yield f"repeats {record.rerun_of}"
    data = record.data
    yield f"data {data.name}, version {data.number} ({data.digest[:12]}), {plural(data.n_lines, 'line')}"
    judges = [f"{pin.used_by[0]} ({pin.version_name})" for pin in record.flows if pin.role == "evaluator"]
    yield f"evaluators {', '.join(judges)}"
    yield ""
    columns = (
        Column(title="arm", least=14, wraps=True),
        Column(title="version", least=8),
        Column(title="done", is_right=True),
        Column(title="failed", is_right=True),
        Column(title="left", is_right=True),
        Column(title="calls", is_right=True),
        Column(title="cost", is_right=True),
        Column(title="", least=4, leaves=1),
    )
    rows = [
        (
            arm.arm,
            arm.version,
            f"{arm.n_completed:,}",
            f"{arm.n_failed:,}",
            f"{arm.n_left:,}",
            f"{arm.usage.calls:,}",
            _cost(arm.usage),
            arm.note,
        )
        for arm in view.arms
    ]
    yield render_table(columns, rows, ink=terminal.out, width=terminal.width)
    yield ""
    if record.verdict:
        yield record.verdict
    yield f"{plural(view.usage.calls, 'call')}, {_cost(view.usage)}"
    yield f"{'again' if view.status == 'Completed' else 'go on'}: {view.again}"


def _cost(usage: Usage) -> str:
    if not usage.calls:
        return wording.cost(0.0)
    return _UNKNOWN if usage.cost_usd is None else wording.cost(usage.cost_usd)
