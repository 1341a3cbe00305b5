"""What every place that flows are deployed to does alike: the real one, and stand-ins for those that are Azure's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.targets import SECRET, SECRET_VARIABLE, TARGETS, Answer, Trial, trial

from headrace.deploy.base import Target
from headrace.domain.deployment import Endpoint, EndpointState, Setting
from headrace.errors import HeadraceError, RemoteError, UsageError

BLUE, BOTH = {"blue": 100}, {"blue": 60, "green": 40}


@pytest.fixture(params=TARGETS)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trial]:
    with trial(request.param, tmp_path, monkeypatch) as made:
        yield made


def healths(state: EndpointState) -> dict[str, str]:
    return {item.name: item.health for item in state.deployments}


def test_nothing_is_there_until_it_is_made_and_taking_it_down_is_no_mistake(place: Trial) -> None:
    target = place.open(place.with_deployments(place.make("blue")))
    assert not target.read_state().exists
    for name in (None, "blue"):
        with pytest.raises(UsageError) as raised:
            target.address(name)
        assert raised.value.problems[0].code == "X143"
    place.step(target, place.endpoint, "delete endpoint")
    assert not target.read_state().exists
    target.close()


def test_a_version_comes_beside_another_takes_over_and_goes_back_with_every_step_made_twice(
    place: Trial,
) -> None:
    one = place.with_deployments(place.make("blue"))
    target = place.open(one)
    for _ in range(2):
        place.bring(target, one, "blue")
        place.step(target, one, "move traffic", after=BLUE)
    state = target.read_state()
    assert (healths(state), dict(state.traffic), state.is_busy) == ({"blue": "healthy"}, BLUE, False)
    assert state.find("blue").is_ours
    assert state.find("blue").version == "triage@v1"
    assert state.find("blue").spec == one.deployments[0].spec_digest("1")
    expect(place, target, None, "v1")

    both = place.with_deployments(one.deployments[0], place.make("green", "v2"))
    for _ in range(2):
        place.bring(target, both, "green")
    assert dict(target.read_state().traffic) == BLUE  # nothing moves by itself
    expect(place, target, None, "v1")
    expect(place, target, "green", "v2")
    _move_and_go_back(place, target, both)

    if not target.traits.tries_beside:
        for specs in ({"blue": "0123456789"}, {"blue": "0123456789"}, {}):
            place.step(target, both, "note", after=specs)
            state = target.read_state()
            assert state.untried == {name: spec[:8] for name, spec in specs.items()}
            assert (state.traffic, state.previous) == (BLUE, {"green": 100})

    for _ in range(2):
        place.step(target, both, "delete deployment", "green")
    assert healths(target.read_state()) == {"blue": "healthy"}
    with pytest.raises(UsageError) as raised:
        target.address("green")
    assert raised.value.problems[0].code == "X143"
    for _ in range(2):
        place.step(target, both, "delete endpoint")
    assert not target.read_state().exists
    target.close()


def expect(place: Trial, target: Target, deployment: str | None, version: str) -> None:
    if place.ask is not None:
        assert place.said(target, deployment) == Answer(200, version)


def _move_and_go_back(place: Trial, target: Target, both: Endpoint) -> None:
    for _ in range(2):
        place.step(target, both, "move traffic", after=BOTH)
    state = target.read_state()
    assert (dict(state.traffic), dict(state.previous)) == (BOTH, BLUE)
    assert set(state.previous_specs) == {"blue"}
    if place.ask is not None:
        versions = {place.said(target).version for _ in range(40)}
        assert versions == {"v1", "v2"}
    place.step(target, both, "move traffic", after={"green": 100})
    expect(place, target, None, "v2")
    place.step(target, both, "move traffic", after=BLUE)
    expect(place, target, None, "v1")
    with pytest.raises(HeadraceError):
        place.step(target, both, "delete deployment", "blue")
    assert healths(target.read_state()) == {"blue": "healthy", "green": "healthy"}


def test_copies_of_requests_go_where_they_can_and_never_to_who_has_traffic(place: Trial) -> None:
    both = place.with_deployments(place.make("blue"), place.make("green", "v2"))
    target = place.open(both)
    if not target.traits.can_mirror:
        target.close()
        pytest.skip("requests are not copied there")
    place.bring(target, both, "blue", "green")
    place.step(target, both, "move traffic", after=BLUE)
    for _ in range(2):
        place.step(target, both, "set mirror", after={"green": 50})
    state = target.read_state()
    assert (dict(state.traffic), dict(state.mirror)) == (BLUE, {"green": 50})
    if place.ask is not None:
        assert {place.said(target).version for _ in range(10)} == {"v1"}
    place.step(target, both, "set mirror", after={})
    place.step(target, both, "move traffic", after=BOTH)
    assert dict(target.read_state().mirror) == {}
    target.close()


def test_a_server_that_does_not_start_gets_nothing_and_leaves_the_others_alone(place: Trial) -> None:
    if place.broken is None:
        pytest.skip("nothing is started there")
    both = place.with_deployments(place.make("blue"), place.broken("green"))
    target = place.open(both)
    place.bring(target, both, "blue")
    place.step(target, both, "move traffic", after=BLUE)
    with pytest.raises(RemoteError) as raised:
        place.bring(target, both, "green")
    assert raised.value.problems[0].detail or raised.value.refusal
    state = target.read_state()
    assert dict(state.traffic) == BLUE
    assert healths(state)["blue"] == "healthy"
    assert healths(state).get("green", "failed") == "failed"
    expect(place, target, None, "v1")
    with pytest.raises(HeadraceError):
        place.step(target, both, "move traffic", after={"green": 100})
    expect(place, target, None, "v1")
    mended = place.with_deployments(both.deployments[0], place.make("green", "v2"))
    target.close()
    again = place.open(mended)
    place.step(again, mended, "prepare", "green")
    place.step(again, mended, "update deployment", "green")
    assert healths(again.read_state()) == {"blue": "healthy", "green": "healthy"}
    expect(place, again, "green", "v2")
    again.close()


def test_variables_reach_the_server_and_a_secret_reaches_nothing_else(place: Trial) -> None:
    plain = place.make("blue", settings=(Setting(name="MOOD", value="merry"),))
    hidden = place.make("green", "v2", settings=(Setting(name="MOOD", variable=SECRET_VARIABLE),))
    both = place.with_deployments(plain, hidden)
    target = place.open(both)
    place.bring(target, both, "blue", "green")
    place.step(target, both, "move traffic", after=BLUE)
    if place.ask is not None:
        assert place.said(target, "blue") == Answer(200, "v1", "merry")
        assert place.said(target, "green") == Answer(200, "v2", SECRET)
    assert SECRET not in repr(target.read_state())
    assert SECRET not in " ".join(place.told)
    assert SECRET not in " ".join(target.read_logs("green", 100))
    assert SECRET not in place.written()
    target.close()
