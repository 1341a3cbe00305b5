"""Ask a comparison the questions of a gate: which arm, against which, by which margin, and what the lines say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, get_args

from headrace.domain.comparison import Comparison
from headrace.domain.evaluation import Experiment
from headrace.domain.gate import QUANTITIES, GateOutcome, GateResult, GateSpec, GateTest, gate_outcome
from headrace.domain.scores import ArmLines, MetricSpec
from headrace.errors import Problem, UsageError, nearest
from headrace.evaluation.comparison import compare
from headrace.evaluation.gate import is_quantity, judge_gate
from headrace.formats.paths import is_file
from headrace.formats.shape import is_number
from headrace.operations.chosen_lines import refuse_chosen_data, refuse_chosen_lines
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.find_effects import (
    arm_names,
    choose_arms,
    compared_by,
    find_metric,
    known_arm,
    no_metric,
)
from headrace.operations.gate_baselines import (
    asked_arm,
    baseline_arms,
    baseline_sentence,
    named_baseline,
    sought_by_result,
)
from headrace.operations.named_versions import recorded_versions
from headrace.operations.recorded_gates import gates_of
from headrace.operations.stored_comparison import StoredArms, read_stored_arms, recorded_arms
from headrace.operations.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """What came of a gate.

    Attributes:
        results: One per question, in order.
        comparison: The comparison that was asked.
    """

    results: tuple[GateResult, ...]
    comparison: ComparisonResult

    @property
    def outcome(self) -> GateOutcome:
        """What all answers come to."""
        return gate_outcome(self.results)


def default_gate(
    metrics: Sequence[MetricSpec],
    *,
    metric: str | None = None,
    test: GateTest | None = None,
    margin: float | None = None,
    limit: float | None = None,
    arm: str | None = None,
    against: str | None = None,
) -> GateSpec:
    """The question that the arguments ask; what they leave open is as the metric says.

    Args:
        metrics: The scores that are compared, at least one.
        metric: ``None`` for the first.
        test: ``None`` for "budget" where there is a limit, "guardrail" for cost, latency, tokens and failures,
            "non_inferiority" where there is a margin, else the goal of the metric.
        margin: As in :class:`~headrace.domain.gate.GateSpec`, like all others.
        limit: See there.
        arm: See there.
        against: See there.

    Raises:
        UsageError: G901 for a metric that is not among ``metrics``.
    """
    names = [spec.name for spec in metrics]
    name = metric or names[0]
    found = next((spec for spec in metrics if spec.name == name), None)
    if found is None and name not in QUANTITIES:
        raise no_metric(name, names)
    if test is None and limit is not None:
        test = "budget"
    elif test is None and found is None:
        test = "guardrail"
    elif test is None and margin is not None:
        test = "non_inferiority"
    elif test is None and found is not None:
        test = found.goal
    return GateSpec(
        metric=name, test=test or "superiority", margin=margin, limit=limit, arm=arm, against=against
    )


def choose_questions(
    metrics: Sequence[MetricSpec], gates: Sequence[GateSpec], asked: Mapping[str, Any]
) -> tuple[GateSpec, ...]:
    """The question that was asked beside an experiment, else those of the experiment, else that of its first metric.

    ``arm`` and ``against`` alone ask nothing: they say of whom the experiment's questions are asked.

    Args:
        metrics: The scores that are compared, at least one.
        gates: The questions of the experiment.
        asked: Arguments of :func:`default_gate`; ``None`` where they are left open.

    Raises:
        UsageError: G901 for a metric that is not among ``metrics``.
    """
    if not gates or any(asked.get(name) is not None for name in ("metric", "test", "margin", "limit")):
        return (default_gate(metrics, **asked),)
    whom = {name: asked[name] for name in ("arm", "against") if asked.get(name) is not None}
    return tuple(replace(gate, **whom) for gate in gates)


def check_questions(workspace: Workspace | None, experiment: Experiment, specs: Sequence[GateSpec]) -> None:
    """Find what is wrong with the questions before the experiment runs, as far as that can be known.

    Raises:
        UsageError: As :func:`gate_comparison`.
    """
    refuse_chosen_data(experiment)
    names = [arm.name for arm in experiment.arms]
    metrics = {metric.name: metric for metric in experiment.metrics}
    for spec in specs:
        try:
            check_gate(spec)
            if spec.against is not None and spec.against not in names:
                _check_outside(workspace, experiment, names, spec)
            elif spec.test == "budget" and spec.arm is not None:
                known_arm(spec.arm, names)
            else:
                choose_arms(names, experiment.baseline, spec.arm, spec.against)
            if metrics:
                _settled_margin(spec, metrics)
        except UsageError as error:
            raise _placed(experiment, spec, error) from None


def _placed(experiment: Experiment, spec: GateSpec, error: UsageError) -> UsageError:
    """The error at the question in the experiment file, unless it was asked otherwise than the file does."""
    if not any(
        (item.pointer, item.arm, item.against) == (spec.pointer, spec.arm, spec.against)
        for item in gates_of(experiment)
    ):
        return error
    keys = {"V305": "arm", "G901": "metric", "G961": "against", "G963": "against"}
    return UsageError(
        *(
            replace(item, span=item.span or experiment.place(*spec.pointer, keys.get(item.code, "test")))
            for item in error.problems
        )
    )


def _check_outside(
    workspace: Workspace | None, experiment: Experiment, names: Sequence[str], spec: GateSpec
) -> None:
    source = str(spec.against).partition("#")[0]
    if workspace is not None and named_baseline(workspace, source, {}) is not None:
        asked_arm(names, experiment.baseline, spec.arm)
        return
    stored, wanted = _find_stored(workspace, names, str(spec.against))
    stored.find(wanted or stored.baseline)
    _outside_arm(names, stored, spec, wanted)


def gate_comparison(
    workspace: Workspace | None, result: ComparisonResult, specs: Sequence[GateSpec], file: str | None = None
) -> GateReport:
    """Answer every question.

    Args:
        workspace: For experiments in its store that arms are compared with; ``None`` where there is none.
        result: The comparison.
        specs: At least one question.
        file: The experiment file that the questions stand in.

    Raises:
        UsageError: G961 for a question without anything to compare with, G962 and G903 for one that cannot be answered,
            G963 for a stored comparison that cannot be used, G966 and S832 for a version or branch likewise, G964 for
            lines that were used to choose, G901, V305 and C507 for metrics and arms that are not there or not clear.
    """
    if not specs:
        fix = "Name a metric, or write gates into the experiment file."
        raise UsageError(Problem(code="G962", what="This gate asks nothing.", fix=fix))
    refuse_chosen_lines(result.collected, workspace)
    return GateReport(results=tuple(_answer(workspace, result, spec) for spec in specs), comparison=result)


def check_gate(spec: GateSpec) -> None:
    """Refuse a question that makes no sense whatever the data.

    Raises:
        UsageError: G962, or G903 for a margin that is no distance.
    """
    is_budget = spec.test == "budget"
    complaints = (
        (spec.test not in get_args(GateTest), f'There is no test "{spec.test}"',
         f"Tests: {', '.join(get_args(GateTest))}."),
        (is_budget and spec.limit is None, f"The budget for {spec.metric} has no limit",
         "Give the value that must be kept."),
        # A caller in Python may give anything.
        (not _is_none_or_number(spec.margin), f"The margin for {spec.metric} is no number", "Give a number."),
        (not _is_none_or_number(spec.limit), f"The limit for {spec.metric} is no number", "Give a number."),
        (is_budget and spec.margin is not None, f"The budget for {spec.metric} has a margin", "Give a limit only."),
        (not is_budget and spec.limit is not None,
         f"A limit is given for {spec.metric}, which belongs to a budget", "Give a margin."),
    )  # fmt: skip
    for is_true, what, fix in complaints:
        if is_true:
            raise _senseless(what, fix)
    if spec.margin is not None and not 0.0 <= spec.margin < inf:
        what = f"The margin for {spec.metric} is a distance, so it cannot be below zero."
        raise UsageError(Problem(code="G903", what=what, fix="Give a number above zero."))


def _is_none_or_number(value: object) -> bool:
    return value is None or is_number(value)


def _answer(workspace: Workspace | None, result: ComparisonResult, spec: GateSpec) -> GateResult:
    check_gate(spec)
    names = arm_names(result.comparison)
    if spec.against is not None and spec.against not in names:
        return _answer_outside(workspace, result, spec)
    if len(names) == 1 and spec.against is None:
        spec = replace(spec, arm=spec.arm or names[0])
    if spec.test == "budget" and spec.arm is not None:
        return judge_gate(result.comparison, _settled(result, spec, known_arm(spec.arm, names)))
    if len(names) == 1:
        what = f"{names[0]} stands alone, so there is nothing to compare it with."
        fix = "Say with what: --against VERSION, BRANCH, FILE.json or EXPERIMENT_ID; or name another run beside it."
        raise UsageError(Problem(code="G961", what=what, fix=fix))
    arm, baseline = choose_arms(names, result.comparison.baseline, spec.arm, spec.against)
    settled = _settled(result, spec, arm)
    against = None if spec.test == "budget" else baseline
    return judge_gate(_compared(result, settled, baseline), replace(settled, against=against))


def _compared(result: ComparisonResult, spec: GateSpec, baseline: str) -> Comparison:
    if not is_quantity(spec, result.comparison):
        metric = find_metric(result.comparison, spec.metric).spec
        return compared_by(result, metric, spec.margin or metric.margin, baseline)
    if baseline == result.comparison.baseline:
        return result.comparison
    alpha = result.comparison.provenance.alpha
    return compare(result.arms, baseline=baseline, metrics=[], alpha=alpha)


def _settled(result: ComparisonResult, spec: GateSpec, arm: str) -> GateSpec:
    """The question with its arm and margin.

    Raises:
        UsageError: G901, G962 or G903.
    """
    metrics = {metric.spec.name: metric.spec for metric in result.comparison.metrics}
    return replace(spec, arm=arm, margin=_settled_margin(spec, metrics))


def _settled_margin(spec: GateSpec, metrics: Mapping[str, MetricSpec]) -> float | None:
    if spec.metric not in metrics:
        if spec.metric not in QUANTITIES:
            raise no_metric(spec.metric, tuple(metrics))
        if spec.test not in ("guardrail", "budget"):
            what = f"{spec.metric.capitalize()} is no score, so nothing is shown about it by {spec.test}"
            raise _senseless(what, "Ask for a guardrail or a budget.")
        return spec.margin
    margin = spec.margin
    if spec.test in ("non_inferiority", "equivalence", "guardrail"):
        margin = margin if margin is not None else metrics[spec.metric].margin
    if spec.test in ("non_inferiority", "equivalence") and not margin:
        what = f"The gate asks about {spec.metric} by {spec.test}, and there is no margin above zero."
        fix = "Give the largest difference that does not matter: --margin, or margin in the experiment file."
        raise UsageError(Problem(code="G903", what=what, fix=fix))
    return margin


def _answer_outside(workspace: Workspace | None, result: ComparisonResult, spec: GateSpec) -> GateResult:
    """Answer a question about an arm of this comparison against one of another."""
    names = arm_names(result.comparison)
    stored = _named_arms(workspace, result, spec)
    if stored is None:
        stored, wanted = _find_stored(workspace, names, str(spec.against))
        arm, same = _outside_arm(names, stored, spec, wanted)
    else:
        arm, same = asked_arm(names, result.comparison.baseline, spec.arm), stored.baseline
    settled = _settled(result, spec, arm)
    known = [] if is_quantity(spec, result.comparison) else [find_metric(result.comparison, spec.metric).spec]
    _check_stored(result, stored, settled, [metric.name for metric in known])
    theirs = replace(stored.find(same), arm=f"{same}@{stored.source}")
    ours = next(item for item in result.arms if item.arm == arm)
    _check_common(ours, theirs)
    provenance = result.comparison.provenance
    comparison = compare(
        (theirs, ours),
        baseline=theirs.arm,
        metrics=[replace(metric, margin=settled.margin or metric.margin) for metric in known],
        alpha=provenance.alpha,
        seed=provenance.seed,
        facts=result.facts,
    )
    answer = judge_gate(comparison, replace(settled, against=theirs.arm))
    if stored.made is None:
        return answer
    return replace(
        answer, baseline=stored.made, evidence=f"{answer.evidence} {baseline_sentence(stored.made)}"
    )


def _named_arms(workspace: Workspace | None, result: ComparisonResult, spec: GateSpec) -> StoredArms | None:
    """What a version or a branch has scored; ``None`` where the question names something else."""
    source, _, wanted = str(spec.against).partition("#")
    if workspace is None or not result.runs:
        return None
    baseline = named_baseline(workspace, source, recorded_versions(result.runs[0].spec.judgement))
    if baseline is None:
        return None
    arm = asked_arm(arm_names(result.comparison), result.comparison.baseline, spec.arm)
    return baseline_arms(workspace, baseline, sought_by_result(result, arm, wanted or None), result)


def _outside_arm(
    names: Sequence[str], stored: StoredArms, spec: GateSpec, wanted: str | None
) -> tuple[str, str]:
    """The arm that is asked about, and the one of the other comparison: of the same name where none is named.

    Raises:
        UsageError: V305 for an arm that is not there, C507 where it is not clear which is asked about.
    """
    theirs = [arm.arm for arm in stored.arms]
    same = wanted or (spec.arm if spec.arm in theirs else None) or stored.baseline
    arm = spec.arm or (same if same in names else names[0] if len(names) == 1 else None)
    if arm is None:
        what = f"It is not clear which arm is compared with {same} of {stored.source}."
        raise UsageError(Problem(code="C507", what=what, fix=f"Say which arm, one of {', '.join(names)}."))
    return known_arm(arm, names), same


def _check_common(ours: ArmLines, theirs: ArmLines) -> None:
    if not ours.lines.keys() & theirs.lines.keys():
        what = f"{theirs.arm} and {ours.arm} have no line in common."
        raise UsageError(Problem(code="G963", what=what, fix="Compare answers to the same lines."))


def _find_stored(
    workspace: Workspace | None, names: Sequence[str], text: str
) -> tuple[StoredArms, str | None]:
    """The comparison that a text names, ``#ARM`` behind it left away, and that arm."""
    source, _, arm = text.partition("#")
    if is_file(Path(source)) or source.endswith(".json"):
        return read_stored_arms(Path(source)), arm or None
    if workspace is not None and workspace.store.list_runs(experiment=source):
        return recorded_arms(workspace, source), arm or None
    near = nearest(source, names)
    raise UsageError(
        Problem(
            code="G961",
            what=f'"{source}" is no arm of this comparison, no file, no recorded experiment, no version and no branch '
            "that was run.",
            fix=(f'Did you mean "{near}"? ' if near else "")
            + f"Name an arm ({', '.join(names)}), a file of headrace compare --output FILE.json, the id of an "
            "experiment, a version such as @prod, or a branch.",
        )
    )


def _check_stored(
    result: ComparisonResult, stored: StoredArms, spec: GateSpec, metrics: Sequence[str]
) -> None:
    if any(metric not in stored.metrics for metric in metrics):
        what = f"{stored.source} has no scores of {spec.metric}."
        raise UsageError(Problem(code="G963", what=what, fix=f"It has: {', '.join(stored.metrics)}."))
    ours = {run.spec.data_digest for run in result.runs if run.spec.data_digest}
    has_ids = any(run.spec.judgement.get("line_id") for run in result.runs)
    if ours and stored.data_digests and not has_ids and not ours & stored.data_digests:
        what = f"{stored.source} is about other data, so its lines do not pair by their numbers."
        fix = "Run both over the same data, or name the column that identifies a line: line_id."
        raise UsageError(Problem(code="G963", what=what, fix=fix))
    for metric in result.comparison.metrics:
        theirs = stored.judges.get(metric.spec.name)
        if metric.spec.name in metrics and metric.judge and theirs and theirs != metric.judge.versions:
            what = f"{metric.spec.name} of {stored.source} was graded by another version of the judge."
            raise UsageError(Problem(code="G945", what=what, fix="Judge those answers again, then compare."))


def _senseless(what: str, fix: str) -> UsageError:
    return UsageError(Problem(code="G962", what=f"{what}.", fix=fix))
