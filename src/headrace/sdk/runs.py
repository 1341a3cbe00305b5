"""``PFClient().runs``: making, reading and changing runs (promptflow-format: 9.12)."""

from __future__ import annotations

import asyncio
import builtins
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, TypeVar

from headrace.compat.constants import MAX_RUN_LIST_RESULTS, MAX_SHOW_DETAILS_RESULTS, ListViewType
from headrace.domain import run as domain
from headrace.domain.run import COMPLETED, FAILED, RUNNING
from headrace.engine.events import LineFinished
from headrace.errors import DefinitionError, Problem
from headrace.formats.flow_file import load_flow
from headrace.formats.run_summary import run_folder
from headrace.operations.configuration import runs_folder
from headrace.operations.export_run import export_run
from headrace.operations.follow_run import follow_run
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.update_run import update_run
from headrace.operations.visualize_runs import visualize_runs
from headrace.operations.workspace import Workspace, at_work
from headrace.sdk.details import make_details
from headrace.sdk.entry import find_flow
from headrace.sdk.failures import as_sdk_errors, run_failed
from headrace.sdk.flow_context import split_connections
from headrace.sdk.run import Run, run_name

T = TypeVar("T")
_PAUSE_S = 0.2


class RunOperations:
    """Runs of one workspace. Made by :class:`PFClient`."""

    def __init__(self, workspace: Workspace, config: Mapping[str, Any]) -> None:
        self._workspace = workspace
        self._config = config

    def create_or_update(self, run: Run, *, stream: bool = False, **_: Any) -> Run:
        """Run what ``run`` describes and return it as recorded.

        Raises:
            RunExistsError: There is a run of this name.
            UserErrorException: Flow, data or mapping are wrong.
        """
        with as_sdk_errors():
            path, giving = find_flow(run.flow if run.flow is not None else "")
        settings, given = split_connections(run.connections)
        workspace = self._workspace.with_connections(given) if given else self._workspace
        request = RunRequest(
            flow=path,
            data=Path(run.data) if run.data is not None else None,
            source_run=run.run,
            column_mapping=run.column_mapping or {},
            variant=run.variant,
            name=run.name,
            environment_variables={name: str(value) for name, value in run.environment_variables.items()},
            connections=settings,
            init=run.init or {},
            resume_from=run.resume_from,
            display_name=run.display_name,
            description=run.description,
            tags=run.tags or {},
            properties=run.given_properties,
            runs_folder=runs_folder(workspace.settings, workspace.cwd, self._config),
        )
        hear = _tell if stream else None
        with as_sdk_errors(), at_work(workspace), giving:
            recorded = in_free_thread(lambda: create_run(workspace, request, hear))
            made = self._made(recorded)
            folder = run_folder(recorded)
            if request.runs_folder and folder:
                workspace.warn(export_run(workspace, recorded.spec.name, Path(folder)))
        if stream:
            _write(made.summary())
        return made

    def get(self, name: str) -> Run:
        """The run of this name.

        Raises:
            RunNotFoundError: There is none.
        """
        with as_sdk_errors():
            return self._made(self._workspace.store.read_run(name))

    def list(
        self,
        max_results: int | None = MAX_RUN_LIST_RESULTS,
        *,
        list_view_type: ListViewType | str = ListViewType.ACTIVE_ONLY,
    ) -> builtins.list[Run]:
        """Runs, newest first."""
        archived = {ListViewType.ACTIVE_ONLY: False, ListViewType.ARCHIVED_ONLY: True}.get(
            ListViewType(list_view_type)
        )
        with as_sdk_errors():
            found = self._workspace.store.list_runs(limit=max_results, is_archived=archived)
        return [self._made(item) for item in found]

    def stream(self, name: Run | str, raise_on_error: bool = True) -> Run:  # noqa: FBT001, FBT002 - as projects call it
        """Write how the run went.

        Raises:
            RunNotFoundError: There is no such run.
            InvalidRunStatusError: The run failed as a whole, and ``raise_on_error`` is set.
        """
        wanted = _given(name)
        with as_sdk_errors():
            for line in follow_run(self._workspace, wanted):
                if line is None:
                    time.sleep(_PAUSE_S)
                else:
                    _write(_line(line.line_number, line.status, line.problem))
            run = self._made(self._workspace.store.read_run(wanted))
        _write(run.summary())
        if raise_on_error and run.recorded is not None and run.status == FAILED:
            raise run_failed(wanted, run.recorded.problem)
        return run

    def get_details(
        self,
        name: Run | str,
        max_results: int = MAX_SHOW_DETAILS_RESULTS,
        all_results: bool = False,  # noqa: FBT001, FBT002 - as projects call it
    ) -> Any:
        """A pandas frame of the lines: columns ``inputs.*`` and ``outputs.*``; see ``details.py``.

        Raises:
            RunNotFoundError: There is no such run.
            UserErrorException: pandas is not installed.
        """
        with as_sdk_errors():
            run = self._workspace.store.read_run(_given(name))
            lines = self._workspace.store.read_lines(
                run.spec.name, limit=None if all_results else max_results
            )
            return make_details(lines, _column_order(run.spec))

    def get_metrics(self, name: Run | str) -> dict[str, Any]:
        """What the aggregation nodes of the run logged.

        Raises:
            RunNotFoundError: There is no such run.
        """
        with as_sdk_errors():
            return dict(self._workspace.store.read_run(_given(name)).metrics)

    def visualize(
        self, runs: Run | str | Iterable[Run | str], *, html_path: str | None = None, **_: Any
    ) -> None:
        """Write a page about runs and say where it is.

        Raises:
            RunNotFoundError: There is no such run.
        """
        names = [_given(item) for item in ([runs] if isinstance(runs, (str, Run)) else runs)]
        with as_sdk_errors():
            path = visualize_runs(self._workspace, names, Path(html_path) if html_path else None)
        _write(f"The HTML file is generated at {str(path)!r}.\n")

    def update(
        self,
        name: Run | str,
        display_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        **_: Any,
    ) -> Run:
        """Change what people note about a run.

        Raises:
            RunNotFoundError: There is no such run.
        """
        with as_sdk_errors():
            changed = update_run(
                self._workspace, _given(name), display_name=display_name, description=description, tags=tags
            )
        return self._made(changed)

    def archive(self, name: Run | str) -> Run:
        """Leave a run out of lists.

        Raises:
            RunNotFoundError: There is no such run.
        """
        return self._set_archived(name, is_archived=True)

    def restore(self, name: Run | str) -> Run:
        """Take an archived run into lists again.

        Raises:
            RunNotFoundError: There is no such run.
        """
        return self._set_archived(name, is_archived=False)

    def delete(self, name: Run | str) -> None:
        """Delete a run with everything recorded of it; files that were written of it stay.

        Raises:
            RunNotFoundError: There is no such run.
        """
        with as_sdk_errors():
            self._workspace.store.delete_run(_given(name))

    def _set_archived(self, name: Run | str, *, is_archived: bool) -> Run:
        with as_sdk_errors():
            return self._made(self._workspace.store.update_run(_given(name), is_archived=is_archived))

    def _get_outputs(self, run: Run | str) -> builtins.list[dict[str, Any]]:
        found = [line for line in self._lines(_given(run)) if line.status == COMPLETED]
        return [{"line_number": line.line_number, **line.outputs} for line in found]

    def _get_inputs(self, run: Run | str) -> builtins.list[dict[str, Any]]:
        return [{**line.inputs, "line_number": line.line_number} for line in self._lines(_given(run))]

    def _lines(self, name: str) -> builtins.list[domain.LineResult]:
        with as_sdk_errors():
            return list(self._workspace.store.read_lines(name))

    def _made(self, recorded: domain.Run) -> Run:
        name = recorded.spec.name
        written = run_folder(recorded)
        folder = Path(written) if written else self._workspace.state_folder / "runs" / name

        def write_files() -> Path:
            if recorded.status != RUNNING and not folder.exists():
                self._workspace.warn(export_run(self._workspace, name, folder))
            return folder

        def find_failure() -> Problem | None:
            lines = self._workspace.store.read_lines(name)
            return next((line.problem for line in lines if line.problem is not None), None)

        return Run.from_record(recorded, write_files, find_failure)


def in_free_thread(work: Callable[[], T]) -> T:
    """Do work that starts an event loop, also where one runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(max_workers=1) as threads:
        return threads.submit(copy_context().run, work).result()


def _given(run: Run | str) -> str:
    return run_name(run) or ""  # an unnamed run was not made, and there is none of this name


def _column_order(spec: domain.RunSpec) -> tuple[str, ...]:
    """Prompt flow's: inputs that take their column unasked, those that are mapped, the line number, defaults."""
    try:
        declared = load_flow(Path(spec.flow_path)).inputs
    except (DefinitionError, OSError):
        return (*spec.column_mapping, "line_number")
    unasked = [name for name, item in declared.items() if not item.has_default]
    return tuple(dict.fromkeys((*unasked, *spec.column_mapping, "line_number", *declared)))


def _tell(event: Any) -> None:
    if isinstance(event, LineFinished):
        _write(_line(event.line_number, event.status, None))


def _line(number: int, status: str, problem: Problem | None) -> str:
    return (
        f"Line {number}: {status}\n"
        if problem is None
        else f"Line {number}: {status}. {problem.headline()}\n"
    )


def _write(text: str) -> None:
    sys.stdout.write(text)
