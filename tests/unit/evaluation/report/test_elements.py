"""Words and parts of the HTML report."""

from __future__ import annotations

import pytest

from headrace.evaluation.report.elements import chance, cut, name, percent


@pytest.mark.parametrize(
    ("value", "as_chance", "as_share"),
    [
        (None, "\N{EM DASH}", "\N{EM DASH}"),
        (1.0, "> 99.9%", "100%"),
        (0.99995, "> 99.9%", "> 99.9%"),
        (0.275, "27.5%", "27.5%"),
        (0.0004, "< 0.1%", "< 0.1%"),
        (0.0, "< 0.1%", "0%"),
    ],
)
def test_a_probability_is_never_certain_and_a_share_may_be_whole(
    value: float | None, as_chance: str, as_share: str
) -> None:
    assert chance(value) == as_chance
    assert percent(value) == as_share


def test_names_break_where_their_parts_meet_and_are_escaped() -> None:
    assert name("a_b/<c>") == "a_<wbr>b/<wbr>&lt;c&gt;"
    assert cut("abcdef", 3) == "abc\N{HORIZONTAL ELLIPSIS}"
    assert cut("abc", 3) == "abc"
