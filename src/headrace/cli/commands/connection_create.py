"""``headrace connection create``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from headrace.cli.connection_input import (
    ask_at_terminal,
    fill_secrets,
    override_fields,
    read_connection_data,
)
from headrace.cli.options import Verb, pairs_option, path_option
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.formats.connection_file import connection_from_mapping, connection_to_json


@click.command(
    "create",
    cls=Verb,
    examples=(
        ("From a file", "headrace connection create --file azure_openai.yaml"),
        (
            "Under another name, with the key from a variable",
            "headrace connection create --file azure_openai.yaml "
            "--name my_aoai --set 'api_key=${env:MY_KEY}'",
        ),
        ("For every project of yours", "headrace connection create --file openai.yaml --user"),
    ),
)
@path_option("-f", "--file", "file", required=True, help="Connection YAML, or .env file.")
@click.option("-n", "--name", metavar="NAME", help="Name of the connection; default: the name in the file.")
@pairs_option("--set", "settings", help="Set fields: api_key=…, secrets.token=…, configs.url=….")
@click.option("--user", "for_person", is_flag=True, help="Keep it in ~/.headrace, for every project.")
@click.pass_obj
def command(
    session: Session, *, file: Path, name: str | None, settings: Mapping[str, str], for_person: bool
) -> int:
    """Store a connection from a file.

    The file is a prompt flow connection YAML, or a .env file whose entries become secrets of a
    custom connection. A value of <user-input> is asked for at the terminal; ${env:NAME} is
    looked up each time the connection is used, so that no key needs to be stored. As with pf, a
    connection of the same name is replaced, whatever its type.
    """
    data, places = read_connection_data(file, session.settings.environment)
    data = override_fields(data, name, settings)
    if not data.get("name"):
        fail_usage("The connection has no name.", "Give it one with --name NAME.")
    connection = connection_from_mapping(data, places, session.show_problems)
    connection = fill_secrets(connection, places, ask_at_terminal)
    with command_workspace(session) as workspace:
        is_new = connection.name not in workspace.connections.names()
        path = workspace.connections.create(connection, for_person=for_person)
    session.write_json(connection_to_json(connection))
    session.note(f"Stored in {session.shorten(path)}{'' if is_new else ', in place of what was there'}.")
    return ExitCode.OK
