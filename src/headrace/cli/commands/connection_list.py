"""``headrace connection list``."""

from __future__ import annotations

import click

from headrace.cli.connection_view import render_connections
from headrace.cli.options import Verb, choose_form, form_option, limit_options
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.formats.connection_file import connection_to_json


@click.command(
    "list",
    cls=Verb,
    examples=(("Names, types, addresses", "headrace connection list"),),
)
@limit_options(50)
@form_option("json", "table", help="How to print; default: table at a terminal, else json.")
@click.pass_obj
def command(session: Session, *, max_results: int, all_results: bool, form: str | None) -> int:
    """List the connections that flows can use.

    Stored ones, those of the workspace in Azure that connection.provider names, those that the
    environment describes (OPENAI_API_KEY, AZURE_OPENAI_ENDPOINT), and baseline, which is built
    in. A table at a terminal, JSON otherwise.
    """
    with command_workspace(session) as workspace:
        connections, problems = workspace.connections.list_connections()
    connections = connections if all_results else connections[:max_results]
    terminal = session.terminal
    if choose_form(form, session) == "json":
        session.write_json([connection_to_json(connection) for connection in connections])
    else:
        width = terminal.width if terminal.has_tty_out else None
        session.write(render_connections(connections, ink=terminal.out, width=width))
    if problems:
        session.show_problems(*problems)
    wrong = [problem.code for problem in problems if problem.severity == "error"]
    if not wrong:
        return ExitCode.OK
    # What a file says and what Azure says have different codes; a file can be mended here.
    return ExitCode.REMOTE if all(code.startswith(("P", "X")) for code in wrong) else ExitCode.DEFINITION
