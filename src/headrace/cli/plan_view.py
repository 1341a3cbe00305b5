"""Plans of experiments as people and programs read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from headrace.cli.forecast_view import forecasts_to_json, render_forecasts
from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Terminal
from headrace.evaluation import wording
from headrace.operations.plan_experiment import ExperimentPlan

_UNKNOWN = "–"


def plan_to_json(plan: ExperimentPlan) -> dict[str, Any]:
    """A plan as plain data."""
    found = asdict(plan)
    found["costs"] = forecasts_to_json(plan.costs) if plan.costs else None
    return found


def render_plan(plan: ExperimentPlan, terminal: Terminal) -> str:
    """Lines by repeats, what numbers of lines find, the noise of a single arm, and what the design takes."""
    return "\n".join(_lines(plan, terminal))


def _lines(plan: ExperimentPlan, terminal: Terminal) -> Iterator[str]:
    sample = plan.sample
    pair = f" ({plan.arm} against {plan.baseline})" if plan.arm else ""
    difference = f"a difference of {wording.number(sample.difference)} in {plan.metric}{pair}"
    yield f"To find {difference} with {sample.power * 100:g}% power"
    yield f"from {plan.basis}{_assured(plan)}:"
    yield ""
    yield _table(_needs(plan), ("repeats", "lines", "answers of an arm", "lines, variance as seen"), terminal)
    if sample.best_repeats is not None:
        yield f"\nMost for the money: {sample.best_repeats:.1f} repeats of a line."
    if plan.n_available is not None:
        yield f"\n{_about_data(plan)}"
    yield ""
    yield _table(
        _findable(plan),
        ("lines", "find a difference of", "two runs of one arm differ by less than"),
        terminal,
    )
    if sample.pilot.design_effect > 1.0:
        yield f"\nLines of one cluster are alike: {sample.pilot.design_effect:.2f} times as many are needed."
    if len(plan.by_arm) > 1:
        listed = ", ".join(f"{arm} {n:,}" for arm, n in plan.by_arm.items())
        yield f"\nLines by arm, answered once: {listed}."
    if plan.costs:
        yield f"\nWhat {plan.n_lines:,} lines answered {_times(plan.repeats)} take:\n"
        yield render_forecasts(plan.costs, ink=terminal.out, width=terminal.width)


def _assured(plan: ExperimentPlan) -> str:
    if plan.sample.assurance is None:
        return ""
    return f", with the variance at the upper end of its interval ({plan.sample.assurance * 100:g}%)"


def _times(repeats: int) -> str:
    return "once" if repeats == 1 else f"{repeats} times"


def _needs(plan: ExperimentPlan) -> list[tuple[str, ...]]:
    return [
        (f"{item.repeats}", f"{item.n_lines:,}", f"{item.n_answers:,}", f"{item.n_plain:,}")
        for item in plan.sample.needs
    ]


def _findable(plan: ExperimentPlan) -> list[tuple[str, ...]]:
    floor = plan.sample.noise_floor
    return [
        (
            f"{n:,}",
            _UNKNOWN if difference is None else wording.number(difference),
            wording.number(floor[n]) if n in floor else _UNKNOWN,
        )
        for n, difference in plan.sample.detectable.items()
    ]


def _about_data(plan: ExperimentPlan) -> str:
    n = plan.n_available or 0
    needed = plan.sample.needed(plan.repeats)
    lines = f"The data has {wording.count(n, 'line')}"
    if needed is not None and needed.n_lines <= n:
        return f"{lines}, which is enough with {wording.count(plan.repeats, 'repeat')}."
    found = plan.sample.detectable.get(n)
    finds = (
        "which find nothing of the kind" if found is None else f"which find {wording.number(found)} and more"
    )
    return f"{lines}, {finds}."


def _table(rows: list[tuple[str, ...]], titles: tuple[str, ...], terminal: Terminal) -> str:
    columns = [Column(title=title, is_right=True) for title in titles]
    cells = [[Cell(text) for text in row] for row in rows]
    return render_table(columns, cells, ink=terminal.out, width=terminal.width)
