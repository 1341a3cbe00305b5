"""The sentence on top of every report."""

from __future__ import annotations

from typing import Literal, TypeAlias

from headrace.domain.comparison import Comparison, Recommendation

Decision: TypeAlias = Literal["ship", "keep", "undecided"]


def decision_of(comparison: Comparison, recommendation: Recommendation) -> Decision:
    """Whether to ship another arm, keep the baseline, or wait for more lines."""
    if recommendation.arm is None:
        return "undecided"
    return "keep" if recommendation.arm == comparison.baseline else "ship"


def headline(comparison: Comparison, recommendation: Recommendation) -> str:
    """The decision in a few words."""
    decision = decision_of(comparison, recommendation)
    if decision == "undecided":
        return "Not decided yet"
    return f"{'Keep' if decision == 'keep' else 'Ship'} {recommendation.arm}"
