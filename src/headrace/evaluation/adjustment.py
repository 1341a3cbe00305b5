"""What a comparison is judged by, and how p is adjusted over what is compared together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from headrace.domain.comparison import Family
from headrace.evaluation.stats.multiple import benjamini_hochberg, holm

ADJUSTMENTS: Mapping[str, tuple[str, Callable[[Sequence[float]], list[float]]]] = {
    "baseline": ("Holm", holm),
    "exploratory": ("Benjamini-Hochberg", benjamini_hochberg),
    "none": ("none", list),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a comparison is judged.

    Attributes:
        alpha: Error rate of the family of verdicts.
        family: Which comparisons are adjusted together.
        seed: Seed of all draws.
    """

    alpha: float
    family: Family
    seed: int

    @property
    def level(self) -> float:
        """Level of the intervals."""
        return 1.0 - self.alpha

    def power_alpha(self, n_comparisons: int) -> float:
        """Error rate at which power is stated: that of the strictest step, so as not to promise too soon."""
        return self.alpha if self.family == "none" else self.alpha / max(1, n_comparisons)

    def adjust(self, p_values: Sequence[float | None]) -> list[float | None]:
        """The p values adjusted together; those that could not be had stay so and do not count."""
        _, method = ADJUSTMENTS[self.family]
        adjusted = iter(method([p for p in p_values if p is not None]))
        return [None if p is None else next(adjusted) for p in p_values]
