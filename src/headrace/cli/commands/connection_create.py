"""``headrace connection create``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from headrace.cli.connection_input import fill_secrets, override_fields, read_connection_data
from headrace.cli.options import Verb, pairs_option, path_option
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode, UsageError
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
@click.option("--overwrite", "is_replacing", is_flag=True, help="Replace a connection of this name.")
@click.pass_obj
def command(
    session: Session,
    *,
    file: Path,
    name: str | None,
    settings: Mapping[str, str],
    for_person: bool,
    is_replacing: bool,
) -> int:
    """Store a connection from a file.

    The file is a prompt flow connection YAML, or a .env file whose entries become secrets of a
    custom connection. A value of <user-input> is asked for at the terminal; ${env:NAME} is
    looked up each time the connection is used, so that no key needs to be stored.
    """
    data, places = read_connection_data(file)
    data = override_fields(data, name, settings)
    if not data.get("name"):
        fail_usage("The connection has no name.", "Give it one with --name NAME.")
    connection = fill_secrets(connection_from_mapping(data, places), places, _ask)
    with command_workspace(session) as workspace, _naming_options():
        path = workspace.connections.create(connection, for_person=for_person, is_replacing=is_replacing)
    session.write_json(connection_to_json(connection))
    session.note(f"Stored in {session.shorten(path)}.")
    return ExitCode.OK


@contextmanager
def _naming_options() -> Iterator[None]:
    """Say with which options of this command a connection is replaced, or kept under another name."""
    try:
        yield
    except UsageError as error:
        raise UsageError(
            *(
                replace(problem, fix="Replace it with --overwrite, or choose another name with --name.")
                if problem.code == "S806"
                else problem
                for problem in error.problems
            )
        ) from error


def _ask(secret: str) -> str | None:
    if not sys.stdin.isatty():
        return None
    answer: str = click.prompt(secret, hide_input=True, err=True)
    return answer
