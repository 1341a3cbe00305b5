"""``headrace serve-key list``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from headrace.cli.access_options import key_options, read_key_path
from headrace.cli.options import Verb, choose_form, form_option
from headrace.cli.run_view import age
from headrace.cli.session import Session
from headrace.cli.table import Cell, Column, render_table
from headrace.domain.access import ServeKey
from headrace.errors import ExitCode
from headrace.operations.serve_keys import list_keys

_COLUMNS = (
    Column(title="name", least=12),
    Column(title="created", leaves=1),
    Column(title="expires"),
    Column(title="per minute", is_right=True, leaves=2),
    Column(title="at once", is_right=True, leaves=3),
)


@click.command(
    "list",
    cls=Verb,
    examples=(("Who has a key, and until when", "headrace serve-key list --keys keys.yaml"),),
)
@key_options(form_option("json", "table", help="How to print; default: table at a terminal, else json."))
@click.pass_obj
def command(session: Session, *, key_file: Path | None, form: str | None) -> int:
    """List the keys of a file, without the keys themselves.

    A key that has ended stays in the list until it is revoked.
    """
    keys = list_keys(read_key_path(session, key_file))
    now = datetime.now(UTC)
    if choose_form(form, session) == "json":
        session.write_json([_key_to_json(key, now) for key in keys])
    elif not keys:
        session.note("The file holds no keys. Make one with: headrace serve-key create")
    else:
        terminal = session.terminal
        width = terminal.width if terminal.has_tty_out else None
        rows = [_row(key, now) for key in keys]
        session.write(render_table(_COLUMNS, rows, ink=terminal.out, width=width))
    return ExitCode.OK


def _row(key: ServeKey, now: datetime) -> list[Cell]:
    created = age(key.created, now) if key.created is not None else ""
    expires = Cell("never", ("dim",))
    if key.expires is not None:
        expires = Cell(key.expires.date().isoformat())
    if key.has_ended(now):
        expires = Cell("ended", ("red",))
    limits = (key.rate.requests_per_minute, key.rate.concurrent)
    return [Cell(key.name), Cell(created, ("dim",)), expires, *(Cell(f"{n:,}" if n else "") for n in limits)]


def _key_to_json(key: ServeKey, now: datetime) -> dict[str, Any]:
    return {
        "name": key.name,
        "created_on": key.created.isoformat() if key.created is not None else None,
        "expires_on": key.expires.isoformat() if key.expires is not None else None,
        "has_ended": key.has_ended(now),
        "requests_per_minute": key.rate.requests_per_minute,
        "concurrent": key.rate.concurrent,
    }
