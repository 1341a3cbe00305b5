"""``headrace ab stop``."""

from __future__ import annotations

import click

from headrace.cli.ab_options import by_option, choose_person, test_argument
from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.evaluation.report.revisions import say_revision
from headrace.operations.ab_revisions import stop


@click.command(
    "stop",
    cls=Verb,
    examples=(
        ("Everybody gets the baseline", "headrace ab stop prompts"),
        ("Take one arm out", "headrace ab stop prompts --arm few_shot"),
    ),
)
@test_argument()
@click.option("--arm", metavar="ARM", default="", help="Take this arm out; the test goes on without it.")
@by_option()
@click.pass_obj
def command(session: Session, *, test: str, arm: str, by: str | None) -> int:
    """End an online test, or take one arm out of it.

    Servers follow within a second or so. What was recorded stays, and headrace ab resume goes on.
    """
    with command_workspace(session) as workspace:
        revision = stop(workspace.store, test, workspace.now(), by=choose_person(session, by), arm=arm)
    session.write(say_revision(revision))
    return ExitCode.OK
