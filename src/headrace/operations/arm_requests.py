"""The runs that an experiment asks for: of each arm, and of each evaluator over an arm's run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.domain.evaluation import EvaluatorSpec, Experiment
from headrace.domain.recorded_experiment import RecordedExperiment
from headrace.domain.run import RunSpec
from headrace.domain.variant import Arm
from headrace.engine.spending import Spending
from headrace.operations.collect_scores import EVALUATOR_TAG
from headrace.operations.competing_flows import mapping_of
from headrace.operations.judged_pairs import evaluation_data
from headrace.operations.line_runners import HERE, Where
from headrace.operations.read_version import FlowSnapshot
from headrace.operations.run_batch import RunRequest
from headrace.operations.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRuns:
    """What all runs of one experiment share.

    Attributes:
        experiment: Checked, its cache settled.
        experiment_id: Groups the runs.
        judgement: See :class:`~headrace.domain.run.RunSpec`.
        spending: What all runs together may spend.
        where: Where lines are run.
        snapshots: What flows are, by their paths, as each was read first: once for all of its runs.
        record: The experiment as it is recorded, which names its runs; ``None`` where each is named as it begins.
    """

    experiment: Experiment
    experiment_id: str
    judgement: Mapping[str, Any] = field(default_factory=dict)
    spending: Spending | None = None
    where: Where = HERE
    snapshots: dict[str, FlowSnapshot] = field(default_factory=dict)
    record: RecordedExperiment | None = None

    def _name(self, arm: str, repeat: int, evaluator: str | None = None) -> str | None:
        return None if self.record is None else self.record.run_name(arm, repeat, evaluator)

    def arm_request(self, arm: Arm, repeat: int) -> RunRequest:
        """One repeat of one arm over all lines."""
        experiment = self.experiment
        return RunRequest(
            name=self._name(arm.name, repeat),
            flow=Path(arm.flow_path or experiment.flow_path),
            data=Path(experiment.data_path),
            column_mapping=mapping_of(experiment, arm),
            arm=arm,
            environment_variables=experiment.environment_variables,
            experiment=self.experiment_id,
            judgement=self.judgement,
            repeat=repeat,
            cache=experiment.cache,
            spending=self.spending,
            snapshots=self.snapshots,
            max_concurrency=self.where.max_concurrency,
            workers=self.where.workers,
            on=self.where.on,
        )

    def evaluation_request(self, workspace: Workspace, evaluator: EvaluatorSpec, run: RunSpec) -> RunRequest:
        """One evaluator over a run of one of the arms.

        Raises:
            UsageError: G902 when the evaluator sees the baseline, which has not run.
        """
        data, mapping = evaluation_data(workspace, self.experiment, evaluator, run)
        return RunRequest(
            name=self._name(run.arm or "", run.repeat, evaluator.name),
            flow=Path(evaluator.flow_path or ""),
            data=data,
            source_run=run.name,
            column_mapping=mapping,
            experiment=self.experiment_id,
            tags={EVALUATOR_TAG: evaluator.name},
            repeat=run.repeat,
            cache=self.experiment.cache,
            spending=self.spending,
            snapshots=self.snapshots,
            max_concurrency=self.where.max_concurrency,
            workers=self.where.workers,
            on=self.where.on,
        )
