"""``headrace deploy destroy``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.deploy_options import (
    JSON,
    allow_option,
    command_deployment,
    file_argument,
    overlay_option,
    shape_option,
)
from headrace.cli.deploy_runs import run_prepared, show_prepared
from headrace.cli.options import Verb, yes_option
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.operations.plan_deployment import prepare_destruction


@click.command(
    "destroy",
    cls=Verb,
    examples=(
        ("Everything", "headrace deploy destroy --yes"),
        ("A deployment that gets no requests", "headrace deploy destroy --deployment green --yes"),
    ),
)
@file_argument()
@overlay_option()
@click.option("--deployment", "name", metavar="NAME", help="Only this one; it gets no requests any more.")
@allow_option()
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@yes_option()
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
    yes: bool,
    form: str,
) -> int:
    """Delete an endpoint with everything behind it, or one of its deployments.

    What is gone already is no mistake. What headrace did not make is only deleted with --allow others.
    """
    with command_deployment(session, file, environment) as opened:
        prepared = prepare_destruction(opened, name)
        if prepared.plan.changes and not dry_run and not yes:
            show_prepared(session, prepared.plan, allowed, form="text", is_err=form == JSON)
            if not session.confirm(f"Delete {name or opened.endpoint.name}?"):
                session.note("Nothing was deleted.")
                return ExitCode.FAILED
        return run_prepared(
            session,
            opened,
            lambda state: prepare_destruction(opened, name, state),
            allowed=allowed,
            again=opened.choice.command("destroy", *(["--deployment", name] if name else [])),
            form=form,
            is_dry=dry_run,
            is_shown=not prepared.plan.changes or yes or dry_run,
        )
