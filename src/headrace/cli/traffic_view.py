"""A traffic file and assignments as people and programs read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Terminal
from headrace.domain.evidence import Role
from headrace.domain.traffic import OnlineMetric, Revision, TrafficArm, UnitSource
from headrace.evaluation.report.revisions import percent, say_moves, say_shares
from headrace.operations.check_traffic import TrafficCheck
from headrace.planning.assignment import Assignment, Question

_PARTS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))

_WHY: Mapping[Question, str] = {
    "over": "the test is over",
    "forced": "a tester names it",
    "condition": "a condition is not met",
    "namespace": "in another part of the namespace",
    "holdout": "held out",
}
_STYLES: Mapping[Role, tuple[str, ...]] = {"assigned": ("bold",), "forced": ("yellow",)}


def check_to_json(check: TrafficCheck) -> dict[str, Any]:
    """What a check found; warnings are told apart."""
    traffic, preview = check.traffic, check.preview
    holds = preview.latest
    return {
        "test": traffic.name,
        "digest": traffic.digest,
        "baseline": traffic.baseline,
        "arms": [
            {
                "name": arm.name,
                "runs": say_arm(arm),
                "weight": None if arm.is_shadow else arm.weight,
                "shadow": arm.shadow_share,
            }
            for arm in traffic.arms
        ],
        "unit": [f"{unit.place}:{unit.name}" for unit in traffic.units],
        "ramp": [{"after_s": step.after_s, "coverage": step.coverage} for step in traffic.ramp],
        "metrics": [metric.name for metric in traffic.metrics],
        "guardrails": [guardrail.metric for guardrail in traffic.guardrails],
        "revision": None if holds is None else holds.number,
        "due": None
        if preview.due is None
        else {
            "number": preview.due.number,
            "reason": preview.due.reason,
            "shares": {arm: preview.due.share(arm) for arm in preview.due.ranges},
            "moves": [dict(move) for move in preview.due.moves],
        },
        "warnings": [
            {"code": problem.code, "what": problem.what, "fix": problem.fix} for problem in check.warnings
        ],
    }


def render_check(check: TrafficCheck, terminal: Terminal) -> str:
    """The arms as a table, and what the rest of the file says in sentences."""
    traffic = check.traffic
    columns = (
        Column(title="arm", least=8, wraps=True),
        Column(title="runs", least=16, wraps=True),
        Column(title="share of the test", is_right=True),
    )
    rows = [
        [
            Cell(arm.name, ("bold",)),
            Cell(say_arm(arm)),
            Cell(f"{percent(arm.shadow_share or 0)} mirrored" if arm.is_shadow else percent(arm.weight)),
        ]
        for arm in traffic.arms
    ]
    width = terminal.width if terminal.has_tty_out else None
    table = render_table(columns, rows, ink=terminal.out, width=width)
    return "\n".join([table, "", *_fact_lines(check, terminal, width)])


def _fact_lines(check: TrafficCheck, terminal: Terminal, width: int | None) -> Iterator[str]:
    facts = list(_facts(check))
    label = max(len(name) for name, _ in facts)
    for name, text in facts:
        parts = [text] if width is None else wrap(text, max(width - label - 2, 20)) or [""]
        yield f"{terminal.out.paint(name.ljust(label), 'dim')}  {parts[0]}"
        yield from (f"{'':{label}}  {part}" for part in parts[1:])


def _facts(check: TrafficCheck) -> Iterator[tuple[str, str]]:
    traffic = check.traffic
    yield "baseline", traffic.baseline
    yield "unit", " or ".join(map(_say_place, traffic.units)) or "each request by itself"
    if traffic.ramp:
        steps = (f"{percent(step.coverage)} after {_span(step.after_s)}" for step in traffic.ramp)
        yield "coverage", ", ".join(steps)
    else:
        yield "coverage", percent(traffic.coverage)
    if traffic.holdout:
        yield "held out", percent(traffic.holdout)
    if traffic.target:
        conditions = (
            f"{_say_place(item.attribute)} {item.operator.replace('_', ' ')} {_say_value(item.value)}"
            for item in traffic.target
        )
        yield "only", " and ".join(conditions)
    if traffic.namespace:
        space = traffic.namespace
        yield "namespace", f"{space.name} from {space.start:g} to {space.end:g}"
    if traffic.metrics:
        yield "decides", _say_metric(traffic.metrics[0])
    if traffic.guardrails:
        yield "guards", ", ".join(dict.fromkeys(guardrail.metric for guardrail in traffic.guardrails))
    if check.preview.latest is not None:
        latest = check.preview.latest
        yield "holds", f"revision {latest.number}, {latest.reason}: {say_shares(latest)}"
    if check.preview.due is not None:
        due = check.preview.due
        yield "next", " ".join([f"{due.reason}: {say_shares(due)}.", *say_moves(due)])


def say_arm(arm: TrafficArm) -> str:
    """What an arm runs, in a few words."""
    said = [arm.source] if arm.source else []
    if arm.arm.variant is not None:
        said += (f"{node}.{variant}" for node, variant in arm.arm.variant.choices.items())
    if arm.arm.model is not None:
        said.append(arm.arm.model.model)
    said += (f"{name}={value}" for name, value in arm.arm.overrides.items())
    return ", ".join(said) or "the flow as it is"


def assignment_to_json(unit: str, found: Assignment, revision: Revision) -> dict[str, Any]:
    """One assignment with all that it follows from."""
    return {
        "unit": unit,
        "arm": found.arm,
        "role": found.role,
        "why": _say_why(found),
        "bucket": found.bucket,
        "propensity": found.propensity,
        "shadows": list(found.shadows),
        "revision": revision.number,
    }


def render_assignments(units: Sequence[str], found: Sequence[Assignment], terminal: Terminal) -> str:
    """One row per unit."""
    columns = [
        Column(title="unit", least=8, wraps=True),
        Column(title="arm", least=8, wraps=True),
        Column(title="role"),
        Column(title="why", least=12, wraps=True),
        Column(title="chance", is_right=True, leaves=1, note="chance: of the arm, for a unit in the test."),
    ]
    has_shadows = any(item.shadows for item in found)
    if has_shadows:
        columns.insert(3, Column(title="mirrored to", least=8, wraps=True))
    rows = []
    for unit, item in zip(units, found, strict=True):
        row = [
            Cell(unit),
            Cell(item.arm, _STYLES.get(item.role, ())),
            Cell(item.role),
            Cell(_say_why(item), ("dim",)),
            Cell(percent(item.propensity) if item.role == "assigned" else ""),
        ]
        if has_shadows:
            row.insert(3, Cell(", ".join(item.shadows)))
        rows.append(row)
    width = terminal.width if terminal.has_tty_out else None
    return render_table(columns, rows, ink=terminal.out, width=width)


def _say_why(found: Assignment) -> str:
    if found.role == "assigned":
        return f"bucket {found.bucket}"
    return _WHY[found.settled_by] if found.bucket is None else f"bucket {found.bucket}, which no arm has"


def _say_place(source: UnitSource) -> str:
    return f"{source.place} {source.name}"


def _say_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(_say_value, value)) if isinstance(value, (list, tuple)) else str(value)


def _say_metric(metric: OnlineMetric) -> str:
    said = [f"{metric.direction} is better"]
    if metric.margin is not None:
        said.append(f"margin {metric.margin:g}")
    if metric.window_s:
        said.append(f"within {_span(metric.window_s)} of a unit's first request")
    return f"{metric.name} ({metric.kind}): {', '.join(said)}"


def _span(seconds: float) -> str:
    """Seconds as a traffic file writes them."""
    parts = []
    for unit, size in _PARTS:
        n, seconds = divmod(seconds, size)
        parts += [f"{n:g}{unit}"] if n else []
    return "".join(parts) or "0s"
