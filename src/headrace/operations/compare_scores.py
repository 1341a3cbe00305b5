"""Compare arms by scores that exist already; nothing is run and no store is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf, isfinite
from typing import Any, get_args

from headrace.domain.comparison import Family
from headrace.domain.report import ReportContext
from headrace.domain.scores import MetricSpec
from headrace.errors import Problem, UsageError
from headrace.evaluation.comparison import compare
from headrace.evaluation.recommendation import ship_recommendation
from headrace.formats.arms import find_baseline
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.given_scores import read_scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How arms are judged; what is not said is as in an experiment file that does not say it.

    Attributes:
        baseline: Arm that the others are compared with; ``None`` for the first.
        metrics: The first one decides; all scores when empty.
        alpha: Family-wise error rate.
        line_id: Column that identifies a line.
        clusters: Column of lines that are not independent, or line id to cluster.
        slices: Columns that the results are broken down by, or name to line id to value.
        family: Which comparisons are adjusted together.
        seed: Of the permutation draws.
        name: Title.
    """

    baseline: str | None = None
    metrics: Sequence[MetricSpec] = ()
    alpha: float = 0.05
    line_id: str | None = None
    clusters: str | Mapping[str, Any] | None = None
    slices: Sequence[str] | Mapping[str, Mapping[str, Any]] = ()
    family: Family = "baseline"
    seed: int = 0
    name: str = "scores compared"


def compare_scores(scores: Any, judgement: Judgement) -> ComparisonResult:
    """Compare arms by given scores.

    Args:
        scores: In a form that :func:`~headrace.operations.given_scores.read_scores` takes.
        judgement: How.

    Raises:
        UsageError: G905 scores that cannot be read, G902 fewer than two arms or no scores, G901 unknown metric, G903
            margin that makes no sense, V305 unknown baseline, D403 unknown column, C507 anything else that is asked
            for in a way that cannot be.
    """
    check_judgement(judgement)
    given = read_scores(
        scores,
        metrics=[metric.name for metric in judgement.metrics],
        line_id=judgement.line_id,
        clusters=judgement.clusters,
        slices=judgement.slices,
    )
    names = [arm.arm for arm in given.arms]
    if len(names) < 2:
        what = f"There are scores of one arm only, {names[0]!r}."
        raise UsageError(Problem(code="G902", what=what, fix="Give scores of two or more arms."))
    comparison = compare(
        given.arms,
        baseline=find_baseline(names, judgement.baseline),
        metrics=judgement.metrics or [MetricSpec(name=name) for name in given.metrics],
        alpha=judgement.alpha,
        family=judgement.family,
        seed=judgement.seed,
        facts=given.facts,
    )
    return ComparisonResult(
        comparison=comparison,
        recommendation=ship_recommendation(comparison),
        context=ReportContext(
            title=judgement.name,
            flow="",
            dataset=f"{len({line for arm in given.arms for line in arm.lines})} lines with given scores",
            created_at=datetime.now(UTC),
        ),
        runs=(),
        n_failed=sum(summary.n_failed for summary in comparison.arms),
        experiment=None,
        arms=given.arms,
        facts=given.facts,
        given=given.records,
    )


def check_judgement(judgement: Judgement) -> None:
    """Refuse what no comparison can be made with.

    Raises:
        UsageError: G903 for a margin that is not above zero, F003 for a metric that is named twice, C507 for an alpha
            that is no rate or a family that does not exist.
    """
    names = [metric.name for metric in judgement.metrics]
    problems = [
        Problem(
            code="G903",
            what=f"The margin of {metric.name} must be above zero.",
            fix="Give a number above zero, in the unit of the metric.",
        )
        for metric in judgement.metrics
        if metric.margin is not None and not 0 < metric.margin < inf
    ]
    if len(set(names)) < len(names):
        problems.append(Problem(code="F003", what="A metric is named twice.", fix="Name each metric once."))
    if not (isfinite(judgement.alpha) and 0 < judgement.alpha < 1):
        problems.append(
            Problem(
                code="C507", what="alpha is an error rate, between 0 and 1.", fix="Give for example 0.05."
            )
        )
    if judgement.family not in get_args(Family):
        problems.append(
            Problem(
                code="C507",
                what=f"There is no family {judgement.family!r}.",
                fix=f"Give one of {', '.join(get_args(Family))}.",
            )
        )
    if problems:
        raise UsageError(*problems)
