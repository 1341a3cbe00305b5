"""Apply what was planned for a deployment: a file, a move of traffic, a rollback, a destruction."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from headrace.deploy.apply import Applied, Applying, Progress, apply_plan
from headrace.deploy.base import Tell
from headrace.deploy.moves import end_shares
from headrace.deploy.plan import positive, shares_text
from headrace.deploy.safety import raise_if_unsafe
from headrace.domain.deployment import Action, Change, DeployPlan, Endpoint, EndpointState
from headrace.errors import DefinitionError, HeadraceError, StateError
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
    last: dict[Action, Progress] = {}

    def hear(progress: Progress) -> None:
        last[progress.change.action] = progress
        choice.on_progress(progress)

    try:
        return apply_prepared(
            opened, kept, replace(choice, on_progress=hear), lambda state: prepare_plan(opened, state)
        )
    except HeadraceError as error:
        move = last.get("move traffic")
        # A move that was refused by us, as what is there has changed, was never asked for.
        if move is not None and choice.is_taking_back and _may_have_moved(move, error):
            _take_back(opened, choice, move)
        raise


def _may_have_moved(move: Progress, error: HeadraceError) -> bool:
    """Whether a step has moved traffic; one that failed may have done so before, as where the answer was lost."""
    return move.moment == "done" or (move.moment == "failed" and not isinstance(error, StateError))


def _take_back(opened: OpenDeployment, choice: ApplyChoice, move: Progress) -> None:
    """Move traffic back to what it was before it was moved; what went wrong first is what is raised."""
    try:
        state = opened.target.read_state()
    except HeadraceError as error:
        choice.tell(f"Whether traffic has moved cannot be seen: {error.problems[0].what}")
        return
    if move.moment == "failed" and not _is_moved(move.change, state):
        if state.is_busy:
            text = "Traffic may still be moving. Look with headrace deploy status; back: headrace deploy rollback"
            choice.tell(opened.choice.name_in(text))
        return
    try:
        prepared = prepare_rollback(opened, state)
        shares = shares_text(end_shares(prepared.plan))
        choice.tell(f"A step has failed after traffic had moved; it goes back to {shares}.")
        apply_prepared(opened, prepared, choice, lambda state: prepare_rollback(opened, state))
    except HeadraceError as error:
        choice.tell(f"Traffic was moved, and cannot go back: {error.problems[0].what}")


def _is_moved(change: Change, state: EndpointState) -> bool:
    """Whether traffic is as a step wants it, and was not so before."""
    return change.shares_before != change.shares == positive(state.traffic)


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
