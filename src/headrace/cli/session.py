"""What one command line run knows: its terminal, its settings, how talkative it is, which runs it started."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from headrace.cli.render import Sources, render_problems
from headrace.cli.terminal import Terminal, detect_terminal
from headrace.config import Settings, load_settings
from headrace.errors import HeadraceError, Problem, UsageError

FILE_WIDTH = 120
"""Columns of text that goes to a file."""

_ERROR_INFO = "headrace.formats.error_info"
"""Reached by name: few environments ask for it."""


class Session:
    """State of one invocation; click hands it to every command.

    Attributes:
        folder: Working directory.
        terminal: What the output streams can show.
        is_quiet: Only results and errors are wanted (``-q``).
        is_verbose: Steps are wanted (``--verbose``); also on with ``-d``.
        is_debug: Causes of errors are wanted (``-d``).
        command: The command line as far as it names a command; options may hold values.
        started_runs: Names of the runs that this command created, so that an interrupt can name them.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.is_quiet = False
        self.is_verbose = False
        self.is_debug = False
        self.command = "headrace"
        self.started_runs: list[str] = []
        self._settings: Settings | None = None
        self._settings_error: HeadraceError | None = None
        try:
            self._settings = load_settings(environment)
        except HeadraceError as error:
            # Help and version must work with a bad setting; the first command that needs settings raises it.
            self._settings_error = error
        self.terminal = self._detect(wants_color=True)

    def _detect(self, *, wants_color: bool) -> Terminal:
        if self._settings is None:
            return detect_terminal({}, wants_color=False)
        return detect_terminal(self._settings.environment, wants_color=wants_color)

    @property
    def settings(self) -> Settings:
        """The settings.

        Raises:
            UsageError: C506 when an environment variable cannot be read.
        """
        if self._settings is None:
            raise self._settings_error or UsageError()
        return self._settings

    def drop_color(self) -> None:
        """Write plain text from here on."""
        self.terminal = self._detect(wants_color=False)

    def plain_terminal(self) -> Terminal:
        """What a file can show: the width of a wide terminal, no colours."""
        return Terminal(width=FILE_WIDTH)

    def shorten(self, path: Path) -> Path:
        """``path`` relative to the working directory where it lies below it."""
        return path.relative_to(self.folder) if path.is_relative_to(self.folder) else path

    def write(self, text: str) -> None:
        """Write a result to standard output."""
        click.echo(text, color=True)

    def write_json(self, data: Any) -> None:
        """Write a result as JSON as ``pf`` prints it: four spaces, characters as they are, bare NaN."""
        click.echo(json.dumps(data, indent=4, ensure_ascii=False, default=str))

    def note(self, text: str) -> None:
        """Say something beside the result, on standard error; nothing with ``-q``."""
        if not self.is_quiet:
            click.echo(text, err=True, color=True)

    def confirm(self, question: str) -> bool:
        """Ask a yes-or-no question at the terminal; no answer means no.

        Raises:
            UsageError: C507 where nobody can answer.
        """
        if not sys.stdin.isatty():
            fail_usage("This needs an answer, and there is no terminal to ask at.", "Say --yes.")
        return click.confirm(question, default=False, err=True)

    def show_problems(self, *problems: Problem, has_summary: bool = False) -> None:
        """Write problems to standard error."""
        text = render_problems(
            problems,
            sources=Sources(self.folder, shows_data=self.terminal.has_tty_err),
            ink=self.terminal.err,
            width=self.terminal.width if self.terminal.has_tty_err else None,
            has_summary=has_summary,
        )
        click.echo(text, err=True, color=True)

    def show_failure(self, *problems: Problem, has_summary: bool = False) -> None:
        """Write the problems that end a command; the first as JSON as well where that is asked for."""
        self.show_problems(*problems, has_summary=has_summary)
        if self._settings is not None and self._settings.has_error_json:
            info = import_module(_ERROR_INFO).render_error(problems[0])
            click.echo(json.dumps(info | {"command": self.command}, ensure_ascii=False), err=True)


def fail_usage(what: str, fix: str | None = None) -> NoReturn:
    """Stop the command because of how it was called.

    Raises:
        UsageError: C507, always.
    """
    raise UsageError(Problem(code="C507", what=what, fix=fix))
