"""Run a flow over many lines and record everything."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace.domain.cache import CacheChoice
from headrace.domain.dataset import Dataset
from headrace.domain.flow import Flow
from headrace.domain.run import Cap, Run, RunSpec
from headrace.domain.variant import Arm, Variant
from headrace.engine.events import OnEvent, ignore_event
from headrace.engine.masking import is_masked, mask_settings
from headrace.engine.plain import to_record
from headrace.engine.shards import PendingLine
from headrace.engine.spending import Spending
from headrace.errors import Problem, UsageError
from headrace.formats.git_checkout import read_checkout
from headrace.formats.lines import read_dataset
from headrace.formats.multimedia import place_images
from headrace.formats.pf_config import expand_run_folder
from headrace.formats.run_folder import OUTPUT_PATH
from headrace.operations.cache_nodes import CachedNodes, find_cached_nodes
from headrace.operations.execute_run import RunWork, execute_run, line_event, started
from headrace.operations.finished_lines import FinishedLines, find_finished, still_running, take_over
from headrace.operations.job_properties import REFUSE_CHOICE, is_jobs, job_properties
from headrace.operations.keep_version import keep_data_version, keep_flow_version
from headrace.operations.line_runners import check_on, make_job_spread, make_spread
from headrace.operations.prepare_flow import FlowChoice, LoadedFlow
from headrace.operations.read_version import FlowSnapshot, read_snapshot
from headrace.operations.recorded_choices import asked_models, variant_text
from headrace.operations.run_lines import make_lines
from headrace.operations.run_names import default_name, expand_title
from headrace.operations.run_owner import is_at_work, new_owner
from headrace.operations.test_flow import make_arm
from headrace.operations.versions import chosen_flow
from headrace.operations.workspace import Workspace
from headrace.providers.loading import load_by_name

GIT_BRANCH = "headrace.git.branch"
GIT_COMMIT = "headrace.git.commit"
"""Properties of a run: what the repository of its flow was checked out at."""

_JUDGES = "headrace.evaluation.judges.entry:"
_JUDGE_PROPERTIES = "headrace.evaluation.judges.settings:judge_properties"
"""Reached by name: few runs are of graders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What ``headrace run create`` was asked for.

    Attributes:
        flow: Flow folder or file; not looked at with ``resume_from``.
        data: Data file or folder.
        source_run: The run whose outputs are read, for an evaluation.
        column_mapping: Flow input to ``${data.x}``, ``${run.inputs.x}``, ``${run.outputs.x}`` or a literal.
        variant: ``${node.variant}``; use ``arm`` instead for more than one.
        model: ``connection/model`` for every llm node.
        arm: The whole choice, when an experiment makes it.
        connections: ``node.field`` to value.
        init: Arguments for the constructor of a flex flow's class.
        resume_from: The run to go on with: its flow as it is now, its data, mapping, choices and connections, and its
            finished lines; only names, notes, environment variables, concurrency and workers are read from the
            request.
        max_concurrency: Lines in flight at once; ``None`` for what the flow or the settings say.
        workers: Processes that run the lines, 0 for none; ``None`` likewise.
        on: Whose processes they are: ``ray``, ``ray://host:port`` or, for jobs, ``azureml://…``; ``None`` for our own.
        runs_folder: The setting ``run.output_path``: the run will be written into a folder of its name there, which is
            noted among its properties. Nothing is written by running alone.
        judgement: See :class:`~headrace.domain.run.RunSpec`.
        cache: Whether results of nodes are used again; not unless it is asked for, as stock runs every node.
        spending: What the run, together with others that share it, may spend.
        snapshots: What flows are, by their absolute paths, as the runs of one experiment have read them so far.
        is_followed: Whether further runs follow, which an interrupt ends as well.
    """

    flow: Path
    data: Path | None = None
    source_run: str | None = None
    column_mapping: Mapping[str, Any] = field(default_factory=dict)
    variant: str | None = None
    model: str | None = None
    arm: Arm | None = None
    name: str | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    connections: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    resume_from: str | None = None
    display_name: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    max_concurrency: int | None = None
    workers: int | None = None
    on: str | None = None
    runs_folder: str | None = None
    experiment: str | None = None
    judgement: Mapping[str, Any] = field(default_factory=dict)
    repeat: int = 0
    cache: CacheChoice = field(default_factory=CacheChoice)
    spending: Spending | None = None
    snapshots: dict[str, FlowSnapshot] = field(default_factory=dict)
    is_followed: bool = False


def create_run(workspace: Workspace, request: RunRequest, on_event: OnEvent | None = None) -> Run:
    """Run a flow over its data and return the finished run.

    Everything that can be checked is checked before the run is created, so that no half-written run is left by a
    mistake in a file. Lines that fail are recorded with their problem and do not stop the others.

    Raises:
        DefinitionError: Flow, data or mapping are wrong.
        UsageError: Unknown base run, taken name, unknown variant or model.
        StateError: The store failed; what was committed stays.
    """
    check_on(request.on, takes_jobs=request.experiment is None)
    request = replace(request, flow=chosen_flow(workspace, request.flow))
    base = workspace.store.read_run(request.resume_from) if request.resume_from is not None else None
    if base is not None:
        check_resumable(base.spec)
        request = _asked_again(request, base.spec)
    arm = request.arm or make_arm(request.variant, request.model)
    dataset = read_dataset(request.data) if request.data is not None else None
    # Before the working directory becomes the flow's.
    flow_path = str(request.flow.resolve())
    data_path = str(request.data.resolve()) if request.data is not None else None
    choice = flow_choice(request, arm)
    with choice.load(workspace) as loaded:
        if dataset is not None and data_path is not None:
            dataset = place_images(dataset, Path(data_path), loaded.flow.message_format)
        lines = make_lines(
            workspace, loaded.flow, request.column_mapping, dataset, source_run=request.source_run
        )
        workspace.warn(loaded.warnings)
        check_price(request.spending, loaded)
        request = _with_jobs(workspace, request, choice, len(lines))
        finished = _find_finished(workspace, base, loaded, lines)
        spec = make_spec(
            workspace, request, loaded.flow, arm, flow_path=flow_path, data_path=data_path, dataset=dataset
        )
        cached = cached_nodes(workspace, request, loaded)
        spec = replace(spec, sources=cached.sources)
        owner = new_owner()
        workspace.store.create_run(spec, n_lines=len(lines), created_at=workspace.now(), owner=owner)
        hear = on_event or ignore_event
        hear(started(spec, lines, finished, resume_from=request.resume_from))
        if base is not None:
            for result in take_over(workspace, base.spec.name, finished, spec.name):
                hear(line_event(spec.name, result))
        work = RunWork(
            spec=spec,
            owner=owner,
            choice=choice,
            loaded=loaded,
            lines=lines,
            finished=finished,
            cached=cached,
            spread=make_spread(loaded, request.max_concurrency, request.workers, request.on)
            if not is_jobs(request.on)
            else make_job_spread(loaded, request.max_concurrency, request.properties, len(lines)),
            spending=request.spending,
            is_followed=request.is_followed,
        )
        return execute_run(workspace, work, hear)


def _with_jobs(workspace: Workspace, request: RunRequest, choice: FlowChoice, n_lines: int) -> RunRequest:
    """The same, with its jobs noted, where jobs run it. They have no store, and so no cache.

    Raises:
        UsageError: X322 for what jobs cannot do.
    """
    if request.on is None or not is_jobs(request.on):
        return request
    is_limited, wants_cache = request.spending is not None, request.cache.is_on is True
    load_by_name(REFUSE_CHOICE)(workspace, choice, is_limited=is_limited, wants_cache=wants_cache)
    noted = job_properties(request.on, n_lines, request.workers)
    return replace(request, properties={**request.properties, **noted}, cache=CacheChoice(is_on=False))


def cached_nodes(workspace: Workspace, request: RunRequest, loaded: LoadedFlow) -> CachedNodes:
    """The nodes whose results the run uses again; none where the cache is off."""
    is_on = workspace.settings.cache == "on" if request.cache.is_on is None else request.cache.is_on
    if not is_on:
        return CachedNodes()
    return find_cached_nodes(workspace, loaded, repeat=request.repeat, left_out=request.cache.left_out)


def flow_choice(request: RunRequest, arm: Arm | None) -> FlowChoice:
    """Which flow is loaded, and how."""
    return FlowChoice(
        path=request.flow,
        arm=arm,
        overrides=request.connections,
        environment_variables=request.environment_variables,
        init=request.init,
    )


def recorded_overrides(request: RunRequest, arm: Arm | None) -> dict[str, str]:
    """All overrides of a run, by which it is recorded: those of the request win over those of its arm."""
    return {**(arm.overrides if arm else {}), **request.connections}


def _find_finished(
    workspace: Workspace, base: Run | None, loaded: LoadedFlow, lines: Collection[PendingLine]
) -> FinishedLines:
    if base is None:
        return FinishedLines()
    if is_at_work(base, workspace.now()):
        workspace.warn([still_running(base.spec.name)])
    return find_finished(workspace, base.spec.name, loaded, lines)


def check_resumable(spec: RunSpec) -> None:
    """Refuse a run that does not say what its lines were made of, or of which a key would be needed.

    Raises:
        UsageError: S811; C507 when the run was given a key, which is not recorded.
    """
    if spec.is_served:
        raise UsageError(
            Problem(
                code="S811",
                what=f"The run {spec.name!r} holds requests that a server has answered; there is none left to do.",
                fix="Let a flow answer the same inputs in a new run: headrace run create --flow FLOW "
                f"--run {spec.name} --column-mapping NAME='${{run.inputs.NAME}}'",
            )
        )
    if spec.data_path is None and spec.source_run is None:
        raise UsageError(
            Problem(
                code="S811",
                what=f"The run {spec.name!r} was read from a folder and does not know its data.",
                fix="Make a new run with --flow and --data.",
            )
        )
    if is_masked(spec.init):
        what = f"The run {spec.name!r} was given a key with --init, which is not recorded."
        fix = "Make a new run, and name a connection in place of the key: then it can be resumed."
        raise UsageError(Problem(code="C507", what=what, fix=fix))


def _asked_again(request: RunRequest, spec: RunSpec) -> RunRequest:
    """What ``spec`` asked for, under the names and notes of ``request``."""
    return replace(
        request,
        flow=Path(spec.flow_path),
        data=Path(spec.data_path) if spec.data_path is not None else None,
        source_run=spec.source_run,
        column_mapping=spec.column_mapping,
        variant=None,
        model=None,
        arm=recorded_arm(spec),
        connections=spec.connections,
        init=spec.init,
        description=request.description if request.description is not None else spec.description,
    )


def check_price(spending: Spending | None, loaded: LoadedFlow) -> None:
    """Refuse to keep to a cost, or to tokens, that nobody knows.

    Raises:
        UsageError: C507 when the flow asks a model whose price is not known, or runs elsewhere.
    """
    problem = unlimited(spending.cap if spending is not None else None, loaded)
    if problem is not None:
        raise UsageError(problem)


def unlimited(cap: Cap | None, loaded: LoadedFlow) -> Problem | None:
    """C507 when a flow may spend what nobody can count, and so no limit would be kept."""
    if cap is None:
        return None
    if loaded.flow.remote is not None:
        limited = "tokens" if cap.cost_usd is None else "cost"
        why = f"{loaded.flow.name!r} runs elsewhere, and its endpoint tells neither tokens nor cost"
        what = f"The {limited} cannot be limited: {why}."
        fix = "Leave the limit away, and choose fewer lines: data: {sample: {n: 50}}."
        return Problem(code="C507", what=what, fix=fix)
    models = asked_models(loaded.flow)
    if cap.cost_usd is None or loaded.price is not None or not models:
        return None
    what = f"The cost cannot be limited: the price of {', '.join(models)} is not known."
    fix = "Give the price of the model in an experiment file, or limit the tokens with --max-tokens."
    return Problem(code="C507", what=what, fix=fix)


def recorded_arm(spec: RunSpec) -> Arm | None:
    """The choice of variants and model that a run was made with; its overrides stand among the run's connections."""
    choices = dict(re.findall(r"\$\{([^.{}]+)\.([^{}]+)\}", spec.variant or ""))
    variant = Variant(name="/".join(choices.values()), choices=choices) if choices else None
    has_arm = variant is not None or spec.chosen_model is not None or spec.arm is not None
    return Arm(name=spec.arm or "", variant=variant, model=spec.chosen_model) if has_arm else None


def make_spec(
    workspace: Workspace,
    request: RunRequest,
    flow: Flow,
    arm: Arm | None,
    *,
    flow_path: str,
    data_path: str | None,
    dataset: Dataset | None,
) -> RunSpec:
    """What is recorded of a run that is asked for; both paths are absolute. Its versions are kept from now on."""
    choices = arm.variant.choices if arm and arm.variant else {}
    now = workspace.now()
    name = request.name or default_name(flow, choices, now)
    properties = {key: to_record(value) for key, value in request.properties.items()}
    if request.source_run is None:
        properties = {**_checkout(workspace, Path(flow_path)), **properties}
    if flow.entry is not None and flow.entry.startswith(_JUDGES):
        properties |= load_by_name(_JUDGE_PROPERTIES)(flow)
    if request.runs_folder:
        folder = expand_run_folder(request.runs_folder, Path(flow_path), name)
        properties.setdefault(OUTPUT_PATH, str(folder))
    snapshot = request.snapshots.get(flow_path) or read_snapshot(flow)
    request.snapshots[flow_path] = snapshot
    data = None
    if dataset is not None and data_path is not None:
        data = keep_data_version(workspace, Path(data_path), dataset)
    return RunSpec(
        name=name,
        flow_path=flow_path,
        flow_name=flow.name,
        flow_digest=snapshot.digest,
        flow_version=keep_flow_version(workspace, flow, snapshot).number,
        data_path=data_path,
        data_digest=dataset.digest if dataset else None,
        data_version=data.number if data is not None else None,
        column_mapping={name: to_record(value) for name, value in request.column_mapping.items()},
        source_run=request.source_run,
        resume_from=request.resume_from,
        variant=variant_text(choices),
        arm=arm.name if arm else None,
        model=", ".join(asked_models(flow)) or None,
        chosen_model=arm.model if arm else None,
        connections=recorded_overrides(request, arm),
        init=mask_settings(request.init),
        experiment=request.experiment,
        judgement=request.judgement,
        repeat=request.repeat,
        display_name=expand_title(
            request.display_name, choices=choices, source_run=request.source_run, now=now
        ),
        description=request.description,
        tags=request.tags,
        properties=properties,
        environment_names=tuple(sorted(request.environment_variables)),
    )


def _checkout(workspace: Workspace, flow: Path) -> dict[str, str]:
    """Branch and commit of the repository that a flow lies in; of a version that was written to be run, neither."""
    if flow.is_relative_to(workspace.state_folder.resolve()):
        return {}
    found = read_checkout(flow if flow.is_dir() else flow.parent)
    known = {} if found is None else {GIT_BRANCH: found.branch, GIT_COMMIT: found.commit}
    return {name: value for name, value in known.items() if value is not None}
