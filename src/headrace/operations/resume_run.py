"""Go on with a run that was interrupted or whose process died: the lines that are left, in the same run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

from headrace.domain.dataset import Dataset
from headrace.domain.run import COMPLETED, Cap, Run, RunSpec
from headrace.engine.events import OnEvent, ignore_event
from headrace.engine.spending import Spending
from headrace.errors import Problem, UsageError
from headrace.formats.lines import read_dataset
from headrace.formats.multimedia import place_images
from headrace.operations.cache_nodes import find_cached_nodes
from headrace.operations.execute_run import RunWork, execute_run, started, taken_over
from headrace.operations.finished_lines import find_finished
from headrace.operations.job_properties import ON_PROPERTY, REFUSE_CHOICE, is_jobs, job_properties
from headrace.operations.keep_version import find_flow_change
from headrace.operations.line_runners import Spread, check_on, make_job_spread, make_spread
from headrace.operations.prepare_flow import FlowChoice, LoadedFlow
from headrace.operations.run_batch import check_price, check_resumable, recorded_arm
from headrace.operations.run_lines import make_lines
from headrace.operations.run_owner import is_at_work, new_owner
from headrace.operations.workspace import Workspace
from headrace.providers.loading import load_by_name


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRequest:
    """What ``headrace run resume`` was asked for.

    Attributes:
        name: The run.
        environment_variables: Those that the run was given when it was made; their values are not recorded.
        max_concurrency: Lines in flight at once.
        workers: Processes that run the lines, 0 for none.
        on: Whose processes they are: ``ray``, ``ray://host:port`` or, for jobs, ``azureml://…``; ``None`` for where the
            run was so far, if that is jobs, else for our own.
        retries_failed: Run the lines that have failed again as well.
        cap: What the run may spend, with what it has spent already.
    """

    name: str
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    max_concurrency: int | None = None
    workers: int | None = None
    on: str | None = None
    retries_failed: bool = False
    cap: Cap | None = None


def resume_run(workspace: Workspace, request: ResumeRequest, on_event: OnEvent | None = None) -> Run:
    """Run the lines that a run has not recorded, then its aggregation nodes, and return the finished run.

    The flow and the data must be what they were, so that the result is that of a run that was never interrupted.

    Raises:
        UsageError: S801 unknown; S811 its lines cannot be made again; S818 another process works on it; S819 flow or
            data have changed; S820 nothing is left to do; C507 environment variables are missing.
        DefinitionError: Flow, data or mapping are wrong by now.
        KeyboardInterrupt: After the run was interrupted again and closed.
        StateError: The store failed; what was committed stays.
    """
    check_on(request.on, takes_jobs=True)
    name, given = request.name, request.environment_variables
    base = workspace.store.read_run(name)
    spec = base.spec
    if spec.is_served:
        check_resumable(spec)
    if is_at_work(base, workspace.now()):
        raise UsageError(taken_over(name))
    _check_left(base, retries_failed=request.retries_failed)
    dataset = _read_data(spec, given)
    choice = FlowChoice(
        path=Path(spec.flow_path),
        arm=recorded_arm(spec),
        overrides=spec.connections,
        environment_variables=given,
        init=spec.init,
    )
    with choice.load(workspace) as loaded:
        changed = find_flow_change(workspace, spec, loaded.flow)
        if changed is not None:
            raise UsageError(_changed(spec, changed))
        if dataset is not None:
            dataset = place_images(dataset, Path(dataset.path), loaded.flow.message_format)
        lines = make_lines(workspace, loaded.flow, spec.column_mapping, dataset, source_run=spec.source_run)
        workspace.warn(loaded.warnings)
        finished = find_finished(workspace, name, loaded, lines, has_failed=not request.retries_failed)
        owner = new_owner()
        if not workspace.store.claim_run(name, owner=owner, at=workspace.now(), seen=base.heartbeat_at):
            raise UsageError(taken_over(name))
        hear = on_event or ignore_event
        hear(started(spec, lines, finished, resume_from=name))
        work = RunWork(
            spec=spec,
            owner=owner,
            choice=choice,
            loaded=loaded,
            lines=lines,
            finished=finished,
            cached=find_cached_nodes(workspace, loaded, repeat=spec.repeat, only=spec.sources),
            spread=_spread(workspace, request, spec, choice, loaded, len(lines)),
            spending=_spent(base, request.cap, loaded),
        )
        return execute_run(workspace, work, hear)


def _spread(
    workspace: Workspace,
    request: ResumeRequest,
    spec: RunSpec,
    choice: FlowChoice,
    loaded: LoadedFlow,
    n_lines: int,
) -> Spread:
    """Where the lines that are left are run: where jobs have run the run so far, those go on unless it is said."""
    on = request.on or spec.properties.get(ON_PROPERTY)
    if not isinstance(on, str) or not is_jobs(on):
        return make_spread(loaded, request.max_concurrency, request.workers, request.on)
    check_on(on, takes_jobs=True)
    load_by_name(REFUSE_CHOICE)(
        workspace, choice, is_limited=request.cap is not None, wants_cache=bool(spec.sources)
    )
    noted = {**job_properties(on, n_lines, None), **spec.properties, ON_PROPERTY: on}
    return make_job_spread(loaded, request.max_concurrency, noted, n_lines)


def _spent(base: Run, cap: Cap | None, loaded: LoadedFlow) -> Spending | None:
    if cap is None:
        return None
    spending = Spending(cap)
    check_price(spending, loaded)
    spending.add_earlier(base.usage, n_lines=base.n_completed + base.n_failed)
    return spending


def _read_data(spec: RunSpec, given: Mapping[str, str]) -> Dataset | None:
    """The data of the run, when nothing else is missing to make its lines again.

    Raises:
        UsageError: S811, C507; S819 when it has changed.
    """
    check_resumable(spec)
    _check_environment(spec, given)
    if spec.data_path is None:
        return None
    dataset = read_dataset(Path(spec.data_path))
    if dataset.digest != spec.data_digest:
        raise UsageError(_changed(spec, f"the data {dataset.path}"))
    return dataset


def _check_left(run: Run, *, retries_failed: bool) -> None:
    """Refuse a run that has come to its end, or that does not decide by itself what is left of it.

    Raises:
        UsageError: S820; S811 for a run of a race.
    """
    if "race" in run.spec.judgement and run.status != COMPLETED:
        what = f"The run {run.spec.name!r} is part of a race, which says which lines it runs."
        fix = f"Give the command of the race again, with --resume {run.spec.experiment}"
        raise UsageError(Problem(code="S811", what=what, fix=fix))
    if run.status != COMPLETED or (retries_failed and run.n_failed):
        return
    fix = "To run it once more, make a new run: headrace run create."
    if run.n_failed:
        fix = (
            f"To run its failed lines again: headrace run resume --name {quote(run.spec.name)} --retry-failed"
        )
    raise UsageError(
        Problem(
            code="S820", what=f"The run {run.spec.name!r} has ended; nothing of it is left to do.", fix=fix
        )
    )


def _check_environment(spec: RunSpec, given: Mapping[str, str]) -> None:
    """Refuse to go on without the variables that the run was given.

    Raises:
        UsageError: C507.
    """
    missing = [name for name in spec.environment_names if name not in given]
    if missing:
        what = f"The run {spec.name!r} was made with environment variables whose values are not recorded."
        fix = f"Give them again: --environment-variables {' '.join(f'{name}=…' for name in missing)}"
        raise UsageError(Problem(code="C507", what=what, fix=fix))


def _changed(spec: RunSpec, what: str) -> Problem:
    return Problem(
        code="S819",
        what=f"The run {spec.name!r} cannot be resumed: {what} has changed since.",
        fix=f"Undo the change, or go on in a new run: headrace run create --resume-from {quote(spec.name)}",
    )
