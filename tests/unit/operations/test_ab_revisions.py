from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.evidence import a_traffic
from tests.support.runs import a_time

from headrace.domain.traffic import AllocationRule, RampStep, Revision, UnitSource
from headrace.errors import UsageError
from headrace.operations.ab_revisions import (
    allocate,
    latest_revisions,
    promote,
    recorded_traffic,
    resume,
    roll_back,
    settle_revision,
    stop,
)
from headrace.store.base import RunStore
from headrace.store.opening import open_store

THREE = {"a": 0.5, "b": 0.3, "c": 0.2}


@pytest.fixture(params=["memory:", "tests.sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunStore]:
    opened = open_store(request.param, tmp_path)
    yield opened
    opened.close()


def shares(revision: Revision | None) -> dict[str, float]:
    assert revision is not None
    return {arm: revision.share(arm) for arm in revision.ranges}


def test_the_first_revision_comes_from_the_file_and_holds_until_something_changes(store: RunStore) -> None:
    first = settle_revision(store, a_traffic(THREE), a_time())

    assert (first.number, first.reason, shares(first)) == (1, "started", THREE)
    assert settle_revision(store, a_traffic(THREE), a_time(1)) == first


def test_servers_that_begin_at_once_make_one_first_revision(tmp_path: Path) -> None:
    store = open_store("tests.sqlite", tmp_path)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: settle_revision(store, a_traffic(THREE), a_time(n)), range(16)))

    assert {revision.number for revision in made} == {1}
    assert len(store.list_revisions("checkout")) == 1
    store.close()


def test_a_ramp_grows_every_arm_by_the_time_since_the_test_began(store: RunStore) -> None:
    traffic = a_traffic(THREE, ramp=(RampStep(after_s=0, coverage=0.1), RampStep(after_s=60, coverage=1.0)))
    settle_revision(store, traffic, a_time())
    early = settle_revision(store, traffic, a_time(0.9))
    late = settle_revision(store, traffic, a_time(1))

    assert shares(early) == pytest.approx({"a": 0.05, "b": 0.03, "c": 0.02})
    assert (late.number, late.reason, shares(late)) == (2, "ramped", THREE)
    assert {move["from"] for move in late.moves} == {""}


def test_a_clock_that_is_behind_takes_no_step_of_a_ramp_back(store: RunStore) -> None:
    ramp = (RampStep(after_s=0, coverage=0.1), RampStep(after_s=60, coverage=1.0))
    traffic = a_traffic(THREE, ramp=ramp)
    settle_revision(store, traffic, a_time(1))

    assert settle_revision(store, traffic, a_time(0.99)).number == 1
    assert settle_revision(store, traffic, a_time(2)).number == 2
    assert settle_revision(store, traffic, a_time(1.9)).number == 2
    assert shares(roll_back(store, traffic, "c", {}, "guardrail failures", a_time(1.9))) == {
        "a": 0.7,
        "b": 0.3,
    }
    assert settle_revision(store, traffic, a_time(2.1)).number == 3


def test_before_the_first_step_of_a_ramp_nobody_is_in_the_test(store: RunStore) -> None:
    traffic = a_traffic(THREE, ramp=(RampStep(after_s=60, coverage=0.5),))

    assert shares(settle_revision(store, traffic, a_time())) == {}
    assert sum(shares(settle_revision(store, traffic, a_time(2))).values()) == pytest.approx(0.5)


def test_a_changed_file_moves_as_few_units_as_it_needs_and_says_which(store: RunStore) -> None:
    settle_revision(store, a_traffic(THREE), a_time())
    changed = settle_revision(store, a_traffic({"a": 0.5, "b": 0.4, "c": 0.1}, digest="e" * 64), a_time(1))

    assert changed.reason == "changed"
    assert [dict(move) for move in changed.moves] == [{"from": "c", "to": "b", "share": 0.1}]


@pytest.mark.parametrize(
    "change", [{"seed": "other"}, {"units": (UnitSource(place="header", name="x-account"),)}]
)
def test_a_file_that_assigns_all_units_anew_says_how_many_change_arms(
    store: RunStore, change: dict[str, object]
) -> None:
    halves = {"a": 0.5, "b": 0.5}
    settle_revision(store, a_traffic(halves), a_time())
    changed = settle_revision(store, a_traffic(halves, digest="e" * 64, **change), a_time(1))

    moves = [{"from": "a", "to": "b", "share": 0.25}, {"from": "b", "to": "a", "share": 0.25}]
    assert (shares(changed), [dict(move) for move in changed.moves]) == (halves, moves)


@pytest.mark.parametrize("end", ["stop", "promote"])
def test_a_file_that_assigns_anew_while_its_test_is_over_says_so_when_it_goes_on(
    store: RunStore, end: str
) -> None:
    halves = {"a": 0.5, "b": 0.5}
    settle_revision(store, a_traffic(halves), a_time())
    if end == "stop":
        stop(store, "checkout", a_time(1), by="ann")
    else:
        promote(store, "checkout", "b", a_time(1), by="ann")
    changed = settle_revision(store, a_traffic(halves, digest="e" * 64, seed="other"), a_time(2))
    resumed = resume(store, "checkout", a_time(3), by="ann")

    moves = [{"from": "a", "to": "b", "share": 0.25}, {"from": "b", "to": "a", "share": 0.25}]
    assert (changed.is_over, changed.moves) == (True, ())  # it moves nobody: one arm answers everybody
    assert (shares(resumed), [dict(move) for move in resumed.moves]) == (halves, moves)


def test_a_seed_that_is_put_back_while_its_test_is_over_moves_nobody(store: RunStore) -> None:
    halves = {"a": 0.5, "b": 0.5}
    settle_revision(store, a_traffic(halves), a_time())
    stop(store, "checkout", a_time(1), by="ann")
    settle_revision(store, a_traffic(halves, digest="e" * 64, seed="other"), a_time(2))
    settle_revision(store, a_traffic(halves), a_time(3))
    assert resume(store, "checkout", a_time(4), by="ann").moves == ()


def test_a_file_that_was_read_before_another_one_took_effect_does_not_replace_it(store: RunStore) -> None:
    old, new = a_traffic(THREE), a_traffic(THREE, digest="e" * 64)
    settle_revision(store, old, a_time())
    settle_revision(store, new, a_time(5))

    assert settle_revision(store, old, a_time(6), read_at=a_time(1)).digest == new.digest
    assert settle_revision(store, old, a_time(7), read_at=a_time(6)).digest == old.digest


def test_an_arm_that_was_rolled_back_stays_out_whatever_the_file_says_until_it_is_resumed(
    store: RunStore,
) -> None:
    traffic = a_traffic(THREE)
    settle_revision(store, traffic, a_time())
    rolled = roll_back(store, traffic, "b", {"log_e": 5.0}, "guardrail failures", a_time(1))
    again = roll_back(store, traffic, "b", {"log_e": 6.0}, "guardrail failures", a_time(2))
    changed = settle_revision(store, a_traffic({"a": 0.2, "b": 0.6, "c": 0.2}, digest="e" * 64), a_time(3))
    resumed = resume(store, "checkout", a_time(4), by="ann", arm="b")

    assert rolled is not None
    assert (rolled.reason, rolled.arm, rolled.by) == ("rolled back", "b", "guardrail failures")
    assert rolled.evidence["log_e"] == 5.0
    assert shares(rolled) == {"a": 0.8, "c": 0.2}
    assert again is None
    assert shares(changed) == {"a": 0.8, "c": 0.2}
    assert shares(resumed) == {"a": 0.2, "b": 0.6, "c": 0.2}


def test_watches_that_roll_back_the_same_arm_at_once_make_one_revision(tmp_path: Path) -> None:
    store = open_store("tests.sqlite", tmp_path)
    traffic = a_traffic(THREE)
    settle_revision(store, traffic, a_time())
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: roll_back(store, traffic, "b", {}, "guardrail", a_time(n)), range(8)))

    assert sum(revision is not None for revision in made) == 1
    assert [item.reason for item in store.list_revisions("checkout")] == ["started", "rolled back"]
    store.close()


def test_a_stopped_test_gives_everybody_the_baseline_and_goes_on_where_it_was(store: RunStore) -> None:
    traffic = a_traffic(THREE)
    first = settle_revision(store, traffic, a_time())
    stopped = stop(store, "checkout", a_time(1), by="ann")
    settled = settle_revision(store, traffic, a_time(2))
    resumed = resume(store, "checkout", a_time(3), by="ann")

    assert (stopped.is_over, stopped.answering, shares(stopped)) == (True, "a", {})
    assert settled == stopped
    assert (resumed.is_over, resumed.ranges) == (False, first.ranges)


def test_a_promoted_arm_answers_everybody_after_the_file_has_changed_and_does_not_leave_it(
    store: RunStore,
) -> None:
    settle_revision(store, a_traffic(THREE), a_time())
    promoted = promote(store, "checkout", "c", a_time(1), by="ann")
    changed = settle_revision(store, a_traffic(THREE, digest="e" * 64), a_time(2))
    with pytest.raises(UsageError, match="c answers everybody") as raised:
        settle_revision(store, a_traffic({"a": 0.5, "b": 0.5}, digest="f" * 64), a_time(3))

    assert (promoted.answering, promoted.is_over, promoted.by) == ("c", True, "ann")
    assert (changed.reason, changed.answering, changed.is_over) == ("changed", "c", True)
    assert raised.value.problems[0].code == "S842"
    assert store.latest_revision("checkout") == changed


def test_one_arm_can_be_stopped_while_the_test_goes_on(store: RunStore) -> None:
    settle_revision(store, a_traffic(THREE), a_time())

    assert shares(stop(store, "checkout", a_time(1), by="ann", arm="c")) == {"a": 0.7, "b": 0.3}


def test_a_bandit_moves_shares_unless_somebody_else_has_moved_them_since(store: RunStore) -> None:
    traffic = a_traffic(THREE, allocation=AllocationRule(method="thompson"))
    settle_revision(store, traffic, a_time())
    moved = allocate(store, traffic, {"a": 0.2, "b": 0.2, "c": 0.6}, {}, a_time(1), seen=1)
    late = allocate(store, traffic, {"a": 0.6, "b": 0.2, "c": 0.2}, {}, a_time(2), seen=1)
    rolled = roll_back(store, traffic, "c", {}, "guardrail", a_time(3))

    assert shares(moved) == {"a": 0.2, "b": 0.2, "c": 0.6}
    assert late is None
    assert shares(rolled) == {"a": 0.8, "b": 0.2}


def test_a_bandit_moves_nobody_for_less_than_two_hundredths_of_the_test(store: RunStore) -> None:
    traffic = a_traffic(THREE, allocation=AllocationRule(method="thompson"))
    settle_revision(store, traffic, a_time())

    assert allocate(store, traffic, {"a": 0.515, "b": 0.3, "c": 0.185}, {}, a_time(1), seen=1) is None
    moved = allocate(store, traffic, {"a": 0.52, "b": 0.3, "c": 0.18}, {}, a_time(2), seen=1)
    assert shares(moved) == {"a": 0.52, "b": 0.3, "c": 0.18}


def test_a_ramp_keeps_what_a_bandit_has_said(store: RunStore) -> None:
    ramp = (RampStep(after_s=0, coverage=0.5), RampStep(after_s=600, coverage=1.0))
    traffic = a_traffic({"a": 0.5, "b": 0.5}, allocation=AllocationRule(method="thompson"), ramp=ramp)
    settle_revision(store, traffic, a_time())
    allocate(store, traffic, {"a": 0.2, "b": 0.8}, {}, a_time(1), seen=1)

    assert shares(settle_revision(store, traffic, a_time(11))) == {"a": 0.2, "b": 0.8}


def test_a_revision_holds_the_rules_that_it_was_made_by(store: RunStore) -> None:
    units = (UnitSource(place="header", name="x-user"),)
    traffic = a_traffic(THREE, units=units, ramp=(RampStep(after_s=0, coverage=1.0),))
    settle_revision(store, traffic, a_time())

    latest = latest_revisions(store)
    assert [revision.test for revision in latest] == ["checkout"]
    assert recorded_traffic(latest[0]) == traffic


@pytest.mark.parametrize(
    ("act", "code", "fix"),
    [
        (lambda store: stop(store, "chekout", a_time(1), by="ann"), "S841", 'mean "checkout"'),
        (
            lambda store: stop(store, "checkout", a_time(1), by="ann", arm="a"),
            "S842",
            "headrace ab stop checkout",
        ),
        (lambda store: stop(store, "checkout", a_time(1), by="ann", arm="d"), "V305", "a, b"),
        (lambda store: resume(store, "checkout", a_time(1), by="ann"), "S842", "headrace ab status"),
        (lambda store: resume(store, "checkout", a_time(1), by="ann", arm="b"), "S842", "headrace ab status"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    store: RunStore, act: object, code: str, fix: str
) -> None:
    settle_revision(store, a_traffic(), a_time())
    assert callable(act)
    with pytest.raises(UsageError) as raised:
        act(store)

    assert raised.value.problems[0].code == code
    assert fix in str(raised.value.problems[0].fix)
    assert len(store.list_revisions("checkout")) == 1
