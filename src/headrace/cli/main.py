"""The outer edge: runs a command and turns whatever comes out of it into text and an exit code.

May catch everything; nothing else in ``cli`` may.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from errno import EACCES, EDQUOT, EIO, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENOSPC, EPERM, EROFS
from importlib import import_module
from io import TextIOWrapper
from itertools import takewhile
from pathlib import Path
from shlex import quote
from typing import NoReturn

import click

from headrace.cli.absent import find_instead
from headrace.cli.collection import pause_collection, skip_last_collection
from headrace.cli.options import nearest_option
from headrace.cli.session import Session
from headrace.cli.tree import build_root
from headrace.errors import ExitCode, HeadraceError, Problem

_REFUSALS = (EACCES, EPERM, ENAMETOOLONG, ELOOP, ENOSPC, EDQUOT, EROFS, EIO, EMFILE, ENFILE)
"""What the operating system says no with, whoever asks: permissions, a name, a full disk, too many open files."""

_CRASH = "headrace.cli.crash"
"""Reached by name: the modules that print tracebacks take a tenth of the time that ``--help`` may."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit code.

    Args:
        arguments: Without the program's name; default: those of the process.
    """
    pause_collection()
    # A run that is asked to end closes itself as on Ctrl-C, whatever handles that at the moment.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A lone surrogate, or a narrow code page, must not end a command that has done its work.
            stream.reconfigure(errors="backslashreplace")
    code = run_command_line(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has had enough. The interpreter would complain about the rest when it closes the stream.
        sys.stdout = None
    skip_last_collection()
    sys.exit(code)


def run_command_line(arguments: Sequence[str], session: Session | None = None) -> int:
    """Run one command line; everything it has to say is written, nothing is raised.

    Args:
        arguments: Without the program's name.
        session: State to run with; default: a new one for the working directory.

    Returns:
        An :class:`~headrace.errors.ExitCode` value.
    """
    session = session or Session(Path.cwd())
    words = takewhile(lambda argument: not argument.startswith("-"), arguments)
    session.command = " ".join(("headrace", *words))
    try:
        code = build_root().main(
            args=list(arguments), prog_name="headrace", standalone_mode=False, obj=session
        )
    except HeadraceError as error:
        session.show_failure(*error.problems, has_summary=len(error.problems) > 1)
        _show_cause(session, error.__cause__)
        return int(error.exit_code)
    except click.ClickException as error:
        session.show_failure(_usage_problem(error))
        return int(ExitCode.USAGE)
    except (KeyboardInterrupt, click.Abort) as interrupt:
        session.show_problems(_interruption(session, interrupt))
        return int(ExitCode.INTERRUPTED)
    except SystemExit as error:  # how click leaves when the reader of a pipe has gone
        return error.code if isinstance(error.code, int) else int(ExitCode.FAILED)
    except OSError as error:
        if error.errno not in _REFUSALS:
            return _report_crash(session, error, arguments)
        session.show_failure(_refusal(error))
        _show_cause(session, error)
        return int(ExitCode.STATE)
    except Exception as error:  # noqa: BLE001 - the outer edge: a bug of ours becomes a report
        return _report_crash(session, error, arguments)
    return int(code or ExitCode.OK)


def _show_cause(session: Session, cause: BaseException | None) -> None:
    if session.is_debug and cause is not None:
        session.note("\n" + import_module(_CRASH).render_traceback(cause))


def _usage_problem(error: click.ClickException) -> Problem:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "headrace"
    fix = f"{path} --help shows how to call it."
    if isinstance(error, click.NoSuchOption):
        instead = find_instead(path, error.option_name)
        if instead:
            what = f"{path} {error.option_name} is an option of pf that headrace does not have yet."
            return Problem(code="C507", what=what, fix=instead)
        close = nearest_option(error.option_name, context) if context else None
        return Problem(
            code="C507",
            what=f"{path} has no option {error.option_name}.",
            fix=f"Did you mean {close}? {fix}" if close else fix,
        )
    if isinstance(error, click.MissingParameter) and error.param is not None:
        name = (
            error.param.opts[0] if isinstance(error.param, click.Option) else error.param.human_readable_name
        )
        return Problem(code="C507", what=f"{path} needs {name}.", fix=fix)
    return Problem(code="C507", what=f"{path}: {error.format_message().rstrip('.')}.", fix=fix)


def _refusal(error: OSError) -> Problem:
    name = f"{error.filename}: " if error.filename else ""
    reason = os.strerror(error.errno).lower() if error.errno else type(error).__name__
    return Problem(
        code="S817",
        what=f"{name}the operating system says: {reason}.",
        fix="Check the path, its permissions and the room on the disk.",
    )


def _interruption(session: Session, interrupt: BaseException) -> Problem:
    """What to say of an interrupted command; whoever knows better how to go on has put a note on the interrupt."""
    notes = getattr(interrupt.__cause__ or interrupt, "__notes__", ())  # click raises its own instead
    if notes:
        what = "Interrupted. The lines that were finished are recorded; the rest was not run."
        what = notes[-2] if len(notes) > 1 else what
        return Problem(code="E608", what=what, fix=notes[-1])
    if not session.started_runs:
        return Problem(code="E608", what="Interrupted.")
    run = session.started_runs[-1]
    return Problem(
        code="E608",
        what=f"Interrupted. The lines of run {run} that were finished are recorded; the rest was not run.",
        fix=f"Go on with: headrace run resume --name {quote(run)}",
    )


def _report_crash(session: Session, error: Exception, arguments: Sequence[str]) -> int:
    crash = import_module(_CRASH)
    path = crash.write_crash(error, arguments)
    ink = session.terminal.err
    click.echo(
        ink.paint("headrace has failed, and it is not your fault.", "red", "bold"), err=True, color=True
    )
    if path is not None:
        click.echo(
            f"  A report was written to {path}. Please send it in, but read it first: "
            "an error's message may quote your data.",
            err=True,
        )
    if session.is_debug:
        click.echo(crash.render_traceback(error), err=True)
    return int(ExitCode.CRASH)
