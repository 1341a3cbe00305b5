"""Compare runs that exist: those of an experiment, or any that are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Any

from headrace.domain.comparison import Comparison, Family, Recommendation
from headrace.domain.evaluation import EvaluatorSpec, Experiment
from headrace.domain.flow import FlowOutput
from headrace.domain.report import LineMatrix, ReportContext
from headrace.domain.run import CANCELED, COMPLETED, Run
from headrace.domain.score_record import ScoreRecord
from headrace.domain.scores import ArmLines, HumanLabel, LineFacts, MetricSpec
from headrace.engine.events import OnEvent
from headrace.engine.spending import Spending
from headrace.errors import DefinitionError, ExecutionError, Problem, UsageError
from headrace.evaluation import wording
from headrace.evaluation.comparison import compare
from headrace.evaluation.guardrails import guarded_metrics
from headrace.formats.arms import unknown_baseline
from headrace.formats.flow_file import load_flow
from headrace.operations.arm_requests import ArmRuns
from headrace.operations.check_experiment import unknown_metric
from headrace.operations.chosen_lines import chosen_note
from headrace.operations.collect_report import (
    make_graph,
    make_matrix,
    make_run_facts,
    make_samples,
    versions_now,
)
from headrace.operations.collect_scores import (
    Collected,
    JudgedRun,
    collect_run,
    judged_run,
    make_arm_lines,
    score_names,
)
from headrace.operations.compare_arguments import asked_options
from headrace.operations.endpoint_versions import endpoint_note
from headrace.operations.find_experiment import newest_named
from headrace.operations.judge_versions import check_judge_versions
from headrace.operations.line_facts import collect_column_labels, collect_facts
from headrace.operations.line_runners import Where
from headrace.operations.measure_judges import measure_judges, stored_labels
from headrace.operations.missing_scores import explain_missing, no_scores
from headrace.operations.named_versions import moved_tags, recorded_versions
from headrace.operations.race_outcome import with_race
from headrace.operations.recorded_data import known_dataset
from headrace.operations.recorded_judgement import (
    asked_metrics,
    recorded_guardrails,
    shared_judgement,
    with_factors,
)
from headrace.operations.run_batch import create_run
from headrace.operations.workspace import Workspace

BASELINE_NOTE = (
    "the embedded baseline: a deterministic, non-neural reader that extracts spans and copies the nearest example. "
    "It is not a language model; it shows what no model at all would have scored."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """A comparison with what a report says beside it.

    Attributes:
        experiment: Id to compare the same runs again; ``None`` for runs named one by one.
        runs: The arms' runs, without the evaluation runs.
        n_failed: Lines that failed in any arm or evaluation.
        arms: What was compared, so that another question can be asked of it.
        facts: What is known of a line whatever the arm, by its id.
        collected: Lines with everything that was said of them; empty for scores that were given.
        given: Scores that were given; empty for those of runs.
    """

    comparison: Comparison
    recommendation: Recommendation
    context: ReportContext
    runs: tuple[Run, ...]
    n_failed: int
    experiment: str | None
    arms: tuple[ArmLines, ...] = ()
    facts: Mapping[str, LineFacts] = field(default_factory=dict)
    collected: tuple[Collected, ...] = ()
    given: tuple[ScoreRecord, ...] = ()


def evaluate_run(
    workspace: Workspace,
    experiment: Experiment,
    evaluator: EvaluatorSpec,
    run: Run,
    experiment_id: str,
    on_event: OnEvent | None,
    spending: Spending | None,
    where: Where,
) -> Run:
    """Run one evaluator of an experiment over a run of one of its arms.

    Raises:
        DefinitionError: The evaluator cannot be run, or its inputs cannot be found.
        ExecutionError: It was stopped at a limit.
    """
    runs = ArmRuns(experiment=experiment, experiment_id=experiment_id, spending=spending, where=where)
    found = create_run(workspace, runs.evaluation_request(workspace, evaluator, run.spec), on_event)
    if found.status == CANCELED and found.problem is not None:
        raise ExecutionError(found.problem)
    return found


def compare_experiment_again(
    workspace: Workspace, experiment: str, *, baseline: str | None = None
) -> ComparisonResult:
    """Compare the recorded runs of an experiment once more; nothing is run. Tags that moved since are warned of.

    Args:
        workspace: For the store.
        experiment: Its id, or a name, of which the newest is meant.
        baseline: Compare with this arm in place of the baseline of the experiment.

    Raises:
        UsageError: S801 when no run belongs to the experiment, V305 when it has no such baseline.
    """
    runs = workspace.store.list_runs(experiment=experiment)
    if not runs:
        named = newest_named(workspace.store.list_experiments(), experiment)
        experiment = experiment if named is None else named.id
        runs = workspace.store.list_runs(experiment=experiment)
    arms = [run for run in reversed(runs) if run.spec.source_run is None]
    if not arms:
        raise UsageError(
            Problem(
                code="S801",
                what=f"No run belongs to an experiment {experiment!r}.",
                fix="headrace experiment list shows all; run list shows the experiment of every run.",
            )
        )
    judged = [judged_run(workspace, run) for run in arms]
    judgement = {"name": experiment, "baseline": judged[0].arm, **arms[0].spec.judgement}
    if baseline is not None:
        _check_baseline(judged, baseline, experiment)
        judgement["baseline"] = baseline
    workspace.warn(moved_tags(workspace, recorded_versions(judgement)))
    return compare_judged(workspace, judged, judgement, experiment)


def _check_baseline(judged: Sequence[JudgedRun], baseline: str, experiment_id: str) -> None:
    names = list(dict.fromkeys(item.arm for item in judged))
    if baseline not in names:
        what = f'The experiment {experiment_id!r} has no arm "{baseline}" to compare with.'
        raise UsageError(Problem(code="V305", what=what, fix=f"Its arms are: {', '.join(names)}."))


def compare_runs(
    workspace: Workspace,
    runs: Sequence[str],
    *,
    baseline: str | None = None,
    metrics: Sequence[str | MetricSpec] = (),
    alpha: float | None = None,
    cluster: str | None = None,
    slices: Sequence[str] = (),
    family: Family | None = None,
    at_least: int = 2,
) -> ComparisonResult:
    """Compare runs that exist, by the evaluation runs that were made of them; the first is the baseline.

    Runs of one experiment are judged as it says, in what is not given here.

    Args:
        workspace: For the store.
        runs: Names of at least two runs of flows, not of evaluations.
        baseline: Run or arm name of the baseline.
        metrics: Scores, the primary one first; a name alone means what the experiment says of it. All that were
            found when empty.
        alpha: Family-wise error rate.
        cluster: Column of lines that belong together.
        slices: Columns that the results are broken down by.
        family: Which comparisons are adjusted together.
        at_least: How many arms are needed; one is enough where it is set against something else afterwards.

    Raises:
        UsageError: S801 unknown run, V305 unknown baseline, G901 unknown metric, D403 unknown column; G902 fewer than
            two, no scores, or lines that do not pair.
    """
    judged = [judged_run(workspace, workspace.store.read_run(name)) for name in dict.fromkeys(runs)]
    arms = [item.arm for item in judged]
    if len(set(arms)) < len(arms):  # runs of one arm name are told apart by their run names here
        judged = [
            JudgedRun(arm=item.run.spec.name, run=item.run, evaluations=item.evaluations) for item in judged
        ]
    recorded = shared_judgement([item.run for item in judged])
    given = {"alpha": alpha, "cluster": cluster, "slices": list(slices) or None, "family": family}
    judgement = {
        **recorded,
        **{key: value for key, value in given.items() if value is not None},
        "name": "runs compared",
        "baseline": _find_baseline(judged, baseline),
        "metrics": asked_metrics(metrics, recorded.get("metrics") or []),
        "options": asked_options(
            baseline=baseline, metrics=metrics, alpha=alpha, cluster=cluster, slices=slices, family=family
        ),
    }
    return compare_judged(workspace, judged, judgement, None, at_least=at_least)


def _find_baseline(judged: Sequence[JudgedRun], wanted: str | None) -> str:
    if wanted is None:
        return judged[0].arm if judged else ""
    for item in judged:
        if wanted in (item.arm, item.run.spec.name):
            return item.arm
    raise UsageError(unknown_baseline(wanted, [item.arm for item in judged]))


def compare_judged(
    workspace: Workspace,
    judged: Sequence[JudgedRun],
    judgement: Mapping[str, Any],
    experiment_id: str | None,
    file: str | None = None,
    at_least: int = 2,
) -> ComparisonResult:
    """Compare runs, with a judgement as :class:`~headrace.domain.run.RunSpec` has it, name and baseline in it."""
    line_id = judgement.get("line_id")
    if line_id is None:
        _check_same_data(judged)
    check_judge_versions(judged)
    collected = [collect_run(workspace, item, line_id) for item in judged]
    metrics = _metrics(collected, judgement)
    guardrails = recorded_guardrails(judgement)
    names = [metric.name for metric in guarded_metrics(metrics, {item.name: item for item in guardrails})]
    arms = _arms(collected, names, judgement, at_least)
    facts, labels = _read_columns(workspace, judged, metrics, judgement)
    labels = (*labels, *stored_labels(workspace, collected, metrics))
    comparison = compare(
        arms,
        baseline=judgement["baseline"],
        metrics=metrics,
        alpha=judgement.get("alpha", 0.05),
        family=judgement.get("family", "baseline"),
        seed=judgement.get("seed", 0),
        facts=facts,
        labels=labels,
        judges=measure_judges(collected, metrics, labels),
        guardrails=guardrails,
    )
    comparison = _with_reasons(comparison, collected, names)
    comparison, recommendation, race = with_race(comparison, collected, judgement)
    commands = _commands([item.run for item in judged], experiment_id, file, judgement.get("options", ""))
    context = _context(workspace, judgement, collected, comparison, make_matrix(collected, names, facts))
    runs = tuple(item.run for item in judged)
    return ComparisonResult(
        comparison=comparison,
        recommendation=recommendation,
        context=replace(context, commands=commands, race=race),
        runs=runs,
        n_failed=sum(run.n_failed for item in judged for run in (item.run, *item.evaluations.values())),
        experiment=experiment_id,
        arms=arms,
        facts=facts,
        collected=tuple(collected),
    )


def _with_reasons(comparison: Comparison, collected: Sequence[Collected], names: Sequence[str]) -> Comparison:
    """With what must be known before anything else: lines that have chosen an arm, and why scores are missing."""
    reasons = (*chosen_note(collected), *explain_missing(collected, names))
    return replace(comparison, warnings=(*reasons, *comparison.warnings))


def _context(
    workspace: Workspace,
    judgement: Mapping[str, Any],
    collected: Sequence[Collected],
    comparison: Comparison,
    matrix: LineMatrix,
) -> ReportContext:
    """What a report says beside the numbers, but for how to make it again and what came of a race."""
    judged = [item.judged for item in collected]
    run = judged[0].run
    return ReportContext(
        title=str(judgement["name"]),
        flow=run.spec.flow_name,
        dataset=_data_label(run),
        created_at=workspace.now(),
        model_note=_notes(workspace, judgement, judged),
        sample_lines=make_samples(workspace, collected, comparison, matrix),
        metric_notes=_metric_notes(judged),
        matrix=matrix,
        graph=make_graph(collected),
        runs=make_run_facts(collected),
        versions=versions_now(),
    )


def _arms(
    collected: Sequence[Collected], names: Sequence[str], judgement: Mapping[str, Any], at_least: int
) -> tuple[ArmLines, ...]:
    arms = with_factors(make_arm_lines(collected, names), judgement)
    if len(arms) < at_least:
        fix = "Name two or more runs, variants or models."
        raise UsageError(Problem(code="G902", what="A comparison needs at least two arms.", fix=fix))
    return arms


def _read_columns(
    workspace: Workspace,
    judged: Sequence[JudgedRun],
    metrics: Sequence[MetricSpec],
    judgement: Mapping[str, Any],
) -> tuple[Mapping[str, LineFacts], tuple[HumanLabel, ...]]:
    """Clusters and slices of the lines, and what people say in columns of the data.

    Raises:
        UsageError: D403 when a column does not exist, or the data has changed; G904 when a label is no number.
    """
    cluster, slices, line_id = (judgement.get(key) for key in ("cluster", "slices", "line_id"))
    if not (cluster or slices or any(metric.labels for metric in metrics)):
        return {}, ()
    otherwise = ", or leave cluster, slices and labels away"
    datasets = {
        item.arm: known_dataset(workspace, item.run.spec, "its columns", otherwise) for item in judged
    }
    facts: dict[str, LineFacts] = {}
    for dataset in datasets.values():
        facts = {**collect_facts(dataset, line_id, cluster, slices or ()), **facts}
    return facts, collect_column_labels(datasets, metrics, line_id)


def _check_same_data(judged: Sequence[JudgedRun]) -> None:
    """Line numbers say which lines belong together only within one set of data."""
    first = judged[0].run.spec if judged else None
    for spec in (item.run.spec for item in judged):
        if first is not None and spec.data_digest != first.data_digest:
            raise UsageError(
                Problem(
                    code="G902",
                    what=f"The runs {first.name!r} and {spec.name!r} read different data, so their lines do not pair.",
                    fix="Run both over the same data, then compare.",
                )
            )


def _metrics(collected: Sequence[Collected], judgement: Mapping[str, Any]) -> tuple[MetricSpec, ...]:
    asked = judgement.get("metrics") or []
    guardrails = recorded_guardrails(judgement)
    known = score_names(collected)
    if not asked:
        asked = [{"name": name} for name in known]
    is_judged = any(item.judged.evaluations for item in collected)
    answers = (line.result.status == COMPLETED for item in collected for line in item.lines)
    if not asked or (not is_judged and any(answers)):
        raise UsageError(no_scores(collected))
    every = {name for item in collected for line in item.lines for name in line.scores}
    wanted = dict.fromkeys([*(item["name"] for item in asked), *(item.name for item in guardrails)])
    unknown = [name for name in wanted if every and name not in every]
    if unknown:
        logged = {
            name for item in collected for run in item.judged.evaluations.values() for name in run.metrics
        }
        problems = (unknown_metric(name, known, is_logged=name in logged) for name in unknown)
        raise UsageError(*(_with_failed(problem, collected) for problem in problems))
    return tuple(MetricSpec(**item) for item in asked)


def _with_failed(problem: Problem, collected: Sequence[Collected]) -> Problem:
    """A score may be missing because its evaluator has judged no line at all."""
    failed = {
        name: run.spec.name
        for item in collected
        for name, run in item.judged.evaluations.items()
        if run.n_failed and not run.n_completed
    }
    if not failed:
        return problem
    runs = " ".join(
        f"The evaluator {name} failed on every line (headrace run show-details --name {quote(run)})."
        for name, run in failed.items()
    )
    return replace(problem, fix=f"{runs} {problem.fix or ''}".strip())


def _data_label(run: Run) -> str:
    if run.spec.data_path is None:
        return f"run {run.spec.source_run}"
    path = Path(run.spec.data_path)
    return f"{path.parent.name}/{path.name} ({wording.count(run.n_lines, 'line')})"


def file_words(experiment: Experiment) -> str | None:
    """The experiment file and its environment, as ``headrace compare`` takes them."""
    if experiment.file is None:
        return None
    environment = f" --env {experiment.environment}" if experiment.environment is not None else ""
    return quote(experiment.file) + environment


def _commands(
    runs: Sequence[Run], experiment_id: str | None, file: str | None, options: str
) -> tuple[str, ...]:
    if experiment_id is None:
        return ("headrace compare " + " ".join(quote(run.spec.name) for run in runs) + options,)
    again = f"headrace compare --again {quote(experiment_id)}"
    return (f"headrace compare {file}", again) if file else (again,)


def _baseline_note(workspace: Workspace, judged: Sequence[JudgedRun]) -> str:
    """Which arms the embedded reader answered; empty when none."""
    arms = dict.fromkeys(item.arm for item in judged)
    read = dict.fromkeys(item.arm for item in judged if _uses_baseline(workspace, item.run))
    if not read:
        return ""
    whose = "Answers come" if len(read) == len(arms) else f"The answers of {', '.join(read)} come"
    return f"{whose} from {BASELINE_NOTE}"


def _notes(workspace: Workspace, judgement: Mapping[str, Any], judged: Sequence[JudgedRun]) -> str:
    """What a reader must know of the design and of what answered."""
    where = endpoint_note({item.arm: item.run.spec for item in judged})
    return " ".join(filter(None, [judgement.get("design"), _baseline_note(workspace, judged), where]))


def _uses_baseline(workspace: Workspace, run: Run) -> bool:
    names = {part.partition("/")[0] for part in (run.spec.model or "").split(", ") if part}
    found = [workspace.connections.find(name) for name in names]
    return any(connection is not None and connection.type == "baseline" for connection in found)


def _metric_notes(judged: Sequence[JudgedRun]) -> dict[str, str]:
    """What each score measures: the description of the evaluation flow's output, where the file has one."""
    notes: dict[str, str] = {}
    for item in judged:
        for evaluator, run in item.evaluations.items():
            for name, output in _outputs_now(run).items():
                notes.setdefault(
                    name, output.description or f"Output {name!r} of evaluation flow {evaluator!r}."
                )
    return notes


def _outputs_now(run: Run) -> Mapping[str, FlowOutput]:
    path = Path(run.spec.flow_path)
    try:
        return load_flow(path).outputs if path.exists() else {}
    except DefinitionError:  # the flow was changed since into something that cannot be read
        return {}
