"""``headrace ab decide``."""

from __future__ import annotations

import click

from headrace.cli.ab_options import test_argument
from headrace.cli.ab_view import view_to_json
from headrace.cli.options import Verb, form_option
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.domain.ab_report import AbReport
from headrace.errors import ExitCode
from headrace.operations.follow_ab import AbFollower


@click.command(
    "decide",
    cls=Verb,
    examples=(
        ("Which arm is to be shipped, for a script", "headrace ab decide prompts"),
        ("With all numbers", "headrace ab decide prompts --output json"),
    ),
)
@test_argument()
@form_option("text", "json", help="How to print; default text.")
@click.pass_obj
def command(session: Session, *, test: str, form: str | None) -> int:
    """Say which arm of an online test to ship, and why.

    Nothing is changed: headrace ab promote is a person's act. Exit codes are those of headrace gate: 0, an arm is to be
    shipped; 1, the baseline is to be kept; 6, the evidence cannot tell yet.
    """
    with command_workspace(session) as workspace:
        view = AbFollower(workspace.store, test).look(workspace.now())
    if form == "json":
        session.write_json(view_to_json(view))
    else:
        session.write(view.report.decision.reason)
        if (arm := view.report.decision.arm) not in (None, view.report.baseline):
            session.note(f"To let it answer everybody: headrace ab promote {test} {arm}")
    return _exit_code(view.report)


def _exit_code(report: AbReport) -> ExitCode:
    if report.decision.arm is None:
        return ExitCode.UNDECIDED
    return ExitCode.FAILED if report.decision.arm == report.baseline else ExitCode.OK
