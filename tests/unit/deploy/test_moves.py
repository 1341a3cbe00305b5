"""What a person moves by hand: shares, back to those before, and taking down."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.deployments import an_endpoint, open_memory_target, remember, remembered, spec_of

from headrace.deploy.moves import plan_destruction, plan_rollback, plan_traffic
from headrace.deploy.places import share_out
from headrace.domain.deployment import EndpointState
from headrace.errors import HeadraceError, StateError, UsageError

ENDPOINT = an_endpoint()


def there(folder: Path, **parts: object) -> EndpointState:
    deployments = {"blue": remembered(1), "green": remembered(2)}
    remember(folder, deployments, {"blue": 90, "green": 10}, **parts)  # type: ignore[arg-type]
    return open_memory_target(folder, ENDPOINT).read_state()


@settings(deadline=None)
@given(
    traffic=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 100)),
    given_shares=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 25), max_size=4),
)
def test_what_is_not_given_shares_the_rest_in_proportion(
    traffic: dict[str, int], given_shares: dict[str, int]
) -> None:
    shares = share_out(traffic, given_shares)

    has_others = any(share for name, share in traffic.items() if name not in given_shares)
    rest_is_shared = has_others and sum(given_shares.values()) < 100
    assert sum(shares.values()) == (100 if rest_is_shared else sum(given_shares.values()))
    assert all(shares.get(name, 0) == share for name, share in given_shares.items())


def test_shares_are_moved_after_a_trial_of_what_grows_and_the_mirror_gives_way(tmp_path: Path) -> None:
    state = there(tmp_path)
    made = plan_traffic(ENDPOINT, state, {"green": 40})
    mirrored = replace(state, traffic={"blue": 100}, mirror={"green": 20})

    assert [(change.action, change.after) for change in made.changes] == [
        ("smoke test", None),
        ("move traffic", {"blue": 60, "green": 40}),
    ]
    assert [change.action for change in plan_traffic(ENDPOINT, mirrored, {"green": 10}).changes] == [
        "smoke test",
        "set mirror",
        "move traffic",
    ]
    assert plan_traffic(ENDPOINT, state, {"blue": 90, "green": 10}).changes == ()


def test_who_is_not_there_gets_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as misspelt:
        plan_traffic(ENDPOINT, there(tmp_path), {"geen": 10})
    with pytest.raises(UsageError) as nothing:
        plan_traffic(ENDPOINT, EndpointState(), {"green": 10})

    assert (misspelt.value.problems[0].code, misspelt.value.problems[0].fix) == (
        "X143",
        'Did you mean "green"? There are: blue, green.',
    )
    assert nothing.value.problems[0].code == "X150"


def test_a_rollback_goes_back_and_a_second_one_forth_again(tmp_path: Path) -> None:
    state = there(tmp_path, previous={"blue": 100}, previous_specs={"blue": spec_of(1)})
    made = plan_rollback(ENDPOINT, state)
    target = open_memory_target(tmp_path, ENDPOINT)
    for change in made.changes:
        if change.action != "smoke test":
            target.apply(change, ENDPOINT)

    assert made.changes[-1].after == {"blue": 100}
    assert target.read_state().traffic == {"blue": 100}
    assert plan_rollback(ENDPOINT, target.read_state()).changes[-1].after == {"blue": 90, "green": 10}


@pytest.mark.parametrize(
    ("previous", "specs", "said"),
    [
        ({}, {}, "Nobody has noted"),
        ({"red": 100}, {}, "has been deleted since"),
        ({"green": 100}, {"green": spec_of(1)}, "holds triage@2 since"),
    ],
)
def test_there_is_no_way_back_to_what_is_no_more(
    previous: dict[str, int], specs: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(StateError) as caught:
        plan_rollback(ENDPOINT, there(tmp_path, previous=previous, previous_specs=specs))

    assert caught.value.problems[0].code == "X149"
    assert said in caught.value.problems[0].what


def test_taking_down_is_one_step_and_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    state = there(tmp_path)

    assert [change.action for change in plan_destruction(ENDPOINT, state).changes] == ["delete endpoint"]
    assert plan_destruction(ENDPOINT, EndpointState()).changes == ()
    assert plan_destruction(ENDPOINT, state, "red").changes == ()


def test_a_deployment_without_traffic_is_taken_down_with_its_mirror(tmp_path: Path) -> None:
    state = replace(there(tmp_path), traffic={"blue": 100}, mirror={"green": 10}, is_busy=True)

    assert [change.action for change in plan_destruction(ENDPOINT, state, "green").changes] == [
        "wait",
        "set mirror",
        "delete deployment",
    ]
    with pytest.raises(HeadraceError) as caught:
        plan_destruction(ENDPOINT, state, "blue")
    assert caught.value.problems[0].code == "X154"
