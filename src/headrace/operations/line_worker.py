"""The part of a run that lives in a worker: the flow, loaded there, and the lines that are run over it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headrace.config import Settings
from headrace.domain.cache import CacheChanges
from headrace.domain.connection import Connection
from headrace.engine.cache import NodeCache
from headrace.engine.flights import Others
from headrace.engine.frames import LineDone, LineWanted, pack_kept
from headrace.engine.line import run_line
from headrace.engine.runtime import PreparedFlow
from headrace.operations.cache_nodes import find_cached_nodes
from headrace.operations.prepare_flow import FlowChoice, FlowSession, LoadedFlow
from headrace.operations.workspace import Workspace, at_work, open_workspace
from headrace.providers.turns import Lane, in_lane
from headrace.tools.output import hidden_output

_STUCK_S = 1.0
"""How long a tool may go on after its time until it counts as stuck."""


_COMMITTED_S = 10.0
"""After how long the run has surely committed what it was told for the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheAsked:
    """Which nodes of a run take part in the cache, by name."""

    run: str
    repeat: int
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSetup:
    """All that a worker has to know to run lines as the run's own process would.

    Attributes:
        settings: Of the command, with its environment.
        cwd: Working directory of the command.
        import_path: Where Python looks for modules.
        given: Connections that code has made.
        flow: The flow and the choices made for it.
        attributes: Attributes of every flow span.
        lane: Whom its model calls are for.
        cached: The nodes whose results are used again.
        n_at_once: Lines in flight in the worker.
    """

    settings: Settings
    cwd: Path
    import_path: tuple[str, ...]
    given: Mapping[str, Connection]
    flow: FlowChoice
    attributes: Mapping[str, Any]
    lane: Lane
    cached: CacheAsked
    n_at_once: int


class LineWorker:
    """Runs lines over a loaded flow and says what came of them in a form that can leave the process.

    Args:
        flow: The prepared flow.
        workspace: Knows which secrets have been given out.
        on_stuck: Called when a tool goes on although its time is over.
    """

    def __init__(self, flow: PreparedFlow, workspace: Workspace, on_stuck: Callable[[], None]) -> None:
        self._flow = flow
        self._workspace = workspace
        self._on_stuck = on_stuck
        self._told: frozenset[str] = frozenset()

    async def run(self, wanted: LineWanted) -> LineDone:
        """Run one line; a failure is a result."""
        values: dict[str, Any] = {}
        result = await run_line(
            self._flow, wanted.inputs, line_number=wanted.line_number, kept=values, place=wanted.place
        )
        given_up = self._flow.threads.given_up()
        if given_up and result.problem is not None and result.problem.code == "E603":
            asyncio.get_running_loop().call_later(_STUCK_S, self._look_after, given_up)
        changes = self._take_changes()
        revealed = self._workspace.connections.revealed()
        new, self._told = revealed - self._told, revealed
        return LineDone(result=result, kept=pack_kept(values), revealed=new, changes=changes)

    def _take_changes(self) -> CacheChanges | None:
        cache = self._flow.cache
        changes = cache.take_changes(may_wait=False) if cache is not None else None
        if cache is not None and changes is not None:
            asyncio.get_running_loop().call_later(_COMMITTED_S, cache.forget_committed, changes)
        return changes

    def _look_after(self, given_up: frozenset[object]) -> None:
        if given_up & self._flow.threads.given_up():
            self._on_stuck()


@contextmanager
def opened_flow(setup: WorkerSetup) -> Iterator[tuple[Workspace, LoadedFlow]]:
    """Load the flow as the run has done, in this process.

    Raises:
        HeadraceError: When it cannot be loaded here.
    """
    sys.path[:] = setup.import_path
    # Spans go back with the lines, and the run sends them.
    settings = replace(setup.settings, exports_telemetry=False, workers=0)
    with open_workspace(settings, setup.cwd) as opened:
        workspace = opened.with_connections(setup.given) if setup.given else opened
        with at_work(workspace), setup.flow.load(workspace) as loaded:
            yield workspace, loaded


@asynccontextmanager
async def working(
    setup: WorkerSetup,
    workspace: Workspace,
    loaded: LoadedFlow,
    on_stuck: Callable[[], None],
    others: Others | None = None,
) -> AsyncIterator[LineWorker]:
    """Run lines during the block, in this event loop; ``others`` are the other processes of the run."""
    session = FlowSession(workspace, loaded, max_threads=setup.n_at_once, attributes=setup.attributes)
    with hidden_output(), in_lane(setup.lane):
        async with session as flow:
            flow.cache = _open_cache(setup.cached, workspace, loaded, flow, others)
            yield LineWorker(flow, workspace, on_stuck)


def _open_cache(
    asked: CacheAsked, workspace: Workspace, loaded: LoadedFlow, flow: PreparedFlow, others: Others | None
) -> NodeCache | None:
    if not asked.nodes:
        return None
    found = find_cached_nodes(workspace, loaded, repeat=asked.repeat, only=asked.nodes)
    return NodeCache(
        found.fingerprinters,
        find=workspace.store.read_cached,
        run=asked.run,
        secrets=flow.secrets,
        others=others,
    )
