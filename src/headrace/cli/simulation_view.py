"""Simulations of online tests as people and programs read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Terminal
from headrace.domain.simulation import ArmSimulation, CallSummary, Simulation, Spans
from headrace.evaluation import wording

_UNKNOWN = "–"
_WIDTH = 100
_MOST_IN_TIME = 0.9


def simulation_to_json(simulation: Simulation) -> dict[str, Any]:
    """A simulation with all its numbers."""
    return asdict(simulation)


def render_simulation(simulation: Simulation, terminal: Terminal) -> str:
    """What would have been decided when, in a sentence for each arm and in a table; no final line end."""
    width = min(terminal.width or _WIDTH, _WIDTH)
    sentences = [
        sentence for arm in simulation.arms for sentence in (_decided(arm, simulation), _rolled_back(arm))
    ]
    parts = [
        "\n".join(line for sentence in sentences for line in wrap(sentence, width)),
        _table(simulation, terminal),
        "\n".join(line for sentence in _about(simulation) for line in wrap(sentence, width)),
    ]
    return "\n\n".join(parts)


def _decided(arm: ArmSimulation, simulation: Simulation) -> str:
    called = arm.called
    days, units = called.days, called.units
    if arm.difference is None:
        truth = f"{arm.arm} changes {simulation.metric} during the test."
    elif arm.difference:
        size = wording.number(abs(arm.difference))
        truth = f"{arm.arm} is {size} {'higher' if arm.difference > 0 else 'lower'} on {simulation.metric} in truth."
    else:
        truth = f"{arm.arm} does not differ on {simulation.metric} in truth."
    n = simulation.runs - called.words["inconclusive"]
    decided = f"{n:,} of {wording.count(simulation.runs, 'run')} decided within {simulation.days:g} days"
    if days.half is None or units.half is None:
        return f"{truth} {decided}."
    within = f"half within {_days(days.half)} and {wording.count(round(units.half), 'unit')}"
    if days.nine_of_ten is None or units.nine_of_ten is None:
        return f"{truth} {decided}, {within}."
    most = (
        f"nine of ten within {_days(days.nine_of_ten)} and {wording.count(round(units.nine_of_ten), 'unit')}"
    )
    return f"{truth} {decided}, {within}, {most}."


def _rolled_back(arm: ArmSimulation) -> str:
    rollbacks = arm.rollbacks
    if not rollbacks.n or rollbacks.hours.half is None or rollbacks.requests.half is None:
        return ""
    by = ", ".join(f"{name}: {n:,}" for name, n in rollbacks.by.items())
    text = (
        f"{arm.arm} was rolled back in {wording.count(rollbacks.n, 'run')} ({by}), half of these after at most "
        f"{_hours(rollbacks.hours.half)} and {wording.count(round(rollbacks.requests.half), 'request')} of its own"
    )
    if rollbacks.hours.nine_of_ten is None or rollbacks.requests.nine_of_ten is None:
        return f"{text}."
    requests = wording.count(round(rollbacks.requests.nine_of_ten), "request")
    return f"{text}, nine of ten after at most {_hours(rollbacks.hours.nine_of_ten)} and {requests}."


def _table(simulation: Simulation, terminal: Terminal) -> str:
    has_equal = any(
        calls.words["equivalent"]
        for arm in simulation.arms
        for calls in (arm.called, arm.peeked, arm.planned)
    )
    columns = [
        Column(title="arm", least=8, wraps=True),
        Column(title="decided by", least=12),
        Column(title="better", is_right=True),
        Column(title="worse", is_right=True),
        *([Column(title="equivalent", is_right=True)] if has_equal else []),
        Column(title="open", is_right=True),
        Column(title="false", is_right=True),
        Column(title="days", is_right=True),
        Column(title="9 of 10", is_right=True, leaves=2),
        Column(title="units", is_right=True),
        Column(title="9 of 10", is_right=True, leaves=1),
    ]
    rows = [row for arm in simulation.arms for row in _rows(arm, simulation, has_equal=has_equal)]
    width = terminal.width if terminal.has_tty_out else None
    return render_table(columns, rows, ink=terminal.out, width=width)


def _rows(arm: ArmSimulation, simulation: Simulation, *, has_equal: bool) -> Iterator[list[Cell]]:
    named = (("the test", arm.called), ("z-test", arm.peeked), ("planned looks", arm.planned))
    for number, (name, calls) in enumerate(named):
        words = ["better", "worse", *(["equivalent"] if has_equal else []), "inconclusive"]
        yield [
            Cell(arm.arm if number == 0 else "", ("bold",)),
            Cell(name),
            *(
                Cell(_percent(n, simulation.runs))
                for word, n in ((word, dict(calls.words)[word]) for word in words)  # type: ignore[index]
            ),
            Cell(_false(calls, simulation.runs)),
            *(Cell(text) for text in _spans(calls.days, ".1f")),
            *(Cell(text) for text in _spans(calls.units, ",.0f")),
        ]


def _about(simulation: Simulation) -> Iterator[str]:
    yield (
        "days, units: to the verdict, in half of the runs and in nine of ten. false: verdicts that are not true of the "
        "scenario."
    )
    yield (
        f"the test: its own rules, at every look. z-test: at 95%, as if each look were the only one. planned looks: "
        f"O'Brien-Fleming, {simulation.planned_looks} looks, {simulation.planned_units:,} units."
    )
    yield (
        f"Supposed: at most {simulation.days:g} days, {simulation.requests_per_day:,.0f} requests and "
        f"{simulation.units_per_day:,.0f} new units a day, a look every {_hours(simulation.look_s / 3600)}."
    )
    if simulation.share_in_time < _MOST_IN_TIME:
        yield (
            f"Only {100 * simulation.share_in_time:.2g}% of what is said of a request is said within the window of "
            f"{simulation.metric}, as the scenario has it; the rest comes too late to count."
        )
    if simulation.n_mismatches:
        runs = wording.count(simulation.n_mismatches, "run")
        yield f"In {runs} units were found to be split otherwise than the weights say; these decide nothing."


def _percent(n: int, runs: int) -> str:
    return f"{100 * n / runs:.0f}%" if n else _UNKNOWN


def _false(calls: CallSummary, runs: int) -> str:
    if calls.n_false is None:
        return "?"
    return f"{100 * calls.n_false / runs:.0f}%" if calls.n_false else "0%"


def _spans(spans: Spans, form: str) -> tuple[str, str]:
    def shown(value: float | None) -> str:
        return _UNKNOWN if value is None else format(value, form)

    return shown(spans.half), shown(spans.nine_of_ten)


def _days(days: float) -> str:
    return f"{days:.1f} days"


def _hours(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 48 else _days(hours / 24)
