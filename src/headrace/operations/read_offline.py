"""Offline results of the arms of an online test, from the experiment that its traffic file names."""

from __future__ import annotations

from dataclasses import replace

from headrace.domain.offline_beside import JoinedResults, OfflineArms, OfflineEffect
from headrace.domain.run import COMPLETED
from headrace.errors import HeadraceError
from headrace.evaluation.online.joined import join_offline
from headrace.evaluation.report.online_view import AbView
from headrace.operations.compare_runs import compare_experiment_again
from headrace.operations.workspace import Workspace


class OfflineReader:
    """Puts offline results beside looks at online tests; an experiment is compared once.

    Args:
        workspace: For its store.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._read: dict[tuple[str, str], OfflineArms | str] = {}

    def beside(self, view: AbView) -> AbView:
        """The look with the offline results; as it is where the traffic file names no experiment.

        Raises:
            StateError: The store is away.
        """
        if not view.traffic.experiment:
            return view
        found = self._offline(view.traffic.experiment, view.traffic.baseline)
        if isinstance(found, str):
            return replace(view, offline=JoinedResults(experiment="", notes=(found,)))
        return replace(view, offline=join_offline(view.traffic, view.report, found))

    def _offline(self, name: str, baseline: str) -> OfflineArms | str:
        """The newest experiment of that name that has come to its end, or a sentence why there is none."""
        finished = (
            record.id
            for record in self._workspace.store.list_experiments()
            if name in (record.id, record.name) and record.status == COMPLETED
        )
        found = next(finished, None)
        if found is None:
            return f"This store has no finished experiment {name} to show offline results of."
        key = found, baseline
        if key not in self._read:
            self._read[key] = self._compare(found, baseline)
        return self._read[key]

    def _compare(self, experiment: str, baseline: str) -> OfflineArms | str:
        try:
            result = compare_experiment_again(self._workspace, experiment, baseline=baseline)
        except HeadraceError as error:
            what = " ".join(problem.what for problem in error.problems)
            return f"The experiment {experiment} says nothing of these arms. {what}"
        versions: dict[str, dict[str, None]] = {}
        for run in result.runs:
            versions.setdefault(run.spec.arm or run.spec.name, {})[run.spec.flow_digest] = None
        return OfflineArms(
            experiment=experiment,
            baseline=baseline,
            effects=tuple(
                OfflineEffect(
                    arm=effect.arm,
                    metric=metric.spec.name,
                    direction=metric.spec.direction,
                    difference=effect.difference,
                )
                for metric in result.comparison.metrics
                for effect in metric.effects
            ),
            versions={arm: tuple(digests) for arm, digests in versions.items()},
        )
