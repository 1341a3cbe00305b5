"""Whose turn it is."""

from __future__ import annotations

import asyncio

import pytest

from headrace.providers.turns import Lane, Turns, add_limit, current_lane, current_limits, in_lane, paused

JUDGE = Lane(name="judge", is_judge=True)


def order(turns: Turns[str]) -> str:
    return " ".join(turns.pop() for _ in range(len(turns)))


def test_lanes_take_turns_and_keep_their_own_order() -> None:
    turns: Turns[str] = Turns()
    for item in ("a1", "a2", "a3", "a4", "b1", "b2", "c1"):
        turns.add(Lane(name=item[0]), item)
    assert order(turns) == "a1 b1 c1 a2 b2 a3 a4"


def test_judges_go_first_and_nobody_starves() -> None:
    turns: Turns[str] = Turns()
    for number in range(3):
        turns.add(Lane(name="a"), f"a{number}")
        turns.add(Lane(name="b"), f"b{number}")
    for number in range(8):
        turns.add(JUDGE, f"j{number}")
    assert order(turns) == "j0 j1 j2 a0 j3 j4 j5 b0 j6 j7 a1 b1 a2 b2"


def test_peek_is_what_pop_takes() -> None:
    turns: Turns[str] = Turns()
    turns.add(Lane(name="a"), "a")
    turns.add(JUDGE, "j")
    assert turns.peek() == turns.pop() == "j"
    assert turns.peek() == turns.pop() == "a"
    with pytest.raises(LookupError):
        turns.peek()


def test_dropped_items_leave_no_lane_behind() -> None:
    turns: Turns[str] = Turns()
    for item in ("a1", "b1", "b2"):
        turns.add(Lane(name=item[0]), item)
    turns.drop(lambda item: item in ("a1", "b1"))
    assert len(turns) == 1
    assert order(turns) == "b2"


def test_tasks_of_a_block_are_in_its_lane() -> None:
    async def session() -> Lane:
        with in_lane(JUDGE):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(asyncio.sleep(0, current_lane.get()))
        return task.result()

    assert asyncio.run(session()) == JUDGE
    assert current_lane.get() != JUDGE


def test_every_limit_around_a_wait_is_paused() -> None:
    heard: list[str] = []

    class Limit:
        def __init__(self, name: str) -> None:
            self.name = name

        def pause(self) -> None:
            heard.append(f"{self.name} stops")

        def go_on(self) -> None:
            heard.append(f"{self.name} goes on")

    tokens = [add_limit(Limit("line")), add_limit(Limit("node"))]
    with paused():
        heard.append("wait")
    for token in reversed(tokens):
        current_limits.reset(token)
    with paused():
        pass
    assert heard == ["line stops", "node stops", "wait", "line goes on", "node goes on"]
