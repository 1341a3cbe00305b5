"""From recorded observations to one value per line: what counts, what is missing, which kind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum

from headrace.domain.scores import ArmLines, LineObservation, MetricSpec
from headrace.evaluation.stats.estimate import TIE_TOLERANCE

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

    @property
    def sign(self) -> float:
        """1 where higher is better, -1 where lower is."""
        return 1.0 if self.spec.direction == "higher" else -1.0

    @property
    def is_binary(self) -> bool:
        """Whether every line scores 0 or 1."""
        return self.spec.kind == "binary"


@dataclass(frozen=True, kw_only=True, slots=True)
class RawScores:
    """What one arm's executions scored on one metric, read once.

    Attributes:
        usable: The usable scores of each line's executions that did not fail, in the order of the arm; an empty
            tuple where there is none.
        n_failed: Failed executions of the lines that have any.
        n_unusable: Executions that did not fail and have no usable score, of the lines that have any.
    """

    arm: str
    usable: Mapping[str, tuple[float, ...]]
    n_failed: Mapping[str, int]
    n_unusable: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class LineScores:
    """One arm on one metric: a value per line.

    Attributes:
        values: Mean over repeats, by line id, in the order of the arm.
        repeats: What the mean was taken over.
        missing: Lines with observations but without a usable score.
        n_partial: Lines whose mean leaves out repeats without a usable score.
        n_failed_counted: Failed executions that entered the means as the worst value.
    """

    arm: str
    values: Mapping[str, float]
    repeats: Mapping[str, tuple[float, ...]]
    missing: tuple[str, ...]
    n_partial: int
    n_failed_counted: int

    def among(self, lines: Collection[str]) -> LineScores:
        """The same for some lines only; counts of executions are those of all lines."""
        return replace(
            self,
            values={line: value for line, value in self.values.items() if line in lines},
            repeats={line: found for line, found in self.repeats.items() if line in lines},
            missing=tuple(line for line in self.missing if line in lines),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreTable:
    """One metric over all arms, every line scored once.

    Attributes:
        counted: By arm, failed executions counted as the metric says.
        without_failed: By arm with failed executions that count: the same without them.
    """

    metric: SettledMetric
    counted: Mapping[str, LineScores]
    without_failed: Mapping[str, LineScores]

    def among(self, lines: Collection[str]) -> ScoreTable:
        """The same for some lines only, without the figures that leave failed executions out."""
        counted = {arm: scores.among(lines) for arm, scores in self.counted.items()}
        return replace(self, counted=counted, without_failed={})


def score_table(spec: MetricSpec, arms: Sequence[ArmLines]) -> ScoreTable:
    """Read the scores of a metric from all arms and decide its kind."""
    raw = [read_scores(arm, spec.name) for arm in arms]
    metric = settle_metric(spec, raw)
    counted = {scores.arm: line_scores(scores, metric.failed_count_as) for scores in raw}
    without = {
        scores.arm: line_scores(scores, None) for scores in raw if counted[scores.arm].n_failed_counted
    }
    return ScoreTable(metric=metric, counted=counted, without_failed=without)


def read_scores(arm: ArmLines, metric: str) -> RawScores:
    """The usable scores of every line that has observations."""
    usable: dict[str, tuple[float, ...]] = {}
    n_failed: dict[str, int] = {}
    n_unusable: dict[str, int] = {}
    for line_id, observations in arm.lines.items():
        if observations:
            found = tuple(_usable(observations, metric))
            usable[line_id] = found
            if len(found) < len(observations):
                failed = sum(observation.is_failed for observation in observations)
                if failed:
                    n_failed[line_id] = failed
                if len(found) + failed < len(observations):
                    n_unusable[line_id] = len(observations) - len(found) - failed
    return RawScores(arm=arm.arm, usable=usable, n_failed=n_failed, n_unusable=n_unusable)


def settle_metric(spec: MetricSpec, raw: Sequence[RawScores]) -> SettledMetric:
    """Decide the kind of a metric from the scores of all arms.

    A metric is binary where every line value, repeats averaged, is 0 or 1; graded where all scores
    lie in [0, 1]; unbounded otherwise. A declared kind that the scores contradict gives way, with
    a warning. Failed executions count as the worst value of a bounded metric.
    """
    seen = {score for scores in raw for found in scores.usable.values() for score in found}
    if not seen:
        kind = "graded" if spec.kind == "auto" else spec.kind
        return SettledMetric(
            spec=replace(spec, kind=kind), failed_count_as=None, value_range=1.0, has_scores=False
        )
    if spec.kind == "unbounded" or min(seen) < 0.0 or max(seen) > 1.0:
        return SettledMetric(
            spec=replace(spec, kind="unbounded"),
            failed_count_as=None,
            value_range=max(seen) - min(seen),
            warnings=_contradiction(spec, "unbounded", "some scores lie outside 0 to 1"),
        )
    worst = 0.0 if spec.direction == "higher" else 1.0
    if spec.kind == "graded":
        return SettledMetric(spec=spec, failed_count_as=worst, value_range=1.0)
    is_raw_binary = seen <= {0.0, 1.0}
    near = is_raw_binary or all(min(abs(value), abs(value - 1.0)) <= TIE_TOLERANCE for value in seen)
    kind = "binary" if near and _agree(raw, worst) else "graded"
    return SettledMetric(
        spec=replace(spec, kind=kind),
        failed_count_as=worst,
        value_range=1.0,
        warnings=() if is_raw_binary else _contradiction(spec, kind, "some scores are not 0 or 1"),
    )


def line_scores(raw: RawScores, failed_count_as: float | None) -> LineScores:
    """One value per line: repeats averaged, unusable scores set aside.

    Repeats of a line are not independent lines: testing them as if they were finds differences that are not there.

    Args:
        raw: Scores as they were read.
        failed_count_as: Value of a failed execution, or ``None`` to leave failed ones out.

    Source: Miller (2024), arXiv 2411.00640, section 3.1.
    """
    repeats: Mapping[str, tuple[float, ...]] = raw.usable
    n_left_out = raw.n_unusable
    if failed_count_as is not None and raw.n_failed:
        worst = (failed_count_as,)
        repeats = {**raw.usable, **{k: raw.usable[k] + worst * n for k, n in raw.n_failed.items()}}
    elif raw.n_failed:
        n_left_out = {**raw.n_unusable, **raw.n_failed}
    values = {
        line_id: found[0] if len(found) == 1 else fsum(found) / len(found)
        for line_id, found in repeats.items()
        if found
    }
    return LineScores(
        arm=raw.arm,
        values=values,
        repeats=repeats,
        missing=tuple(line_id for line_id, found in repeats.items() if not found),
        n_partial=sum(line_id in values for line_id in n_left_out),
        n_failed_counted=0 if failed_count_as is None else sum(raw.n_failed.values()),
    )


def usable_score(score: float | None) -> float | None:
    """The score as a float, or ``None`` when it is missing, NaN, infinite or beyond 1e100."""
    # Squares of larger numbers leave the range of a float; NaN fails every comparison.
    if score is None or not abs(score) <= LARGEST_SCORE:
        return None
    return float(score)


def _usable(observations: Iterable[LineObservation], metric: str) -> Iterable[float]:
    for observation in observations:
        if not observation.is_failed:
            score = usable_score(observation.scores.get(metric))
            if score is not None:
                yield score


def _agree(raw: Sequence[RawScores], worst: float) -> bool:
    """Whether the executions of every line, failed ones counted as the worst value, score the same."""
    for scores in raw:
        for line_id, found in scores.usable.items():
            whole = (*found, worst) if line_id in scores.n_failed else found
            if len(whole) > 1 and max(whole) - min(whole) > 0.5:
                return False
    return True


def _contradiction(spec: MetricSpec, kind: str, because: str) -> tuple[str, ...]:
    if spec.kind in ("auto", kind):
        return ()
    return (f"{spec.name} is declared {spec.kind} but treated as {kind}, because {because}.",)
