"""Apply what was planned for a deployment: a file, a move of traffic, a rollback, a destruction."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from headrace.deploy.apply import Applied, Applying, Progress, apply_plan
from headrace.deploy.base import Tell
from headrace.deploy.moves import end_shares
from headrace.deploy.plan import shares_text
from headrace.deploy.safety import raise_if_unsafe
from headrace.domain.deployment import DeployPlan, Endpoint, EndpointState
from headrace.errors import DefinitionError, HeadraceError
from headrace.formats.deployment_settings import unset_variables
from headrace.operations.ask_deployment import try_deployment
from headrace.operations.open_deployment import OpenDeployment
from headrace.operations.plan_deployment import PreparedPlan, prepare_plan, prepare_rollback


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyChoice:
    """How a plan is applied.

    Attributes:
        allowed: Names of refusals that are overridden.
        on_progress: Hears of every step.
        again: The command that goes on where this one is cut off.
        is_taking_back: Whether traffic that was moved goes back where a later step fails.
        tell: Takes lines about that.
    """

    allowed: Collection[str] = ()
    on_progress: Callable[[Progress], None] = lambda _: None
    again: str = "headrace deploy apply"
    is_taking_back: bool = False
    tell: Tell = lambda _: None


def apply_deployment(opened: OpenDeployment, prepared: PreparedPlan, choice: ApplyChoice) -> Applied:
    """Make what a file wishes for; versions of its flows are kept in the store first.

    Args:
        opened: The file and its target.
        prepared: The plan, as a person has seen it.
        choice: How.

    Raises:
        DefinitionError: X101, a variable that a deployment takes a secret from is not set; nothing was done.
        StateError: The plan is unsafe, or what is there has changed; see :func:`~headrace.deploy.apply.apply_plan`.
        RemoteError: A step failed.
        KeyboardInterrupt: With notes that say how to go on.
    """
    raise_if_unsafe(prepared.plan, choice.allowed)
    if not prepared.plan.changes:
        return Applied(plan=prepared.plan)
    _refuse_unset(opened, prepared.plan)
    kept = prepared if prepared.is_kept else prepare_plan(opened, prepared.plan.state, is_keeping=True)
    has_moved = False

    def hear(progress: Progress) -> None:
        nonlocal has_moved
        has_moved |= progress.change.action == "move traffic" and progress.moment == "done"
        choice.on_progress(progress)

    try:
        return apply_prepared(
            opened, kept, replace(choice, on_progress=hear), lambda state: prepare_plan(opened, state)
        )
    except HeadraceError:
        if has_moved and choice.is_taking_back:
            _take_back(opened, choice)
        raise


def _take_back(opened: OpenDeployment, choice: ApplyChoice) -> None:
    """Move traffic back to what it was before it was moved; what went wrong first is what is raised."""
    try:
        prepared = prepare_rollback(opened)
        shares = shares_text(end_shares(prepared.plan))
        choice.tell(f"A step has failed after traffic had moved; it goes back to {shares}.")
        apply_prepared(opened, prepared, choice, lambda state: prepare_rollback(opened, state))
    except HeadraceError as error:
        choice.tell(f"Traffic was moved, and cannot go back: {error.problems[0].what}")


def _refuse_unset(opened: OpenDeployment, plan: DeployPlan) -> None:
    """Stop before the first step where a deployment that is made could not get one of its secrets."""
    made = {
        item.deployment for item in plan.changes if item.action in ("create deployment", "update deployment")
    }
    wished = [item for item in plan.endpoint.deployments if item.name in made]
    unset = unset_variables(wished, opened.workspace.settings.environment)
    if unset:
        raise DefinitionError(*unset)


def apply_prepared(
    opened: OpenDeployment,
    prepared: PreparedPlan,
    choice: ApplyChoice,
    replan: Callable[[EndpointState], PreparedPlan],
) -> Applied:
    """Make the steps of a plan.

    Args:
        opened: The target.
        prepared: The plan.
        choice: How.
        replan: Plans again after something that was under way has ended.

    Raises:
        StateError, RemoteError, KeyboardInterrupt: As :func:`apply_deployment`.
    """
    samples = dict(prepared.samples)

    def ask(name: str, endpoint: Endpoint) -> None:
        del endpoint
        try_deployment(opened, name, samples[name])

    def plan_again(state: EndpointState) -> DeployPlan:
        again = replan(state)
        samples.update(again.samples)
        return again.plan

    return apply_plan(
        prepared.plan,
        Applying(
            target=opened.target,
            ask=ask,
            replan=plan_again,
            allowed=choice.allowed,
            on_progress=choice.on_progress,
            again=choice.again,
        ),
    )
