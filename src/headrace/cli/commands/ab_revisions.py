"""``headrace ab revisions``."""

from __future__ import annotations

import click

from headrace.cli.ab_options import test_argument
from headrace.cli.ab_view import render_revisions, revision_to_json
from headrace.cli.options import Verb, choose_form, form_option
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.ab_revisions import find_revisions


@click.command(
    "revisions",
    cls=Verb,
    examples=(
        ("What moved traffic, and why", "headrace ab revisions prompts"),
        ("With all evidence", "headrace ab revisions prompts --output json"),
    ),
)
@test_argument()
@form_option("json", "table", help="How to print; default: table at a terminal, else json.")
@click.pass_obj
def command(session: Session, *, test: str, form: str | None) -> int:
    """List what moved the traffic of an online test, and why.

    Oldest first; the JSON form holds the evidence and the rules of each revision.
    """
    with command_workspace(session) as workspace:
        history = find_revisions(workspace.store, test)
        now = workspace.now()
    if choose_form(form, session) == "json":
        session.write_json([revision_to_json(revision) for revision in history])
    else:
        session.write(render_revisions(history, session.terminal, now))
    return ExitCode.OK
