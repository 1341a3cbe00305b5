"""``headrace trace delete``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from headrace.cli.options import Verb, yes_option
from headrace.cli.session import Session, fail_usage
from headrace.cli.wording import plural
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode


@click.command(
    "delete",
    cls=Verb,
    examples=(
        ("Of one run", "headrace trace delete --run first"),
        (
            "Of all runs of a flow that are older",
            "headrace trace delete --collection my_flow --started-before 2026-01-31 --yes",
        ),
    ),
)
@click.option("--run", metavar="RUN", help="The run whose spans go.")
@click.option("--collection", metavar="FLOW", help="Name of the flow whose runs' spans go.")
@click.option(
    "--started-before", metavar="TIME", help="With --collection: only lines that began before; ISO 8601."
)
@yes_option()
@click.pass_obj
def command(
    session: Session, *, run: str | None, collection: str | None, started_before: str | None, yes: bool
) -> int:
    """Delete the spans of runs; the runs stay, with their lines and metrics.

    Asks first; in a script say --yes.
    """
    if (run is None) == (collection is None) or (started_before is not None and collection is None):
        fail_usage(
            "Name a run, or a collection.",
            "Say --run RUN, --collection FLOW, or --collection FLOW --started-before TIME.",
        )
    before_ns = None if started_before is None else _nanoseconds(started_before)
    with command_workspace(session) as workspace:
        store = workspace.store
        names = [run] if run else [r.spec.name for r in store.list_runs() if r.spec.flow_name == collection]
        if run:
            store.read_run(run)
        if not yes and not session.confirm(f"Delete the spans of {plural(len(names), 'run')}?"):
            session.note("Nothing was deleted.")
            return ExitCode.FAILED
        n_deleted = sum(store.delete_spans(name or "", started_before_ns=before_ns) for name in names)
    session.write(f"Deleted {plural(n_deleted, 'trace')}.")
    return ExitCode.OK


def _nanoseconds(text: str) -> int:
    """A time as nanoseconds since the Unix epoch; without a zone it is UTC, as in pf."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail_usage(
            "--started-before is no time in ISO 8601.", "Write it like 2026-01-31 or 2026-01-31T12:00:00."
        )
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * 1_000_000_000
