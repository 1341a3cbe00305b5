"""``headrace serve-key create``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from headrace.cli.access_options import key_options, rate_options, read_key_path
from headrace.cli.options import Number, Verb
from headrace.cli.session import Session
from headrace.domain.access import RateLimit
from headrace.errors import ExitCode
from headrace.operations.serve_keys import create_key


@click.command(
    "create",
    cls=Verb,
    examples=(
        ("For half a year", "headrace serve-key create shop --keys keys.yaml --days 180"),
        ("With limits of its own", "headrace serve-key create batch --requests-per-minute 60 --concurrent 2"),
    ),
)
@click.argument("name")
@key_options(
    click.option(
        "--days", type=Number(0, 36_500, min_open=True), metavar="N", help="When it ends; default: never."
    ),
    *rate_options("of this caller"),
)
@click.pass_obj
def command(
    session: Session,
    *,
    name: str,
    key_file: Path | None,
    days: float | None,
    requests_per_minute: int | None,
    concurrent: int | None,
) -> int:
    """Make a key for a caller of a served flow, and show it once.

    NAME says who has it. The file keeps a salted digest and never the key. A server that runs with
    the file takes the key within a second; keys of one caller may overlap while it changes over.
    """
    now = datetime.now(UTC)
    token = create_key(
        read_key_path(session, key_file),
        name,
        now=now,
        expires=now + timedelta(days=days) if days is not None else None,
        rate=RateLimit(requests_per_minute=requests_per_minute, concurrent=concurrent),
    )
    session.note(f"The key of {name}, which is shown only now:")
    session.write(token)
    return ExitCode.OK
