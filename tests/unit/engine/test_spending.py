"""Limits of what a run may spend: what is expected of the next line and of those in flight counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.run import Cap, Usage
from headrace.engine.spending import Spending


def a_line(tokens: int = 10, cost_usd: float | None = 0.5) -> Usage:
    return Usage(calls=1, prompt_tokens=tokens - 1, completion_tokens=1, cost_usd=cost_usd)


def test_nothing_is_refused_before_the_first_line_has_ended() -> None:
    assert Spending(Cap(cost_usd=1e-9, tokens=1)).refuse(64) is None


def test_the_next_line_and_those_in_flight_are_expected_to_cost_as_much_as_the_others() -> None:
    spending = Spending(Cap(tokens=50))
    spending.begin_run("r")
    for _ in range(2):
        spending.add(a_line())
    assert spending.refuse(2) is None
    problem = spending.refuse(3)
    assert problem is not None
    assert problem.code == "E609"
    assert problem.what == (
        "The run was stopped at its limit of 50 tokens: 20 tokens are spent beside what the 3 lines in flight "
        "would take, and the next line might exceed it."
    )
    assert problem.fix == "Raise --max-tokens and go on with: headrace run resume --name r"
    for _ in range(3):
        spending.add(a_line())
    problem = spending.refuse(0)
    assert problem is not None
    assert "limit of 50 tokens: 50 tokens are spent, and the next line might exceed it" in problem.what


def test_lines_that_would_be_taken_together_are_not_in_flight_yet() -> None:
    spending = Spending(Cap(tokens=50))
    for _ in range(2):
        spending.add(a_line())
    assert spending.refuse(0, 3) is None
    problem = spending.refuse(0, 4)
    assert problem is not None
    assert "in flight" not in problem.what


def test_lines_of_another_arm_are_expected_to_cost_what_its_own_lines_did() -> None:
    spending = Spending(Cap(tokens=1_000))
    spending.add(a_line(100), n_lines=50)
    spending.begin_batch()
    assert spending.refuse(8) is None  # nothing is known of this arm yet
    spending.add(a_line(200))
    assert spending.refuse(2) is None
    assert spending.refuse(3) is not None


def test_cost_is_limited_apart_from_tokens() -> None:
    spending = Spending(Cap(cost_usd=2.0))
    spending.add(Usage(calls=3, prompt_tokens=5, cost_usd=1.5), n_lines=3)
    assert spending.refuse(0) is None
    problem = spending.refuse(1)
    assert problem is not None
    assert "--max-cost" in (problem.fix or "")


def test_what_lines_in_flight_have_spent_above_the_limit_is_said() -> None:
    spending = Spending(Cap(tokens=25))
    spending.add(a_line(40))
    problem = spending.refuse(0)
    assert problem is not None
    assert problem.what == "The run was stopped at its limit of 25 tokens: 40 tokens are spent."


def test_a_limit_below_what_was_spent_before_the_run_was_resumed_is_said_in_words() -> None:
    spending = Spending(Cap(tokens=20))
    spending.begin_run("r")
    spending.add_earlier(a_line(1_300), n_lines=30)
    problem = spending.refuse(0)
    assert problem is not None
    assert problem.what == (
        "Nothing was run: the limit of 20 tokens counts what the run had spent before, which is 1,300 tokens."
    )
    assert problem.fix == "Give --max-tokens more than that, or leave it away: headrace run resume --name r"
    costly = Spending(Cap(cost_usd=0.5))
    costly.add_earlier(a_line(cost_usd=2.0), n_lines=4)
    problem = costly.refuse(0)
    assert problem is not None
    assert "limit of $0.5000" in problem.what
    assert "which is $2.0000" in problem.what


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), st.integers(1, 2_000), st.integers(1, 16))
def test_a_cap_is_exceeded_by_no_more_than_the_lines_in_flight(
    lines: list[int], most: int, n_at_once: int
) -> None:
    spending = Spending(Cap(tokens=most))
    in_flight: list[int] = []
    spent = 0
    for tokens in lines:
        if spending.refuse(len(in_flight)) is not None:
            break
        in_flight.append(tokens)
        if len(in_flight) == n_at_once:
            done = in_flight.pop(0)
            spent += done
            spending.add(a_line(done))
    assert spent + sum(in_flight) <= most + n_at_once * max(lines)
