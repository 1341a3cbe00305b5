"""Record an experiment before its first call is paid: definition, versions, and its runs by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from headrace.domain.evaluation import Experiment
from headrace.domain.flow import Flow
from headrace.domain.recorded_experiment import PinnedData, PinnedFlow, PlannedRun, RecordedExperiment
from headrace.domain.run import Cap
from headrace.formats.flow_file import load_flow
from headrace.formats.lines import read_dataset
from headrace.formats.overlay import overlay_file
from headrace.formats.paths import is_folder
from headrace.formats.plain_definition import definition_as_plain
from headrace.formats.positions import read_text
from headrace.operations.judged_pairs import arms_in_turn
from headrace.operations.keep_version import keep_data_version, keep_flow_version
from headrace.operations.named_versions import settle_versions
from headrace.operations.read_version import read_snapshot
from headrace.operations.run_names import default_name
from headrace.operations.workspace import Workspace
from headrace.planning.flow_version import hide_secrets, without_secrets

_STEP = timedelta(microseconds=1)
"""Names of runs hold the time; those that are planned at once are told apart by it."""


def place_experiment(workspace: Workspace, experiment: Experiment) -> Experiment:
    """The experiment with all of its paths absolute; versions in place of flows are written to where they are run.

    Raises:
        DefinitionError, UsageError: S831 or S834 for the name of a version.
        StateError: S833 when the files of a version are gone.
    """

    def place(path: str) -> str:
        return str(Path(path).resolve())

    experiment = settle_versions(workspace, experiment)
    return replace(
        experiment,
        flow_path=place(experiment.flow_path),
        data_path=place(experiment.data_path),
        arms=tuple(
            replace(arm, flow_path=None if arm.flow_path is None else place(arm.flow_path))
            for arm in experiment.arms
        ),
        evaluators=tuple(
            replace(
                item,
                flow_path=None if item.flow_path is None else place(item.flow_path),
                folder=place(item.folder),
            )
            for item in experiment.evaluators
        ),
    )


def begin_experiment(
    workspace: Workspace,
    experiment: Experiment,
    checked: Experiment,
    judgement: Mapping[str, Any],
    cap: Cap | None,
    owner: str,
    rerun_of: str | None = None,
) -> RecordedExperiment:
    """Record an experiment in the store; none of its runs exists yet.

    Args:
        workspace: For the store and the clock.
        experiment: As it was read, its paths absolute.
        checked: The same with metrics and cache settled, and the flows of its evaluators.
        judgement: How it judges its arms.
        cap: What it may spend.
        owner: Who works on it.
        rerun_of: The experiment that it repeats.

    Raises:
        DefinitionError: A flow or the data cannot be read.
        StateError: The store failed.
    """
    now = workspace.now()
    before = None if rerun_of is None else workspace.store.read_experiment(rerun_of)
    flows = {path: load_flow(Path(path)) for path in _flow_paths(checked)}
    definition = replace(checked, evaluators=experiment.evaluators)
    record = RecordedExperiment(
        id=f"{experiment.name}_{now:%Y%m%d_%H%M%S_%f}",
        name=experiment.name,
        created_at=now,
        definition=without_secrets(definition_as_plain(definition)),
        judgement=judgement,
        flows=tuple(_pin_flows(workspace, checked, flows)),
        data=_pin_data(workspace, Path(checked.data_path)),
        planned=tuple(_plan_runs(workspace, checked, flows)),
        texts=_read_texts(experiment) if before is None else before.texts,
        cap=cap,
        environment_names=tuple(sorted(experiment.environment_variables)),
        rerun_of=rerun_of,
        owner=owner,
        heartbeat_at=now,
    )
    workspace.store.create_experiment(record)
    return record


def arm_flows(experiment: Experiment) -> dict[str, tuple[str, ...]]:
    """Path of each flow that competes to the names of the arms that run it."""
    found: dict[str, tuple[str, ...]] = {}
    for arm in experiment.arms:
        path = arm.flow_path or experiment.flow_path
        found[path] = (*found.get(path, ()), arm.name)
    return found


def _flow_paths(experiment: Experiment) -> Iterator[str]:
    yield from arm_flows(experiment)
    for evaluator in experiment.evaluators:
        yield evaluator.flow_path or ""


def _pin_flows(workspace: Workspace, checked: Experiment, flows: Mapping[str, Flow]) -> Iterator[PinnedFlow]:
    for path, arms in arm_flows(checked).items():
        yield _pin(workspace, path, flows[path], PinnedFlow(role="flow", path=path, used_by=arms, **_UNKNOWN))
    for evaluator in checked.evaluators:
        path = evaluator.flow_path or ""
        pin = PinnedFlow(role="evaluator", path=path, used_by=(evaluator.name,), **_UNKNOWN)
        yield _pin(workspace, path, flows[path], pin)


_UNKNOWN: Mapping[str, Any] = {"name": "", "number": 0, "digest": ""}


def _pin(workspace: Workspace, path: str, flow: Flow, pin: PinnedFlow) -> PinnedFlow:
    version = keep_flow_version(workspace, flow, read_snapshot(flow))
    return replace(pin, name=version.flow, number=version.number, digest=version.digest)


def _pin_data(workspace: Workspace, path: Path) -> PinnedData:
    dataset = read_dataset(path)
    version = keep_data_version(workspace, path, dataset)
    return PinnedData(
        path=str(path),
        name=version.data,
        number=version.number,
        digest=version.digest,
        n_lines=version.n_lines,
        content=version.content,
    )


def _plan_runs(workspace: Workspace, checked: Experiment, flows: Mapping[str, Flow]) -> Iterator[PlannedRun]:
    now = workspace.now()
    for repeat in range(checked.repeats):
        for arm in arms_in_turn(checked):
            choices = arm.variant.choices if arm.variant is not None else {}
            flow = flows[arm.flow_path or checked.flow_path]
            yield PlannedRun(name=default_name(flow, choices, now), arm=arm.name, repeat=repeat)
            now += _STEP
            for evaluator in checked.evaluators:
                name = default_name(flows[evaluator.flow_path or ""], {}, now)
                yield PlannedRun(name=name, arm=arm.name, repeat=repeat, evaluator=evaluator.name)
                now += _STEP


def _read_texts(experiment: Experiment) -> dict[str, str]:
    """The experiment file and its overlay as they are now."""
    if experiment.file is None:
        return {}
    path = Path(experiment.file)
    file = path / "experiment.yaml" if is_folder(path) else path
    files = [file]
    if experiment.environment is not None:
        files.append(overlay_file(file, experiment.environment))
    return {item.name: hide_secrets(read_text(item).encode(), is_settings=True).decode() for item in files}
