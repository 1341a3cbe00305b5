"""How many lines and repeats resolve a difference, from a pilot or assumptions, and what a number of lines resolves.

A plan with the variance that a pilot happens to show falls short of its power about half of the time, so plans take the
upper end of the variance's interval. Its level is the assurance: the chance that the plan reaches its power.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from headrace.domain.scores import ArmLines, LineFacts, MetricSpec
from headrace.evaluation.effects import paired_differences
from headrace.evaluation.line_groups import group_lines
from headrace.evaluation.line_scores import score_table
from headrace.evaluation.stats.clustered import design_effect
from headrace.evaluation.stats.estimate import TIE_TOLERANCE, guarded_differences, variance
from headrace.evaluation.stats.power import (
    best_repeats,
    detectable_binary_difference,
    detectable_mean_difference,
    discordance_upper_bound,
    lines_for_binary_difference,
    lines_for_mean_difference,
    variance_upper_bound,
)
from headrace.evaluation.stats.repeats import spread
from headrace.evaluation.stats.special import normal_quantile
from headrace.evaluation.verdict import MIN_PAIRS

ASSURANCE_BINARY = 0.85
"""Default assurance for yes-or-no scores of single answers; the bound of the discordance is conservative."""

ASSURANCE = 0.9
"""Default assurance elsewhere; with both, nine of ten pilots lead to 78 % power and more where 80 % is asked for."""

MAX_REPEATS = 10
LINE_COUNTS = (50, 100, 200, 500, 1_000, 2_000, 5_000)
MAX_LINES = 10_000_000
"""Nobody has more; where more would be needed, this many are said to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What is known of the paired differences of two arms before the lines of a plan are run.

    Attributes:
        n_lines: Lines that this was measured on; 0 where it is assumed, and then taken as certain.
        variance: Of the difference of one line, its repeats averaged.
        repeats: Answers of each arm to each line that ``variance`` is about.
        within_lines: Variance of the difference of one repeat around that of its line, both arms together; ``None``
            where lines were answered once.
        n_discordant: Of yes-or-no scores answered once: lines on which the arms disagree; else ``None``. Where it is
            assumed, see ``discordance``.
        discordance: Of yes-or-no scores answered once: share of lines on which the arms disagree; else ``None``.
        design_effect: How many times larger clusters make the variance of a mean; 1 where lines stand for themselves.
    """

    n_lines: int
    variance: float
    repeats: int = 1
    within_lines: float | None = None
    n_discordant: int | None = None
    discordance: float | None = None
    design_effect: float = 1.0

    @property
    def between_lines(self) -> float:
        """Variance of the true difference over lines, cut off at zero; of single answers theirs as well."""
        return max(0.0, self.variance - (self.within_lines or 0.0) / self.repeats)

    @property
    def default_assurance(self) -> float:
        """The assurance at which nine of ten pilots lead to 78 % power where 80 % is asked for."""
        return ASSURANCE if self.discordance is None else ASSURANCE_BINARY

    def variance_at(self, repeats: int, assurance: float | None) -> float:
        """Variance of the difference of one line with so many repeats, at its upper bound where there is an assurance.

        Only the variance over lines is bounded: that of repeats rests on as many answers as there are.
        """
        total = self.variance
        if assurance is not None and self.n_lines:
            total = variance_upper_bound(total, self.n_lines, assurance=assurance)
        within = self.within_lines or 0.0
        return max(0.0, total - within / self.repeats) + within / repeats

    def discordance_at(self, assurance: float | None) -> float:
        """Share of lines on which the arms disagree, likewise.

        Raises:
            ValueError: Scores are not yes-or-no, or lines were answered more than once.
        """
        if self.discordance is None:
            msg = "only yes-or-no scores of single answers have a discordance"
            raise ValueError(msg)
        if assurance is None or self.n_discordant is None:
            return self.discordance
        return discordance_upper_bound(self.n_discordant, self.n_lines, assurance=assurance)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesNeeded:
    """Lines that reach the power with one number of repeats.

    Attributes:
        n_lines: With the assurance.
        n_plain: With the variance as the pilot shows it, which reaches the power in about half of all pilots.
    """

    repeats: int
    n_lines: int
    n_plain: int

    @property
    def n_answers(self) -> int:
        """Answers of each arm."""
        return self.n_lines * self.repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePlan:
    """How many lines and repeats resolve a difference.

    Attributes:
        difference: The smallest difference that is to be found, in the unit of the score.
        power: Chance to find it.
        assurance: Chance that the plan reaches that power; ``None`` where the variance was assumed.
        alpha: Two-sided error rate.
        needs: By number of repeats, from 1; only 1 where a pilot without repeats does not tell what they would bring.
        detectable: Differences that numbers of lines resolve, answered as often as in the pilot.
        noise_floor: Lines to the difference of two runs of one and the same arm that 95 of 100 such pairs stay
            below; empty without repeats.
        best_repeats: Repeats that resolve most for the money, where a line has a price beside its answers.
        pilot: What it was made from.
    """

    difference: float
    power: float
    assurance: float | None
    alpha: float
    needs: tuple[LinesNeeded, ...]
    detectable: Mapping[int, float | None]
    noise_floor: Mapping[int, float]
    best_repeats: float | None
    pilot: Pilot

    def needed(self, repeats: int = 1) -> LinesNeeded | None:
        """The lines that are needed with so many repeats; ``None`` where that is not known."""
        return next((item for item in self.needs if item.repeats == repeats), None)


def measure_pilot(
    arms: Sequence[ArmLines],
    metric: MetricSpec,
    arm: str,
    against: str,
    facts: Mapping[str, LineFacts],
) -> Pilot | None:
    """What recorded answers say of the differences between two arms.

    Args:
        arms: All arms of the comparison; they decide together what kind of score the metric is.
        metric: The score.
        arm: The arm, and ``against`` the one that it is compared with.
        against: See ``arm``.
        facts: Clusters of the lines.

    Returns:
        ``None`` with fewer than two lines that both arms have scores for.

    Source: Miller (2024), arXiv 2411.00640, section 3, for the split of the variance; Kish (1965), Survey Sampling,
    section 5.4, for the design effect.
    """
    table = score_table(metric, arms)
    ours, theirs = table.counted[arm], table.counted[against]
    by_line = paired_differences(ours, theirs)
    if len(by_line) < 2:
        return None
    differences = list(by_line.values())
    pairs = [(ours.repeats[line], theirs.repeats[line]) for line in by_line]
    repeats = max(1, min(min(len(mine), len(other)) for mine, other in pairs))
    found = spread(pairs) if repeats > 1 else None
    clusters = group_lines(arms, facts).clusters
    effect = None if clusters is None else design_effect(differences, clusters.names(by_line))
    n_discordant = sum(abs(value) > TIE_TOLERANCE for value in differences)
    is_binary = table.metric.is_binary and repeats == 1
    return Pilot(
        n_lines=len(differences),
        variance=variance(guarded_differences(differences, table.metric.value_range)),
        repeats=repeats,
        within_lines=found.within_lines if found else None,
        n_discordant=n_discordant if is_binary else None,
        discordance=n_discordant / len(differences) if is_binary else None,
        design_effect=max(1.0, effect or 1.0),
    )


def lines_needed(
    pilot: Pilot,
    difference: float,
    *,
    repeats: int = 1,
    power: float = 0.8,
    assurance: float | None = None,
    alpha: float = 0.05,
) -> int:
    """Lines that find a difference.

    Args:
        pilot: What is known of the differences.
        difference: Above zero.
        repeats: Answers of each arm to each line.
        power: Chance to find it.
        assurance: Level of the bound of the variance; ``None`` for the variance as it is.
        alpha: Two-sided error rate.

    Source: ``stats.power``, times the design effect; for means with z²/2 lines more, because the variance is estimated,
    Guenther (1981), The American Statistician 35:243.

    Raises:
        ValueError: ``difference`` is not above zero.
    """
    if not difference > 0.0:
        msg = f"needs a difference above zero, got {difference}"
        raise ValueError(msg)
    if pilot.discordance is not None and repeats == 1:
        share = min(1.0, max(pilot.discordance_at(assurance), difference))
        lines = lines_for_binary_difference(min(difference, 1.0), share, alpha=alpha, power=power)
    else:
        lines = lines_for_mean_difference(
            difference, pilot.variance_at(repeats, assurance), alpha=alpha, power=power
        )
        lines += normal_quantile(1.0 - alpha / 2.0) ** 2 / 2.0
    return ceil(min(MAX_LINES, max(MIN_PAIRS, lines * pilot.design_effect)))


def detectable_difference(
    pilot: Pilot,
    n_lines: int,
    *,
    repeats: int = 1,
    power: float = 0.8,
    assurance: float | None = None,
    alpha: float = 0.05,
) -> float | None:
    """Smallest difference that so many lines find; ``None`` where none is.

    Arguments and source are those of :func:`lines_needed`.

    Raises:
        ValueError: ``n_lines`` is not above zero.
    """
    n = max(1, round(n_lines / pilot.design_effect)) if n_lines > 0 else n_lines
    if pilot.discordance is not None and repeats == 1:
        return detectable_binary_difference(n, pilot.discordance_at(assurance), alpha=alpha, power=power)
    return detectable_mean_difference(n, pilot.variance_at(repeats, assurance), alpha=alpha, power=power)


def plan_sample(
    pilot: Pilot,
    difference: float,
    *,
    power: float = 0.8,
    assurance: float | None = None,
    alpha: float = 0.05,
    line_cost: float | None = None,
    n_available: int | None = None,
) -> SamplePlan:
    """A plan for finding a difference.

    Args:
        pilot: What is known of the differences.
        difference: The smallest difference that matters, above zero.
        power: Chance to find it.
        assurance: Chance that the plan reaches the power; ``None`` for the default of the pilot.
        alpha: Two-sided error rate, divided by the number of arms that are compared with the baseline.
        line_cost: What writing and labelling one more line costs, in answers of an arm; ``None`` where lines are free,
            and then more lines always resolve more than more repeats.
        n_available: Lines that there are; its detectable difference is given as well.

    Raises:
        ValueError: ``difference`` is not above zero.
    """
    certain = assurance if assurance is not None else pilot.default_assurance
    used = certain if pilot.n_lines else None
    most = MAX_REPEATS if pilot.within_lines is not None else 1
    needs = tuple(
        LinesNeeded(
            repeats=k,
            n_lines=lines_needed(pilot, difference, repeats=k, power=power, assurance=used, alpha=alpha),
            n_plain=lines_needed(pilot, difference, repeats=k, power=power, alpha=alpha),
        )
        for k in range(1, most + 1)
    )
    counts = sorted({*LINE_COUNTS, *([n_available] if n_available else [])})
    within = pilot.within_lines
    z = normal_quantile(0.975)
    best = None
    if line_cost and within is not None:
        best = best_repeats(pilot.between_lines, within, line_cost=line_cost, call_cost=1.0)
    return SamplePlan(
        difference=difference,
        power=power,
        assurance=used,
        alpha=alpha,
        needs=needs,
        detectable={
            n: detectable_difference(
                pilot, n, repeats=pilot.repeats, power=power, assurance=used, alpha=alpha
            )
            for n in counts
        },
        noise_floor={} if within is None else {n: z * sqrt(within / n) for n in counts},
        best_repeats=best,
        pilot=pilot,
    )
