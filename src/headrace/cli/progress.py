"""Progress of runs on standard error: bars for a person, a few plain lines for a log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from headrace.cli.events_file import write_events
from headrace.cli.session import Session
from headrace.cli.wording import plural
from headrace.domain.run import COMPLETED
from headrace.engine.events import (
    ArmDropped,
    LineFinished,
    OnEvent,
    RunEvent,
    RunFinished,
    RunHeldUp,
    RunStarted,
    RunStopping,
)

_MAX_FINISHED_SHOWN = 8
_DEFAULT_NAME_END = r"(_variant_0)?_\d{8}_\d{6}_\d{6}$"
_SHORTEST_S = 0.2
"""A rate over less time than this says nothing."""
_LINES_WORTH_REPORTING = 200
"""Runs with fewer lines are reported once, at their end."""
_FIRST_PAUSE_S = 60.0
_LONGEST_PAUSE_S = 900.0
"""Between two lines that say that a run is held up."""


@contextmanager
def show_progress(session: Session, events: Path | None = None) -> Iterator[OnEvent]:
    """Listen to runs for the duration of a block; the session learns the names of the runs that were started.

    Nothing is shown with ``-q``.

    Args:
        session: For its streams.
        events: Also write every event into this file, as a line of JSON.

    Raises:
        UsageError: C507 when the file cannot be written.
    """
    with _show(session) as on_event:
        if events is None:
            yield on_event
            return
        with write_events(events, session.note) as write:

            def both(event: RunEvent) -> None:
                on_event(event)
                write(event)

            yield both


@contextmanager
def _show(session: Session) -> Iterator[OnEvent]:
    if session.is_quiet:
        yield _Names(session)
    elif session.terminal.has_tty_err:
        with _open_bars(session) as bars:
            yield bars
        session.note("")
    else:
        yield PlainProgress(session)


@dataclass(slots=True)
class Tally:
    """What has happened in one run so far; of lines that were recorded before, only how many there are."""

    label: str
    n_lines: int
    n_done: int = 0
    n_failed: int = 0
    calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    cached: int = 0
    waiting: int = 0

    def add(self, event: LineFinished) -> None:
        """Count one finished line."""
        self.n_done += 1
        self.n_failed += event.status != COMPLETED
        self.calls += event.usage.calls
        self.tokens += event.usage.total_tokens
        self.cost_usd += event.usage.cost_usd or 0.0
        self.cached += event.n_cached
        self.waiting = event.n_waiting


def label_run(event: RunStarted, last_arm: str | None) -> str:
    """What a run is called on screen: its arm; what judges an arm is called after both; else its name.

    Args:
        event: The run that begins.
        last_arm: Arm of the latest run that had one.
    """
    if event.arm is not None:
        return event.arm
    name = re.sub(_DEFAULT_NAME_END, "", event.run)
    return name if last_arm is None else f"{last_arm}, {name}"


class _Names:
    """Notes the names of runs and shows nothing."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.arm: str | None = None
        self.tallies: dict[str, Tally] = {}

    def __call__(self, event: RunEvent) -> None:
        if isinstance(event, RunStarted):
            self.session.started_runs.append(event.run)
            self.arm = event.arm or self.arm
            label = label_run(event, self.arm)
            is_resumed = event.resume_from == event.run
            n_done = event.n_finished if is_resumed else 0  # those of another run are told one by one
            self.tallies[event.run] = Tally(label=label, n_lines=event.n_lines, n_done=n_done)
            if event.resume_from is not None:
                lines = plural(event.n_lines, "line")
                done = "recorded already" if is_resumed else f"taken over from {event.resume_from}"
                self.session.note(f"{event.n_finished:,} of {lines} are {done}.")
            self.on_start(event, self.tallies[event.run])
        elif isinstance(event, LineFinished):
            self.tallies[event.run].add(event)
            self.on_line(event, self.tallies[event.run])
        elif isinstance(event, RunHeldUp):
            self.on_hold(event, self.tallies[event.run])
        elif isinstance(event, RunStopping):
            self.session.note(
                f"Stopping: lines in flight have {event.grace_s:g} s to end. Interrupt again to end them at once."
            )
        elif isinstance(event, ArmDropped):
            self.session.note(
                f"{event.arm}: dropped after {plural(event.n_lines, 'line')}, {event.deficit:.3g} behind {event.ahead}"
                f"; {event.n_left:,} not run"
            )
        else:
            self.on_end(event, self.tallies[event.run])

    def on_start(self, event: RunStarted, tally: Tally) -> None:
        """A run begins."""

    def on_line(self, event: LineFinished, tally: Tally) -> None:
        """A line was recorded."""

    def on_hold(self, event: RunHeldUp, tally: Tally) -> None:
        """Nothing happens because requests wait for a quota."""

    def on_end(self, event: RunFinished, tally: Tally) -> None:
        """A run has ended."""


class PlainProgress(_Names):
    """Lines for a log: one at the end of every run, one per quarter of a long one, and a few while it is held up.

    Args:
        session: For its streams.
        clock: Seconds that only go forward.
    """

    def __init__(self, session: Session, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(session)
        self._clock = clock
        self._holds: dict[str, tuple[float, float]] = {}
        """Of each run, when to say next that it is held up, and the pause after that."""

    def on_line(self, event: LineFinished, tally: Tally) -> None:
        """Say so at every quarter of a long run."""
        quarter = tally.n_lines // 4
        if (
            tally.n_lines >= _LINES_WORTH_REPORTING
            and tally.n_done % quarter == 0
            and tally.n_done < tally.n_lines
        ):
            self.session.note(
                f"{tally.label}: {tally.n_done:,} of {plural(tally.n_lines, 'line')}{_failures(tally)}"
            )

    def on_hold(self, event: RunHeldUp, tally: Tally) -> None:
        """Say what the run waits for, ever more seldom."""
        now = self._clock()
        due_at, pause_s = self._holds.get(event.run, (now, _FIRST_PAUSE_S))
        if now < due_at:
            return
        self._holds[event.run] = now + pause_s, min(2 * pause_s, _LONGEST_PAUSE_S)
        verb = "waits" if event.n_waiting == 1 else "wait"
        refused = f", which has refused {plural(event.refused, 'request')}" if event.refused else ""
        whose = f"{event.model} at {event.service}" if event.model else event.service
        self.session.note(
            f"{tally.label}: {tally.n_done:,} of {plural(tally.n_lines, 'line')}{_failures(tally)}; "
            f"{plural(event.n_waiting, 'request')} {verb} for the quota of {whose}{refused}"
        )

    def on_end(self, event: RunFinished, tally: Tally) -> None:
        """Say how the run ended."""
        self.session.note(f"{tally.label}: {event.status}, {plural(tally.n_done, 'line')}{_failures(tally)}")


def _failures(tally: Tally) -> str:
    return f", {tally.n_failed:,} failed" if tally.n_failed else ""


class Bars(_Names):
    """One bar per run on a rich progress display; finished runs leave from the top when there are many.

    Attributes:
        display: A ``rich.progress.Progress``; rich is reached by name and has no types here.
    """

    def __init__(self, session: Session, display: Any) -> None:
        super().__init__(session)
        self.display = display
        self.tasks: dict[str, Any] = {}
        self.finished: list[Any] = []
        self.began: dict[str, float] = {}

    def on_start(self, event: RunStarted, tally: Tally) -> None:
        """Put a bar on screen."""
        self.tasks[event.run] = self.display.add_task(
            tally.label, total=tally.n_lines, completed=tally.n_done, note=""
        )
        self.began[event.run] = time.monotonic()

    def on_line(self, event: LineFinished, tally: Tally) -> None:
        """Move the bar."""
        self.display.update(self.tasks[event.run], completed=tally.n_done, note=self._note(event.run, tally))

    def on_hold(self, event: RunHeldUp, tally: Tally) -> None:
        """Say behind the bar how many requests wait."""
        tally.waiting = event.n_waiting
        self.display.update(self.tasks[event.run], note=self._note(event.run, tally))

    def on_end(self, event: RunFinished, tally: Tally) -> None:
        """Leave the bar as it stands, and hide the oldest one when there are too many."""
        task = self.tasks[event.run]
        status = "" if event.status == COMPLETED else f"  {event.status}"
        self.display.update(task, completed=tally.n_done, note=self._note(event.run, tally) + status)
        self.display.stop_task(task)
        self.finished.append(task)
        if len(self.finished) > _MAX_FINISHED_SHOWN:
            self.display.update(self.finished.pop(0), visible=False)

    def _note(self, run: str, tally: Tally) -> str:
        seconds = time.monotonic() - self.began[run]
        parts = [
            f"{tally.n_failed:,} failed" if tally.n_failed else "",
            f"{tally.calls / seconds:,.1f} calls/s" if tally.calls and seconds > _SHORTEST_S else "",
            plural(tally.tokens, "token") if tally.tokens else "",
            f"${tally.cost_usd:,.4f}" if tally.cost_usd else "",
            f"{tally.cached:,} cached" if tally.cached else "",
            f"{tally.waiting:,} waiting for quota" if tally.waiting and tally.n_done < tally.n_lines else "",
        ]
        return "  ".join(part for part in parts if part)


@contextmanager
def show_count(session: Session, label: str, total: int) -> Iterator[Callable[[], None]]:
    """Count towards a number for the duration of a block: one call, one more. Shown at a terminal only.

    Args:
        session: For its streams.
        label: What is counted.
        total: How many there are.
    """
    if session.is_quiet or not session.terminal.has_tty_err:
        yield lambda: None
        return
    with _open_display(session) as display:
        task = display.add_task(label, total=total, note="")
        yield lambda: display.advance(task)


@contextmanager
def _open_bars(session: Session) -> Iterator[Bars]:
    with _open_display(session) as display:
        yield Bars(session, display)


def _open_display(session: Session) -> Any:
    rich = import_module("rich.progress")
    terminal = session.terminal
    console = import_module("rich.console").Console(
        stderr=True, no_color=not terminal.err.has_color, highlight=False, width=min(terminal.width, 120)
    )
    return rich.Progress(
        rich.TextColumn("{task.description}", table_column=import_module("rich.table").Column(no_wrap=True)),
        rich.BarColumn(bar_width=28, style="dim", complete_style="cyan", finished_style="green"),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(compact=True),
        rich.TextColumn("{task.fields[note]}", style="dim"),
        console=console,
        transient=False,
        # Text that a tool prints would tear the bars apart; where it goes to a pipe it must stay there.
        redirect_stdout=terminal.has_tty_out,
        redirect_stderr=True,
    )
