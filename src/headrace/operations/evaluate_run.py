"""Judge the answers of a run that exists: one evaluation run for each evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.evaluation import EvaluatorSpec
from headrace.domain.run import COMPLETED, Cap, Run
from headrace.engine.events import OnEvent
from headrace.engine.spending import Spending
from headrace.operations.collect_scores import EVALUATOR_TAG
from headrace.operations.evaluator_flows import Offer, as_flow, check_used
from headrace.operations.judge_flows import check_judge_prices
from headrace.operations.recorded_data import unchanged_dataset
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRequest:
    """What ``headrace run evaluate`` was asked for.

    Attributes:
        run: Name of the run whose answers are judged.
        evaluators: Who judges them.
        environment_variables: For the evaluation flows.
        max_concurrency, workers, on: As :class:`~headrace.operations.run_batch.RunRequest` has them.
        cap: What all evaluations together may spend.
    """

    run: str
    evaluators: Sequence[EvaluatorSpec]
    environment_variables: Mapping[str, str]
    max_concurrency: int | None = None
    workers: int | None = None
    on: str | None = None
    cap: Cap | None = None


def evaluate_run(
    workspace: Workspace, request: EvaluateRequest, on_event: OnEvent | None = None
) -> tuple[Run, ...]:
    """Judge the completed lines of a run and return the evaluation runs, one for each evaluator.

    The data of the run are read as long as they are what they were; after that only what the run has recorded of them
    can be mapped, by ``${run.inputs.x}``. All evaluators are checked before the first one runs.

    Raises:
        UsageError: S801 for an unknown run.
        DefinitionError: An evaluator or its mapping is wrong.
        StateError: The store failed.
    """
    base = workspace.store.read_run(request.run)
    dataset = unchanged_dataset(base.spec)
    columns = dataset.columns if dataset is not None else ()
    offer = Offer(outputs=_outputs(workspace, base), columns=columns, is_for_all=len(request.evaluators) > 1)
    check_judge_prices(tuple(request.evaluators), request.cap)
    evaluators = [as_flow(workspace, evaluator, offer) for evaluator in request.evaluators]
    if offer.is_for_all:
        check_used(request.evaluators, evaluators)
    spending = Spending(request.cap) if request.cap is not None else None
    return tuple(
        create_run(
            workspace,
            RunRequest(
                flow=Path(evaluator.flow_path or ""),
                data=Path(dataset.path) if dataset is not None else None,
                source_run=request.run,
                column_mapping=evaluator.column_mapping,
                environment_variables=request.environment_variables,
                tags={EVALUATOR_TAG: evaluator.name},
                repeat=base.spec.repeat,
                max_concurrency=request.max_concurrency,
                workers=request.workers,
                on=request.on,
                spending=spending,
                is_followed=evaluator is not evaluators[-1],
            ),
            on_event,
        )
        for evaluator in evaluators
    )


def _outputs(workspace: Workspace, base: Run) -> tuple[str, ...] | None:
    """Names of the outputs of the first line that was completed; ``None`` where there is none."""
    for line in workspace.store.read_lines(base.spec.name):
        if line.status == COMPLETED:
            return tuple(line.outputs)
    return None
