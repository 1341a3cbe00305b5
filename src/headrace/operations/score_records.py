"""Scores as they leave headrace: every one of a comparison as a record, and records as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from headrace.domain.comparison import ArmSummary, Comparison, Estimate, MetricComparison
from headrace.domain.score_record import ScoreRecord
from headrace.errors import Problem, UsageError
from headrace.formats.csv_cells import guard_cell
from headrace.operations.collect_scores import Collected, evaluators_of, read_score
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.new_files import cannot_write, write_files
from headrace.providers.loading import load_by_name

SCORE_SUFFIXES = (".csv", ".parquet")
SCORE_TYPES = {"repeat": "int64", "value": "double", "cost_usd": "double", "failed": "bool"}
"""Types of the columns that hold no text."""

_FIND_PARQUET = "headrace.formats.parquet:find_writer"
_WRITE_PARQUET = "headrace.formats.parquet:write_parquet"


def comparison_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One row for each metric and arm, as plain values; a number that is not known is ``None``."""
    return [_row(metric, summary, comparison) for metric in comparison.metrics for summary in comparison.arms]


def _row(metric: MetricComparison, summary: ArmSummary, comparison: Comparison) -> dict[str, Any]:
    score = metric.score_of(summary.arm)
    effect = metric.effect_of(summary.arm)
    return {
        "metric": metric.spec.name,
        "arm": summary.arm,
        "is_baseline": summary.arm == comparison.baseline,
        "n": score.mean.n if score.mean else 0,
        "n_failed": summary.n_failed,
        "n_missing": score.n_missing,
        **_numbers("mean", score.mean),
        **_numbers("difference", effect.difference if effect else None),
        "p": effect.p_raw if effect else None,
        "p_adjusted": effect.p_adjusted if effect else None,
        "verdict": effect.verdict.word if effect else None,
        "reason": effect.verdict.reason if effect else None,
        "shrunken": score.shrunken.value if score.shrunken else None,
        "p_best": score.p_best,
        "in_best_set": score.in_best_set,
        "cost_usd": summary.cost_usd,
        "tokens": summary.total_tokens,
        "latency_p50_ms": summary.latency_p50_ms.value if summary.latency_p50_ms else None,
        "latency_p95_ms": summary.latency_p95_ms.value if summary.latency_p95_ms else None,
    }


def _numbers(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    interval = estimate.interval if estimate else None
    return {
        name: estimate.value if estimate else None,
        f"{name}_low": interval.low if interval else None,
        f"{name}_high": interval.high if interval else None,
    }


def score_records(result: ComparisonResult) -> tuple[ScoreRecord, ...]:
    """Every score of a comparison: one record for each arm, line, repeat and metric."""
    if result.given:
        return result.given
    metrics = [metric.spec.name for metric in result.comparison.metrics]
    return tuple(record for item in result.collected for record in _records_of(item, metrics))


def _records_of(item: Collected, metrics: Sequence[str]) -> Iterator[ScoreRecord]:
    spec = item.judged.run.spec
    evaluators = evaluators_of(item, metrics)
    for line in item.lines:
        problem = line.result.problem
        for metric in metrics:
            evaluator = evaluators.get(metric, "")
            score = read_score(line, metric, evaluator)
            evaluation = item.judged.evaluations.get(evaluator)
            yield ScoreRecord(
                arm=item.judged.arm,
                line=line.line_id,
                repeat=spec.repeat,
                metric=metric,
                value=score.value,
                label=score.label,
                reason=score.reason,
                cost_usd=score.cost_usd,
                error=score.error if problem is None else f"{problem.code} {problem.name}: {problem.what}",
                failed=problem is not None,
                evaluator=evaluator,
                run=spec.name,
                evaluation_run=evaluation.spec.name if evaluation else "",
            )


def check_scores_file(path: Path) -> None:
    """Find out whether scores can be written in the form that the name of a file asks for.

    Raises:
        UsageError: C507 for another form, C505 when Parquet is asked for without pyarrow.
    """
    if path.suffix not in SCORE_SUFFIXES:
        what = f'Scores cannot be written as "{path.name}".'
        fix = f"Name a file that ends in {' or '.join(SCORE_SUFFIXES)}."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    if path.suffix == ".parquet":
        load_by_name(_FIND_PARQUET)()


def write_scores(records: Sequence[ScoreRecord], path: Path) -> Path:
    """Write records as a table, over a file that is there; returns the path.

    Empty cells of CSV are what is not known; truth values are written ``true`` and ``false``; texts that a spreadsheet
    would take for formulas begin with an apostrophe.

    Args:
        records: In any order.
        path: A ``.csv`` or ``.parquet`` file.

    Raises:
        UsageError: C507 for a file of another form, C505 when Parquet is asked for without pyarrow.
        StateError: S808 when it cannot be written.
    """
    check_scores_file(path)
    if path.suffix == ".csv":
        write_files({path: render_csv(records)}, is_replacing=True)
        return path
    columns = {
        field.name: [getattr(record, field.name) for record in records] for field in fields(ScoreRecord)
    }
    write = load_by_name(_WRITE_PARQUET)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, columns, SCORE_TYPES)
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def render_csv(records: Sequence[ScoreRecord]) -> str:
    """Records as CSV with a line of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(ScoreRecord)])
    for record in records:
        writer.writerow([_cell(value) for value in asdict(record).values()])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        return guard_cell(value)
    return str(value).lower() if isinstance(value, bool) else value
