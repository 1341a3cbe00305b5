"""The quality of both engines' answers on one metric: scored by one evaluator, and tested for being no worse."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headrace.domain.certificate import Answer, FlowQuality
from headrace.domain.evaluation import Experiment
from headrace.domain.run import COMPLETED, FAILED, LineResult, Run, RunSpec
from headrace.domain.scores import ArmLines, MetricSpec
from headrace.errors import HeadraceError, Problem, UsageError
from headrace.evaluation.comparison import compare
from headrace.evaluation.evidence import margin_test
from headrace.evaluation.quality_plan import ALPHA, Design, Pair, lines_needed, plan_quality
from headrace.evaluation.stats.repeats import spread
from headrace.formats.experiment_evaluators import parse_evaluator
from headrace.operations.check_experiment import unknown_metric
from headrace.operations.collect_scores import JudgedRun, collect_run, make_arm_lines, score_names
from headrace.operations.compare_runs import evaluate_run
from headrace.operations.evaluator_flows import Offer, as_flow
from headrace.operations.line_runners import HERE
from headrace.operations.workspace import Workspace

OURS, THEIRS = "headrace", "promptflow"
PILOT_LINES, PILOT_REPEATS = 10, 3

Answers = Sequence[Sequence[Answer]]
"""Per line one answer per repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRequest:
    """What is to be shown of the answers.

    Attributes:
        metric: With its margin and direction.
        evaluator: Path of an evaluation flow, ``file.py:name``, ``module:name`` or a built-in one.
        folder: Where relative paths begin.
        column_mapping: Where the inputs of the evaluator come from.
        is_planned: Lines and repeats are planned from a trial.
    """

    metric: MetricSpec
    evaluator: str
    folder: Path
    column_mapping: Mapping[str, str] = field(default_factory=dict)
    is_planned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredFlow:
    """One flow with the answers of both sides.

    Attributes:
        path: The flow's file, of which an evaluator may ask what its outputs are.
        rows: The columns of each line's data, references among them.
        inputs: What the flow was called with.
    """

    name: str
    path: Path
    rows: Sequence[Mapping[str, Any]]
    inputs: Sequence[Mapping[str, Any]]
    ours: Answers
    theirs: Answers


def plan(workspace: Workspace, request: QualityRequest, trial: AnsweredFlow, n_available: int) -> Design:
    """Lines and repeats that would do, from the answers of a trial.

    Raises:
        UsageError: G902 when the trial has scores of fewer than two lines, G901 for an unknown metric.
        DefinitionError: The evaluator cannot be run over the answers.
    """
    scores = _score(workspace, request, trial)
    design = plan_quality(
        _pairs(scores, request.metric), request.metric.margin or 0.0, n_available=n_available
    )
    if design is None:
        what = (
            f"The trial has no {request.metric.name} of both sides on two lines, so nothing can be planned."
        )
        answers = (answer for line in (*trial.ours, *trial.theirs) for answer in line)
        failure = next((answer.error for answer in answers if answer.error), None)
        if failure is not None:
            what += f" An answer failed: {failure.splitlines()[0]}"
        raise UsageError(Problem(code="G902", what=what, fix="Give --lines and --repeats."))
    return design


def judge_quality(
    workspace: Workspace, request: QualityRequest, flow: AnsweredFlow, repeats: int
) -> FlowQuality:
    """Score the answers of both sides and test whether ours are no worse.

    Lines are paired, repeats averaged first; an answer that failed counts as the worst score where the metric has one.
    What keeps the evaluator from being run is said in the result.
    """
    metric = request.metric
    told = replace(
        untried(request, ""),
        repeats=repeats,
        n_failed_ours=_n_failed(flow.ours),
        n_failed_theirs=_n_failed(flow.theirs),
    )
    try:
        scores = _score(workspace, request, flow)
    except HeadraceError as error:
        return replace(told, reason=error.problems[0].headline())
    # The interval of a comparison is two-sided, and each of its margin tests spends half of its error rate.
    comparison = compare(scores, baseline=THEIRS, metrics=[metric], alpha=2 * ALPHA)
    found = comparison.metrics[0]
    effect = found.effect_of(OURS)
    test = margin_test(effect, "non-inferior") if effect is not None else None
    if effect is None or test is None or effect.difference is None:
        return replace(told, word="not shown", reason=effect.verdict.reason if effect else "")
    means = {score.arm: score.mean.value for score in found.scores if score.mean is not None}
    is_shown = effect.verdict.is_judged and test.holds
    return replace(
        told,
        word="no worse" if is_shown else "not shown",
        n_lines=effect.n_pairs,
        ours=means.get(OURS),
        theirs=means.get(THEIRS),
        difference=effect.difference.value,
        bound=test.bound,
        p=test.p_raw,
        n_needed=None if is_shown else _needed(_pairs(scores, metric), metric),
        reason="" if effect.verdict.is_judged else effect.verdict.reason,
    )


def untried(request: QualityRequest, reason: str) -> FlowQuality:
    """What is said where nothing could be tested."""
    return FlowQuality(
        metric=request.metric.name,
        evaluator=request.evaluator,
        margin=request.metric.margin or 0.0,
        word="not tried",
        is_planned=request.is_planned,
        reason=reason,
    )


def _needed(pairs: Sequence[Pair], metric: MetricSpec) -> int | None:
    found = spread(pairs)
    if found is None:
        return None
    n_repeats = max(len(ours) for ours, _ in pairs)
    variance = found.between_lines + (found.within_lines or 0.0) / n_repeats
    return lines_needed(pairs, metric.margin or 0.0, variance)


def _score(workspace: Workspace, request: QualityRequest, flow: AnsweredFlow) -> tuple[ArmLines, ...]:
    """Scores of both sides by line."""
    scratch = workspace.keeping_nothing()
    named = parse_evaluator(request.evaluator, request.folder, request.column_mapping)
    evaluator = as_flow(scratch, named, _offer(flow))
    with TemporaryDirectory(prefix="headrace-quality-") as name:
        data = Path(name) / "data.jsonl"
        rows = (json.dumps(dict(row), ensure_ascii=False, default=str) for row in flow.rows)
        data.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        experiment = Experiment(
            name=flow.name,
            flow_path=str(flow.path),
            data_path=str(data),
            column_mapping={},
            arms=(),
            baseline=THEIRS,
            evaluators=(evaluator,),
            metrics=(request.metric,),
        )
        collected = []
        for arm, answers in ((OURS, flow.ours), (THEIRS, flow.theirs)):
            for repeat in range(max(map(len, answers), default=0)):
                run = _record(scratch, flow, arm, repeat, [line[repeat] for line in answers], data)
                evaluations = {}
                if run.n_completed:
                    evaluations[evaluator.name] = evaluate_run(
                        scratch, experiment, evaluator, run, flow.name, None, None, HERE
                    )
                judged = JudgedRun(arm=arm, run=run, evaluations=evaluations)
                collected.append(collect_run(scratch, judged, None))
    known = score_names(collected)
    if known and request.metric.name not in known:
        raise UsageError(unknown_metric(request.metric.name, known))
    return make_arm_lines(collected, [request.metric.name])


def _offer(flow: AnsweredFlow) -> Offer:
    """What the inputs of an evaluator may be."""
    answers = (answer.outputs or {} for line in (*flow.ours, *flow.theirs) for answer in line)
    outputs = dict.fromkeys(name for found in answers for name in found)
    return Offer(
        outputs=tuple(outputs), columns=tuple(dict.fromkeys(name for row in flow.rows for name in row))
    )


def _record(
    workspace: Workspace, flow: AnsweredFlow, arm: str, repeat: int, answers: Sequence[Answer], data: Path
) -> Run:
    """Answers as a run, so that they are evaluated like one."""
    name = f"{arm}_{repeat}"
    spec = RunSpec(
        name=name,
        flow_path=str(flow.path),
        flow_name=flow.name,
        flow_digest="",
        data_path=str(data),
        arm=arm,
        repeat=repeat,
    )
    workspace.store.create_run(spec, n_lines=len(answers), created_at=workspace.now())
    results = [
        _line(number, inputs, answer)
        for number, (inputs, answer) in enumerate(zip(flow.inputs, answers, strict=True))
    ]
    workspace.store.append_lines(name, results)
    return workspace.store.finish_run(name, status=COMPLETED, finished_at=workspace.now(), metrics={})


def _line(number: int, inputs: Mapping[str, Any], answer: Answer) -> LineResult:
    if answer.outputs is not None:
        return LineResult(line_number=number, status=COMPLETED, inputs=inputs, outputs=answer.outputs)
    problem = Problem(code="E601", what=(answer.error or "The line failed.").splitlines()[0])
    return LineResult(line_number=number, status=FAILED, inputs=inputs, problem=problem)


def _pairs(scores: Sequence[ArmLines], metric: MetricSpec) -> list[Pair]:
    """Usable scores of every line that both sides have; a failed answer has none here."""
    by_arm = {item.arm: item.lines for item in scores}
    ours, theirs = by_arm[OURS], by_arm[THEIRS]
    pairs = [(_usable(found, metric), _usable(theirs.get(line, ()), metric)) for line, found in ours.items()]
    return [pair for pair in pairs if pair[0] and pair[1]]


def _usable(observations: Sequence[Any], metric: MetricSpec) -> list[float]:
    found = (item.scores.get(metric.name) for item in observations if not item.is_failed)
    return [value for value in found if value is not None and value == value]


def _n_failed(answers: Answers) -> int:
    return sum(answer.outputs is None for line in answers for answer in line)
