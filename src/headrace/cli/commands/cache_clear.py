"""``headrace cache clear``."""

from __future__ import annotations

from datetime import timedelta

import click

from headrace.cli.options import Number, Verb, yes_option
from headrace.cli.session import Session
from headrace.cli.wording import plural
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode


@click.command(
    "clear",
    cls=Verb,
    examples=(("Those that nobody has used for a month", "headrace cache clear --unused-for 30 --yes"),),
)
@click.option(
    "--unused-for",
    type=Number(0, 36_500),
    metavar="DAYS",
    help="Only those neither made nor used for so long; default: all.",
)
@yes_option()
@click.pass_obj
def command(session: Session, *, unused_for: float | None, yes: bool) -> int:
    """Forget kept results; the runs stay.

    What is forgotten is made again the next time that it is needed. Asks first; in a script
    say --yes.
    """
    with command_workspace(session) as workspace:
        kept = plural(workspace.store.summarize_cache().n_results, "kept result")
        which = f"those of {kept} unused for {unused_for:g} days" if unused_for is not None else kept
        if not yes and not session.confirm(f"Forget {which}?"):
            session.note("Nothing was forgotten.")
            return ExitCode.FAILED
        since = None if unused_for is None else workspace.now() - timedelta(days=unused_for)
        since_ns = None if since is None else int(since.timestamp() * 1_000_000) * 1_000
        n_forgotten = workspace.store.clear_cache(unused_since_ns=since_ns)
    session.write(f"Forgot {plural(n_forgotten, 'kept result')}.")
    return ExitCode.OK
