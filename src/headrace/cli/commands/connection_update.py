"""``headrace connection update``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from headrace.cli.connection_input import (
    ask_at_terminal,
    fill_secrets,
    merge_fields,
    override_fields,
    read_connection_data,
)
from headrace.cli.options import Verb, pairs_option, path_option
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.formats.connection_file import connection_from_mapping, connection_to_data, connection_to_json
from headrace.source import SourceMap


@click.command(
    "update",
    cls=Verb,
    examples=(
        ("Another API version", "headrace connection update --name my_aoai --set api_version=2024-10-21"),
        (
            "An entry of a custom connection",
            "headrace connection update --name store --set configs.url=https://s",
        ),
        ("A key, asked for", "headrace connection update --name my_aoai --set 'api_key=<user-input>'"),
    ),
)
@click.option("-n", "--name", required=True, metavar="CONNECTION", help="The connection to change.")
@pairs_option("--set", "settings", help="Set fields: api_key=…, secrets.token=…, configs.url=….")
@path_option(
    "-f", "--file", "file", help="Take fields from a connection YAML; <no-change> keeps what is stored."
)
@click.pass_obj
def command(session: Session, *, name: str, settings: Mapping[str, str], file: Path | None) -> int:
    """Change fields of a stored connection.

    Fields that are not named stay as they are; so does a secret whose value is <no-change> or
    ******. A value of <user-input> is asked for at the terminal.
    """
    if not settings and file is None:
        fail_usage("Nothing is to be changed.", "Give --set FIELD=VALUE, or --file FILE.")
    data, places = (
        read_connection_data(file, session.settings.environment)
        if file
        else ({}, SourceMap(file="", values={}, keys={}))
    )
    with command_workspace(session) as workspace:
        stored = connection_to_data(workspace.connections.stored(name), show_secrets=True)
        data = override_fields(merge_fields(stored, data), None, settings)
        connection = connection_from_mapping(data, places if file else None, session.show_problems)
        connection = fill_secrets(connection, places, ask_at_terminal)
        path = workspace.connections.update(connection)
    session.write_json(connection_to_json(connection))
    session.note(f"Stored in {session.shorten(path)}.")
    return ExitCode.OK
