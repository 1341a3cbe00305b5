"""``headrace ab resume``."""

from __future__ import annotations

import click

from headrace.cli.ab_options import by_option, choose_person, test_argument
from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.evaluation.report.revisions import say_revision
from headrace.operations.ab_revisions import resume


@click.command(
    "resume",
    cls=Verb,
    examples=(
        ("Go on with a test that was stopped or promoted", "headrace ab resume prompts"),
        ("Put an arm back that was rolled back or stopped", "headrace ab resume prompts few_shot"),
    ),
)
@test_argument()
@click.argument("arm", metavar="[ARM]", required=False, default="")
@by_option()
@click.pass_obj
def command(session: Session, *, test: str, arm: str, by: str | None) -> int:
    """Go on with an online test that is over, or put an arm back into it.

    Every unit gets the arm that it had when the test was ended.
    """
    with command_workspace(session) as workspace:
        revision = resume(workspace.store, test, workspace.now(), by=choose_person(session, by), arm=arm)
    session.write(say_revision(revision))
    return ExitCode.OK
