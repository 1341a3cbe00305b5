"""Run the arms of an experiment, or go on with one that was interrupted, and compare them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote

from headrace.domain.evaluation import Experiment
from headrace.domain.recorded_experiment import RecordedExperiment
from headrace.domain.run import CANCELED, COMPLETED, FAILED, Cap, lower_cap, sum_usage
from headrace.engine.events import OnEvent
from headrace.engine.spending import Spending
from headrace.errors import ExecutionError, HeadraceError, Problem, UsageError
from headrace.evaluation.report.headline import headline
from headrace.formats.experiment import load_experiment
from headrace.formats.plain_definition import read_definition
from headrace.operations.arm_requests import ArmRuns
from headrace.operations.begin_experiment import begin_experiment, place_experiment
from headrace.operations.cache_nodes import experiment_cache
from headrace.operations.check_experiment import check_experiment, directed
from headrace.operations.collect_scores import JudgedRun
from headrace.operations.compare_runs import (
    ComparisonResult,
    compare_experiment_again,
    compare_judged,
    file_words,
)
from headrace.operations.find_experiment import (
    check_evaluators,
    check_unchanged,
    find_experiment,
    is_experiment_at_work,
    resume_command,
)
from headrace.operations.judge_flows import check_judge_prices
from headrace.operations.line_runners import HERE, Where, check_on
from headrace.operations.named_versions import settle_versions
from headrace.operations.race_arms import check_race, check_same_race, race_arms, race_judgement
from headrace.operations.recorded_judgement import judgement_of
from headrace.operations.run_arms import run_arms
from headrace.operations.run_owner import Heartbeat, new_owner
from headrace.operations.workspace import Workspace


def run_experiment(
    workspace: Workspace,
    experiment: Experiment,
    on_event: OnEvent | None = None,
    cap: Cap | None = None,
    where: Where = HERE,
    resume: str | None = None,
    rerun_of: str | None = None,
) -> ComparisonResult:
    """Run every arm over the data, evaluate each, and compare; or race, where the experiment says so.

    All arms and evaluation flows are checked, and the experiment is recorded with the versions of all that it runs,
    before the first line runs; lines run ``where`` is said.

    Args:
        workspace: For the store.
        experiment: What is run.
        on_event: Is told what happens.
        cap: What may be spent, beside what the experiment says.
        where: Where lines are run.
        resume: Go on with this experiment in place of a new one; it must judge as ``experiment`` does.
        rerun_of: The experiment that it repeats.

    Raises:
        DefinitionError: Flow, data, mapping, evaluator or metric are wrong.
        UsageError: An arm does not fit the flow, or its price is not known although the cost is limited; G951, G952 a
            race that cannot be decided; as :func:`resume_experiment`.
        ExecutionError: E609 when all runs together have spent what they may.
        KeyboardInterrupt: After it was interrupted; its note says how to go on.
        StateError: The store failed.
    """
    check_on(where.on)
    check_race(experiment)
    if resume is not None:
        request = ResumeExperiment(
            name=resume, cap=cap, environment_variables=experiment.environment_variables, asked=experiment
        )
        return resume_experiment(workspace, request, on_event, where)
    experiment = place_experiment(workspace, experiment)
    cap = lower_cap(experiment.budget, cap)
    checked = check_experiment(workspace, experiment, cap, is_recorded=rerun_of is not None)
    check_judge_prices(checked.evaluators, cap)
    judgement = race_judgement(workspace, checked, judgement_of(checked), where)
    checked = replace(checked, cache=experiment_cache(workspace, checked.cache))
    owner = new_owner()
    record = begin_experiment(workspace, experiment, checked, judgement, cap, owner, rerun_of)
    return _work(workspace, checked, record, owner, on_event, where)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeExperiment:
    """What ``headrace experiment resume`` was asked for.

    Attributes:
        name: Id or name of the experiment.
        cap: What it may spend from now on, with what it has spent already; where it says nothing, what it was begun
            with counts.
        environment_variables: Values are not recorded: those that are missing here are read from the experiment file.
        asked: The experiment that a caller believes it to be.
    """

    name: str
    cap: Cap | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    asked: Experiment | None = None


def resume_experiment(
    workspace: Workspace, request: ResumeExperiment, on_event: OnEvent | None = None, where: Where = HERE
) -> ComparisonResult:
    """Run what an experiment has not recorded yet, in the same runs and the same order, and compare.

    One that has come to its end is compared again; nothing is run.

    Raises:
        DefinitionError: As :func:`run_experiment`.
        UsageError: S816 unknown; S818 another process works on it; S819 flows, data or evaluators have changed; C507
            values of environment variables are missing; G953 it is another experiment than is asked for.
        ExecutionError, KeyboardInterrupt, StateError: As :func:`run_experiment`.
    """
    check_on(where.on)
    record = find_experiment(workspace, request.name)
    if request.asked is not None:
        _check_asked(workspace, request.asked, record, where)
    if is_experiment_at_work(workspace, record):
        what = f'Another process works on the experiment "{record.id}".'
        raise UsageError(Problem(code="S818", what=what, fix="Wait for it, or end it."))
    if record.status == COMPLETED:
        return compare_experiment_again(workspace, record.id)
    experiment = recorded_definition(record, request.environment_variables)
    check_unchanged(workspace, record)
    record = replace(record, cap=_new_cap(record.cap, request.cap))
    checked = check_experiment(workspace, experiment, record.cap, is_recorded=True)
    check_evaluators(workspace, record, checked)
    check_judge_prices(checked.evaluators, record.cap)
    owner = new_owner()
    at, seen = workspace.now(), record.heartbeat_at
    if not workspace.store.claim_experiment(record, owner=owner, at=at, seen=seen):
        what = f'Another process works on the experiment "{record.id}".'
        raise UsageError(Problem(code="S818", what=what, fix="Wait for it, or end it."))
    return _work(workspace, checked, record, owner, on_event, where)


def recorded_definition(record: RecordedExperiment, given: Mapping[str, str]) -> Experiment:
    """The experiment as it was begun, with the values of its environment variables.

    Raises:
        UsageError: C507 when such a value is neither given nor in the experiment file any more.
    """
    definition = read_definition(record.definition, {})
    values = {**_variables_in_file(definition, record), **given}
    missing = [name for name in record.environment_names if name not in values]
    if missing:
        what = f'The experiment "{record.id}" has environment variables whose values are not recorded.'
        fix = f"Give them again: --environment-variables {' '.join(f'{name}=…' for name in missing)}"
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    return replace(definition, environment_variables=values)


def _variables_in_file(definition: Experiment, record: RecordedExperiment) -> Mapping[str, str]:
    """What the experiment file says of its variables by now; nothing where it is gone."""
    if definition.file is None or not record.environment_names:
        return {}
    try:
        found = load_experiment(Path(definition.file), definition.environment).environment_variables
    except (HeadraceError, OSError):
        return {}
    return {name: value for name, value in found.items() if name in record.environment_names}


def _check_asked(workspace: Workspace, asked: Experiment, record: RecordedExperiment, where: Where) -> None:
    """Refuse to go on with another experiment than the caller believes it to be.

    Raises:
        UsageError: G953.
    """
    asked = directed(settle_versions(workspace, asked))
    judgement = race_judgement(workspace, asked, judgement_of(asked), where)
    check_same_race(record, judgement, [arm.name for arm in asked.arms])


def _new_cap(before: Cap | None, given: Cap | None) -> Cap | None:
    if before is None or given is None:
        return given or before
    return Cap(
        cost_usd=before.cost_usd if given.cost_usd is None else given.cost_usd,
        tokens=before.tokens if given.tokens is None else given.tokens,
    )


def _work(
    workspace: Workspace,
    checked: Experiment,
    record: RecordedExperiment,
    owner: str,
    on_event: OnEvent | None,
    where: Where,
) -> ComparisonResult:
    """Run what is left, compare, and close the experiment with its verdict."""
    spending = Spending(record.cap) if record.cap is not None else None
    runs = ArmRuns(
        experiment=checked,
        experiment_id=record.id,
        judgement=record.judgement,
        spending=spending,
        where=where,
        record=record,
    )
    if spending is not None:
        known = workspace.store.list_runs(experiment=record.id)
        n_lines = sum(run.n_completed + run.n_failed for run in known)
        spending.add_earlier(sum_usage(run.usage for run in known), n_lines=n_lines)
    with _at_work(workspace, record, owner) as end:
        run_all = race_arms if checked.race is not None else run_arms
        judged = run_all(workspace, runs, on_event)
        try:
            result = compare_judged(workspace, judged, record.judgement, record.id, file=file_words(checked))
        except UsageError as error:
            raise UsageError(*(_still_compared(checked, judged, item) for item in error.problems)) from error
        said = headline(result.comparison, result.recommendation)
        end.verdict = f"{said}. {result.recommendation.reason}"
        end.status = COMPLETED
    return result


def _still_compared(checked: Experiment, judged: Sequence[JudgedRun], problem: Problem) -> Problem:
    """For a score that nobody knew was not there before the evaluators had answered: what has been paid is kept."""
    if problem.code != "G901":
        return problem
    names = " ".join(quote(item.run.spec.name) for item in judged)
    fix = f"{problem.fix or ''} All answers are recorded: headrace compare {names} --metric NAME"
    source_map = checked.source_map
    is_in_file = source_map is not None and ("metrics",) in source_map.values
    place = checked.place("metrics") if is_in_file else None
    return replace(problem, span=problem.span or place, fix=fix.strip())


@dataclass(slots=True)
class _End:
    """How an experiment ends."""

    status: str = FAILED
    verdict: str | None = None


@contextmanager
def _at_work(workspace: Workspace, record: RecordedExperiment, owner: str) -> Iterator[_End]:
    """Say that the experiment is worked on, and close it at the end of the block, whatever ends it."""
    store, end = workspace.store, _End()

    def beat() -> bool:
        return store.beat_experiment(record.id, owner=owner, at=workspace.now())

    try:
        with Heartbeat(beat, lambda: None):
            yield end
    except KeyboardInterrupt as interrupt:
        end.status = CANCELED
        interrupt.add_note(f"Go on with it: {resume_command(record.id)}")
        raise
    except ExecutionError as error:
        end.status = CANCELED
        raise ExecutionError(*(replace(item, fix=_go_on(record, item)) for item in error.problems)) from error
    finally:
        store.finish_experiment(
            record.id, owner=owner, status=end.status, finished_at=workspace.now(), verdict=end.verdict
        )


def _go_on(record: RecordedExperiment, problem: Problem) -> str:
    command = resume_command(record.id)
    if problem.code != "E609" or record.cap is None:
        return f"Go on with it: {command}"
    option = "--max-cost" if "--max-cost" in (problem.fix or "") else "--max-tokens"
    return f"Allow it more and go on with it: {command} {option} …"
