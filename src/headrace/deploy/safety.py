"""What is unsafe about a plan, each reason under a name by which a person can override it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from headrace.deploy.base import Traits
from headrace.deploy.places import DEAD
from headrace.domain.deployment import (
    LOCAL,
    Change,
    Deployment,
    DeployPlan,
)
from headrace.errors import Problem, StateError, UsageError, nearest
from headrace.source import Pointer

TRAFFIC, SHIFT, UNHEALTHY, IN_PLACE, LAST_HEALTHY = (
    "traffic",
    "shift",
    "unhealthy",
    "in-place",
    "last-healthy",
)
DIRTY, PLAIN_SECRET, GATE, OPEN, IMAGE, OTHERS, MIRROR, UNTESTED = (
    "dirty",
    "plain-secret",
    "gate",
    "open",
    "unpinned-image",
    "others",
    "mirror",
    "untested",
)
REFUSALS: Mapping[str, str] = {
    TRAFFIC: "the shares do not add to 100, or nobody would answer any more",
    SHIFT: "a share moves further at once than max_shift says",
    UNHEALTHY: "requests would go to a deployment that is not healthy",
    IN_PLACE: "a deployment that answers requests would be replaced while it does",
    LAST_HEALTHY: "the only healthy deployment would be deleted",
    DIRTY: "the flow is no version that is kept, or has changes that are not committed",
    PLAIN_SECRET: "a key stands as text in what is deployed",
    GATE: "the gate that the file names was not passed by this version",
    OPEN: "everybody who knows the address may ask",
    IMAGE: "the image is not named by its digest",
    OTHERS: "something that headrace did not make would be changed or deleted",
    MIRROR: "the target cannot copy requests to a deployment",
    UNTESTED: "a deployment would get requests without having answered a sample",
}
"""Name of a refusal to what it is about; the names are what ``--allow`` takes."""

_DIGEST = "@sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found out beside the plan, each with its problem.

    Attributes:
        dirty: Deployment to why its flow cannot be repeated.
        secrets: Keys that stand as text.
        gate: Deployment to why it did not pass the gate.
        untested: Deployment to why it cannot be tried out.
    """

    dirty: Mapping[str, Problem] = field(default_factory=dict)
    secrets: tuple[Problem, ...] = ()
    gate: Mapping[str, Problem] = field(default_factory=dict)
    untested: Mapping[str, Problem] = field(default_factory=dict)


def find_unsafe(
    plan: DeployPlan, traits: Traits, findings: Findings | None = None, *, is_rollback: bool = False
) -> tuple[tuple[str, Problem], ...]:
    """Why a plan should not be applied; nothing where it is safe.

    Args:
        plan: The plan; one without changes is safe.
        traits: Of the target.
        findings: What was found out of flows, settings and the gate.
        is_rollback: Traffic goes back to where it was, as far as that is at once.
    """
    if not plan.changes:
        return ()
    found = findings or Findings()
    return (
        *_shares(plan),
        *(() if is_rollback else _shift(plan)),
        *_unhealthy(plan),
        *_in_place(plan, traits),
        *_last_healthy(plan),
        *_of_deployments(plan, DIRTY, found.dirty),
        *_secrets(plan, found),
        *(() if is_rollback else _of_deployments(plan, GATE, found.gate)),
        *_open(plan),
        *_image(plan),
        *_others(plan),
        *_mirror(plan, traits),
        *_untested(plan, found),
    )


def check_allowed(names: Collection[str]) -> None:
    """Refuse names of refusals that there are not.

    Raises:
        UsageError: X145.
    """
    unknown = next((name for name in names if name not in REFUSALS), None)
    if unknown is None:
        return
    near = nearest(unknown, tuple(REFUSALS))
    fix = f"Did you mean {near}?" if near else f"The names are: {', '.join(REFUSALS)}."
    raise UsageError(Problem(code="X145", what=f"There is no refusal {unknown!r} to override.", fix=fix))


def refused(plan: DeployPlan, allowed: Collection[str]) -> tuple[tuple[str, Problem], ...]:
    """What of :attr:`~headrace.domain.deployment.DeployPlan.unsafe` nobody has overridden."""
    return tuple((name, problem) for name, problem in plan.unsafe if name not in allowed)


def raise_if_unsafe(plan: DeployPlan, allowed: Collection[str]) -> None:
    """Stop at what nobody has overridden.

    Args:
        plan: The plan.
        allowed: Names of refusals that are overridden.

    Raises:
        StateError: All reasons.
    """
    reasons = refused(plan, allowed)
    if reasons:
        raise StateError(*(problem for _, problem in reasons))


def _reason(
    plan: DeployPlan, name: str, code: str, what: str, fix: str, pointer: Pointer = ()
) -> tuple[str, Problem]:
    known = plan.endpoint.source_map
    span = known.span(pointer) if known is not None and pointer in known.values else None
    fix = _or_allow(fix, name)
    return name, Problem(code=code, what=what, span=span, pointer=pointer, fix=fix)


def _change(plan: DeployPlan, action: str) -> Change | None:
    return next((change for change in plan.changes if change.action == action), None)


def moved_shares(plan: DeployPlan) -> dict[str, int] | None:
    """The shares that a plan leads to; ``None`` where it moves none."""
    move = _change(plan, "move traffic")
    return None if move is None else move.shares


def _made(plan: DeployPlan) -> set[str]:
    return {
        item.deployment for item in plan.changes if item.action in ("create deployment", "update deployment")
    }


def _shares(plan: DeployPlan) -> Iterator[tuple[str, Problem]]:
    shares = moved_shares(plan)
    if shares is None or sum(shares.values()) == 100:
        return
    said = " + ".join(f"{name} {share}" for name, share in shares.items()) or "nobody"
    what = f"The shares of {plan.endpoint.name} add to {sum(shares.values())} and not to 100: {said}."
    yield _reason(plan, TRAFFIC, "X160", what, "Give shares that add to 100.", _change_pointer(plan))


def _change_pointer(plan: DeployPlan) -> Pointer:
    move = _change(plan, "move traffic")
    return move.pointer if move is not None else ()


def _shift(plan: DeployPlan) -> Iterator[tuple[str, Problem]]:
    shares, before = moved_shares(plan), plan.state.traffic
    if shares is None or not any(before.values()):
        return
    most = plan.endpoint.max_shift
    dead = {item.name for item in plan.state.deployments if item.health in DEAD}
    freed = sum(max(share - shares.get(name, 0), 0) for name, share in before.items() if name in dead)
    for name in sorted({*shares, *before}):
        now, then = before.get(name, 0), shares.get(name, 0)
        moved = max(then - now - freed, 0) if then > now else 0 if name in dead else now - then
        if moved > most:
            what = (
                f"The share of {name} moves from {now} % to {then} % at once; max_shift allows {most} points."
            )
            step = now + most if then > now else now - most
            fix = f"Go in steps, the first to {name}={step}, and look at the metrics between them."
            yield _reason(plan, SHIFT, "X161", what, fix, ("max_shift",))
            return


def _unhealthy(plan: DeployPlan) -> Iterator[tuple[str, Problem]]:
    shares, made = moved_shares(plan), _made(plan)
    awaited = {change.deployment for change in plan.changes if change.action == "wait"}
    for name, share in (shares or {}).items():
        found = plan.state.find(name)
        if name in made | awaited or share <= plan.state.traffic.get(name, 0):
            continue
        if found is None or found.health != "healthy":
            health = "not there" if found is None else found.health
            said = f": {found.message.rstrip('.')}" if found is not None and found.message else ""
            what = f"{name} would get {share} % of the requests and is {health}{said}."
            fix = f"Look at its log, with: headrace deploy logs --deployment {name}"
            yield _reason(plan, UNHEALTHY, "X162", what, fix, _change_pointer(plan))


def _in_place(plan: DeployPlan, traits: Traits) -> Iterator[tuple[str, Problem]]:
    for change in plan.changes:
        found = plan.state.find(change.deployment)
        share = plan.state.traffic.get(change.deployment, 0)
        if change.action != "update deployment" or found is None or not share or traits.tries_beside:
            continue
        if change.spec == found.spec or found.health in DEAD:
            continue
        gap = "before it was tried out" if traits.replaces_in_place else "while it is replaced"
        what = f"{change.deployment} answers {share} % of the requests, and what it changes to would get them {gap}."
        fix = "Add an arm for the new version, or move its traffic to others first; without arms versions take turns."
        yield _reason(plan, IN_PLACE, "X163", what, fix, change.pointer)


def _last_healthy(plan: DeployPlan) -> Iterator[tuple[str, Problem]]:
    deleted = {change.deployment for change in plan.changes if change.action == "delete deployment"}
    healthy = {item.name for item in plan.state.deployments if item.health == "healthy"}
    for name in sorted(deleted & healthy):
        if not (healthy | _made(plan)) - deleted:
            what = f"{name} is the only healthy deployment of {plan.endpoint.name} and would be deleted."
            fix = "Deploy another one first; to take down everything: headrace deploy destroy."
            yield _reason(plan, LAST_HEALTHY, "X164", what, fix)


def _of_deployments(
    plan: DeployPlan, name: str, problems: Mapping[str, Problem]
) -> Iterator[tuple[str, Problem]]:
    """The problems of those deployments that are made, or get more requests."""
    shares, move = moved_shares(plan) or {}, _change(plan, "move traffic")
    gaining = {item for item, share in shares.items() if share > plan.state.traffic.get(item, 0)}
    gaining |= {*(move.taking_over if move is not None else ())}
    for deployment, problem in problems.items():
        concerned = _made(plan) if name == DIRTY else _made(plan) | gaining
        if deployment in concerned:
            yield name, _overridable(problem, name)


def _overridable(problem: Problem, name: str) -> Problem:
    return replace(problem, fix=_or_allow(problem.fix or "", name))


def _or_allow(fix: str, name: str) -> str:
    """The fix, and how to do without it; a fix may end in a command, which has no full stop."""
    if not fix:
        return f"To do it all the same: --allow {name}"
    return f"{fix}{'' if fix.endswith('.') else '.'} To do it all the same: --allow {name}"


def _secrets(plan: DeployPlan, findings: Findings) -> Iterator[tuple[str, Problem]]:
    if _made(plan) or _change(plan, "create endpoint") or _change(plan, "update endpoint"):
        yield from ((PLAIN_SECRET, _overridable(problem, PLAIN_SECRET)) for problem in findings.secrets)


def _open(plan: DeployPlan) -> Iterator[tuple[str, Problem]]:
    endpoint = plan.endpoint
    is_made = _made(plan) or _change(plan, "create endpoint") or _change(plan, "update endpoint")
    if is_made and endpoint.authentication == "none" and endpoint.is_public and endpoint.target != LOCAL:
        what = f"{endpoint.name} asks nobody who they are, and can be reached by everybody."
        fix = "Write authentication: key or entra, or network: {public: false}."
        yield _reason(plan, OPEN, "X167", what, fix, ("authentication",))


def _image(plan: DeployPlan) -> Iterator[tuple[str, Problem]]:
    for deployment in _made_deployments(plan):
        if deployment.image and _DIGEST not in deployment.image:
            what = f"The image of {deployment.name} is not named by its digest, so it may be another one tomorrow."
            fix = "Write NAME@sha256:DIGEST."
            yield _reason(plan, IMAGE, "X168", what, fix, (*deployment.pointer, "image"))


def _made_deployments(plan: DeployPlan) -> Iterator[Deployment]:
    made = _made(plan)
    yield from (item for item in plan.endpoint.deployments if item.name in made)


def _others(plan: DeployPlan) -> Iterator[tuple[str, Problem]]:
    touched = {
        change.deployment: change.action
        for change in plan.changes
        if change.action in ("update deployment", "delete deployment", "set scale")
    }
    is_all = _change(plan, "delete endpoint") is not None
    for item in plan.state.deployments:
        if item.is_ours or not (is_all or item.name in touched):
            continue
        does = "deleted" if is_all or touched[item.name] == "delete deployment" else "changed"
        what = f"{item.name} was not made by headrace and would be {does}."
        fix = "Choose another name, or delete it where it was made."
        yield _reason(plan, OTHERS, "X169", what, fix, _pointer_of(plan, item.name))


def _pointer_of(plan: DeployPlan, name: str) -> Pointer:
    found = plan.endpoint.find(name)
    return found.pointer if found is not None else ()


def _mirror(plan: DeployPlan, traits: Traits) -> Iterator[tuple[str, Problem]]:
    for deployment in plan.endpoint.deployments:
        if deployment.mirror_percent and not traits.can_mirror:
            what = f"{deployment.name} is to get copies of requests, which the target {plan.endpoint.target} cannot do."
            fix = "Remove mirror; allowed, it is left out."
            yield _reason(plan, MIRROR, "X170", what, fix, (*deployment.pointer, "mirror"))


def _untested(plan: DeployPlan, findings: Findings) -> Iterator[tuple[str, Problem]]:
    for change in plan.changes:
        problem = findings.untested.get(change.deployment)
        if change.action == "smoke test" and problem is not None:
            yield UNTESTED, _overridable(problem, UNTESTED)
