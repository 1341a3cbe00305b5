"""Command lines in this process, for what they report: in a folder and an environment of their own."""

from __future__ import annotations

import shlex
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, chdir, closing, contextmanager
from pathlib import Path
from typing import Any

from tests.support.model_server import ModelServer, Reply
from tests.support.tool_nodes import serving_names

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.errors import ExitCode, Problem


class ListeningSession(Session):
    """A session that keeps the problems that it shows."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(folder, environment)
        self.problems: list[Problem] = []

    def show_problems(self, *problems: Problem, has_summary: bool = False) -> None:
        self.problems += problems
        super().show_problems(*problems, has_summary=has_summary)


def run_command(
    folder: Path,
    command: str,
    *,
    before: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
    reply: Mapping[str, Any] | None = None,
    sql: str | None = None,
    missing: Iterable[str] = (),
) -> list[Problem]:
    """The problems that a command line shows.

    Args:
        folder: Where it runs.
        command: The words after ``headrace``.
        before: Command lines that run first.
        environment: Variables; ``{url}`` and ``{port}`` in them and in command lines are those of a model service.
        reply: The fields of that service's :class:`~tests.support.model_server.Reply` to every request.
        sql: What is done to the store before the command.
        missing: Packages that are not installed for the command.
    """
    with ExitStack() as stack:
        stack.enter_context(chdir(folder))
        stack.enter_context(serving_names(folder))
        server = stack.enter_context(ModelServer(default=Reply(**(reply or {}))))

        def filled(text: str) -> str:
            return text.replace("{url}", server.url).replace("{port}", str(server.port))

        variables = {name: filled(text) for name, text in (environment or {}).items()}
        variables = {"HOME": str(folder / "home"), **variables}
        for line in before:
            code = run_command_line(shlex.split(filled(line)), Session(folder, variables))
            if code != ExitCode.OK:
                raise RuntimeError(f"{line} ended with {code}")
        if sql is not None:
            with closing(sqlite3.connect(folder / ".headrace" / "headrace.sqlite")) as store, store:
                store.executescript(sql)
        stack.enter_context(_without(missing))
        session = ListeningSession(folder, variables)
        run_command_line(shlex.split(filled(command)), session)
        return session.problems


@contextmanager
def _without(packages: Iterable[str]) -> Iterator[None]:
    """Imports of ``packages`` fail as if they were not installed."""
    kept = {name: sys.modules.get(name) for name in packages}
    sys.modules.update(dict.fromkeys(kept))  # type: ignore[arg-type]  # None is how imports are forbidden
    try:
        yield
    finally:
        for name, module in kept.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module
