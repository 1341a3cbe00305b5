"""Counts of what one arm did, request by request."""

from __future__ import annotations

from typing import NamedTuple


class Answer(NamedTuple):
    """How a request ended."""

    is_failed: bool
    is_gone: bool
    latency_ms: float
    first_token_ms: float | None
    cost_usd: float | None
    total_tokens: int | None


class ArmTally:
    """See :class:`~headrace.domain.ab_report.AbArm`, whose names these are."""

    __slots__ = (
        "completions",
        "cost_usd",
        "exposures",
        "failures",
        "gone",
        "latency_ms",
        "n_priced",
        "tokens",
        "units",
        "versions",
    )

    def __init__(self) -> None:
        self.exposures = self.units = self.completions = self.failures = self.gone = 0
        self.latency_ms = self.cost_usd = 0.0
        self.n_priced = self.tokens = 0
        self.versions: dict[str, None] = {}

    def expose(self, version: str) -> None:
        """Count a request that the arm was chosen for."""
        self.exposures += 1
        if version and version not in self.versions:
            self.versions[version] = None

    def complete(self, answer: Answer) -> None:
        """Count how one ended."""
        self.completions += 1
        if answer.is_gone:
            self.gone += 1
        elif answer.is_failed:
            self.failures += 1
        else:
            self.latency_ms += answer.latency_ms
        if answer.cost_usd is not None:
            self.cost_usd += answer.cost_usd
            self.n_priced += 1
        if answer.total_tokens is not None:
            self.tokens += answer.total_tokens
