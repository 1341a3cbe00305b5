"""Plans for what a person asks for by hand: other shares, the shares from before, and taking down. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from headrace.deploy.base import no_deployment
from headrace.deploy.places import share_out
from headrace.deploy.plan import deletion, facts, mirroring, moves, positive, smoke_tests, waiting
from headrace.deploy.safety import moved_shares
from headrace.domain.deployment import Change, DeployPlan, Endpoint, EndpointState
from headrace.errors import Problem, StateError, UsageError


def plan_traffic(endpoint: Endpoint, state: EndpointState, given: Mapping[str, int]) -> DeployPlan:
    """The steps that give deployments their shares, and leave the rest to the others in their proportions.

    Args:
        endpoint: Whose traffic moves.
        state: What is there.
        given: Deployment to percent; where they add to less than 100, others that have traffic keep the rest.

    Raises:
        UsageError: X150 when there is nothing yet, X143 for a deployment that is not there.
    """
    check_there(endpoint, state, *given)
    shares = share_out(state.traffic, given)
    return DeployPlan(endpoint=endpoint, state=state, changes=tuple(_moving(endpoint, state, shares)))


def plan_rollback(endpoint: Endpoint, state: EndpointState) -> DeployPlan:
    """The steps back to the traffic before the last move.

    Raises:
        UsageError: X150 when there is nothing yet.
        StateError: X149 when nobody noted the traffic before, or what had it is gone or holds something else by now.
    """
    check_there(endpoint, state)
    shares = positive(state.previous)
    if not shares:
        what = f"Nobody has noted what the traffic of {endpoint.name} was before."
        raise StateError(_no_way_back(what))
    _check_as_noted(state, shares)
    return DeployPlan(endpoint=endpoint, state=state, changes=tuple(_moving(endpoint, state, shares)))


def _check_as_noted(state: EndpointState, names: Iterable[str]) -> None:
    """Refuse a way back to what is gone, or holds something else than it did before the last move."""
    for name in names:
        share, noted, found = state.previous[name], state.previous_specs.get(name, ""), state.find(name)
        if found is None:
            what = f"{name} had {share} % of the requests before, and has been deleted since."
            raise StateError(_no_way_back(what))
        if noted and not found.spec.startswith(noted):
            held = found.version or "something else"
            what = f"{name} had {share} % of the requests before, and holds {held} since."
            raise StateError(_no_way_back(what))


def plan_withdrawal(endpoint: Endpoint, state: EndpointState, name: str) -> DeployPlan:
    """The steps that take a deployment out of traffic, however many moves have brought it there.

    The others get its share, in their proportions; where nobody else has one any more, those who had one before
    the last move.

    Raises:
        UsageError: X150 when there is nothing yet, X143 for a deployment that is not there.
        StateError: X149 when nobody else answers or did, or what did is gone or holds something else by now.
    """
    check_there(endpoint, state, name)
    shares = share_out(state.traffic, {name: 0})
    if state.traffic.get(name) and not shares:
        shares = share_out(state.previous, {name: 0})
        if not shares:
            what = f"Nobody but {name} answers the requests of {endpoint.name}, and nobody did before the last move."
            raise StateError(_no_way_back(what))
        _check_as_noted(state, shares)
    return DeployPlan(endpoint=endpoint, state=state, changes=tuple(_moving(endpoint, state, shares)))


def plan_destruction(endpoint: Endpoint, state: EndpointState, name: str | None = None) -> DeployPlan:
    """The steps that take down an endpoint with all that stands behind it, or one deployment without traffic.

    Where it is gone already, nothing is to be done.

    Raises:
        StateError: X154 for a deployment that answers requests.
    """
    return DeployPlan(endpoint=endpoint, state=state, changes=tuple(_destroying(endpoint, state, name)))


def _destroying(endpoint: Endpoint, state: EndpointState, name: str | None) -> Iterator[Change]:
    if not state.exists:
        return
    if name is None:
        yield from _waits(state, [item.name for item in state.deployments])
        there = {item.name: facts(item) for item in state.deployments}
        what = f"delete endpoint {endpoint.name} with {', '.join(there) or 'nothing behind it'}"
        yield Change(action="delete endpoint", what=what, before=there)
        return
    found = state.find(name)
    if found is None:
        return
    if state.traffic.get(name):
        what = f"{name} answers {state.traffic[name]} % of the requests of {endpoint.name}."
        raise StateError(Problem(code="X154", what=what, fix=_way_out(state, name)))
    yield from _waits(state, [name])
    if state.mirror.get(name):
        copied = positive(state.mirror)
        yield mirroring(copied, {other: share for other, share in copied.items() if other != name})
    yield deletion(found)


def _way_out(state: EndpointState, name: str) -> str:
    """How a deployment gets rid of its requests: others share them, or one that has none yet gets all."""
    others = [item.name for item in state.deployments if item.name != name]
    if any(state.traffic.get(other) for other in others):
        return f"Give them to others first, with: headrace deploy traffic {name}=0"
    if others:
        return f"Give them to another one first, with: headrace deploy traffic {others[0]}=100"
    return "Deploy another one first; to take down everything: headrace deploy destroy"


def _moving(endpoint: Endpoint, state: EndpointState, shares: Mapping[str, int]) -> Iterator[Change]:
    mirror = {name: share for name, share in positive(state.mirror).items() if not shares.get(name)}
    if shares == positive(state.traffic):
        return
    yield from _waits(state, shares)
    yield from smoke_tests(state, shares, {})
    yield from moves(state, shares, mirror, endpoint)


def _waits(state: EndpointState, names: Mapping[str, int] | list[str]) -> Iterator[Change]:
    if state.is_busy:
        yield waiting("")
    for item in state.deployments:
        if item.name in names and (item.is_busy or item.health == "starting"):
            yield waiting(item.name)


def check_there(endpoint: Endpoint, state: EndpointState, *names: str) -> None:
    """Refuse what is not there.

    Raises:
        UsageError: X150 for an endpoint, X143 for a deployment.
    """
    if not state.exists:
        what = f"There is no endpoint {endpoint.name} on the target {endpoint.target}."
        fix = "Make it with: headrace deploy apply"
        raise UsageError(
            Problem(code="X150", what=what, span=endpoint.span("name"), pointer=("name",), fix=fix)
        )
    known = [item.name for item in state.deployments]
    for name in names:
        if name not in known:
            raise no_deployment(endpoint.name, name, known)


def _no_way_back(what: str) -> Problem:
    fix = "Deploy the version that is wanted: name it in the file, flow: NAME@NUMBER, and apply; or move traffic to a "
    fix += "deployment that is there, with: headrace deploy traffic NAME=100"
    return Problem(code="X149", what=what, fix=fix)


def end_shares(plan: DeployPlan) -> dict[str, int]:
    """The traffic when a plan has been made in full."""
    moved = moved_shares(plan)
    return positive(plan.state.traffic) if moved is None else moved
