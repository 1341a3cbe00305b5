"""``Run``: a run as code sees it, before it is made and after (promptflow-format: 9.8, 9.12)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import Any

from headrace.domain import run as domain
from headrace.errors import Problem
from headrace.formats.positions import dump_yaml
from headrace.formats.run_summary import render_run_properties, render_run_summary, run_duration_s

_NOT_STARTED = "NotStarted"


class Run:
    """What to run over which data; or a run that was made, as it was when it was read.

    Attributes:
        name: Unique name; ``None`` until the run is made where none was given.
        flow: Flow folder or file; or a function, class or object.
        data: Path of the data.
        run: The run whose outputs are read.
        column_mapping: Flow input to where its values come from.
        variant: ``${node.variant}``.
        display_name, description, tags: What people note about it.
        environment_variables, connections, init: As :meth:`PFClient.run` takes them.
        resume_from: The run whose finished lines are taken over.
        given_properties: What else was to be kept with it.
        recorded: What the store has; ``None`` until the run is made.
    """

    type = "batch"

    def __init__(
        self,
        flow: Any = None,
        name: str | None = None,
        data: str | PathLike[str] | None = None,
        variant: str | None = None,
        run: Run | str | None = None,
        column_mapping: Mapping[str, Any] | None = None,
        display_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        environment_variables: Mapping[str, str] | None = None,
        connections: Mapping[str, Mapping[str, Any]] | None = None,
        properties: Mapping[str, Any] | None = None,
        init: Mapping[str, Any] | None = None,
        resume_from: Run | str | None = None,
        **_: Any,
    ) -> None:
        self.flow = Path(flow) if isinstance(flow, (str, PathLike)) else flow
        self.name: str | None = name
        self.data = str(data) if data is not None else None
        self.variant = variant
        self.run = run_name(run)
        self.column_mapping = dict(column_mapping) if column_mapping else None
        self.display_name = display_name
        self.description = description
        self.tags = dict(tags) if tags else None
        self.environment_variables = dict(environment_variables or {})
        self.connections = dict(connections or {})
        self.init = dict(init) if init else None
        self.resume_from = run_name(resume_from)
        self.given_properties = dict(properties or {})
        self.recorded: domain.Run | None = None
        self._write_files: Callable[[], Path] | None = None
        self._find_failure: Callable[[], Problem | None] | None = None

    @classmethod
    def from_record(
        cls,
        recorded: domain.Run,
        write_files: Callable[[], Path],
        find_failure: Callable[[], Problem | None],
    ) -> Run:
        """The run that a store has.

        Args:
            recorded: As it was read.
            write_files: Writes its files, if that was not done before, and returns their folder.
            find_failure: Finds why its first failed line failed.
        """
        spec = recorded.spec
        made = cls(
            flow=spec.flow_path,
            name=spec.name,
            data=spec.data_path,
            variant=spec.variant,
            run=spec.source_run,
            column_mapping=spec.column_mapping,
            display_name=spec.display_name or spec.name,
            description=spec.description,
            tags=spec.tags,
            init=spec.init,
            resume_from=spec.resume_from,
        )
        made.recorded = recorded
        made._write_files = write_files
        made._find_failure = find_failure
        return made

    @property
    def status(self) -> str:
        """NotStarted, Running, Completed, Failed or Canceled."""
        return self.recorded.status if self.recorded else _NOT_STARTED

    @property
    def created_on(self) -> str | None:
        """When it was made, as ISO text."""
        return self.recorded.created_at.isoformat() if self.recorded else None

    @property
    def properties(self) -> dict[str, Any]:
        """Flow path, output path, mapping and measures; the files of the run are written when this is read."""
        if self.recorded is None:
            return dict(self.given_properties)
        return render_run_properties(self.recorded, folder=str(self._output_path))

    @property
    def _properties(self) -> dict[str, Any]:
        """The properties with the counts of lines, which evaluation packages read here."""
        made = self.properties
        if self.recorded is not None:
            counts = {"completed": self.recorded.n_completed, "failed": self.recorded.n_failed}
            made["system_metrics"].update({f"__pf__.lines.{state}": n for state, n in counts.items()})
        return made

    @property
    def _created_on(self) -> datetime | None:
        return self.recorded.created_at if self.recorded else None

    @property
    def _start_time(self) -> datetime | None:
        return self._created_on

    @property
    def _end_time(self) -> datetime | None:
        return self.recorded.finished_at if self.recorded else None

    @property
    def _output_path(self) -> Path | None:
        """The folder with the files of the run in prompt flow's layout; they are written when this is read first."""
        return self._write_files() if self._write_files else None

    @property
    def _resume_from(self) -> str | None:
        return self.resume_from

    @property
    def _run_source(self) -> str:
        return "local"

    def summary(self) -> str:
        """What there is to say when a run has ended, in prompt flow's words."""
        duration_s = run_duration_s(self.recorded) if self.recorded else None
        return (
            "======= Run Summary =======\n\n"
            f'Run name: "{self.name}"\nRun status: "{self.status}"\nStart time: "{self._created_on}"\n'
            f'Duration: "{timedelta(seconds=duration_s or 0)}"\nOutput path: "{self._output_path}"\n\n'
        )

    def _to_dict(self, *, exclude_properties: bool = False, **_: Any) -> dict[str, Any]:
        if self.recorded is None:
            data = {
                "name": self.name,
                "status": self.status,
                "display_name": self.display_name,
                "tags": self.tags,
            }
        else:
            failure = self._find_failure() if self._find_failure and self.recorded.n_failed else None
            data = render_run_summary(self.recorded, failure, folder=str(self._output_path))
        if exclude_properties:
            data.pop("properties", None)
        return data

    def __str__(self) -> str:
        return dump_yaml(self._to_dict())


def run_name(run: Any) -> str | None:
    """The name of a run that is given itself or by name.

    Raises:
        TypeError: It is neither.
    """
    if run is None or isinstance(run, str):
        return run
    if isinstance(run, Run):
        return run.name
    message = f"A run is given by its name or as a Run, not as a {type(run).__name__}."
    raise TypeError(message)
