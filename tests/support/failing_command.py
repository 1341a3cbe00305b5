"""A command that fails in the way it is told, to see what the outer edge of the command line makes of it."""

from __future__ import annotations

from errno import ENOENT, ENOSPC

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.errors import DefinitionError, ExecutionError, Problem, RateLimitedError, StateError, UsageError
from headrace.source import file_span

PROBLEM = Problem(code="F002", what="Something is wrong.", span=file_span("gone.yaml"), fix="Mend it.")

FAILURES: dict[str, BaseException] = {
    "definition": DefinitionError(PROBLEM, PROBLEM),
    "usage": UsageError(PROBLEM),
    "execution": ExecutionError(PROBLEM),
    "remote": RateLimitedError(PROBLEM),
    "state": StateError(PROBLEM),
    "interrupt": KeyboardInterrupt(),
    "abort": click.Abort(),
    "refusal": OSError(ENOSPC, "No space left on device", "some/file"),
    "lost": FileNotFoundError(ENOENT, "No such file or directory", "ours"),
    "bug": ZeroDivisionError("secret value"),
}


@click.command("fail", cls=Verb, examples=())
@click.argument("how", type=click.Choice(sorted(FAILURES)))
@click.option("--run", "run_name")
@click.pass_obj
def command(session: Session, *, how: str, run_name: str | None) -> int:
    """Fail."""
    if run_name:
        session.started_runs.append(run_name)
    failure = FAILURES[how]
    if isinstance(failure, DefinitionError):
        try:
            raise ValueError("the cause")
        except ValueError as cause:
            raise failure from cause
    raise failure
