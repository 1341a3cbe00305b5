"""A run whose lines are run in parts, as it turns out which ones are needed."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from headrace.domain.dataset import Dataset
from headrace.domain.run import CANCELED, Run, RunSpec
from headrace.engine.events import OnEvent, RunStarted
from headrace.engine.shards import PendingLine
from headrace.errors import ExecutionError, Problem, UsageError
from headrace.formats.lines import read_dataset
from headrace.formats.multimedia import place_images
from headrace.operations.cache_nodes import find_cached_nodes
from headrace.operations.execute_run import RunWork, execute_run, started, taken_over
from headrace.operations.finished_lines import FinishedLines, find_finished
from headrace.operations.keep_version import find_flow_change
from headrace.operations.line_runners import make_spread
from headrace.operations.prepare_flow import KeptFlow, LoadedFlow
from headrace.operations.recorded_data import unchanged_dataset
from headrace.operations.run_batch import RunRequest, cached_nodes, check_price, flow_choice, make_spec
from headrace.operations.run_lines import make_lines
from headrace.operations.run_owner import is_at_work
from headrace.operations.workspace import Workspace

_MOST_HELD = 50_000
"""Lines of data that are held in memory between parts; more are read again for each."""


class PartedRun:
    """One run over parts of its lines.

    Args:
        workspace: For the store.
        request: The run as it would be over all lines.
        owner: Who works on it, as the store knows it.
        hear: Is told when the run begins, of its lines, and when it ends.
        n_lines: Lines of the data, of which not all may be needed; ``None`` for those that the run has.
        name: The run that is gone on with; ``None`` for a new one.
    """

    def __init__(
        self,
        workspace: Workspace,
        request: RunRequest,
        *,
        owner: str,
        hear: OnEvent,
        n_lines: int | None = None,
        name: str | None = None,
    ) -> None:
        self.name = name
        self._workspace = workspace
        self._request = request
        self._owner = owner
        self._n_lines = n_lines
        self._hear = hear
        self._is_announced = False
        self._kept = ExitStack()
        self._flow: KeptFlow | None = None
        self._dataset: Dataset | None = None
        self._source_data: Dataset | None = None
        self._is_read = False

    def run(self, numbers: Collection[int]) -> Run:
        """Run the lines of these numbers that are not recorded yet; the run stays open.

        Raises:
            DefinitionError: Flow, data or mapping are wrong by now.
            UsageError: S818 when another process works on the run, S819 when flow or data have changed.
            ExecutionError: The run was stopped at a limit.
            KeyboardInterrupt: After the run was interrupted.
            StateError: The store failed; what was committed stays.
        """
        return self._execute(frozenset(numbers), is_part=True)

    def finish(self) -> Run:
        """Run all lines that are not recorded yet, then the aggregation nodes, and close the run.

        Raises:
            DefinitionError, UsageError, ExecutionError, KeyboardInterrupt, StateError: As :meth:`run`.
        """
        try:
            return self._execute(None, is_part=False)
        finally:
            self.leave()

    def close(self) -> Run:
        """Run the aggregation nodes over the lines that are recorded, and close the run.

        Raises:
            DefinitionError, UsageError, ExecutionError, KeyboardInterrupt, StateError: As :meth:`run`.
        """
        store = self._workspace.store
        numbers = frozenset(store.line_statuses(self.name)) if self.name is not None else frozenset()
        try:
            return self._execute(numbers, is_part=False)
        finally:
            self.leave()

    def _execute(self, numbers: Collection[int] | None, *, is_part: bool) -> Run:
        workspace, request = self._workspace, self._request
        self._read_data()
        data_path = str(request.data.resolve()) if request.data is not None else None
        flow_path = str(request.flow.resolve())
        choice = flow_choice(request, request.arm)
        if self._flow is None:
            self._flow = self._kept.enter_context(choice.keep(workspace))
        with self._flow.in_place() as loaded:
            dataset = self._dataset
            if dataset is not None and data_path is not None:
                dataset = place_images(dataset, Path(data_path), loaded.flow.message_format)
            lines = make_lines(
                workspace,
                loaded.flow,
                request.column_mapping,
                dataset,
                source_run=request.source_run,
                only=numbers,
                source_data=self._source_data,
            )
            workspace.warn(loaded.warnings)
            check_price(request.spending, loaded)
            is_new = self.name is None
            if self.name is None:
                spec = make_spec(
                    workspace,
                    request,
                    loaded.flow,
                    request.arm,
                    flow_path=flow_path,
                    data_path=data_path,
                    dataset=dataset,
                )
                cached = cached_nodes(workspace, request, loaded)
                spec = replace(spec, sources=cached.sources)
                self._create(spec, len(lines) if self._n_lines is None else self._n_lines)
            else:
                spec = self._claim(self.name, loaded, dataset)
                cached = find_cached_nodes(workspace, loaded, repeat=spec.repeat, only=spec.sources)
            finished = self._finished(spec.name, loaded, lines, is_part=is_part, is_new=is_new)
            self._announce(spec, lines, finished, is_new=is_new)
            work = RunWork(
                spec=spec,
                owner=self._owner,
                choice=choice,
                loaded=loaded,
                lines=lines,
                finished=finished,
                cached=cached,
                spread=make_spread(loaded, request.max_concurrency, request.workers, request.on),
                spending=request.spending,
                is_part=is_part,
                is_followed=True,
            )
            run = execute_run(workspace, work, self._hear)
        if run.status == CANCELED and run.problem is not None:
            raise ExecutionError(run.problem)
        return run

    def _read_data(self) -> None:
        """Read the data, and those of the run that is read, once: all parts are of the same lines."""
        if self._is_read:
            return
        self._is_read = True
        if self._request.data is not None:
            dataset = read_dataset(self._request.data)
            self._dataset = dataset if self._n_lines is None else _held(dataset)
        if self._request.source_run is not None and self._n_lines is not None:
            source = self._workspace.store.read_run(self._request.source_run)
            found = unchanged_dataset(source.spec)
            self._source_data = _held(found) if found is not None else None

    def leave(self) -> None:
        """Give the flow back that was kept for further parts."""
        self._flow = None
        self._kept.close()

    def _create(self, spec: RunSpec, n_lines: int) -> None:
        workspace = self._workspace
        workspace.store.create_run(spec, n_lines=n_lines, created_at=workspace.now(), owner=self._owner)
        self.name = spec.name

    def _claim(self, name: str, loaded: LoadedFlow, dataset: Dataset | None) -> RunSpec:
        """Work on the run again, which must be what it was.

        Raises:
            UsageError: S818, S819.
        """
        workspace = self._workspace
        base = workspace.store.read_run(name)
        if base.owner != self._owner and is_at_work(base, workspace.now()):
            raise UsageError(taken_over(name))
        changed = find_flow_change(workspace, base.spec, loaded.flow)
        if changed is not None:
            raise UsageError(_changed(name, changed))
        if dataset is not None and dataset.digest != base.spec.data_digest:
            raise UsageError(_changed(name, f"the data {dataset.path}"))
        seen = base.heartbeat_at
        if not workspace.store.claim_run(name, owner=self._owner, at=workspace.now(), seen=seen):
            raise UsageError(taken_over(name))
        return base.spec

    def _announce(
        self, spec: RunSpec, lines: Collection[PendingLine], finished: FinishedLines, *, is_new: bool
    ) -> None:
        if self._is_announced:
            return
        self._is_announced = True
        if self._n_lines is not None:
            self._hear(RunStarted(run=spec.name, arm=spec.arm, n_lines=self._n_lines))
        else:
            self._hear(started(spec, lines, finished, resume_from=None if is_new else spec.name))

    def _finished(
        self, name: str, loaded: LoadedFlow, lines: Collection[PendingLine], *, is_part: bool, is_new: bool
    ) -> FinishedLines:
        """What is recorded of the lines; with what aggregation nodes read of it once they are to run."""
        if is_new:
            return FinishedLines()
        if is_part or not loaded.plan.aggregation:
            recorded = frozenset(self._workspace.store.line_statuses(name))
            return FinishedLines(numbers=recorded.intersection(line.line.number for line in lines))
        return find_finished(self._workspace, name, loaded, lines, has_failed=True)


def _held(dataset: Dataset) -> Dataset:
    """The data with its lines in memory, where they are not too many."""
    return replace(dataset, lines=tuple(dataset.lines)) if len(dataset.lines) <= _MOST_HELD else dataset


def _changed(name: str, what: str) -> Problem:
    return Problem(
        code="S819",
        what=f"The run {name!r} cannot be resumed: {what} has changed since.",
        fix="Undo the change, or begin anew: results of nodes that did not change are used again.",
    )
