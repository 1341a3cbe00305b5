"""Repeat an experiment from the versions that it was begun with, whatever lies on the disk by now."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from headrace.domain.cache import CacheChoice
from headrace.domain.evaluation import EvaluatorSpec, Experiment
from headrace.domain.recorded_experiment import PinnedData, PinnedFlow
from headrace.domain.run import Cap
from headrace.engine.events import OnEvent
from headrace.errors import Problem, StateError
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.find_experiment import find_experiment, is_unchanged
from headrace.operations.kept_data import place_data, read_unchanged
from headrace.operations.line_runners import HERE, Where
from headrace.operations.run_experiment import recorded_definition, run_experiment
from headrace.operations.versions import chosen_flow
from headrace.operations.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunExperiment:
    """What ``headrace experiment rerun`` was asked for.

    Attributes:
        name: Id or name of the experiment.
        cap: What the new one may spend, beside what the definition says.
        environment_variables: As for resuming.
        cache: Whether results of nodes are used again; ``None`` for what the experiment was begun with.
    """

    name: str
    cap: Cap | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    cache: bool | None = None


def recorded_experiment(workspace: Workspace, request: RerunExperiment) -> tuple[Experiment, str]:
    """The experiment to repeat, with the versions that it was begun with, and the id of the old one.

    What is on the disk as it was then is used where it is; everything else is written below ``.headrace/versions``.

    Raises:
        UsageError: S816 unknown; C507 values of environment variables are missing.
        StateError: S833 when a version is not kept, or its files are gone or damaged.
    """
    record = find_experiment(workspace, request.name)
    experiment = recorded_definition(record, request.environment_variables)
    places = {pin.path: _place_flow(workspace, pin) for pin in record.flows if pin.role == "flow"}
    evaluators = {pin.used_by[0]: pin for pin in record.flows if pin.role == "evaluator"}
    cache = experiment.cache
    return (
        replace(
            experiment,
            flow_path=places.get(experiment.flow_path, experiment.flow_path),
            data_path=_place_data(workspace, record.data),
            arms=tuple(
                replace(arm, flow_path=None if arm.flow_path is None else places[arm.flow_path])
                for arm in experiment.arms
            ),
            evaluators=tuple(
                _place_evaluator(workspace, item, evaluators[item.name]) for item in experiment.evaluators
            ),
            cache=cache
            if request.cache is None
            else CacheChoice(is_on=request.cache, left_out=cache.left_out),
        ),
        record.id,
    )


def rerun_experiment(
    workspace: Workspace, request: RerunExperiment, on_event: OnEvent | None = None, where: Where = HERE
) -> ComparisonResult:
    """Make an experiment once more; the new one knows which one it repeats.

    Raises:
        UsageError, StateError: As :func:`recorded_experiment`.
        HeadraceError: As :func:`headrace.operations.run_experiment.run_experiment`.
    """
    experiment, rerun_of = recorded_experiment(workspace, request)
    return run_experiment(workspace, experiment, on_event, request.cap, where, rerun_of=rerun_of)


def _place_flow(workspace: Workspace, pin: PinnedFlow) -> str:
    """Where the version of a flow is run."""
    if is_unchanged(pin, Path(pin.path)):
        return pin.path
    return str(chosen_flow(workspace, Path(pin.version_name)).resolve())


def _place_evaluator(workspace: Workspace, evaluator: EvaluatorSpec, pin: PinnedFlow) -> EvaluatorSpec:
    """An evaluator as it was: a built-in one is that of this headrace."""
    if evaluator.flow_path is not None:
        return replace(evaluator, flow_path=_place_flow(workspace, pin))
    if evaluator.python is None or is_unchanged(pin, Path(pin.path)):
        return evaluator
    written = Path(pin.path)
    restored = chosen_flow(workspace, Path(pin.version_name)).resolve()
    folder = restored.parent if restored.suffix else restored
    place = os.path.relpath(evaluator.folder, written)
    return replace(evaluator, folder=str((folder / place).resolve()))


def _place_data(workspace: Workspace, pin: PinnedData) -> str:
    """Where the version of the data is read."""
    path = Path(pin.path)
    if read_unchanged(path, pin.digest) is not None:
        return pin.path
    placed = None if pin.content is None else place_data(workspace, pin.content, path, pin.digest)
    if placed is None:
        why = "too large to be kept" if pin.content is None else "gone from the store, or damaged there"
        what = f"The data {pin.name} has changed, and version {pin.number} of it is {why}."
        fix = f"Put the file back as it was: {pin.path}"
        raise StateError(Problem(code="S833", what=what, fix=fix))
    return placed.path
