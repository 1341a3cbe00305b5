"""Where a version goes in a file without arms, and what share of the requests it begins with.

Pure. Such a file has two places, :data:`~headrace.domain.deployment.ALTERNATING`, in which versions take turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from headrace.domain.deployment import ALTERNATING, Deployment, Endpoint, EndpointState
from headrace.errors import Problem, StateError

DEAD = ("failed", "stopped")
"""Healths of what answers nobody."""


def settle_names(endpoint: Endpoint, state: EndpointState, runtime: str) -> Endpoint:
    """The endpoint with a name for every deployment.

    A file without arms takes the place that holds the same thing already, whatever its health, else one without
    traffic: a free one before one that holds something.

    Args:
        endpoint: What is wished for.
        state: What is there.
        runtime: As for :meth:`~headrace.domain.deployment.Endpoint.spec_of`.

    Raises:
        StateError: X141 when both places have traffic and hold something else.
    """
    if not endpoint.is_alternating:
        return endpoint
    wish = endpoint.deployments[0]
    name = _place(endpoint.spec_of(wish, runtime), state)
    if name is None:
        raise StateError(_both_taken(endpoint, state))
    settled = replace(wish, name=name, arm=wish.arm or name)
    return replace(endpoint, deployments=(settled,))


def _place(spec: str, state: EndpointState) -> str | None:
    def rank(name: str) -> tuple[int, ...]:
        # Nothing of it changes while something that is under way ends, so that a place is kept to.
        found = state.find(name)
        is_alive = found is not None and found.health not in DEAD
        if found is not None and found.spec == spec:
            return 0, int(not is_alive), int(not state.traffic.get(name))
        return 1, int(found is not None), int(found is not None and not found.is_ours), int(is_alive)

    fitting = [
        name
        for name in ALTERNATING
        if not state.traffic.get(name) or ((found := state.find(name)) is not None and found.spec == spec)
    ]
    return min(fitting, key=rank) if fitting else None


def _both_taken(endpoint: Endpoint, state: EndpointState) -> Problem:
    shares = " and ".join(f"{name} ({_version(state, name)}) {state.traffic[name]} %" for name in ALTERNATING)
    what = f"A third version of {endpoint.name} has no place: {shares} of the requests are answered."
    first, second = ALTERNATING
    fix = (
        f"Settle the two first, with: headrace deploy traffic {first}=100 or headrace deploy traffic {second}=100, "
        "then apply again; or give the file arms, which may be more than two."
    )
    return Problem(code="X141", what=what, span=endpoint.span("name"), pointer=("name",), fix=fix)


def _version(state: EndpointState, name: str) -> str:
    found = state.find(name)
    return (found.version if found else "") or "of somebody else"


def starting_traffic(
    wish: Deployment, canary_percent: int, state: EndpointState, spec: str
) -> dict[str, int]:
    """The shares after a version without arms has come: deployment to percent, without those that get none.

    The first version gets everything, and so does one that finds nobody healthy before it. Else a new one gets a
    canary's share, and the others keep their proportions. What has a share already keeps it, and what was taken out of
    traffic stays out of it: that a file is applied again is no reason to put it back.

    Args:
        wish: The version, settled.
        canary_percent: What a new version begins with.
        state: What is there.
        spec: Digest that the version is made from.
    """
    traffic = {name: percent for name, percent in state.traffic.items() if percent}
    if traffic.get(wish.name) or (traffic and was_taken_out(wish.name, state, spec)):
        return traffic
    answering = [name for name in traffic if (found := state.find(name)) and found.health not in DEAD]
    if not answering:
        return {wish.name: 100}
    return give_share(traffic, wish.name, canary_percent)


def was_taken_out(name: str, state: EndpointState, spec: str) -> bool:
    """Whether the same thing had traffic before the last move, which took it away."""
    noted = state.previous_specs.get(name, "")
    had_traffic = bool(noted) and spec.startswith(noted) and state.previous.get(name, 0) > 0
    return had_traffic and not state.traffic.get(name)


def give_share(traffic: Mapping[str, int], name: str, percent: int) -> dict[str, int]:
    """Give one deployment a share; the others have the rest in their proportions, and everything adds to 100.

    Args:
        traffic: What holds now; of anybody but ``name`` at least one has a share.
        name: Who gets it.
        percent: How much, from 0 to 100.
    """
    return share_out(traffic, {name: percent})


def share_out(traffic: Mapping[str, int], given: Mapping[str, int]) -> dict[str, int]:
    """The given shares, and the rest among the others that have traffic, in their proportions.

    Args:
        traffic: What holds now.
        given: Deployment to percent; where they leave no rest, or nobody else has traffic, they are all there is.

    Returns:
        Deployment to percent in order of name, without those that get none.
    """
    others = {name: share for name, share in traffic.items() if share and name not in given}
    rest, total = 100 - sum(given.values()), sum(others.values())
    shares: dict[str, int] = {}
    if rest > 0 and total:
        shares = {name: rest * share // total for name, share in others.items()}
        by_remainder = sorted(others, key=lambda name: (-(rest * others[name] % total), name))
        for name in by_remainder[: rest - sum(shares.values())]:
            shares[name] += 1
    return {name: share for name, share in sorted({**shares, **given}.items()) if share}
