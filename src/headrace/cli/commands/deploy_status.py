"""``headrace deploy status``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.deploy_options import JSON, command_deployment, file_argument, overlay_option, shape_option
from headrace.cli.deploy_view import render_state, state_to_json
from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.errors import ExitCode, HeadraceError
from headrace.operations.plan_deployment import prepare_plan


@click.command(
    "status",
    cls=Verb,
    examples=(
        ("Where deployment.yaml of this folder stands", "headrace deploy status"),
        ("For a program", "headrace deploy status deployment.yaml --environment prod --format json"),
    ),
)
@file_argument()
@overlay_option()
@shape_option()
@click.pass_obj
def command(session: Session, *, file: Path, environment: str | None, form: str) -> int:
    """Say what is deployed, who gets which share of the requests, and how the file differs."""
    with command_deployment(session, file, environment) as opened:
        state = opened.target.read_state()
        try:
            changes = prepare_plan(opened, state).plan.changes
        except HeadraceError as error:  # what is there can be shown all the same
            changes = None
            reason = f"nobody knows: {error.problems[0].what}"
        if form == JSON:
            session.write_json(state_to_json(opened.endpoint, state, changes))
            return ExitCode.OK
        drift = [reason] if changes is None else [change.what for change in changes]
        ink, width = session.terminal.out, session.terminal.width
        session.write(render_state(opened.endpoint, state, drift, ink, width))
    return ExitCode.OK
