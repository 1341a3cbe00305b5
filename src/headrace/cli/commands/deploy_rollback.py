"""``headrace deploy rollback``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.deploy_options import (
    allow_option,
    command_deployment,
    file_argument,
    overlay_option,
    shape_option,
)
from headrace.cli.deploy_runs import run_prepared
from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.operations.plan_deployment import prepare_rollback


@click.command(
    "rollback",
    cls=Verb,
    examples=(
        ("Back to the shares before the last move", "headrace deploy rollback"),
        (
            "Out with the version of the file, whatever moves brought it in",
            "headrace deploy rollback --deployment new",
        ),
        ("Although the old one cannot be tried out", "headrace deploy rollback --allow untested"),
    ),
)
@file_argument()
@overlay_option()
@click.option(
    "--deployment",
    "name",
    metavar="NAME",
    help="Take this one out of traffic, whatever moves have brought it in; new is the version of the file.",
)
@allow_option()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@shape_option()
@click.pass_obj
def command(
    session: Session,
    *,
    file: Path,
    environment: str | None,
    name: str | None,
    allowed: tuple[str, ...],
    dry_run: bool,
    form: str,
) -> int:
    """Move traffic back to where it was before the last move, from whatever machine.

    Whose share grows is looked at and asked for the answer to a sample first. max_shift does not hold for the way back.
    With --deployment the others get the share of that one, in their proportions.
    """
    with command_deployment(session, file, environment) as opened:
        return run_prepared(
            session,
            opened,
            lambda state: prepare_rollback(opened, state, name),
            allowed=allowed,
            again=opened.choice.command("rollback", *(["--deployment", name] if name else [])),
            form=form,
            is_dry=dry_run,
        )
