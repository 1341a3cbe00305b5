"""Work on a run that is in the store: its lines, then its aggregation nodes, then its end."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from shlex import quote
from types import FrameType

from headrace.domain.run import CANCELED, COMPLETED, FAILED, LineResult, Run, RunSpec
from headrace.engine.aggregate import AggregationResult, run_aggregation
from headrace.engine.batch import run_lines
from headrace.engine.cache import NodeCache
from headrace.engine.events import LineFinished, OnEvent, RunFinished, RunHeldUp, RunStarted, RunStopping
from headrace.engine.runtime import PreparedFlow
from headrace.engine.shards import PendingLine
from headrace.engine.spending import Spending
from headrace.engine.stopping import Stop
from headrace.engine.waiting import HeldUp, Waiting
from headrace.errors import HeadraceError, Problem, StateError, UsageError
from headrace.operations.cache_nodes import CachedNodes
from headrace.operations.endpoint_versions import EndpointVersions
from headrace.operations.finished_lines import FinishedLines
from headrace.operations.line_runners import Running, Spread, open_runner
from headrace.operations.line_worker import CacheAsked
from headrace.operations.prepare_flow import FlowChoice, FlowSession, LoadedFlow
from headrace.operations.run_owner import Heartbeat
from headrace.operations.workspace import Workspace
from headrace.providers.loading import load_by_name
from headrace.providers.turns import Lane, in_lane
from headrace.telemetry.attributes import run_attributes
from headrace.tools.output import hidden_output

_EVENTS = "headrace.operations.evaluation_events:EvaluationEvents"
"""Reached by name: only runs that evaluate others have any."""

_MOST_NAMES = 3
_DEAF_S = 1.0
"""A loop that has not heard of an interrupt for so long is held up, when the next one comes."""
_CUT = "The run ran into its time limit: lines that had not ended have failed, and nothing was aggregated."


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWork:
    """What there is to do of a run.

    Attributes:
        owner: Who works on it, as the store knows it.
        choice: What was loaded, for who has to load it as well.
        lines: All lines of the run.
        finished: Those that are recorded already.
        spread: Over what they are spread.
        cached: The nodes whose results are used again.
        spending: What the run may spend, if that is limited.
        is_part: More lines will follow: the run stays open, and nothing is aggregated yet.
        is_followed: Other runs will follow, which an interrupt ends as well: also one that comes as this run ends.
    """

    spec: RunSpec
    owner: str
    choice: FlowChoice
    loaded: LoadedFlow
    lines: Collection[PendingLine]
    finished: FinishedLines
    cached: CachedNodes
    spread: Spread
    spending: Spending | None = None
    is_part: bool = False
    is_followed: bool = False


def execute_run(workspace: Workspace, work: RunWork, hear: OnEvent) -> Run:
    """Do what there is to do and close the run.

    Whatever ends the run, a fault of ours as well, closes it: no run stays Running that nobody works on. The first
    interrupt takes no further lines and lets those in flight end within the time of grace (HEADRACE_GRACE_S); the
    second ends them at once.

    Raises:
        KeyboardInterrupt: After the run was interrupted and closed.
        UsageError: S818 when another process has taken the run over.
        StateError: The store failed; what was committed stays. It says whether lines are missing, and how to go on.
    """
    run = _Execution(workspace, work, hear)
    try:
        return _execute(run, workspace, work, hear)
    except StateError as error:
        raise StateError(*(_unclosed(work.spec.name, problem, run) for problem in error.problems)) from error


def _execute(run: _Execution, workspace: Workspace, work: RunWork, hear: OnEvent) -> Run:
    name = work.spec.name
    lane = Lane(name=name, is_judge=work.spec.source_run is not None)
    status, outcome = FAILED, AggregationResult(problem=interrupted(name))
    try:
        # What tools print is kept with each node; a console full of it helps nobody.
        with hidden_output(), in_lane(lane):
            outcome = asyncio.run(run.run())
        status = (
            CANCELED if run.stop.problem is not None and outcome.problem is run.stop.problem else COMPLETED
        )
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        status = CANCELED
        raise KeyboardInterrupt from error
    except HeadraceError as error:
        outcome = AggregationResult(problem=error.problems[0])
        raise
    finally:
        if run.is_lost:
            raise UsageError(taken_over(name))
        if work.is_part and status == COMPLETED:
            closed = workspace.store.read_run(name)
        else:
            closed = workspace.store.finish_run(
                name,
                status=status,
                finished_at=workspace.now(),
                metrics=outcome.metrics,
                aggregation=outcome.nodes,
                problem=outcome.problem,
                spans=outcome.spans,
            )
            hear(RunFinished(run=name, status=status))
    if run.is_interrupted and (status == CANCELED or work.is_part or work.is_followed):
        raise KeyboardInterrupt
    return closed


class _Execution:
    """One run at work.

    Attributes:
        stop: Ends it early.
        is_interrupted: Whether a person, or the system, has asked for that.
        is_lost: Whether the run belongs to another process by now.
        is_recorded: Whether all its lines are recorded.
    """

    def __init__(self, workspace: Workspace, work: RunWork, hear: OnEvent) -> None:
        self.stop = Stop()
        self.is_interrupted = False
        self.is_lost = False
        self.is_recorded = False
        self._workspace = workspace
        self._work = work
        self._hear = hear
        self._waiting = Waiting(workspace.quota.snapshot)
        self._versions = EndpointVersions(workspace, work.spec.name, work.loaded.flow)
        source = work.spec.source_run
        self._events = load_by_name(_EVENTS)(workspace, work.spec, source) if source is not None else None

    async def run(self) -> AggregationResult:
        """All lines, and the aggregation.

        Raises:
            CancelledError: The run was interrupted. An interrupt that a tool raises has left the event loop already; as
                the outcome of this task it would be logged when the task is collected, whatever runs then.
        """
        try:
            return await self._run()
        except KeyboardInterrupt as error:
            raise asyncio.CancelledError from error

    async def _run(self) -> AggregationResult:
        work, spec = self._work, self._work.spec
        attributes = run_attributes(
            spec.name,
            spec.arm,
            flow_version=spec.version_name,
            flow_digest=spec.flow_digest,
            data_version=spec.data_version,
            data_digest=spec.data_digest,
        )
        session = FlowSession(
            self._workspace, work.loaded, max_threads=work.spread.max_concurrency, attributes=attributes
        )
        done = work.finished.numbers
        if work.spending is not None:
            work.spending.begin_run(spec.name)
        with self._interrupts(), self._heartbeat(), self._waiting.watch(self._tell_held_up):
            async with session as flow:
                flow.cache = self._open_cache(flow)
                with self._kept_results(flow.cache):
                    async with self._open_runner(flow) as running:
                        batch = await run_lines(
                            flow,
                            (line for line in work.lines if line.line.number not in done),
                            max_concurrency=running.n_shards,
                            record=partial(self._record, flow.cache),
                            on_line=self.tell_line,
                            kept=work.finished.kept,
                            stop=self.stop,
                            spending=work.spending,
                            runner=running.runner,
                            shard_size=running.shard_size,
                        )
                self._versions.keep()
                self.is_recorded = batch.problem is None
                if batch.problem is None:
                    return AggregationResult() if work.is_part else await run_aggregation(flow, batch.kept)
        if batch.problem is self.stop.problem:
            return AggregationResult(problem=batch.problem)
        # As with prompt flow, no metrics over half of a run.
        return AggregationResult(problem=replace(batch.problem, what=_CUT))

    def _open_runner(self, flow: PreparedFlow) -> AbstractAsyncContextManager[Running]:
        work = self._work
        cached = CacheAsked(run=work.spec.name, repeat=work.spec.repeat, nodes=tuple(work.cached.sources))
        return open_runner(
            self._workspace, work.choice, work.loaded, flow, work.spread, cached, self._waiting
        )

    def _open_cache(self, flow: PreparedFlow) -> NodeCache | None:
        fingerprinters = self._work.cached.fingerprinters
        if not fingerprinters:
            return None
        find, run = self._workspace.store.read_cached, self._work.spec.name
        return NodeCache(fingerprinters, find=find, run=run, secrets=flow.secrets)

    def _record(self, cache: NodeCache | None, results: Sequence[LineResult]) -> None:
        """Commit lines, and with them all that the cache has learnt by now, also from lines in flight."""
        changes = cache.take_changes() if cache is not None else None
        if self._events is not None:
            results = self._events.note(results)
        self._workspace.store.append_lines(self._work.spec.name, results, changes)
        self._versions.note(results)
        if cache is not None:
            cache.forget_committed(changes)

    @contextmanager
    def _kept_results(self, cache: NodeCache | None) -> Iterator[None]:
        """Commit to the cache, at the end of the lines, what those have learnt that did not come to their end."""

        def commit() -> None:
            if cache is None:
                return
            changes = cache.take_changes(may_wait=False)
            self._workspace.warn(unkept(node, names) for node, names in cache.find_unkept().items())
            if changes is not None:
                self._workspace.store.change_cache(changes)

        try:
            yield
        except asyncio.CancelledError:
            commit()
            raise
        commit()

    def tell_line(self, result: LineResult) -> None:
        self._waiting.note_line()
        self._hear(line_event(self._work.spec.name, result, n_waiting=self._waiting.count()))

    def _tell_held_up(self, held: HeldUp) -> None:
        event = RunHeldUp(
            run=self._work.spec.name,
            n_waiting=held.n_waiting,
            service=held.service,
            model=held.model,
            refused=held.refused,
            since_s=round(held.since_s, 1),
        )
        self._hear(event)

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """Hear interrupts at once: the loop would hear of one later, and never of one as the last line ends.

        Code that holds the loop up, an ``async`` tool that does not await, is interrupted itself.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        unheard_since: float | None = None

        def stop() -> None:
            nonlocal unheard_since
            unheard_since = None
            grace_s = self._workspace.settings.grace_s
            self.stop.ask(interrupted(self._work.spec.name), grace_s)
            self._hear(RunStopping(run=self._work.spec.name, grace_s=grace_s))

        def cancel() -> None:
            nonlocal unheard_since
            unheard_since = None
            if task is not None:
                task.cancel()

        def interrupt(_signal: int, _frame: FrameType | None) -> None:
            nonlocal unheard_since
            is_second, self.is_interrupted = self.is_interrupted, True
            if unheard_since is not None and time.monotonic() - unheard_since >= _DEAF_S:
                raise KeyboardInterrupt
            unheard_since = unheard_since or time.monotonic()
            if not is_second:
                _call_soon(loop, stop)
            else:
                _call_soon(loop, cancel)

        try:
            before = signal.signal(signal.SIGINT, interrupt)
        except ValueError:  # not the main thread
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def _heartbeat(self) -> Iterator[None]:
        name, loop = self._work.spec.name, asyncio.get_running_loop()

        def lose() -> None:
            self.is_lost = True
            _call_soon(loop, lambda: self.stop.ask(taken_over(name), 0.0))

        def beat() -> bool:
            return self._workspace.store.beat_run(name, owner=self._work.owner, at=self._workspace.now())

        with Heartbeat(beat, lose):
            yield


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:  # the loop is closed: the run has ended meanwhile
        return


def started(
    spec: RunSpec, lines: Collection[PendingLine], finished: FinishedLines, *, resume_from: str | None
) -> RunStarted:
    """The event that says that work on a run begins."""
    return RunStarted(
        run=spec.name,
        arm=spec.arm,
        n_lines=len(lines),
        n_finished=len(finished.numbers),
        resume_from=resume_from,
    )


def line_event(run: str, result: LineResult, *, n_waiting: int = 0) -> LineFinished:
    """The event that says that a line is recorded."""
    return LineFinished(
        run=run,
        line_number=result.line_number,
        status=result.status,
        usage=result.usage,
        duration_ms=result.duration_ms,
        n_cached=sum(node.cached_from is not None for node in result.nodes),
        n_waiting=n_waiting,
    )


def interrupted(run: str) -> Problem:
    """Why an interrupted run ended."""
    return Problem(
        code="E608",
        what=f"The run {run!r} was interrupted.",
        fix=f"Go on with it: headrace run resume --name {quote(run)}",
    )


def _unclosed(name: str, problem: Problem, run: _Execution) -> Problem:
    """Why a run could not be recorded to its end, with what is safe of it and how to go on."""
    safe = "All lines of the run {!r} are recorded, but not its end." if run.is_recorded else ""
    what = " ".join(part for part in (safe.format(name), problem.what) if part)
    again = (
        f"{'Finish' if run.is_recorded else 'Go on with'} the run: headrace run resume --name {quote(name)}"
    )
    return replace(problem, what=what, fix=" ".join(part for part in (problem.fix, again) if part))


def unkept(node: str, names: Sequence[str]) -> Problem:
    """The warning for a node whose results cannot be used again because of what has changed meanwhile."""
    shown = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
    return Problem(
        code="E611",
        what=f"Results of the node {node!r} were not kept: during the run something else came to stand in {shown}, "
        "which its code or an argument names.",
        fix="Where the tool only writes there, let it take the place from an environment variable; "
        "where it keeps a state there, say @tool(cache=False).",
        severity="warning",
    )


def taken_over(run: str) -> Problem:
    """Why a process gave up a run that another one works on."""
    return Problem(
        code="S818",
        what=f"Another process works on the run {run!r}.",
        fix=f"Watch it with: headrace run stream --name {quote(run)}",
    )
