"""``headrace ab promote``."""

from __future__ import annotations

import click

from headrace.cli.ab_options import by_option, choose_person, test_argument
from headrace.cli.options import Verb, yes_option
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.evaluation.report.revisions import say_revision
from headrace.operations.ab_revisions import promote


@click.command(
    "promote",
    cls=Verb,
    examples=(("The arm that won gets all traffic", "headrace ab promote prompts few_shot"),),
)
@test_argument()
@click.argument("arm", metavar="ARM")
@yes_option()
@by_option()
@click.pass_obj
def command(session: Session, *, test: str, arm: str, yes: bool, by: str | None) -> int:
    """Let an arm answer everybody, and end the test.

    Nothing promotes an arm but this command. Asks first; in a script say --yes.
    """
    if not yes and not session.confirm(f"Let {arm} answer everybody and end {test}?"):
        session.note("Nothing was changed.")
        return ExitCode.FAILED
    with command_workspace(session) as workspace:
        revision = promote(workspace.store, test, arm, workspace.now(), by=choose_person(session, by))
    session.write(say_revision(revision))
    return ExitCode.OK
