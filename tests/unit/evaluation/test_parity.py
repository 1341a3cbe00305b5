from __future__ import annotations

from random import Random
from typing import Any

import pytest

from headrace.domain.certificate import Answer, LineAnswers
from headrace.evaluation.parity import compare_fields, find_differences, permutation_p


def answers(*values: Any) -> tuple[Answer, ...]:
    """An exception stands for a failure, anything else for the output ``a``."""
    return tuple(
        Answer(error=str(value)) if isinstance(value, Exception) else Answer(outputs={"a": value})
        for value in values
    )


def line(ours: tuple[Answer, ...], theirs: tuple[Answer, ...], number: int = 0) -> LineAnswers:
    return LineAnswers(line_number=number, ours=ours, theirs=theirs)


def word(*lines: LineAnswers) -> str:
    (found,) = compare_fields(lines)
    return found.word


def test_the_same_plain_data_is_equal_whatever_the_order_of_keys() -> None:
    assert word(line(answers({"x": 1, "y": [2]}), answers({"y": [2], "x": 1}))) == "equal"
    assert word(line(answers(float("nan")), answers(float("nan")))) == "equal"


@pytest.mark.parametrize(("ours", "theirs"), [(1, 1.5), ("1", 1), (None, ""), (True, "true")])
def test_another_value_or_type_is_different(ours: Any, theirs: Any) -> None:
    assert word(line(answers(ours), answers(theirs))) == "different"


def test_an_output_that_one_side_lacks_is_different() -> None:
    lines = [line((Answer(outputs={"a": 1, "b": 2}),), answers(1))]
    assert [(item.name, item.word) for item in compare_fields(lines)] == [("a", "equal"), ("b", "different")]


def test_answers_that_vary_alike_on_both_sides_are_noise() -> None:
    both = [("x", "y", "x", "y", "x"), ("y", "x", "y", "x", "x")]
    found = compare_fields([line(answers(*both[0]), answers(*both[1]), number) for number in range(6)])[0]
    assert (found.word, found.n_varying) == ("varies", 6)
    assert found.p is not None
    assert found.p > 0.5


def test_answers_that_vary_around_different_values_are_a_difference() -> None:
    lines = [
        line(answers("x", "x", "y", "x", "x"), answers("z", "z", "z", "w", "z"), number)
        for number in range(4)
    ]
    found = compare_fields(lines)[0]
    assert (found.word, found.n_different) == ("different", 0)
    assert found.p is not None
    assert found.p < 0.01


def test_one_varying_line_with_few_answers_is_no_proof() -> None:
    assert word(line(answers("x", "y"), answers("z", "z"))) == "varies"


def test_a_failure_in_some_repeats_counts_as_an_answer_of_its_own() -> None:
    assert word(line(answers("x", ValueError("no"), "x"), answers("x", "x", "x"))) == "varies"


def test_lines_that_fail_on_both_sides_say_nothing_about_outputs() -> None:
    lines = [line(answers(1), answers(1)), line(answers(ValueError("a")), answers(KeyError("b")), 1)]
    (found,) = compare_fields(lines)
    assert (found.word, found.n_equal) == ("equal", 1)


def test_the_error_rate_of_noise_is_kept() -> None:
    """Under the null each p is valid: over 60 draws at 5 % the share of rejections stays near 5 %."""
    random = Random(7)
    rejections = 0
    for _ in range(60):
        samples = [
            ([random.choice("ab") for _ in range(4)], [random.choice("ab") for _ in range(4)])
            for _ in range(5)
        ]
        rejections += permutation_p(samples) < 0.05
    assert rejections <= 8


def test_differences_show_the_first_answers_and_errors() -> None:
    lines = [
        line(answers(1), answers(1), 0),
        line(answers(1), answers(2), 1),
        line(answers(ValueError("no")), answers(2), 2),
        line(answers("x", "y"), answers("z", "z"), 3),
    ]
    found = [(item.line_number, item.field, item.ours, item.theirs) for item in find_differences(lines)]
    assert found == [(1, "a", 1, 2), (2, "", "no", {"a": 2})]


def test_at_most_ten_differences_are_shown() -> None:
    assert len(find_differences([line(answers(1), answers(2), number) for number in range(30)])) == 10
