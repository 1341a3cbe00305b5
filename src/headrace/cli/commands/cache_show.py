"""``headrace cache show``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode


@click.command("show", cls=Verb, examples=(("How much there is", "headrace cache show"),))
@click.pass_obj
def command(session: Session) -> int:
    """Show how much is kept and what it has saved.

    Printed as JSON: kept results and their size, how often they were used in place of a call,
    the tokens that this saved, and what making them took.
    """
    with command_workspace(session) as workspace:
        summary = workspace.store.summarize_cache()
    session.write_json(
        {
            "results": summary.n_results,
            "bytes": summary.n_bytes,
            "uses": summary.n_uses,
            "saved_tokens": summary.saved_tokens,
            "calls": summary.usage.calls,
            "tokens": summary.usage.total_tokens,
            "cost_usd": summary.usage.cost_usd,
            "oldest": _moment(summary.oldest_ns),
            "newest": _moment(summary.newest_ns),
        }
    )
    return ExitCode.OK


def _moment(ns: int) -> str | None:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="seconds") if ns else None
