"""The questions that an experiment asks of its arms, guardrails among them, as they are recorded with every run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from headrace.domain.evaluation import Experiment
from headrace.domain.gate import QUANTITIES, GateSpec
from headrace.domain.scores import MetricSpec

KEY = "gates"
"""Where the judgement of a run keeps them."""


def gates_of(experiment: Experiment) -> tuple[GateSpec, ...]:
    """The gates of an experiment, then its guardrails."""
    guardrails = (
        GateSpec(metric=item.metric, test="guardrail", margin=item.margin, pointer=item.pointer)
        for item in experiment.guardrails
    )
    return (*experiment.gates, *guardrails)


def with_gate_metrics(experiment: Experiment) -> Experiment:
    """The experiment with the scores of its gates and guardrails among its metrics, behind those that it names.

    Where it names none, all scores are compared anyway.
    """
    known = {metric.name for metric in experiment.metrics}
    if not known:
        return experiment
    asked = {gate.metric: MetricSpec(name=gate.metric) for gate in experiment.gates if not asks_of_use(gate)}
    asked |= {
        item.metric: MetricSpec(name=item.metric, direction=item.direction, margin=item.margin)
        for item in experiment.guardrails
    }
    further = tuple(metric for name, metric in asked.items() if name not in known)
    unsaid = (
        {gate.metric for gate in experiment.gates} - known - {item.metric for item in experiment.guardrails}
    )
    return replace(
        experiment, metrics=(*experiment.metrics, *further), undirected=experiment.undirected | unsaid
    )


def asks_of_use(gate: GateSpec) -> bool:
    """Whether a gate asks about cost, latency, tokens or failures, for which no evaluator is needed."""
    return gate.metric in QUANTITIES and gate.test in ("guardrail", "budget")


def gates_as_plain(gates: tuple[GateSpec, ...]) -> list[dict[str, Any]]:
    """Gates as plain data; where they stand in a file is left out."""
    names = [field.name for field in fields(GateSpec) if field.name != "pointer"]
    return [{name: getattr(gate, name) for name in names} for gate in gates]


def recorded_gates(judgement: Mapping[str, Any]) -> tuple[GateSpec, ...]:
    """The gates of a recorded judgement; none where none were recorded."""
    return tuple(GateSpec(**item) for item in judgement.get(KEY) or ())
