"""``headrace deploy traffic``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.deploy_options import (
    allow_option,
    command_deployment,
    file_option,
    overlay_option,
    read_shares,
    shape_option,
)
from headrace.cli.deploy_runs import run_prepared
from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.operations.plan_deployment import prepare_traffic


@click.command(
    "traffic",
    cls=Verb,
    examples=(
        ("Half and half", "headrace deploy traffic blue=50 green=50"),
        ("The others keep their proportions", "headrace deploy traffic green=25"),
        ("Everything at once", "headrace deploy traffic green=100 --allow shift"),
    ),
)
@click.argument("shares", nargs=-1, required=True, metavar="NAME=PERCENT...")
@file_option()
@overlay_option()
@allow_option()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@shape_option()
@click.pass_obj
def command(
    session: Session,
    *,
    shares: tuple[str, ...],
    file: Path,
    environment: str | None,
    allowed: tuple[str, ...],
    dry_run: bool,
    form: str,
) -> int:
    """Share the requests among the deployments of an endpoint.

    Whose share grows is looked at and asked for the answer to a sample first. Applying a file without arms leaves the
    shares as they are; the shares of arms are those of their file.
    """
    given = read_shares(shares)
    with command_deployment(session, file, environment) as opened:
        again = opened.choice.command(f"traffic {' '.join(shares)}", is_option=True)
        return run_prepared(
            session,
            opened,
            lambda state: prepare_traffic(opened, given, state),
            allowed=allowed,
            again=again,
            form=form,
            is_dry=dry_run,
        )
