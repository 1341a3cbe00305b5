"""``headrace deploy apply``."""

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
    tell_progress,
)
from headrace.cli.deploy_view import plan_to_json, render_plan
from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.deploy.moves import end_shares
from headrace.deploy.plan import shares_text
from headrace.deploy.safety import refused
from headrace.errors import ExitCode
from headrace.operations.apply_deployment import ApplyChoice, apply_deployment
from headrace.operations.plan_deployment import prepare_plan


@click.command(
    "apply",
    cls=Verb,
    examples=(
        ("Deploy what deployment.yaml of this folder says", "headrace deploy apply"),
        ("To another environment", "headrace deploy apply deployment.yaml --environment prod"),
        ("Although the share moves far", "headrace deploy apply --allow shift"),
        ("In a pipeline: no share is kept by what was not finished", "headrace deploy apply --take-back"),
    ),
)
@file_argument()
@overlay_option()
@allow_option()
@click.option(
    "--take-back",
    is_flag=True,
    help="Where a step fails after traffic has moved, move it back to what it was before.",
)
@shape_option()
@click.pass_obj
def command(
    session: Session,
    *,
    file: Path,
    environment: str | None,
    allowed: tuple[str, ...],
    take_back: bool,
    form: str,
) -> int:
    """Make what a deployment file says, step by step; traffic moves last.

    A deployment gets requests once it is healthy and has answered the sample of its flow. A command that was cut off is
    simply given again. An unsafe plan is refused before its first step, with exit code 5.
    """
    with command_deployment(session, file, environment) as opened:
        prepared = prepare_plan(opened, is_priced=True)
        if form != JSON:
            session.write(render_plan(prepared.plan, session.terminal.out, allowed))
        elif refused(prepared.plan, allowed):
            session.write_json({**plan_to_json(prepared.plan, allowed), "address": None})
        done = apply_deployment(
            opened,
            prepared,
            ApplyChoice(
                allowed=allowed,
                on_progress=tell_progress(session),
                again=opened.choice.command("apply"),
                is_taking_back=take_back,
                tell=session.note,
            ),
        )
        address = opened.target.read_state().address
    if form == JSON:
        session.write_json({**plan_to_json(done.plan, allowed), "address": address or None})
    elif done.changes:
        session.write(
            f"Done: {shares_text(end_shares(done.plan))} at {address or 'an address that is not known'}."
        )
    return ExitCode.OK
