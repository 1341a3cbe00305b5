"""The best of many candidates, and how much of what it seems to gain is left when the choice is taken into account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.domain.comparison import Estimate
from headrace.domain.scores import ArmLines, LineFacts, MetricSpec
from headrace.evaluation.line_scores import score_table
from headrace.evaluation.stats.clustered import MIN_CLUSTERS
from headrace.evaluation.stats.estimate import mean
from headrace.evaluation.stats.ranking import shrink


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What came of a choice. Gains are means of candidate minus baseline, in the unit of the metric.

    Attributes:
        best: Name of the candidate with the best mean; the first of equal ones.
        n_lines: Lines that all arms have scores on.
        baseline_mean: Mean of the baseline on these.
        gains: By candidate, as observed. That of the best is too good on average: the winner's curse.
        shrunken: The gain of the best, drawn towards those of all candidates by as much as noise explains; ``None``
            where there are too few lines or candidates for it.
    """

    best: str
    n_lines: int
    baseline_mean: float
    gains: Mapping[str, float]
    shrunken: Estimate | None

    @property
    def gain(self) -> float:
        """What the best seems to gain."""
        return self.gains[self.best]


def choose_best(
    arms: Sequence[ArmLines],
    *,
    baseline: str,
    candidates: Sequence[str],
    metric: MetricSpec,
    facts: Mapping[str, LineFacts] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Choice | None:
    """Choose the candidate with the best mean over the lines that all arms have.

    Args:
        arms: The baseline and the candidates; others are left alone.
        baseline: What gains are measured against.
        candidates: At least one, in order of preference.
        metric: The score, and its direction.
        facts: Clusters of the lines.
        level: Of the interval of the shrunken gain.
        seed: Of its draws.

    Returns:
        ``None`` where no line has scores of all arms.

    Source: :func:`headrace.evaluation.stats.ranking.shrink` of the differences, because the candidates are alike and
    the baseline is none of them.
    """
    names = (baseline, *candidates)
    table = score_table(metric, [arm for arm in arms if arm.arm in names])
    values = {name: table.counted[name].values for name in names}
    lines = [line for line in values[baseline] if all(line in found for found in values.values())]
    if not lines:
        return None
    sign = table.metric.sign
    rows = [[sign * (values[name][line] - values[baseline][line]) for line in lines] for name in candidates]
    means = [mean(row) for row in rows]
    place = means.index(max(means))
    known = facts or {}
    clusters = [known[line].cluster if line in known else None for line in lines]
    grouped = [line if cluster is None else cluster for line, cluster in zip(lines, clusters, strict=True)]
    is_clustered = len(set(grouped)) < len(lines)
    shrunken = shrink(rows, clusters=grouped if is_clustered else None, level=level, seed=seed, draws=1)
    interval = shrunken.intervals[place] if shrunken is not None else None
    if interval is not None and sign < 0:
        interval = type(interval)(low=-interval.high, high=-interval.low, level=level, method=interval.method)
    n_units = len(set(grouped))
    return Choice(
        best=candidates[place],
        n_lines=len(lines),
        baseline_mean=mean([values[baseline][line] for line in lines]),
        gains={name: sign * value for name, value in zip(candidates, means, strict=True)},
        shrunken=None
        if shrunken is None or n_units < MIN_CLUSTERS
        else Estimate(value=sign * shrunken.means[place], interval=interval, n=len(lines)),
    )
