"""A comparison for experiment trackers: what they call runs, params, metrics and artifacts; MLflow and W&B take it.

The trackers' libraries are extras and heavy, so what speaks to them is reached by name, when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import headrace
from headrace.domain.comparison import ArmSummary, Comparison, Estimate
from headrace.domain.score_record import ScoreRecord
from headrace.domain.scores import ArmLines
from headrace.errors import Problem, UsageError, nearest
from headrace.evaluation.report.as_json import render_json
from headrace.evaluation.report.html import render_html
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.score_records import comparison_rows, render_csv, score_records
from headrace.providers.loading import load_by_name

TRACKERS: Mapping[str, str] = {
    "mlflow": "headrace.operations.track_mlflow:write",
    "wandb": "headrace.operations.track_wandb:write",
}
"""Name of a tracker to what writes to it; each takes a comparison and says in a line where it went."""

_NOT_IN_NAMES = re.compile(r"[^\w\-./ ]")
_LONGEST_NAME = 240  # MLflow allows 250


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedArm:
    """One arm as a run of a tracker.

    Attributes:
        params: What it is made of.
        metrics: Finite numbers by name.
        words: Verdicts by the name of their metric.
        scores: Every score of it.
    """

    name: str
    params: Mapping[str, str | int | float | bool]
    metrics: Mapping[str, float]
    words: Mapping[str, str] = field(default_factory=dict)
    scores: tuple[ScoreRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedComparison:
    """A comparison with its arms.

    Attributes:
        title: Name of the experiment, or of the project.
        group: Tells this comparison from others of the same title.
        params: What holds for all arms.
        words: What to ship, and why.
        rows: A row for each metric and arm.
        files: Name to text: the page, the comparison as JSON, the scores as CSV.
    """

    title: str
    group: str
    params: Mapping[str, str | int | float | bool]
    words: Mapping[str, str]
    arms: tuple[TrackedArm, ...]
    rows: Sequence[Mapping[str, Any]]
    files: Mapping[str, str]


def track_comparison(result: ComparisonResult, tracker: str) -> str:
    """Write a comparison to a tracker.

    Args:
        result: The comparison.
        tracker: ``mlflow`` or ``wandb``; where it keeps its data is for its own settings to say.

    Returns:
        Where it went, in a line.

    Raises:
        UsageError: C507 for an unknown tracker, C505 when its package is not installed.
        RemoteError: P710 when it does not take it.
    """
    check_tracker(tracker)
    write: Callable[[TrackedComparison], str] = load_by_name(TRACKERS[tracker])
    return write(make_tracked(result))


def check_tracker(tracker: str) -> None:
    """Find out whether a tracker can be written to, without opening it.

    Raises:
        UsageError: C507 for an unknown tracker, C505 when its package is not installed.
    """
    if tracker not in TRACKERS:
        near = nearest(tracker, tuple(TRACKERS))
        fix = f'Did you mean "{near}"?' if near else f"Name one of {', '.join(TRACKERS)}."
        raise UsageError(Problem(code="C507", what=f'There is no tracker "{tracker}".', fix=fix))
    if find_spec(tracker) is None:
        what = f"The Python package {tracker} is not installed."
        fix = f'Install it with the extra "{tracker}": pip install "headrace[{tracker}]".'
        raise UsageError(Problem(code="C505", what=what, fix=fix))


def make_tracked(result: ComparisonResult) -> TrackedComparison:
    """A comparison in the words of trackers."""
    comparison, context = result.comparison, result.context
    records = score_records(result)
    shared: dict[str, str | int | float | bool] = {
        "headrace": headrace.__version__,
        "dataset": context.dataset,
        "baseline": comparison.baseline,
        "alpha": comparison.provenance.alpha,
        "family": comparison.provenance.family,
        "seed": comparison.provenance.seed,
    }
    if context.flow:
        shared["flow"] = context.flow
    made_of = {item.arm: item for item in result.arms}
    arms = tuple(
        TrackedArm(
            name=summary.arm,
            params={
                **shared,
                "arm": summary.arm,
                "is_baseline": summary.arm == comparison.baseline,
                "repeats": summary.repeats,
                **_made_of(made_of.get(summary.arm)),
            },
            metrics=_metrics(comparison, summary),
            words=_verdicts(comparison, summary.arm),
            scores=tuple(record for record in records if record.arm == summary.arm),
        )
        for summary in comparison.arms
    )
    recommendation = result.recommendation
    return TrackedComparison(
        title=context.title,
        group=result.experiment or f"{context.title} {context.created_at:%Y-%m-%d %H:%M:%S}",
        params=shared,
        words={"ship": recommendation.arm or "undecided", "reason": recommendation.reason},
        arms=arms,
        rows=comparison_rows(comparison),
        files={
            "report.html": render_html(comparison, context),
            "comparison.json": render_json(comparison, context),
            "scores.csv": render_csv(records),
        },
    )


def _made_of(arm: ArmLines | None) -> dict[str, str]:
    if arm is None:
        return {}
    found = {"variant": arm.variant, "model": arm.model}
    levels = {f"factor/{plain_name(name)}": level for name, level in arm.factors.items()}
    return {name: value for name, value in found.items() if value is not None} | levels


def _metrics(comparison: Comparison, summary: ArmSummary) -> dict[str, float]:
    found: dict[str, float | None] = {
        "lines": summary.n_lines,
        "failed": summary.n_failed,
        "tokens": summary.total_tokens,
        "cost_usd": summary.cost_usd,
        "latency_p50_ms": _value(summary.latency_p50_ms),
        "latency_p95_ms": _value(summary.latency_p95_ms),
    }
    for metric in comparison.metrics:
        name = plain_name(metric.spec.name)
        effect = metric.effect_of(summary.arm)
        found |= _estimate(name, metric.score_of(summary.arm).mean)
        if effect is not None:
            found |= _estimate(f"{name}/difference", effect.difference)
            found[f"{name}/p_adjusted"] = effect.p_adjusted
    return {name: float(value) for name, value in found.items() if value is not None}


def _estimate(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    interval = estimate.interval if estimate is not None else None
    return {
        name: _value(estimate),
        f"{name}/low": interval.low if interval else None,
        f"{name}/high": interval.high if interval else None,
    }


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _verdicts(comparison: Comparison, arm: str) -> dict[str, str]:
    effects = {metric.spec.name: metric.effect_of(arm) for metric in comparison.metrics}
    return {plain_name(name): effect.verdict.word for name, effect in effects.items() if effect is not None}


def plain_name(name: str) -> str:
    """A name as every tracker takes it."""
    return _NOT_IN_NAMES.sub("_", name)[:_LONGEST_NAME]
