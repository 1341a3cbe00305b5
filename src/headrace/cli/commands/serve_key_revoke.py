"""``headrace serve-key revoke``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.access_options import key_options, read_key_path
from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.operations.serve_keys import revoke_key


@click.command(
    "revoke",
    cls=Verb,
    examples=(("From now on", "headrace serve-key revoke shop --keys keys.yaml"),),
)
@click.argument("name")
@key_options()
@click.pass_obj
def command(session: Session, *, name: str, key_file: Path | None) -> int:
    """Take a key out of its file.

    A server that runs with the file refuses the key within a second; requests that have begun end
    as they would have.
    """
    revoke_key(read_key_path(session, key_file), name)
    session.write(f"Revoked the key of {name}.")
    return ExitCode.OK
