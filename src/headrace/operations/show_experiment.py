"""Where an experiment stands: what it runs, how far each arm has come, what it has cost, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any

from headrace.domain.recorded_experiment import RecordedExperiment
from headrace.domain.run import CANCELED, COMPLETED, RUNNING, Run, Usage, sum_usage
from headrace.operations.find_experiment import find_experiment, is_experiment_at_work, resume_command
from headrace.operations.race_outcome import RACE
from headrace.operations.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmStanding:
    """How far an arm has come, all repeats together.

    Attributes:
        version: ``ask_docs@7``.
        n_left: Lines that it has not answered; of a dropped arm none is left.
        n_judged: Answers that evaluators have judged, each evaluator counted.
        runs: Its planned runs that exist, those of its evaluators included.
        note: Why it did not answer every line; empty for an arm that did, or will.
    """

    arm: str
    version: str
    n_completed: int
    n_failed: int
    n_left: int
    n_judged: int
    usage: Usage
    runs: tuple[Run, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentView:
    """An experiment and where it stands.

    Attributes:
        status: Running, Completed, Canceled or Failed; an experiment whose process died is Canceled.
        usage: Of all runs.
        again: How to go on with it, or to see its verdict once more.
    """

    record: RecordedExperiment
    status: str
    arms: tuple[ArmStanding, ...]
    usage: Usage
    again: str

    @property
    def n_left(self) -> int:
        """Lines that arms have not answered."""
        return sum(arm.n_left for arm in self.arms)


def show_experiment(workspace: Workspace, text: str) -> ExperimentView:
    """Where the experiment of an id, or the newest of a name, stands.

    Raises:
        UsageError: S816 when there is none.
    """
    return _view(workspace, find_experiment(workspace, text))


def list_experiments(workspace: Workspace) -> tuple[ExperimentView, ...]:
    """Where every recorded experiment stands, newest first."""
    return tuple(_view(workspace, record) for record in workspace.store.list_experiments())


def _view(workspace: Workspace, record: RecordedExperiment) -> ExperimentView:
    runs = {run.spec.name: run for run in workspace.store.list_runs(experiment=record.id)}
    status = record.status
    if status == RUNNING and not is_experiment_at_work(workspace, record):
        status = CANCELED
    again = resume_command(record.id)
    if status == COMPLETED:
        again = f"headrace compare --again {quote(record.id)}"
    elif status == RUNNING:
        again = f"headrace experiment show {quote(record.id)}"
    return ExperimentView(
        record=record,
        status=status,
        arms=tuple(_standings(record, runs)),
        usage=sum_usage(run.usage for run in runs.values()),
        again=again,
    )


def _standings(record: RecordedExperiment, runs: Mapping[str, Run]) -> Iterator[ArmStanding]:
    versions = {arm: pin.version_name for pin in record.flows if pin.role == "flow" for arm in pin.used_by}
    for arm in record.definition["arms"]:
        name = arm["name"]
        planned = [item for item in record.planned if item.arm == name]
        answers = [runs[item.name] for item in planned if item.evaluator is None and item.name in runs]
        judging = [runs[item.name] for item in planned if item.evaluator is not None and item.name in runs]
        n_completed, n_failed = sum(run.n_completed for run in answers), sum(run.n_failed for run in answers)
        race: Mapping[str, Any] = next(
            (run.spec.properties[RACE] for run in answers if RACE in run.spec.properties), {}
        )
        n_all = record.data.n_lines * sum(item.evaluator is None for item in planned)
        yield ArmStanding(
            arm=name,
            version=versions.get(name, ""),
            n_completed=n_completed,
            n_failed=n_failed,
            n_left=0 if race else max(0, n_all - n_completed - n_failed),
            n_judged=sum(run.n_completed + run.n_failed for run in judging),
            usage=sum_usage(run.usage for run in (*answers, *judging)),
            runs=(*answers, *judging),
            note=str(race.get("why", "")),
        )
