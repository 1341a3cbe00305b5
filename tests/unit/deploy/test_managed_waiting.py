"""How operations of Azure Machine Learning are waited for, on a clock of our own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError

from headrace.deploy.managed_waiting import MOST_CONFLICTS, Waiting
from headrace.errors import RemoteTimeoutError


@dataclass
class Clock:
    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Poller:
    """An operation that takes some seconds of a clock."""

    clock: Clock
    seconds: float

    def done(self) -> bool:
        return self.clock.now >= self.seconds

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    def result(self) -> str:
        return "made"


def test_whoever_waits_hears_of_it_now_and_then() -> None:
    clock, told = Clock(), list[str]()
    waiting = Waiting(told.append, clock=clock, sleep=clock.sleep)
    assert waiting.finish(Poller(clock, 70), "Deployment blue", 100) == "made"
    assert told == ["Deployment blue: 30 s", "Deployment blue: 60 s"]


def test_an_operation_that_is_over_at_once_is_not_waited_for() -> None:
    clock, told = Clock(), list[str]()
    assert Waiting(told.append, clock=clock, sleep=clock.sleep).finish(Poller(clock, 0), "x", 1) == "made"
    assert (clock.now, told) == (0.0, [])


def test_waiting_for_an_operation_has_an_end() -> None:
    clock = Clock()
    with pytest.raises(RemoteTimeoutError) as late:
        Waiting(lambda _: None, clock=clock, sleep=clock.sleep).finish(
            Poller(clock, 99), "Deployment blue", 20.5
        )
    assert clock.now == 20.5
    problem = late.value.problems[0]
    assert (problem.code, problem.what) == ("X213", "Deployment blue: this has not ended after 20 seconds.")


def test_what_somebody_else_does_is_looked_at_ever_more_rarely() -> None:
    clock, told = Clock(), list[str]()
    states = iter(["creating"] * 8 + ["succeeded"])
    Waiting(told.append, clock=clock, sleep=clock.sleep).until_quiet(
        lambda: next(states), "Waiting for x", 100
    )
    assert clock.slept == [0.25, 0.5, 1, 2, 4, 8, 10, 10]
    assert told == ["Waiting for x: creating, 0 s"]


def test_waiting_for_others_has_an_end() -> None:
    clock = Clock()
    with pytest.raises(RemoteTimeoutError):
        Waiting(lambda _: None, clock=clock, sleep=clock.sleep).until_quiet(lambda: "updating", "x", 5)
    assert clock.now == 5


def refusals(*statuses: int) -> list[HttpResponseError]:
    made = [HttpResponseError("not now") for _ in statuses]
    for error, status in zip(made, statuses, strict=True):
        error.status_code = status
    return made


def test_a_question_is_asked_again_where_somebody_else_is_at_work() -> None:
    clock, left = Clock(), refusals(409, 429)

    def ask() -> None:
        if left:
            raise left.pop(0)

    Waiting(lambda _: None, clock=clock, sleep=clock.sleep).past_hindrances(ask, "the key", (409, 429))
    assert clock.slept == [2.0, 4.0]


def test_a_change_is_not_made_again_where_it_conflicts() -> None:
    clock, (conflict,) = Clock(), refusals(409)

    def change() -> None:
        raise conflict

    with pytest.raises(HttpResponseError):
        Waiting(lambda _: None, clock=clock, sleep=clock.sleep).past_hindrances(change, "blue")
    assert clock.slept == []


def test_what_reads_never_show_is_not_waited_for_for_ever() -> None:
    clock, shown = Clock(), iter((False, False, True))
    waiting = Waiting(lambda _: None, clock=clock, sleep=clock.sleep)
    waiting.until_shown(lambda: next(shown))
    assert clock.slept == [0.25, 0.5]
    waiting.until_shown(lambda: False, limit_s=20)
    assert 20 <= clock.now < 35


@pytest.mark.parametrize(("n_conflicts", "status"), [(0, 409), (3, 409), (5, 423), (6, 409)])
def test_what_others_are_in_the_way_of_is_tried_again_and_not_for_ever(n_conflicts: int, status: int) -> None:
    clock, tried = Clock(), list[int]()

    def make(attempt: int) -> str:
        tried.append(attempt)
        if attempt < n_conflicts:
            raise refusals(status)[0]
        return "made"

    waiting = Waiting(lambda _: None, clock=clock, sleep=clock.sleep)
    if n_conflicts < MOST_CONFLICTS:
        assert waiting.beside_others(make) == "made"
    else:
        with pytest.raises(HttpResponseError):
            waiting.beside_others(make)
    assert tried == list(range(min(n_conflicts + 1, MOST_CONFLICTS)))
    assert clock.slept == [0.5, 1.0, 2.0, 4.0, 8.0][:n_conflicts]


def test_what_is_refused_for_good_is_not_tried_again_and_a_conflict_may_have_no_status() -> None:
    clock = Clock()
    waiting = Waiting(lambda _: None, clock=clock, sleep=clock.sleep)
    found: Iterator[HttpResponseError] = iter((ResourceExistsError("there"), *refusals(400)))

    def make(_: int) -> None:
        raise next(found)

    with pytest.raises(HttpResponseError) as refused:
        waiting.beside_others(make)
    assert refused.value.status_code == 400
    assert clock.slept == [0.5]
