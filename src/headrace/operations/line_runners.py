"""Where the lines of a run are run: in this process, in worker processes, or by Ray."""

from __future__ import annotations

import inspect
import pickle
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import headrace
from headrace.config import worker_environment
from headrace.domain.run import COMPLETED, FAILED, LineResult
from headrace.engine.aggregate import recorded_values
from headrace.engine.frames import LineDone, unpack_kept
from headrace.engine.pool import WorkerPool
from headrace.engine.runtime import PreparedFlow
from headrace.engine.shards import PendingLine, ShardRunner
from headrace.engine.worker_process import WorkerCommand, open_worker_process
from headrace.errors import Problem, UsageError
from headrace.operations.line_worker import CacheAsked, WorkerSetup
from headrace.operations.prepare_flow import FlowChoice, LoadedFlow
from headrace.operations.work_lines import command
from headrace.operations.workspace import Workspace
from headrace.providers.turns import current_lane
from headrace.tools.given_entry import find_given


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Over what the lines of a run are spread.

    Attributes:
        workers: Processes; 0 for none.
        max_concurrency: Lines in flight at once, in all of them together.
    """

    workers: int
    max_concurrency: int


def make_spread(loaded: LoadedFlow, max_concurrency: int | None, workers: int | None) -> Spread:
    """What was asked for, else what the flow or the settings say; no more workers than lines in flight at once."""
    n_at_once = max_concurrency or loaded.max_concurrency
    n_workers = loaded.workers if workers is None else workers
    return Spread(workers=min(n_workers, n_at_once), max_concurrency=n_at_once)


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
        for span in result.spans:
            self._flow.span_sink(span)
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


@asynccontextmanager
async def open_runner(
    workspace: Workspace,
    choice: FlowChoice,
    loaded: LoadedFlow,
    flow: PreparedFlow,
    spread: Spread,
    cached: CacheAsked,
) -> AsyncIterator[ShardRunner | None]:
    """Open what runs the lines; ``None`` is for this process.

    Raises:
        UsageError: C507 when the flow cannot be loaded in another process.
    """
    if not spread.workers:
        yield None
        return
    n_at_once = ceil(spread.max_concurrency / spread.workers)
    setup = WorkerSetup(
        settings=workspace.settings,
        cwd=workspace.cwd,
        import_path=tuple(sys.path),
        given=workspace.connections.given,
        flow=replace(choice, copy=loaded.folder),
        attributes=flow.attributes,
        lane=current_lane.get(),
        cached=cached,
        n_at_once=n_at_once,
    )
    _check_setup(setup)
    started = WorkerCommand(
        words=command(str(Path(headrace.__file__).parents[1])),
        setup=setup,
        cwd=choice.cwd,
        environment=worker_environment(),
        line_timeout_s=loaded.limits.line_timeout_s,
    )
    pool = WorkerPool(
        lambda: open_worker_process(started),
        n_workers=spread.workers,
        n_at_once=n_at_once,
        accept=_Returned(workspace, flow).accept,
    )
    async with pool:
        yield pool


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
