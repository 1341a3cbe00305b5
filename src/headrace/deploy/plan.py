"""From what is wished for and what is there to the steps between the two. Pure.

Steps are ordered so that a command that is cut off after any of them has done no harm, and is completed by planning
again: what answers requests comes first and is tried out, traffic moves in one step, and what is deleted is deleted
last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from headrace import __version__
from headrace.deploy.base import Traits
from headrace.deploy.places import settle_names, starting_traffic, was_taken_out
from headrace.domain.deployment import (
    ALTERNATING,
    OWNER_TAG,
    PREVIOUS_TAG,
    SPEC_TAG,
    UNTRIED_TAG,
    VERSION_TAG,
    Change,
    Deployment,
    DeploymentState,
    DeployPlan,
    Endpoint,
    EndpointState,
    Scale,
)
from headrace.domain.deployment_notes import render_previous, render_untried
from headrace.domain.values import JsonValue
from headrace.errors import Problem, StateError


def plan_deployment(endpoint: Endpoint, state: EndpointState, *, runtime: str, traits: Traits) -> DeployPlan:
    """The steps that make what is there what is wished for; none when it is.

    Args:
        endpoint: What is wished for, with flows looked up.
        state: What is there.
        runtime: What serves flows where no image is given; a change of it makes deployments anew.
        traits: Of the target.

    Raises:
        StateError: X141 when a version has no place, X142 when there are more deployments than the target takes.
    """
    settled = settle_names(endpoint, state, runtime)
    view = _View(
        endpoint=settled,
        state=state,
        specs={item.name: settled.spec_of(item, runtime) for item in settled.deployments},
        is_alternating=endpoint.is_alternating,
        traits=traits,
    )
    return DeployPlan(endpoint=settled, state=state, changes=tuple(_changes(view)), notes=tuple(_notes(view)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """Both sides of a plan.

    Attributes:
        endpoint: What is wished for, with names.
        specs: Deployment to the digest that it is to be made from.
        is_alternating: The file has no arms.
    """

    endpoint: Endpoint
    state: EndpointState
    specs: Mapping[str, str]
    is_alternating: bool
    traits: Traits

    def made(self) -> tuple[Deployment, ...]:
        """The deployments that are created, or made again."""
        return tuple(item for item in self.endpoint.deployments if self.needs_making(item.name))

    def needs_making(self, name: str) -> bool:
        found = self.state.find(name)
        if found is None or found.latest.spec != self.specs[name]:
            return True
        return not (found.latest.health in ("healthy", "starting") or found.latest.is_busy)

    def taking_over(self) -> tuple[str, ...]:
        """The deployments with traffic whose new copy is tried out beside the one that answers, and keeps its share."""
        if not self.traits.tries_beside:
            return ()
        traffic = self.traffic()
        return tuple(
            item.name
            for item in self.endpoint.deployments
            if traffic.get(item.name)
            and self.state.traffic.get(item.name)
            and (found := self.state.find(item.name)) is not None
            and (found.tried is not None or self.needs_making(item.name))
        )

    def untried(self) -> dict[str, str]:
        """The deployments that answer requests before they have answered a sample, with what they are made from.

        They are changed in place now, or were by a command that was cut off, or whose sample was not answered.
        """
        if self.traits.tries_beside:
            return {}
        made = {item.name for item in self.made()}
        return {
            item.name: self.specs[item.name]
            for item in self.endpoint.deployments
            if self.state.traffic.get(item.name) and (item.name in made or self._is_noted_untried(item.name))
        }

    def _is_noted_untried(self, name: str) -> bool:
        noted = self.state.untried.get(name, "")
        return bool(noted) and self.specs[name].startswith(noted)

    def traffic(self) -> dict[str, int]:
        """What the traffic will be."""
        if self.is_alternating:
            wish = self.endpoint.deployments[0]
            return starting_traffic(wish, self.endpoint.canary_percent, self.state, self.specs[wish.name])
        shares = {item.name: item.traffic_percent for item in self.endpoint.deployments}
        if all(share is None for share in shares.values()):
            return positive(self.state.traffic)
        return {name: share for name, share in sorted(shares.items()) if share}

    def mirror(self) -> dict[str, int]:
        """What the mirror will be: that of the file, else that to deployments which the file does not know."""
        if not self.traits.can_mirror:
            return positive(self.state.mirror)
        traffic = self.traffic()
        own = {
            item.name: item.mirror_percent
            for item in self.endpoint.deployments
            if item.mirror_percent and not (self.is_alternating and traffic.get(item.name))
        }
        others = {
            name: share
            for name, share in positive(self.state.mirror).items()
            if self.endpoint.find(name) is None and not self._is_left_over(name) and not traffic.get(name)
        }
        return own or others

    def left_over(self) -> tuple[DeploymentState, ...]:
        """Ours that the file names no more and that will have no traffic."""
        traffic = self.traffic()
        return tuple(
            item
            for item in self.state.deployments
            if self._is_left_over(item.name) and not traffic.get(item.name)
        )

    def _is_left_over(self, name: str) -> bool:
        found = self.state.find(name)
        is_place = self.is_alternating and name in ALTERNATING
        return bool(found and found.is_ours) and self.endpoint.find(name) is None and not is_place


def _changes(view: _View) -> Iterator[Change]:
    state, endpoint = view.state, view.endpoint
    yield from _waits(view)
    yield from _endpoint_change(endpoint, state)
    early = _early_deletions(view)
    yield from (deletion(item) for item in early)
    made, untried = {item.name for item in view.made()}, view.untried()
    if {*untried} & made:
        yield _note("the sample is still to be answered", untried, render_untried(untried))
    for deployment in view.made():
        yield from _making(view, deployment)
    traffic, mirror = view.traffic(), view.mirror()
    taking_over = view.taking_over()
    yield from (smoke_test(name) for name in sorted({*untried} - made))
    yield from smoke_tests(state, traffic, mirror, without={*made, *untried}, taking_over=taking_over)
    if untried:
        yield _note("the sample was answered", untried, "")
    yield from moves(state, traffic, mirror, endpoint, taking_over=taking_over)
    for deployment in endpoint.deployments:
        yield from _scaling(view, deployment)
    yield from (deletion(item) for item in view.left_over() if item not in early)


def _note(what: str, names: Collection[str], text: str) -> Change:
    """The step that notes who answers requests without having answered a sample."""
    return Change(action="note", what=f"note that {what} by {' and '.join(names)}", tags={UNTRIED_TAG: text})


def _waits(view: _View) -> Iterator[Change]:
    """Steps that wait for what is under way, so that no step meets it."""
    if view.state.is_busy:
        yield waiting("")
    for item in view.state.deployments:
        is_named = view.endpoint.find(item.name) is not None
        latest = item.latest
        is_coming = latest.health == "starting" and is_named and latest.spec == view.specs[item.name]
        if is_coming or ((item.is_busy or latest.is_busy) and (is_named or item.is_ours)):
            yield waiting(item.name)


def waiting(name: str) -> Change:
    """The step that waits for a deployment, or for the endpoint where the name is empty."""
    what = f"wait for what is under way on {name}" if name else "wait for what is under way on the endpoint"
    return Change(action="wait", deployment=name, what=what)


def _endpoint_change(endpoint: Endpoint, state: EndpointState) -> Iterator[Change]:
    wished = endpoint.own_settings()
    tags = {OWNER_TAG: __version__}
    if not state.exists:
        what = f"create endpoint {endpoint.name}"
        yield Change(
            action="create endpoint", what=what, before=None, after=wished, tags=tags, pointer=("name",)
        )
        return
    differing = [name for name in wished if name in state.settings and _differs(name, wished, state.settings)]
    if differing:
        what = f"update endpoint {endpoint.name}: {', '.join(differing)}"
        before = {name: state.settings[name] for name in differing}
        yield Change(action="update endpoint", what=what, before=before, after=wished, tags=tags)
    elif state.down:
        what = f"start endpoint {endpoint.name} again, because {state.down}"
        yield Change(action="update endpoint", what=what, before={}, after=wished, tags=tags)


def _differs(name: str, wished: Mapping[str, JsonValue], there: Mapping[str, JsonValue]) -> bool:
    wish, found = wished[name], there[name]
    if name == "tags" and isinstance(wish, Mapping) and isinstance(found, Mapping):
        return any(found.get(key) != value for key, value in wish.items())  # others may add tags of theirs
    if name == "identities" and isinstance(wish, list) and isinstance(found, list):
        return {str(item).lower() for item in wish} != {str(item).lower() for item in found}
    return wish != found


def _making(view: _View, deployment: Deployment) -> Iterator[Change]:
    """What a copy is made from, the copy, and whether it answers."""
    name, spec, found = deployment.name, view.specs[deployment.name], view.state.find(deployment.name)
    before = None if found is None else facts(found)
    after: JsonValue = {"version": deployment.flow.version, "spec": spec}
    tags = {OWNER_TAG: __version__, VERSION_TAG: deployment.flow.version, SPEC_TAG: spec}
    of = deployment.flow.version or deployment.flow.source
    pointer = deployment.pointer
    yield Change(
        action="prepare", deployment=name, what=f"prepare {of}", after=after, tags=tags, pointer=pointer
    )
    if found is None:
        what = f"create deployment {name}: {of}"
        yield Change(
            action="create deployment", deployment=name, what=what, after=after, tags=tags, pointer=pointer
        )
    else:
        latest = found.latest
        is_same = latest.spec == spec
        why = f"again, because it is {latest.health}" if is_same else f"in place of {latest.version or '?'}"
        what = f"update deployment {name}: {of} {why}"
        yield Change(
            action="update deployment",
            deployment=name,
            what=what,
            before=before,
            after=after,
            tags=tags,
            pointer=pointer,
        )
    yield smoke_test(name)


def facts(item: DeploymentState) -> dict[str, JsonValue]:
    """What plans say of a deployment that is there."""
    return {"version": item.version, "spec": item.spec, "health": item.health}


def smoke_test(name: str) -> Change:
    """The step that asks a deployment for one answer."""
    return Change(action="smoke test", deployment=name, what=f"ask {name} for the answer to the sample")


def smoke_tests(
    state: EndpointState,
    traffic: Mapping[str, int],
    mirror: Mapping[str, int],
    *,
    without: Collection[str] = (),
    taking_over: Collection[str] = (),
) -> Iterator[Change]:
    """One for each deployment that gets more requests than before, or copies of them for the first time.

    A deployment with two copies is asked only where the new one takes over: the other one answers requests already.

    Args:
        state: What is there.
        traffic: Who will get requests.
        mirror: Who will get copies.
        without: Those that are tried out anyhow.
        taking_over: As :attr:`~headrace.domain.deployment.Change.taking_over`.
    """
    gaining = {name for name, share in traffic.items() if share > state.traffic.get(name, 0)}
    gaining |= {name for name, share in mirror.items() if share and not state.mirror.get(name)}
    gaining -= {item.name for item in state.deployments if item.tried is not None}
    gaining |= {*taking_over}
    yield from (smoke_test(name) for name in sorted(gaining.difference(without)))


def moves(
    state: EndpointState,
    traffic: Mapping[str, int],
    mirror: Mapping[str, int],
    endpoint: Endpoint,
    *,
    taking_over: tuple[str, ...] = (),
) -> Iterator[Change]:
    """The steps that move the mirror and the traffic; nobody has both at any moment.

    Args:
        state: What is there.
        traffic: What is wished for, without those that get none.
        mirror: Likewise.
        endpoint: For places in the file.
        taking_over: As :attr:`~headrace.domain.deployment.Change.taking_over`.
    """
    now, copied = positive(state.traffic), positive(state.mirror)
    early = {name: share for name, share in mirror.items() if not now.get(name)} if now != traffic else mirror
    if early != copied:
        yield mirroring(copied, early)
    if now != traffic or taking_over:
        noted = render_previous(now, {item.name: item.spec for item in state.deployments})
        yield Change(
            action="move traffic",
            what=_moving_text(now, traffic, taking_over),
            before={**now},
            after={**traffic},
            tags={PREVIOUS_TAG: noted},
            taking_over=taking_over,
            pointer=_traffic_pointer(endpoint),
        )
    if early != mirror:
        yield mirroring(early, mirror)


def _moving_text(now: Mapping[str, int], traffic: Mapping[str, int], taking_over: Collection[str]) -> str:
    names = ", ".join(taking_over)
    if now == traffic:
        share = sum(traffic[name] for name in taking_over)
        return f"move the {share} % of {names} to what is new there"
    new = f", and to what is new of {names}" if taking_over else ""
    return f"move traffic from {shares_text(now)} to {shares_text(traffic)}{new}"


def mirroring(before: Mapping[str, int], after: Mapping[str, int]) -> Change:
    """The step that copies requests to others than before."""
    what = f"copy {shares_text(after)} of the requests" if after else "copy no requests any more"
    return Change(action="set mirror", what=what, before={**before}, after={**after})


def _traffic_pointer(endpoint: Endpoint) -> tuple[str | int, ...]:
    """What the file says the shares by: its arms, its online test or its experiment, else the canary."""
    known = endpoint.deployments[0].pointer[:1] if endpoint.deployments else ()
    return known or ("canary",)


def shares_text(shares: Mapping[str, int]) -> str:
    """Shares for people: ``blue=90 green=10``."""
    return " ".join(f"{name}={share}" for name, share in sorted(shares.items()) if share) or "nobody"


def drifted(what: str) -> StateError:
    """X146 for what is there no more as it was when a plan was made."""
    fix = "No traffic was moved. See what is there with: headrace deploy status; then apply again."
    return StateError(Problem(code="X146", what=what, fix=fix))


def traffic_drifted(name: str, before: Mapping[str, int], now: Mapping[str, int]) -> StateError:
    """X146 for the traffic of an endpoint."""
    was, is_now = shares_text(before), shares_text(now)
    return drifted(f"The traffic of {name} was {was} when this was planned and is {is_now} now.")


def _scaling(view: _View, deployment: Deployment) -> Iterator[Change]:
    found, wish = view.state.find(deployment.name), deployment.scale
    fixed = Scale(minimum=wish.minimum, maximum=wish.minimum)
    there = None if found is None else found.latest.scale
    if there is None:
        # A copy begins with the least number of copies; a target that does not tell is told when it makes one.
        if not view.needs_making(deployment.name) or wish == fixed:
            return
    elif _is_scaled(there, wish):
        return
    what = f"scale {deployment.name} {_scale_text(wish)}"
    before = None if there is None else scale_facts(there)
    yield Change(
        action="set scale",
        deployment=deployment.name,
        what=what,
        before=before,
        after=scale_facts(wish),
        pointer=("scale",),
    )


def _is_scaled(there: Scale, wish: Scale) -> bool:
    at_once = wish.requests_at_once in (None, there.requests_at_once)
    same_load = wish.cpu_percent == there.cpu_percent
    return (there.minimum, there.maximum) == (wish.minimum, wish.maximum) and at_once and same_load


def _scale_text(scale: Scale) -> str:
    if scale.minimum == scale.maximum:
        return f"to {scale.minimum}"
    return f"between {scale.minimum} and {scale.maximum}"


def scale_facts(scale: Scale) -> dict[str, JsonValue]:
    """A scale as plain data."""
    return {
        "minimum": scale.minimum,
        "maximum": scale.maximum,
        "requests_at_once": scale.requests_at_once,
        "cpu_percent": scale.cpu_percent,
    }


def _early_deletions(view: _View) -> tuple[DeploymentState, ...]:
    """What is deleted first, because there is no room beside it.

    Raises:
        StateError: X142.
    """
    n_there = len(view.state.deployments)
    n_new = sum(view.state.find(item.name) is None for item in view.made())
    most = view.traits.most_deployments
    free = tuple(item for item in view.left_over() if not view.state.traffic.get(item.name))
    if n_there + n_new <= most:
        return ()
    if n_there - len(free) + n_new <= most:
        return free
    what = f"{n_there + n_new} deployments are to stand behind {view.endpoint.name}; its target takes {most}."
    fix = "Delete one that is no longer needed, with: headrace deploy destroy --deployment NAME"
    raise StateError(
        Problem(code="X142", what=what, span=view.endpoint.span("arms"), pointer=("arms",), fix=fix)
    )


def deletion(item: DeploymentState) -> Change:
    """The step that deletes a deployment."""
    what = f"delete deployment {item.name}: {item.version or 'of unknown version'}"
    return Change(action="delete deployment", deployment=item.name, what=what, before=facts(item))


def _notes(view: _View) -> Iterator[str]:
    traffic = view.traffic()
    for item in view.endpoint.deployments:
        if view.is_alternating and was_taken_out(item.name, view.state, view.specs[item.name]):
            yield (
                f"{item.name} holds {item.flow.version} and gets no requests, because traffic was taken from it. "
                f"To give it some: headrace deploy traffic {item.name}={view.endpoint.canary_percent or 10}"
            )
    for item in view.made():
        found, share = view.state.find(item.name), view.state.traffic.get(item.name, 0)
        if not share or found is None or found.spec == view.specs[item.name]:
            continue
        if view.traits.tries_beside:
            held = found.version or "what is there"
            yield f"{item.name} answers its {share} % of the requests with {held} until the new one answers the sample."
        else:
            yield f"{item.name} answers {share} % of the requests while it is changed, and is tried out afterwards."
    leaving = [item.name for item in view.left_over() if view.state.traffic.get(item.name)]
    if leaving:
        is_one = len(leaving) == 1
        yield (
            f"{' and '.join(leaving)} {'is deleted once its' if is_one else 'are deleted once their'} requests go "
            f"elsewhere, so that this move cannot be rolled back. To keep {'it' if is_one else 'them'} for that, leave "
            f"{'it' if is_one else 'them'} in the file with traffic: 0 at first."
        )
    if not traffic and view.endpoint.deployments:
        yield "Nobody gets requests yet. To change that: headrace deploy traffic NAME=100"
    strays = [] if view.is_alternating else [name for name in traffic if view.endpoint.find(name) is None]
    yield from (f"{name} is not in the file but gets requests, and stays." for name in strays)


def positive(shares: Mapping[str, int]) -> dict[str, int]:
    """Shares without those that are nothing, in order of name."""
    return {name: share for name, share in sorted(shares.items()) if share}
