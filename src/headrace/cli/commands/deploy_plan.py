"""``headrace deploy plan``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.deploy_options import (
    JSON,
    MARKDOWN,
    allow_option,
    command_deployment,
    file_argument,
    overlay_option,
    shape_option,
)
from headrace.cli.deploy_view import plan_to_json, plan_to_markdown, render_plan
from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.deploy.safety import refused
from headrace.errors import ExitCode
from headrace.operations.plan_deployment import prepare_plan


@click.command(
    "plan",
    cls=Verb,
    examples=(
        ("What deployment.yaml of this folder would do", "headrace deploy plan"),
        ("In another environment", "headrace deploy plan flows/triage/deployment.yaml --environment azure"),
        ("As a comment on a pull request", "headrace deploy plan --format markdown > plan.md"),
        ("For a program, which learns from the exit code", "headrace deploy plan --format json --exit-code"),
    ),
)
@file_argument()
@overlay_option()
@allow_option()
@click.option("--exit-code", is_flag=True, help="Exit with 6 where there is something to do.")
@shape_option(MARKDOWN)
@click.pass_obj
def command(
    session: Session,
    *,
    file: Path,
    environment: str | None,
    allowed: tuple[str, ...],
    exit_code: bool,
    form: str,
) -> int:
    """Say what applying a deployment file would do, and what is unsafe about it.

    Reads what is there and changes nothing; what is to be there is priced where prices are known. Exit codes: 0,
    whether or not there is something to do; 5 where the plan is refused; with --exit-code, 6 where there is something
    to do.
    """
    with command_deployment(session, file, environment) as opened:
        plan = prepare_plan(opened, is_priced=True).plan
    reasons = refused(plan, allowed)
    if form == JSON:
        session.write_json(plan_to_json(plan, allowed))
    elif form == MARKDOWN:
        session.write(plan_to_markdown(plan, allowed))
    else:
        session.write(render_plan(plan, session.terminal.out, allowed))
    if reasons:
        session.show_problems(*(problem for _, problem in reasons), has_summary=len(reasons) > 1)
        return ExitCode.STATE
    return ExitCode.UNDECIDED if exit_code and plan.changes else ExitCode.OK
