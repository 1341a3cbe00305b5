"""Show a plan that a person asked for by hand, and apply it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from headrace.cli.deploy_options import JSON, tell_progress
from headrace.cli.deploy_view import plan_to_json, render_plan
from headrace.cli.session import Session
from headrace.deploy.safety import refused
from headrace.domain.deployment import DeployPlan, EndpointState
from headrace.errors import ExitCode
from headrace.operations.apply_deployment import ApplyChoice, apply_prepared
from headrace.operations.open_deployment import OpenDeployment
from headrace.operations.plan_deployment import PreparedPlan


def run_prepared(
    session: Session,
    opened: OpenDeployment,
    prepare: Callable[[EndpointState], PreparedPlan],
    *,
    allowed: Collection[str],
    again: str,
    form: str,
    is_dry: bool,
    is_shown: bool = True,
) -> int:
    """Plan, show and apply; returns the exit code.

    Args:
        session: For output.
        opened: The target.
        prepare: Plans from what is there.
        allowed: Names of refusals that are overridden.
        again: The command itself.
        form: ``text`` or ``json``.
        is_dry: Only show the plan.
        is_shown: Whether the plan is to be shown.

    Raises:
        StateError: The plan is unsafe, or what is there has changed.
        RemoteError: A step failed.
    """
    prepared = prepare(opened.target.read_state())
    if is_dry:
        return show_prepared(session, prepared.plan, allowed, form=form)
    if form == JSON and refused(prepared.plan, allowed):
        session.write_json(plan_to_json(prepared.plan, allowed))
    elif is_shown and form != JSON:
        session.write(_text(session, prepared.plan, allowed))
    choice = ApplyChoice(allowed=allowed, on_progress=tell_progress(session), again=again)
    done = apply_prepared(opened, prepared, choice, prepare)
    if form == JSON:
        session.write_json(plan_to_json(done.plan, allowed))
    return ExitCode.OK


def show_prepared(
    session: Session, plan: DeployPlan, allowed: Collection[str], *, form: str, is_err: bool = False
) -> int:
    """Show a plan and why it is refused; returns the exit code."""
    if form == JSON:
        session.write_json(plan_to_json(plan, allowed))
    elif is_err:
        session.note(_text(session, plan, allowed))
    else:
        session.write(_text(session, plan, allowed))
    reasons = [problem for _, problem in refused(plan, allowed)]
    if reasons:
        session.show_problems(*reasons, has_summary=len(reasons) > 1)
        return ExitCode.STATE
    return ExitCode.OK


def _text(session: Session, plan: DeployPlan, allowed: Collection[str]) -> str:
    if plan.changes:
        return render_plan(plan, session.terminal.out, allowed)
    return "\n".join(("Nothing to do.", *(f"Note: {note}" for note in plan.notes)))
