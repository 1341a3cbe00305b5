"""``headrace ab delete``."""

from __future__ import annotations

import click

from headrace.cli.ab_options import test_argument
from headrace.cli.options import Verb, yes_option
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.ab_revisions import find_revisions


@click.command(
    "delete",
    cls=Verb,
    examples=(("Without a question", "headrace ab delete prompts --yes"),),
)
@test_argument()
@yes_option()
@click.pass_obj
def command(session: Session, *, test: str, yes: bool) -> int:
    """Delete an online test and everything recorded for it.

    The test has to be over, and its servers must no longer serve its traffic file: they would begin it again. Asks
    first; in a script say --yes.
    """
    with command_workspace(session) as workspace:
        if not find_revisions(workspace.store, test)[-1].is_over:
            fail_usage(f"{test} is not over.", f"Stop it first with: headrace ab stop {test}")
        if not yes and not session.confirm(f"Delete {test} with everything that was recorded for it?"):
            session.note("Nothing was deleted.")
            return ExitCode.FAILED
        workspace.store.delete_ab_test(test)
    session.note(f"Deleted {test}.")
    return ExitCode.OK
