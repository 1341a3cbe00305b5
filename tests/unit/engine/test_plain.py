from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import Enum

import pytest

from headrace.engine.plain import NotPlainError, to_plain, to_record


class Colour(Enum):
    RED = "red"


class Text(str):
    __slots__ = ("extra",)


@dataclass
class Answer:
    text: str
    parts: list[Colour]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        ("ü", "ü"),
        ({1: (2, 3.5)}, {"1": [2, 3.5]}),
        (Answer("a", [Colour.RED]), {"text": "a", "parts": ["red"]}),
        (dt.date(2024, 5, 1), "2024-05-01"),
        (Text("x"), "x"),
    ],
)
def test_plain_forms(value: object, plain: object) -> None:
    result = to_plain(value)
    assert result == plain
    assert type(result) is type(plain)


def test_a_value_without_a_plain_form_names_its_type_and_is_recorded_by_repr() -> None:
    with pytest.raises(NotPlainError, match="object"):
        to_plain({"deep": [object()]})
    assert "object object" in to_record([object()])


def test_a_value_that_contains_itself_is_recorded_without_recursing() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert to_record(loop) == "<list that is nested too deeply>"


def test_an_integer_that_python_refuses_to_write_has_no_plain_form_and_is_recorded_by_its_type() -> None:
    assert to_plain([10**4000]) == [10**4000]
    with pytest.raises(NotPlainError, match="thousands of digits"):
        to_plain({"n": 10**5000})
    assert to_record([10**5000]) == "<list with a whole number of thousands of digits>"
