"""From recorded observations to one value per line: what counts, what is missing, which kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from headrace.domain.scores import ArmLines, LineObservation, MetricSpec
from headrace.evaluation.stats.estimate import TIE_TOLERANCE
from headrace.evaluation.stats.paired import collapse_repeats

#: Scores beyond this are taken for a fault of the evaluator.
LARGEST_SCORE = 1e100


@dataclass(frozen=True, kw_only=True, slots=True)
class SettledMetric:
    """A metric whose kind is decided.

    Attributes:
        spec: The metric; its kind is never "auto".
        failed_count_as: Value of a failed execution; ``None`` where they are left out.
        value_range: Width of the score's range: 1 for bounded metrics, else the range seen.
        has_scores: At least one line of one arm has a usable score.
        warnings: What had to be decided against the words of the metric.
    """

    spec: MetricSpec
    failed_count_as: float | None
    value_range: float
    has_scores: bool = True
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LineScores:
    """One arm on one metric: a value per line.

    Attributes:
        values: Mean over repeats, by line id, in the order of the arm.
        missing: Lines with observations but without a usable score.
        n_partial: Lines whose mean leaves out repeats without a usable score.
        n_failed_counted: Failed executions that entered the means as the worst value.
    """

    arm: str
    values: dict[str, float]
    missing: tuple[str, ...]
    n_partial: int
    n_failed_counted: int


def settle_metric(spec: MetricSpec, arms: Sequence[ArmLines]) -> SettledMetric:
    """Decide the kind of a metric from the scores of all arms.

    A metric is binary where every line value, repeats averaged, is 0 or 1; graded where all scores
    lie in [0, 1]; unbounded otherwise. A declared kind that the scores contradict gives way, with
    a warning. Failed executions count as the worst value of a bounded metric.
    """
    seen = [score for arm in arms for score in _usable_scores(arm, spec.name)]
    if not seen:
        kind = "graded" if spec.kind == "auto" else spec.kind
        return SettledMetric(
            spec=replace(spec, kind=kind), failed_count_as=None, value_range=1.0, has_scores=False
        )
    if spec.kind == "unbounded" or not all(0.0 <= score <= 1.0 for score in seen):
        return SettledMetric(
            spec=replace(spec, kind="unbounded"),
            failed_count_as=None,
            value_range=max(seen) - min(seen),
            warnings=_contradiction(spec, "unbounded", "some scores lie outside 0 to 1"),
        )
    worst = 0.0 if spec.direction == "higher" else 1.0
    if spec.kind == "graded":
        return SettledMetric(spec=spec, failed_count_as=worst, value_range=1.0)
    is_binary = all(
        min(abs(value), abs(value - 1.0)) <= TIE_TOLERANCE
        for arm in arms
        for value in line_scores(arm, spec.name, failed_count_as=worst).values.values()
    )
    is_raw_binary = all(score in (0.0, 1.0) for score in seen)
    kind = "binary" if is_binary else "graded"
    return SettledMetric(
        spec=replace(spec, kind=kind),
        failed_count_as=worst,
        value_range=1.0,
        warnings=() if is_raw_binary else _contradiction(spec, kind, "some scores are not 0 or 1"),
    )


def line_scores(arm: ArmLines, metric: str, *, failed_count_as: float | None) -> LineScores:
    """One value per line of ``arm``: repeats averaged, unusable scores set aside.

    Args:
        arm: Observations by line id.
        metric: Name of the score.
        failed_count_as: Value of a failed execution, or ``None`` to leave failed ones out.
    """
    usable: dict[str, list[float]] = {}
    n_partial = 0
    n_failed_counted = 0
    for line_id, observations in arm.lines.items():
        values = []
        for observation in observations:
            value = _value(observation, metric, failed_count_as)
            if value is not None:
                values.append(value)
                n_failed_counted += observation.is_failed
        n_partial += 0 < len(values) < len(observations)
        if observations:
            usable[line_id] = values
    return LineScores(
        arm=arm.arm,
        values=collapse_repeats(usable),
        missing=tuple(line_id for line_id, values in usable.items() if not values),
        n_partial=n_partial,
        n_failed_counted=n_failed_counted,
    )


def usable_score(score: float | None) -> float | None:
    """The score as a float, or ``None`` when it is missing, NaN, infinite or beyond 1e100."""
    # Squares of larger numbers leave the range of a float; NaN fails every comparison.
    if score is None or not abs(score) <= LARGEST_SCORE:
        return None
    return float(score)


def _value(observation: LineObservation, metric: str, failed_count_as: float | None) -> float | None:
    if observation.is_failed:
        return failed_count_as
    return usable_score(observation.scores.get(metric))


def _usable_scores(arm: ArmLines, metric: str) -> Iterator[float]:
    for observations in arm.lines.values():
        for observation in observations:
            score = None if observation.is_failed else observation.scores.get(metric)
            usable = usable_score(score)
            if usable is not None:
                yield usable


def _contradiction(spec: MetricSpec, kind: str, because: str) -> tuple[str, ...]:
    if spec.kind in ("auto", kind):
        return ()
    return (f"{spec.name} is declared {spec.kind} but treated as {kind}, because {because}.",)
