"""Where the lines of a run are run: in this process, in worker processes, or by Ray."""

from __future__ import annotations

import inspect
import pickle
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import headrace
from headrace.config import process_environment, worker_environment
from headrace.domain.run import COMPLETED, FAILED, LineResult
from headrace.engine.aggregate import recorded_values
from headrace.engine.cache import NodeCache
from headrace.engine.flights import Flights
from headrace.engine.frames import LineDone, unpack_kept
from headrace.engine.pool import Accept, WorkerPool
from headrace.engine.runtime import PreparedFlow
from headrace.engine.shards import PendingLine, ShardRunner
from headrace.engine.waiting import Waiting
from headrace.engine.worker_process import WorkerCommand, open_worker_process
from headrace.errors import Problem, UsageError
from headrace.operations.job_properties import (
    CHECK_JOBS,
    JOBS_WANTED,
    ON_PROPERTY,
    OPEN_JOBS,
    SIZE_PROPERTY,
    is_jobs,
)
from headrace.operations.line_worker import CacheAsked, WorkerSetup
from headrace.operations.prepare_flow import FlowChoice, LoadedFlow
from headrace.operations.served_sources import find_served_file
from headrace.operations.work_lines import command
from headrace.operations.work_shard import ShardSetup
from headrace.operations.workspace import Workspace
from headrace.providers.loading import load_by_name, load_optional
from headrace.providers.turns import current_lane
from headrace.tools.given_entry import find_given

_OPEN_CLUSTER = "headrace.operations.ray_cluster:open_cluster"
_RAY_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Read when Ray is imported. The second one means the same on every system: listen on this machine alone."""

_SHARD_ROUNDS = 4
_LARGEST_SHARD = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where somebody wants lines to be run.

    Attributes:
        workers: Processes, 0 for none; ``None`` for what the flow or the settings say.
        max_concurrency: Lines in flight at once, in all of them together; ``None`` likewise.
        on: Whose processes they are: ``ray`` or ``ray://host:port``; ``None`` for our own.
    """

    workers: int | None = None
    max_concurrency: int | None = None
    on: str | None = None


HERE: Where = Where()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Over what the lines of a run are spread.

    Attributes:
        workers: Processes; 0 for none, or with Ray for as many as it has processors.
        max_concurrency: Lines in flight at once, in all of them together.
        on: Whose processes they are: ``ray``, ``ray://host:port`` or ``azureml://…``; ``None`` for our own.
        shard_size: Lines of one job; 0 where no jobs run them.
        n_jobs: How many there are.
    """

    workers: int
    max_concurrency: int
    on: str | None = None
    shard_size: int = 0
    n_jobs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What runs the lines of a run.

    Attributes:
        runner: ``None`` for this process.
        n_shards: Shards in flight at once.
        shard_size: Lines of one.
    """

    runner: ShardRunner | None
    n_shards: int
    shard_size: int = 1


def make_spread(
    loaded: LoadedFlow, max_concurrency: int | None, workers: int | None, on: str | None = None
) -> Spread:
    """What was asked for, else what the flow or the settings say; no more workers than lines in flight at once."""
    n_at_once = max_concurrency or loaded.max_concurrency
    n_workers = loaded.workers if workers is None else workers
    return Spread(workers=min(n_workers, n_at_once), max_concurrency=n_at_once, on=on)


def make_job_spread(
    loaded: LoadedFlow, max_concurrency: int | None, properties: Mapping[str, Any], n_lines: int
) -> Spread:
    """The jobs that are noted among the properties of a run; all are in flight, and the cluster lets them wait."""
    size = properties[SIZE_PROPERTY]
    n_jobs = max(ceil(n_lines / size), 1)
    n_at_once = ceil((max_concurrency or loaded.max_concurrency) / n_jobs)
    return Spread(
        workers=n_jobs,
        max_concurrency=n_at_once * n_jobs,
        on=properties[ON_PROPERTY],
        shard_size=size,
        n_jobs=n_jobs,
    )


class _Returned:
    """Takes in the lines that workers have done."""

    def __init__(self, workspace: Workspace, flow: PreparedFlow) -> None:
        self._workspace = workspace
        self._flow = flow

    def accept(self, pending: PendingLine, message: LineDone) -> tuple[LineResult, Mapping[str, Any]]:
        """See :data:`~headrace.engine.pool.Accept`."""
        result = message.result
        self._workspace.connections.note_revealed(message.revealed)
        if message.changes is not None and self._flow.cache is not None:
            self._flow.cache.add_changes(message.changes)
        take = self._flow.span_sink
        if take is not None:
            for span in result.spans:
                take(span)
        if not self._flow.aggregated or result.status != COMPLETED:
            return result, {}
        values = unpack_kept(message.kept)
        if values is None:  # then what was recorded has to do, as when a run is resumed
            values = recorded_values(self._flow.plan, pending.inputs, result)
        if values is None:
            return replace(result, status=FAILED, outputs={}, problem=_stays_there()), {}
        return result, values


def _stays_there() -> Problem:
    return Problem(
        code="E604",
        what="What an aggregation node reads of this line can neither leave the worker process nor be recorded.",
        fix="Return plain data from the nodes that aggregation nodes read, or run without --workers.",
    )


def check_on(on: str | None, *, takes_jobs: bool = False) -> None:
    """Refuse processes that cannot be had, before a run is made.

    Raises:
        UsageError: C507 for a word that is not known, C505 when Ray is not installed; X321 for jobs without a place.
    """
    if on is None:
        return
    if is_jobs(on) and takes_jobs:
        load_by_name(CHECK_JOBS)(on)
        return
    if is_jobs(on):
        _refuse(
            "Jobs of Azure Machine Learning run single runs.", "Give --on azureml://… to headrace run create."
        )
    if on != "ray" and not on.startswith("ray://"):
        jobs = ", or azureml://… for jobs" if takes_jobs else ""
        _refuse(f"--on does not know {on!r}.", f"Give ray, or ray://HOST:PORT{jobs}.")
    with process_environment(_RAY_ENVIRONMENT):
        load_optional(_OPEN_CLUSTER, extra="ray")


@asynccontextmanager
async def open_runner(
    workspace: Workspace,
    choice: FlowChoice,
    loaded: LoadedFlow,
    flow: PreparedFlow,
    spread: Spread,
    cached: CacheAsked,
    waiting: Waiting,
) -> AsyncIterator[Running]:
    """Open what runs the lines.

    Raises:
        UsageError: C507 when the flow cannot be loaded in another process.
        StateError: S809 when there is no cluster.
    """
    if not spread.workers and spread.on is None:
        yield Running(runner=None, n_shards=spread.max_concurrency)
        return
    if spread.shard_size:
        async with _open_jobs(workspace, choice, loaded, flow, spread, cached) as running:
            yield running
        return
    setup = WorkerSetup(
        settings=workspace.settings,
        cwd=workspace.cwd,
        import_path=tuple(sys.path),
        given=workspace.connections.given,
        flow=choice,
        attributes=flow.attributes,
        lane=current_lane.get(),
        cached=cached,
        n_at_once=ceil(spread.max_concurrency / max(spread.workers, 1)),
    )
    _check_setup(setup)
    accept = _Returned(workspace, flow).accept
    timeout_s = loaded.limits.line_timeout_s
    opening = (
        _open_processes(
            replace(setup, flow=replace(choice, copy=loaded.folder)),
            spread,
            timeout_s,
            accept,
            flow.cache,
            waiting,
        )
        if spread.on is None
        else _open_ray(spread.on, setup, spread, timeout_s, accept)
    )
    async with opening as running:
        yield running


@asynccontextmanager
async def _open_processes(
    setup: WorkerSetup,
    spread: Spread,
    line_timeout_s: float,
    accept: Accept,
    cache: NodeCache | None,
    waiting: Waiting,
) -> AsyncIterator[Running]:
    """Processes of this machine; each is given line by line, so that work is spread as it is done."""
    started = WorkerCommand(
        words=command(str(Path(headrace.__file__).parents[1])),
        setup=setup,
        cwd=setup.flow.cwd,
        environment=worker_environment(),
        line_timeout_s=line_timeout_s,
    )
    flights = Flights(cache) if cache is not None else None
    pool = WorkerPool(
        lambda: open_worker_process(started, flights, waiting),
        n_workers=spread.workers,
        n_at_once=setup.n_at_once,
        accept=accept,
    )
    async with pool:
        yield Running(runner=pool, n_shards=spread.max_concurrency)


@asynccontextmanager
async def _open_ray(
    address: str, setup: WorkerSetup, spread: Spread, line_timeout_s: float, accept: Accept
) -> AsyncIterator[Running]:
    """Processes of Ray; each is given some lines at once, because they may be far away."""
    with ExitStack() as stack:
        stack.enter_context(process_environment(_RAY_ENVIRONMENT))
        open_cluster = load_optional(_OPEN_CLUSTER, extra="ray")
        cluster = stack.enter_context(
            open_cluster(address, n_workers=spread.workers, line_timeout_s=line_timeout_s)
        )
        n_at_once = ceil(spread.max_concurrency / cluster.n_workers)
        shared = replace(setup, n_at_once=n_at_once)
        pool = WorkerPool(
            lambda: cluster.open_worker(shared), n_workers=cluster.n_workers, n_at_once=1, accept=accept
        )
        async with pool:
            size = min(_SHARD_ROUNDS * n_at_once, _LARGEST_SHARD)
            yield Running(runner=pool, n_shards=cluster.n_workers, shard_size=size)


@asynccontextmanager
async def _open_jobs(
    workspace: Workspace,
    choice: FlowChoice,
    loaded: LoadedFlow,
    flow: PreparedFlow,
    spread: Spread,
    cached: CacheAsked,
) -> AsyncIterator[Running]:
    """Jobs of Azure Machine Learning; each has a part of the lines, settled by their numbers."""
    arm = choice.arm
    setup = ShardSetup(
        file=find_served_file(choice.cwd / choice.path).name,
        arm=replace(arm, variant=None) if arm is not None else None,
        overrides=choice.overrides,
        init=choice.init,
        attributes=flow.attributes,
        lane=current_lane.get(),
        run=cached.run,
        n_at_once=spread.max_concurrency // spread.n_jobs,
    )
    wanted = load_by_name(JOBS_WANTED)(on=spread.on or "", choice=choice, run=cached.run, setup=setup)
    opened = load_by_name(OPEN_JOBS)(workspace, wanted, _Returned(workspace, flow).accept)
    async with opened as runner:
        yield Running(runner=runner, n_shards=spread.n_jobs, shard_size=spread.shard_size)


def _check_setup(setup: WorkerSetup) -> None:
    """Refuse a flow that only this process has.

    Raises:
        UsageError: C507.
    """
    entry = find_given(setup.flow.path.name)
    if entry is not None and (entry.__module__ == "__main__" or not _is_named(entry)):
        _refuse(
            "A function or class of the script itself, and an instance, cannot be had by worker processes.",
            "Put the function or class into a module of its own and give that; give an instance by its class and init.",
        )
    try:
        pickle.dumps(setup)
    except (pickle.PicklingError, TypeError, AttributeError):
        _refuse(
            "A value of init, or a connection, cannot be sent to worker processes.",
            "Give plain data for init.",
        )


def _is_named(entry: Any) -> bool:
    return isinstance(entry, type) or inspect.isroutine(entry)


def _refuse(what: str, fix: str) -> None:
    raise UsageError(Problem(code="C507", what=what, fix=f"{fix} Or run without workers."))
