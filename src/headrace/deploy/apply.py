"""Make the steps of a plan, one after the other, and look again before traffic moves.

Every step can be made again, so a command that was cut off is simply given again: its plan is shorter then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from headrace.deploy.base import Target
from headrace.deploy.plan import drifted, traffic_drifted
from headrace.deploy.safety import UNHEALTHY, UNTESTED, moved_shares, raise_if_unsafe
from headrace.domain.deployment import Change, DeploymentState, DeployPlan, Endpoint, EndpointState
from headrace.errors import HeadraceError, Problem, RemoteError, StateError

Moment: TypeAlias = Literal["begun", "done", "skipped", "failed"]

_MOST_ROUNDS = 5
"""How often it is planned again after what was under way has ended."""

_OF_TARGETS = "X"
"""What codes of deploying begin with; whoever was asked and did not answer has others."""

LOG_LINES = 20
"""How many lines of a deployment's log are shown with its failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What happens to a step.

    Attributes:
        change: The step.
        number: Its number in the plan, from 1.
        n_changes: How many steps the plan has.
        duration_ms: How long it took; ``None`` before it is over.
    """

    moment: Moment
    change: Change
    number: int
    n_changes: int
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applying:
    """What a plan is applied with.

    Attributes:
        target: Where.
        ask: Asks a deployment for the answer to its sample; raises what goes wrong.
        replan: Plans again, from what is there by then.
        allowed: Names of refusals that are overridden.
        on_progress: Hears of every step.
        again: The command that goes on where this one was cut off.
    """

    target: Target
    ask: Callable[[str, Endpoint], None]
    replan: Callable[[EndpointState], DeployPlan]
    allowed: Collection[str] = ()
    on_progress: Callable[[Progress], None] = lambda _: None
    again: str = "headrace deploy apply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was done.

    Attributes:
        plan: The plan that was made in full; the last one where it had to be planned again.
        changes: All steps that were made, in order.
    """

    plan: DeployPlan
    changes: tuple[Change, ...] = field(default=())


def apply_plan(plan: DeployPlan, applying: Applying) -> Applied:
    """Make all steps of a plan.

    Where a plan begins with waiting, it is made anew afterwards, because nobody knew how that would end.

    Args:
        plan: The plan.
        applying: What it is applied with.

    Raises:
        StateError: The plan is unsafe; X146 when what is there has changed since it was made; X147 when a deployment
            that is to get requests is not healthy; X151 when something is always under way.
        RemoteError: A step failed, X148 when a deployment does not answer its sample.
        KeyboardInterrupt: With a note that says what goes on and how to continue.
    """
    done: list[Change] = []
    for _ in range(_MOST_ROUNDS):
        raise_if_unsafe(plan, applying.allowed)
        waits = [change for change in plan.changes if change.action == "wait"]
        for number, change in enumerate(waits or plan.changes, start=1):
            _make(change, number, plan, applying)
            done.append(change)
        if not waits:
            return Applied(plan=plan, changes=tuple(done))
        plan = applying.replan(applying.target.read_state())
    what = f"Something is always under way on {plan.endpoint.name}: after {_MOST_ROUNDS} waits there is more."
    raise StateError(Problem(code="X151", what=what, fix=f"Find out who changes it, then: {applying.again}"))


def _make(change: Change, number: int, plan: DeployPlan, applying: Applying) -> None:
    n_changes = len(plan.changes)
    applying.on_progress(Progress(moment="begun", change=change, number=number, n_changes=n_changes))
    began = time.monotonic()
    moment: Moment = "failed"
    try:
        with _interruption(change, applying):
            moment = "done" if _carry_out(change, plan, applying) else "skipped"
    finally:
        duration_ms = round((time.monotonic() - began) * 1000)
        applying.on_progress(
            Progress(
                moment=moment, change=change, number=number, n_changes=n_changes, duration_ms=duration_ms
            )
        )


@contextmanager
def _interruption(change: Change, applying: Applying) -> Iterator[None]:
    """Say with an interrupt what goes on without us."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        goes_on = change.action not in ("smoke test", "wait", "prepare")
        said = f" The step {change.what!r} goes on at the target." if goes_on else ""
        interrupt.add_note(f"Interrupted. What was done stays done, and no traffic moves by itself.{said}")
        interrupt.add_note(f"Go on with: {applying.again}")
        raise


def _carry_out(change: Change, plan: DeployPlan, applying: Applying) -> bool:
    """Make one step; whether there was something to do."""
    if change.action == "smoke test":
        if UNTESTED in applying.allowed:
            return False
        _try_out(change.deployment, plan, applying)
        return True
    if change.action == "move traffic":
        state = _settled_state(plan, change, applying)
        coming = [found for name in change.taking_over if (found := state.find(name)) is not None]
        if state.traffic == change.shares and all(found.tried is None for found in coming):
            return False
        check_before_move(plan, change, state, applying.allowed)
    applying.target.apply(change, plan.endpoint)
    return True


def _settled_state(plan: DeployPlan, change: Change, applying: Applying) -> EndpointState:
    """What is there once nobody whose share grows is shown as starting: reads may lag behind what was waited for."""
    for _ in range(_MOST_ROUNDS):
        state = applying.target.read_state()
        starting = [
            name
            for name in _growing(plan, change, state)
            if (found := _coming(state, change, name)) is not None and found.health == "starting"
        ]
        if not starting:
            break
        for name in starting:
            wait = Change(action="wait", deployment=name, what=f"wait for {name}")
            applying.target.apply(wait, plan.endpoint)
    return state


def _growing(plan: DeployPlan, change: Change, state: EndpointState) -> list[str]:
    """Deployments whose share grows, or that take over what another copy has answered."""
    shares = moved_shares(plan) or {}
    return [
        name
        for name, share in shares.items()
        if name in change.taking_over or share > state.traffic.get(name, 0)
    ]


def _coming(state: EndpointState, change: Change, name: str) -> DeploymentState | None:
    """The copy that is to answer under a name."""
    found = state.find(name)
    return found.latest if found is not None and name in change.taking_over else found


def check_before_move(
    plan: DeployPlan, change: Change, state: EndpointState, allowed: Collection[str] = ()
) -> None:
    """Look again before traffic moves.

    Args:
        plan: What the step belongs to.
        change: The step that moves traffic.
        state: What is there now.
        allowed: Names of refusals that are overridden.

    Raises:
        StateError: X146 when traffic or deployments are not what the plan assumes, X147 when a deployment whose share
            grows is not healthy.
    """
    before = change.shares_before
    if {name: share for name, share in state.traffic.items() if share} != before:
        raise traffic_drifted(plan.endpoint.name, before, state.traffic)
    expected = _expected_specs(plan)
    growing = _growing(plan, change, state)
    for name, share in (moved_shares(plan) or {}).items():
        found = _coming(state, change, name)
        if found is None or found.spec != expected.get(name, found.spec):
            what = f"{name} is not what it was when this was planned; somebody has changed it."
            raise drifted(what)
        if name in growing and found.health != "healthy" and UNHEALTHY not in allowed:
            said = f": {found.message.rstrip('.')}" if found.message else ""
            what = f"{name} was to get {share} % of the requests and is {found.health}{said}. No traffic was moved."
            fix = f"Look at its log, with: headrace deploy logs --deployment {name}"
            raise StateError(Problem(code="X147", what=what, fix=fix))


def _expected_specs(plan: DeployPlan) -> dict[str, str]:
    """What each deployment is made from once the steps before the move are made."""
    coming = {name for change in plan.changes for name in change.taking_over}
    specs = {
        item.name: item.latest.spec if item.name in coming else item.spec for item in plan.state.deployments
    }
    for change in plan.changes:
        if change.action in ("create deployment", "update deployment"):
            specs[change.deployment] = change.spec
    return specs


def _try_out(name: str, plan: DeployPlan, applying: Applying) -> None:
    """Ask a deployment for one answer.

    Raises:
        RemoteError: X148, with what it said and the end of its log; another one of the target's own where it was not
            asked, because the target did not say where it answers, or with which key.
    """
    try:
        applying.ask(name, plan.endpoint)
    except RemoteError as error:
        if error.problems[0].code.startswith(_OF_TARGETS):
            raise
        raise _did_not_answer(name, plan, error, applying) from error


def _did_not_answer(name: str, plan: DeployPlan, error: RemoteError, applying: Applying) -> RemoteError:
    share = plan.state.traffic.get(name, 0)
    is_beside = _has_two(name, applying)
    said = error.refusal
    first = error.problems[0]
    detail = [f"{first.code}: {first.what}", *([said.message] if said is not None and said.message else [])]
    try:
        detail += [f"log: {line}" for line in applying.target.read_logs(name, LOG_LINES)]
    except HeadraceError:
        detail.append("log: it could not be read")
    gets = (
        f"it answers {share} % of the requests, and no traffic was moved" if share else "it gets no requests"
    )
    if share and is_beside:
        gets = f"it gets no requests, and the one before goes on with its {share} %"
    what = f"{name} did not answer the sample: {gets}."
    is_away = share and not is_beside
    away = f"Give its requests to others, with: headrace deploy traffic {name}=0. " if is_away else ""
    fix = (
        f"{away}Mend the flow, its settings or the sample, then: {applying.again}. "
        f"To go on without trying it out: --allow {UNTESTED}"
    )
    failed = type(error)(Problem(code="X148", what=what, fix=fix, detail=tuple(detail)))
    failed.refusal = said
    return failed


def _has_two(name: str, applying: Applying) -> bool:
    """Whether what was tried stands beside the copy that answers requests."""
    if not applying.target.traits.tries_beside:
        return False
    try:
        found = applying.target.read_state().find(name)
    except HeadraceError:
        return False
    return found is not None and found.tried is not None
