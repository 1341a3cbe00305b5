"""Plans: from anything that may be there, their steps reach what is wished for, and are safe to cut off anywhere."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.support.deployments import (
    RUNTIME,
    a_deployment,
    an_endpoint,
    open_memory_target,
    remember,
    remembered,
    spec_of,
)

from headrace.deploy.memory import MemoryTarget
from headrace.deploy.places import give_share
from headrace.deploy.plan import plan_deployment
from headrace.domain.deployment import (
    PREVIOUS_TAG,
    Change,
    DeploymentState,
    DeployPlan,
    Endpoint,
    EndpointState,
    Scale,
)
from headrace.errors import StateError

SLOW = (HealthCheck.too_slow, HealthCheck.filter_too_much)
"""A busy machine is no fault of what is drawn."""

PLACES = ("blue", "green", "few-shot", "mini")


def plan(endpoint: Endpoint, state: EndpointState, **traits: Any) -> DeployPlan:
    return plan_deployment(
        endpoint,
        state,
        runtime=RUNTIME,
        traits=replace(MemoryTarget.traits, **{"most_deployments": 9, **traits}),
    )


def a_state(traffic: Mapping[str, int], **deployments: int) -> EndpointState:
    return EndpointState(
        exists=True,
        deployments=tuple(
            DeploymentState(
                name=name, version=f"triage@{version}", spec=spec_of(version), health="healthy", is_ours=True
            )
            for name, version in deployments.items()
        ),
        traffic=traffic,
    )


def steps(changes: Sequence[Change]) -> list[str]:
    return [f"{change.action} {change.deployment}".strip() for change in changes]


def move(made: DeployPlan) -> Any:
    return next((change.after for change in made.changes if change.action == "move traffic"), None)


def test_a_first_version_takes_blue_and_all_requests_once_it_has_answered() -> None:
    made = plan(an_endpoint(), EndpointState())

    assert steps(made.changes) == [
        "create endpoint",
        "prepare blue",
        "create deployment blue",
        "smoke test blue",
        "move traffic",
    ]
    assert move(made) == {"blue": 100}


def test_a_second_version_takes_green_as_a_canary_and_a_third_one_waits() -> None:
    second = plan(an_endpoint(a_deployment(version=2)), a_state({"blue": 100}, blue=1))
    third = an_endpoint(a_deployment(version=3))

    assert move(second) == {"blue": 90, "green": 10}
    assert second.endpoint.deployments[0].name == "green"
    with pytest.raises(StateError) as caught:
        plan(third, a_state({"blue": 90, "green": 10}, blue=1, green=2))
    assert caught.value.problems[0].code == "X141"
    assert "headrace deploy traffic blue=100" in (caught.value.problems[0].fix or "")


def test_what_a_person_has_moved_is_not_moved_back_by_applying_again() -> None:
    half = plan(an_endpoint(a_deployment(version=2)), a_state({"blue": 50, "green": 50}, blue=1, green=2))
    out = replace(
        a_state({"blue": 100}, blue=1, green=2),
        previous={"blue": 90, "green": 10},
        previous_specs={"blue": spec_of(1)[:8], "green": spec_of(2)[:8]},
    )
    rolled_back = plan(an_endpoint(a_deployment(version=2)), out)

    assert half.changes == ()
    assert rolled_back.changes == ()
    assert any("headrace deploy traffic green=10" in note for note in rolled_back.notes)


def test_a_place_that_was_taken_out_of_traffic_is_free_for_another_version() -> None:
    out = replace(
        a_state({"blue": 100}, blue=1, green=2),
        previous={"blue": 90, "green": 10},
        previous_specs={"green": spec_of(2)[:8]},
    )

    assert move(plan(an_endpoint(a_deployment(version=3)), out)) == {"blue": 90, "green": 10}


def test_a_new_version_beside_one_that_has_died_gets_everything() -> None:
    state = a_state({"blue": 100}, blue=1)
    dead = replace(state, deployments=(replace(state.deployments[0], health="failed"),))

    assert move(plan(an_endpoint(a_deployment(version=2)), dead)) == {"green": 100}


def test_an_arm_that_leaves_the_file_is_deleted_after_its_traffic_has_left_it() -> None:
    made = plan(
        an_endpoint(a_deployment("few-shot", traffic_percent=100)),
        a_state({"few-shot": 90, "mini": 10}, **{"few-shot": 1, "mini": 1}),
    )

    assert steps(made.changes) == ["smoke test few-shot", "move traffic", "delete deployment mini"]
    assert any("mini is deleted once its requests" in note for note in made.notes)


def test_a_move_stands_in_the_file_where_its_shares_are_said() -> None:
    arm = a_deployment("few-shot", traffic_percent=100, pointer=("arms", 0))
    state = a_state({"mini": 100}, **{"few-shot": 1, "mini": 1})

    (of_arms,) = [
        change for change in plan(an_endpoint(arm), state).changes if change.action == "move traffic"
    ]
    *_, of_canary = plan(an_endpoint(), EndpointState()).changes

    assert (of_arms.pointer, of_canary.pointer) == (("arms",), ("canary",))


def test_several_arms_that_leave_the_file_are_spoken_of_as_several() -> None:
    made = plan(
        an_endpoint(a_deployment("few-shot", traffic_percent=100)),
        a_state({"few-shot": 80, "mini": 10, "nano": 10}, **{"few-shot": 1, "mini": 1, "nano": 1}),
    )

    assert any("mini and nano are deleted once their requests go elsewhere" in note for note in made.notes)


def test_what_others_made_is_left_alone() -> None:
    state = a_state({"few-shot": 100}, **{"few-shot": 1, "theirs": 1})
    state = replace(state, deployments=(state.deployments[0], replace(state.deployments[1], is_ours=False)))

    assert plan(an_endpoint(a_deployment("few-shot", traffic_percent=100)), state).changes == ()


def test_a_mirror_moves_out_of_the_way_of_traffic() -> None:
    arms = (a_deployment("few-shot", traffic_percent=90), a_deployment("mini", traffic_percent=10))
    state = replace(a_state({"few-shot": 100}, **{"few-shot": 1, "mini": 1}), mirror={"mini": 20})

    made = plan(an_endpoint(*arms), state)

    assert [(change.action, change.after) for change in made.changes] == [
        ("smoke test", None),
        ("set mirror", {}),
        ("move traffic", {"few-shot": 90, "mini": 10}),
    ]


def test_a_mirror_that_the_target_cannot_have_is_no_step() -> None:
    arms = (
        a_deployment("few-shot", traffic_percent=100),
        a_deployment("mini", mirror_percent=10, traffic_percent=0),
    )

    made = plan(an_endpoint(*arms), EndpointState(), can_mirror=False)

    assert "set mirror" not in steps(made.changes)


def test_where_there_is_no_room_what_is_not_needed_goes_first() -> None:
    arms = an_endpoint(a_deployment("few-shot", traffic_percent=100))
    state = a_state({"theirs": 100}, theirs=1, old=1)

    made = plan(arms, state, most_deployments=2)

    assert steps(made.changes)[0] == "delete deployment old"
    with pytest.raises(StateError) as caught:
        plan(arms, a_state({"theirs": 50, "old": 50}, theirs=1, old=1), most_deployments=2)
    assert caught.value.problems[0].code == "X142"


def test_what_is_under_way_is_waited_for() -> None:
    state = a_state({"blue": 100}, blue=1, green=2)
    state = replace(
        state,
        is_busy=True,
        deployments=(state.deployments[0], replace(state.deployments[1], health="starting")),
    )

    made = plan(an_endpoint(a_deployment(version=2)), state)

    assert steps(made.changes) == ["wait", "wait green", "smoke test green", "move traffic"]


def test_settings_of_the_endpoint_are_compared_as_far_as_the_target_knows_them() -> None:
    state = replace(
        a_state({"blue": 100}, blue=1),
        settings={
            "authentication": "key",
            "tags": {"team": "support", "policy": "x"},
            "identities": ["/A/B"],
        },
    )
    same = an_endpoint(tags={"team": "support"}, identities=("/a/b",))
    other = replace(same, authentication="entra")

    assert plan(same, state).changes == ()
    (change,) = plan(other, state).changes
    assert change.action == "update endpoint"
    assert change.before == {"authentication": "key"}


def test_what_the_endpoint_decides_about_its_copies_makes_other_copies() -> None:
    state = a_state({"blue": 100}, blue=1)

    made = plan(an_endpoint(is_egress_public=False), state)

    assert move(made) == {"blue": 90, "green": 10}


def test_a_scale_is_changed_where_it_differs() -> None:
    wish = Scale(minimum=1, maximum=4, cpu_percent=70)
    state = a_state({"blue": 100}, blue=1)
    scaled = replace(
        state, deployments=(replace(state.deployments[0], scale=replace(wish, requests_at_once=10)),)
    )

    fresh = plan(an_endpoint(a_deployment(scale=wish)), EndpointState())
    assert fresh.changes[-1].action == "set scale"
    assert plan(an_endpoint(a_deployment(scale=wish)), scaled).changes == ()
    (change,) = plan(an_endpoint(), scaled).changes
    assert change.after == {"minimum": 1, "maximum": 1, "requests_at_once": None, "cpu_percent": None}


@settings(deadline=None)
@given(
    traffic=st.dictionaries(st.sampled_from(PLACES), st.integers(1, 100), min_size=1).filter(
        lambda shares: set(shares) != {"green"}
    ),
    percent=st.integers(0, 100),
)
def test_shares_always_add_to_a_hundred(traffic: dict[str, int], percent: int) -> None:
    shares = give_share(traffic, "green", percent)

    assert sum(shares.values()) == 100
    assert shares.get("green", 0) == percent
    assert min(shares.values()) > 0


# Anything that may be there, and anything that may be wished for.

THERE = st.fixed_dictionaries(
    {},
    optional={
        name: st.builds(
            remembered,
            version=st.integers(1, 3),
            health=st.sampled_from(("healthy", "failed", "stopped", "unknown")),
            is_ours=st.booleans(),
        )
        | st.builds(remembered, version=st.integers(1, 3), health=st.just("starting"), is_busy=st.booleans())
        for name in PLACES
    },
)
WISHES = st.builds(
    lambda version, canary: an_endpoint(a_deployment(version=version), canary_percent=canary),
    st.integers(1, 3),
    st.integers(0, 100),
) | st.builds(
    lambda first, second, share, mirror, most: an_endpoint(
        a_deployment("few-shot", first, traffic_percent=share, scale=Scale(minimum=1, maximum=most)),
        a_deployment(
            "mini", second, traffic_percent=100 - share, mirror_percent=mirror if share == 100 else 0
        ),
    ),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 100) | st.just(100),
    st.integers(0, 50),
    st.integers(1, 2),
)


@st.composite
def memories(draw: st.DrawFn) -> dict[str, Any]:
    deployments = draw(THERE)
    names = sorted(deployments)
    traffic: dict[str, int] = {}
    if names and draw(st.booleans()):
        first = draw(st.sampled_from(names))
        traffic = give_share({draw(st.sampled_from(names)): 100, first: 1}, first, draw(st.integers(1, 100)))
        traffic = {name: share for name, share in traffic.items() if share}
        assume(sum(traffic.values()) == 100)
    free = [name for name in names if name not in traffic and deployments[name]["health"] == "healthy"]
    mirror = {draw(st.sampled_from(free)): draw(st.integers(1, 50))} if free and draw(st.booleans()) else {}
    previous = draw(st.dictionaries(st.sampled_from(names), st.integers(1, 100))) if names else {}
    specs = {name: spec_of(draw(st.integers(1, 3))) for name in previous}
    is_busy = draw(st.booleans())
    return {
        "deployments": deployments,
        "traffic": traffic,
        "mirror": mirror,
        "previous": previous,
        "previous_specs": specs,
        "is_busy": is_busy,
        "beside": draw(st.booleans()),
    }


class Walk:
    """Applies plans to a remembered place, and watches over what must hold after every step."""

    def __init__(self, folder: Path, memory: Mapping[str, Any], endpoint: Endpoint) -> None:
        if memory:
            remember(folder, **memory)
        self.target = open_memory_target(folder, endpoint)
        self.endpoint = endpoint
        self.tested: set[tuple[str, str]] = set()
        self.before = self.target.read_state()
        self.traits = {"tries_beside": self.target.traits.tries_beside}

    def go(self, most: int | None = None) -> list[Change]:
        """Plan, and make as many steps as given; returns the whole plan's."""
        made = plan(self.endpoint, self.target.read_state(), **self.traits)
        for change in made.changes[:most]:
            if change.action == "smoke test":
                found = self.target.read_state().find(change.deployment)
                assert found is not None
                assert found.latest.health == "healthy"
                self.tested.add((found.name, found.latest.spec))
            else:
                self.target.apply(change, made.endpoint)
            self.watch()
        return list(made.changes)

    def watch(self) -> None:
        state = self.target.read_state()
        assert sum(state.traffic.values()) in (0, 100)
        assert not set(state.traffic) & set(state.mirror)
        for name, share in state.traffic.items():
            found = state.find(name)
            assert found is not None
            if share > self.before.traffic.get(name, 0):
                assert found.health == "healthy"
            was = self.before.find(name)
            is_same = was is not None and was.spec == found.spec
            if not self.before.traffic.get(name) or (self.traits["tries_beside"] and not is_same):
                assert (name, found.spec) in self.tested


@contextmanager
def walking(memory: Mapping[str, Any], endpoint: Endpoint) -> Iterator[Walk]:
    with tempfile.TemporaryDirectory() as folder:
        walk = Walk(Path(folder), memory, endpoint)
        try:
            plan(endpoint, walk.before, **walk.traits)
        except StateError:
            assume(False)
        yield walk


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(memory=st.just({}) | memories(), endpoint=WISHES)
def test_applied_a_plan_reaches_what_is_wished_for_and_nothing_is_left_to_do(
    memory: dict[str, Any], endpoint: Endpoint
) -> None:
    with walking(memory, endpoint) as walk:
        walk.go()

        assert walk.go() == []
        state = walk.target.read_state()
        settled = plan(endpoint, state).endpoint
        for wish in settled.deployments:
            found = state.find(wish.name)
            assert found is not None
            assert (found.health, found.spec) == ("healthy", wish.spec_digest(RUNTIME))
            assert found.tried is None
            assert found.scale == wish.scale
            if not endpoint.is_alternating:
                assert state.traffic.get(wish.name, 0) == wish.traffic_percent
                assert state.mirror.get(wish.name, 0) == wish.mirror_percent
        if endpoint.is_alternating:
            assert sum(state.traffic.values()) == 100


@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
@given(memory=st.just({}) | memories(), endpoint=WISHES, data=st.data())
def test_cut_off_after_any_step_applying_again_reaches_the_same(
    memory: dict[str, Any], endpoint: Endpoint, data: st.DataObject
) -> None:
    with walking(memory, endpoint) as whole:
        n_steps = len(whole.go())
        reached = replace(whole.target.read_state(), previous_specs={})
    with walking(memory, endpoint) as cut:
        cut.go(data.draw(st.integers(0, n_steps)))
        cut.before, cut.tested = cut.target.read_state(), set()
        if data.draw(st.booleans()):
            cut.go(data.draw(st.integers(0, n_steps)))
        cut.go()

        # What was replaced in place before the cut is another thing in the note than before it.
        assert replace(cut.target.read_state(), previous_specs={}) == reached


def test_the_note_of_the_traffic_before_says_what_it_was_made_from() -> None:
    made = plan(an_endpoint(a_deployment(version=2)), a_state({"blue": 100}, blue=1))

    (moved,) = [change for change in made.changes if change.action == "move traffic"]
    assert moved.tags == {PREVIOUS_TAG: f'{{"blue":[100,"{spec_of(1)[:8]}"]}}'}


def test_an_arm_with_requests_is_tried_out_beside_what_answers_and_takes_over_with_a_move_of_its_own() -> (
    None
):
    arms = an_endpoint(a_deployment("few-shot", version=2, traffic_percent=100))
    state = a_state({"few-shot": 100}, **{"few-shot": 1})
    (there,) = state.deployments
    tried = replace(state, deployments=(replace(there, tried=replace(there, spec=spec_of(2))),))

    made = plan(arms, state, tries_beside=True)
    assert steps(made.changes) == [
        "prepare few-shot",
        "update deployment few-shot",
        "smoke test few-shot",
        "move traffic",
    ]
    assert made.changes[-1].taking_over == ("few-shot",)
    assert made.changes[-1].what == "move the 100 % of few-shot to what is new there"
    assert made.changes[-1].tags == {PREVIOUS_TAG: f'{{"few-shot":[100,"{spec_of(1)[:8]}"]}}'}
    assert made.notes == (
        "few-shot answers its 100 % of the requests with triage@1 until the new one answers the sample.",
    )
    assert steps(plan(arms, tried, tries_beside=True).changes) == ["smoke test few-shot", "move traffic"]
    back = an_endpoint(a_deployment("few-shot", version=1, traffic_percent=100))
    assert "update deployment few-shot" in steps(plan(back, tried, tries_beside=True).changes)
