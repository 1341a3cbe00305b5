from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.formats.csv_cells import guard_cell, unguard_cell, unguarded


@pytest.mark.parametrize(
    "text", ["=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1+1"]
)
def test_a_formula_is_shown_and_not_computed(text: str) -> None:
    assert guard_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "plain", "-5", "+0.25", "-1e-3", "it's", "'quoted'", "a=b", "5 - 3"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert guard_cell(text) == text
    assert unguard_cell(text) == text


@given(st.text(alphabet="'=+-@\t\r1.e a\uff1d"))
def test_every_text_comes_back_exactly(text: str) -> None:
    assert unguard_cell(guard_cell(text)) == text


def test_only_texts_of_a_row_are_looked_at() -> None:
    assert unguarded({"line": "'=1", "value": -1.0, "label": None}) == {
        "line": "=1",
        "value": -1.0,
        "label": None,
    }
