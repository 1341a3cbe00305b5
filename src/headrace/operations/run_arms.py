"""Run the arms of an experiment one after the other over all lines, each with its evaluators."""

from __future__ import annotations

from headrace.domain.run import COMPLETED, Run
from headrace.domain.variant import Arm
from headrace.engine.events import OnEvent, ignore_event
from headrace.operations.arm_requests import ArmRuns
from headrace.operations.collect_scores import JudgedRun
from headrace.operations.judged_pairs import arms_in_turn
from headrace.operations.run_batch import RunRequest
from headrace.operations.run_owner import new_owner
from headrace.operations.run_parts import PartedRun
from headrace.operations.workspace import Workspace


def run_arms(workspace: Workspace, runs: ArmRuns, on_event: OnEvent | None = None) -> list[JudgedRun]:
    """Run every arm from where its recorded runs stand; the arms come in the order of the experiment.

    Raises:
        DefinitionError: Flow, data, mapping or evaluator are wrong.
        UsageError: S818, S819.
        ExecutionError: A run was stopped at a limit: arms that have answered different lines are not compared.
        KeyboardInterrupt: After a run was interrupted.
        StateError: The store failed.
    """
    grid = _Grid(workspace, runs, on_event or ignore_event)
    experiment = runs.experiment
    names = [arm.name for arm in experiment.arms]
    judged = [
        grid.run_arm(arm, repeat) for repeat in range(experiment.repeats) for arm in arms_in_turn(experiment)
    ]
    return sorted(judged, key=lambda item: (item.run.spec.repeat, names.index(item.arm)))


class _Grid:
    def __init__(self, workspace: Workspace, runs: ArmRuns, hear: OnEvent) -> None:
        self._workspace = workspace
        self._runs = runs
        self._hear = hear
        known = workspace.store.list_runs(experiment=runs.experiment_id)
        self._known = {run.spec.name: run for run in known}

    def run_arm(self, arm: Arm, repeat: int) -> JudgedRun:
        """One repeat of one arm, and what its evaluators say."""
        run = self._finish(self._runs.arm_request(arm, repeat))
        evaluations = {
            evaluator.name: self._finish(self._runs.evaluation_request(self._workspace, evaluator, run.spec))
            for evaluator in self._runs.experiment.evaluators
            if run.n_completed
        }
        return JudgedRun(arm=arm.name, run=run, evaluations=evaluations)

    def _finish(self, request: RunRequest) -> Run:
        """The run of a request to its end; as it is recorded where it has come to it before."""
        known = self._known.get(request.name or "")
        if known is not None and known.status == COMPLETED:
            return known
        part = PartedRun(
            self._workspace,
            request,
            owner=new_owner(),
            hear=self._hear,
            name=None if known is None else known.spec.name,
        )
        return part.finish()
