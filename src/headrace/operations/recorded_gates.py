"""The questions that an experiment asks of its arms, guardrails among them, as they are recorded with every run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from headrace.domain.evaluation import Experiment
from headrace.domain.gate import GateSpec

KEY = "gates"
"""Where the judgement of a run keeps them."""


def gates_of(experiment: Experiment) -> tuple[GateSpec, ...]:
    """The gates of an experiment, then its guardrails."""
    guardrails = (
        GateSpec(metric=item.metric, test="guardrail", margin=item.margin, pointer=item.pointer)
        for item in experiment.guardrails
    )
    return (*experiment.gates, *guardrails)


def gates_as_plain(gates: tuple[GateSpec, ...]) -> list[dict[str, Any]]:
    """Gates as plain data; where they stand in a file is left out."""
    names = [field.name for field in fields(GateSpec) if field.name != "pointer"]
    return [{name: getattr(gate, name) for name in names} for gate in gates]


def recorded_gates(judgement: Mapping[str, Any]) -> tuple[GateSpec, ...]:
    """The gates of a recorded judgement; none where none were recorded."""
    return tuple(GateSpec(**item) for item in judgement.get(KEY) or ())
