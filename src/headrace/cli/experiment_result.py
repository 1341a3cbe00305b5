"""What commands print and write that run an experiment: the comparison, its report, and how to make it again."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from shlex import quote
from typing import Any

from headrace.cli.compare_outputs import (
    Destination,
    files_of,
    make_room,
    outputs_option,
    read_destinations,
    render_result,
    write_output,
)
from headrace.cli.forecast_view import show_forecasts
from headrace.cli.options import Decorator, all_options, path_option
from headrace.cli.progress import show_progress
from headrace.cli.record_options import check_records, record_options, write_records
from headrace.cli.session import Session, fail_usage
from headrace.cli.wording import plural
from headrace.cli.workspace import command_workspace
from headrace.domain.evaluation import Experiment
from headrace.engine.events import OnEvent
from headrace.errors import ExitCode, Problem
from headrace.evaluation.report.html import render_html
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.forecast_run import forecast_experiment
from headrace.operations.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where the result of an experiment goes.

    Attributes:
        destinations: Forms and files of the comparison.
        report: The HTML report; ``None`` for a file below ``.headrace/reports``.
        scores: A table of all scores.
        trackers: Other programs that keep records of experiments.
    """

    destinations: tuple[Destination, ...]
    report: Path | None
    scores: Path | None
    trackers: tuple[str, ...]

    def make_room(self) -> None:
        """Find out before anything is paid whether the files can be written."""
        for path in (self.report, self.scores, *files_of(self.destinations)):
            if path is not None:
                make_room(path)

    def report_of(self, workspace: Workspace, result: ComparisonResult) -> Path:
        """Where the report of a new comparison goes."""
        report = self.report or default_report(workspace, result.context.title)
        make_room(report)
        return report


def result_options() -> Decorator:
    """``--output``, ``--scores``, ``--to`` and ``--report``; the command takes them as one :class:`Outputs`.

    They are looked at before the command begins.

    Raises:
        UsageError: C507 for a form or a file that cannot be, C505 when a package is not installed.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def run(
            *arguments: Any,
            outputs: tuple[str, ...],
            report: Path | None,
            scores: Path | None,
            trackers: tuple[str, ...],
            **others: Any,
        ) -> Any:
            destinations = read_destinations(outputs)
            check_records(scores, trackers)
            read = Outputs(destinations=destinations, report=report, scores=scores, trackers=trackers)
            return command(*arguments, outputs=read, **others)

        to_report = path_option(
            "--report", help="Write the HTML report here; default for an experiment: .headrace/reports."
        )
        return all_options(outputs_option(), record_options(), to_report)(run)

    return decorate


def run_and_write(
    session: Session,
    outputs: Outputs,
    events: Path | None,
    run: Callable[[Workspace, OnEvent], ComparisonResult],
) -> ExitCode:
    """Run an experiment, then write its comparison, its report and its records."""
    with command_workspace(session) as workspace:
        outputs.make_room()
        with show_progress(session, events) as on_event:
            result = run(workspace, on_event)
        report = outputs.report_of(workspace, result)
    write_all(session, result, outputs, report, is_new=True)
    return report_failures(session, result)


def write_all(
    session: Session, result: ComparisonResult, outputs: Outputs, report: Path | None, *, is_new: bool
) -> None:
    """Write a comparison, its report and its records.

    Args:
        session: Where to say it.
        result: The comparison.
        outputs: Where it goes.
        report: Where the report goes; ``None`` for none.
        is_new: Whether the arms ran just now.
    """
    _write_results(session, result, outputs.destinations)
    is_beside = Destination("table", None) not in outputs.destinations
    _write_places(session, result, report, is_new=is_new, is_beside=is_beside)
    write_records(session, result, outputs.scores, outputs.trackers)


def forecast(
    session: Session,
    workspace: Workspace,
    experiment: Experiment | None,
    max_concurrency: int | None,
    *,
    is_recorded: bool = False,
) -> ExitCode:
    """Say what an experiment, which may be one that was begun before, would take; nothing is run.

    Raises:
        UsageError: C507 without an experiment: recorded runs take nothing.
    """
    if experiment is None:
        fail_usage("--dry-run needs arms to run.", "Name an experiment file, or give --flow and --data.")
    found = forecast_experiment(workspace, experiment, max_concurrency, is_recorded=is_recorded)
    show_forecasts(session, found)
    return ExitCode.OK


def default_report(workspace: Workspace, name: str) -> Path:
    """``.headrace/reports/<name>-<time>.html`` of the workspace."""
    word = re.sub(r"[^\w.-]+", "_", name)
    return workspace.state_folder / "reports" / f"{word}-{workspace.now():%Y%m%d-%H%M%S}.html"


def _write_results(session: Session, result: ComparisonResult, destinations: Sequence[Destination]) -> None:
    """Write the comparison in every form that was asked for."""
    for destination in destinations:
        text = render_result(session, result, destination)
        if destination.file is None:
            session.write(text)
        else:
            write_output(destination.file, text.rstrip("\n") + "\n")
            session.note(str(destination.file))


def _write_places(
    session: Session, result: ComparisonResult, report: Path | None, *, is_new: bool, is_beside: bool
) -> None:
    """Write the report, and say where it is and how to make the comparison again; the report's path comes last.

    Args:
        session: Where to say it.
        result: The comparison.
        report: Where the report goes; ``None`` for none.
        is_new: Whether the arms ran just now.
        is_beside: Whether standard output belongs to something else.
    """
    lines = []
    if is_new and result.experiment is not None:
        lines.append(f"again: headrace compare --again {quote(result.experiment)}")
    if report is not None:
        write_output(report, render_html(result.comparison, result.context))
        lines.append(f"report: {session.shorten(report)}")
    if not lines:
        return
    if is_beside:
        session.note("\n".join(lines))
    else:
        session.write("\n" + "\n".join(lines))


def report_failures(session: Session, result: ComparisonResult) -> ExitCode:
    """Say that lines failed, if any did, and the exit code."""
    if not result.n_failed:
        return ExitCode.OK
    evaluations = [run for item in result.collected for run in item.judged.evaluations.values()]
    failed = [run.spec.name for run in (*result.runs, *evaluations) if run.n_failed]
    fix = f"See them with: headrace run show-details --name {quote(failed[0])}" if failed else None
    what = f"{plural(result.n_failed, 'line')} failed in the arms or their evaluations."
    session.show_problems(Problem(code="E606", what=what, fix=fix))
    return ExitCode.FAILED
