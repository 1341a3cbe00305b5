"""From recorded runs to what a comparison reads: every line of every arm with its scores."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.domain.run import COMPLETED, LineResult, Run
from headrace.domain.scores import WORD_VALUES, ArmLines, LineObservation, Score
from headrace.errors import Problem, UsageError
from headrace.operations.line_facts import find_twins, line_names
from headrace.operations.recorded_data import known_dataset
from headrace.operations.workspace import Workspace

EVALUATOR_TAG = "headrace.evaluator"

_BESIDE = ("_label", "_reason")
"""End the names of texts that stand beside a score."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

BASELINE_COLUMN = "${data.baseline.outputs."
"""Begins the mapping to a column with what the baseline arm answered, which is no reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRun:
    """One run of an arm with the runs that evaluate it.

    Attributes:
        evaluations: Evaluator name to evaluation run.
    """

    arm: str
    run: Run
    evaluations: Mapping[str, Run]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedLine:
    """One line of one run: its id, its result, and every output of its evaluations.

    Attributes:
        costs: What each evaluation of the line cost in US dollars, by evaluator; ``None`` where a price is not known.
        errors: Code, name and sentence of the problem of each evaluation that failed, by evaluator.
    """

    line_id: str
    result: LineResult
    scores: Mapping[str, Any]
    costs: Mapping[str, float | None] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """All lines of one judged run."""

    judged: JudgedRun
    lines: tuple[CollectedLine, ...]


def judged_run(workspace: Workspace, run: Run) -> JudgedRun:
    """A run with the runs that evaluate it, the newest of each evaluator."""
    evaluations: dict[str, Run] = {}
    # The newest of a name wins, unless it was interrupted or failed: then its scores are not whole.
    for evaluation in reversed(workspace.store.list_runs(source_run=run.spec.name)):
        if evaluation.status == COMPLETED:
            evaluations[evaluation.spec.tags.get(EVALUATOR_TAG, evaluation.spec.flow_name)] = evaluation
    return JudgedRun(arm=run.spec.arm or run.spec.name, run=run, evaluations=evaluations)


def collect_run(workspace: Workspace, judged: JudgedRun, line_id: str | None) -> Collected:
    """Read one judged run.

    Args:
        workspace: For the store.
        judged: The run and its evaluations.
        line_id: Data column that identifies a line; ``None`` means the line number.

    Raises:
        UsageError: D403 when the data has no such column, or is gone and not kept, G902 when its ids are not unique.
    """
    ids = _line_ids(workspace, judged.run, line_id)
    scores: dict[int, dict[str, Any]] = {}
    costs: dict[int, dict[str, float | None]] = {}
    errors: dict[int, dict[str, str]] = {}
    for evaluator, evaluation in judged.evaluations.items():
        for item in workspace.store.read_outcomes(evaluation.spec.name):
            number, usage, problem = item.line_number, item.whole_usage, item.problem
            costs.setdefault(number, {})[evaluator] = usage.cost_usd if usage.calls else 0.0
            if problem is not None:
                text = f"{problem.code} {problem.name}: {problem.what}"
                errors.setdefault(number, {})[evaluator] = text
            found = scores.setdefault(number, {})
            for name, value in item.outputs.items() if item.status == COMPLETED else ():
                found[f"{evaluator}.{name}"] = value
                found.setdefault(name, value)
    lines = tuple(
        CollectedLine(
            line_id=ids.get(item.line_number, str(item.line_number)),
            result=item,
            scores=scores.get(item.line_number, {}),
            costs=costs.get(item.line_number, {}),
            errors=errors.get(item.line_number, {}),
        )
        for item in workspace.store.read_lines(judged.run.spec.name)
    )
    return Collected(judged=judged, lines=lines)


def find_reference(workspace: Workspace, judged: JudgedRun, line_number: int) -> str:
    """What the first evaluator that was given anything from the data was given for a line; empty where none was."""
    for evaluation in judged.evaluations.values():
        given = [
            name
            for name, text in evaluation.spec.column_mapping.items()
            if str(text).startswith("${data.") and not str(text).startswith(BASELINE_COLUMN)
        ]
        line = workspace.store.read_line(evaluation.spec.name, line_number) if given else None
        shown = [f"{line.inputs[name]}" for name in given if name in line.inputs] if line else []
        if shown:
            return "; ".join(shown)
    return ""


def _line_ids(workspace: Workspace, run: Run, line_id: str | None) -> dict[int, str]:
    if line_id is None:
        return {}
    dataset = known_dataset(workspace, run.spec, f"column {line_id!r}")
    if line_id not in dataset.columns:
        what = f"The data of run {run.spec.name!r} has no column {line_id!r} to tell its lines apart"
        raise UsageError(
            Problem(code="D403", what=what, fix="Leave line_id away to pair lines by their number.")
        )
    twins = find_twins(dataset, line_id)
    if twins is not None:
        raise UsageError(twins)
    return line_names(dataset, line_id)


def score_names(collected: Sequence[Collected]) -> tuple[str, ...]:
    """Every score that at least one line has as a number, in order of first appearance.

    Where no output is a number, every one that is a word with a value, such as "Correct", or a number as text.
    """
    return _names_of(collected, (bool, int, float)) or _names_of(collected, str)


def _names_of(collected: Sequence[Collected], kind: type | tuple[type, ...]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for item in collected:
        for line in item.lines:
            names.update(
                (name, None)
                for name, value in line.scores.items()
                if name not in names
                and isinstance(value, kind)
                and not name.endswith(_BESIDE)
                and as_score(value) is not None
                and "." not in name
                and not _is_raw_grade(name, line.scores)
            )
    return tuple(names)


def _is_raw_grade(name: str, scores: Mapping[str, Any]) -> bool:
    """Whether a number is the grade that a judge's score was made of, which says the same in another unit."""
    metric = name.removesuffix("_grade")
    return metric != name and f"{metric}_judgements" in scores


def as_score(value: Any) -> float | None:
    """A score as a number.

    Truth values count as 1 and 0, and so do words such as "Correct" and "fail"; a text that is a number counts as that
    number. Anything else is missing.
    """
    try:
        if isinstance(value, (bool, int, float)):
            return float(value)
    except OverflowError:  # an integer beyond every float
        return None
    if not isinstance(value, str):
        return None
    word = value.strip()
    return float(word) if _NUMBER.fullmatch(word) else WORD_VALUES.get(word.lower())


def evaluators_of(item: Collected, metrics: Sequence[str]) -> dict[str, str]:
    """Metric to the evaluator that gives it: the first that has an output of its name on some line."""
    found: dict[str, str] = {}
    for metric in metrics:
        evaluator, dot, _ = metric.partition(".")
        if dot and evaluator in item.judged.evaluations:
            found[metric] = evaluator
            continue
        for candidate in item.judged.evaluations:
            if any(f"{candidate}.{metric}" in line.scores for line in item.lines):
                found[metric] = candidate
                break
    return found


def read_score(line: CollectedLine, metric: str, evaluator: str | None) -> Score:
    """What an evaluator says about one answer: a score that is no number is none, and never zero."""
    label, reason = (line.scores.get(f"{metric}_{name}") for name in ("label", "reason"))
    value = line.scores.get(metric)
    if label is None and isinstance(value, str):
        label = value
    return Score(
        value=as_score(value),
        label=None if label is None else str(label),
        reason=None if reason is None else str(reason),
        cost_usd=line.costs.get(evaluator) if evaluator is not None else None,
        error=line.errors.get(evaluator) if evaluator is not None else None,
    )


def make_arm_lines(collected: Sequence[Collected], metrics: Sequence[str]) -> tuple[ArmLines, ...]:
    """Observations by arm and line id; several runs of one arm are repeats."""
    arms: dict[str, dict[str, list[LineObservation]]] = {}
    axes: dict[str, tuple[str | None, str | None]] = {}
    for item in collected:
        lines = arms.setdefault(item.judged.arm, {})
        axes.setdefault(item.judged.arm, _axes(item.judged.run))
        free = _cost_without_calls(item)
        for line in item.lines:
            result = line.result
            usage = result.whole_usage  # an arm is what it takes by itself, whoever had asked before
            lines.setdefault(line.line_id, []).append(
                LineObservation(
                    scores={name: as_score(line.scores.get(name)) for name in metrics},
                    is_failed=result.status != COMPLETED,
                    duration_ms=result.whole_duration_ms,
                    prompt_tokens=usage.prompt_tokens,
                    completion_tokens=usage.completion_tokens,
                    cost_usd=usage.cost_usd if usage.calls else free,
                )
            )
    return tuple(
        ArmLines(
            arm=arm,
            lines={key: tuple(found) for key, found in lines.items()},
            variant=axes[arm][0],
            model=axes[arm][1],
        )
        for arm, lines in arms.items()
    )


def _axes(run: Run) -> tuple[str | None, str | None]:
    """Names of the variant and of the model that a run's arm is made of."""
    model = run.spec.chosen_model.name if run.spec.chosen_model else None
    if run.spec.variant is None or run.spec.arm in (None, model):
        return run.spec.variant, model
    return run.spec.arm.removesuffix(f"/{model}") if run.spec.arm else None, model


def _cost_without_calls(item: Collected) -> float | None:
    """Nothing, where no model is asked or prices are known; a failed call of an unpriced model stays unknown."""
    is_priced = any(line.result.whole_usage.cost_usd is not None for line in item.lines)
    return 0.0 if is_priced or item.judged.run.spec.model is None else None
