from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.table import Cell, Column, render_table, split_text
from headrace.cli.terminal import Ink, text_width

PLAIN = Ink()


def test_columns_are_aligned_and_numbers_stand_right() -> None:
    text = render_table(
        [Column(title="name"), Column(title="n", is_right=True)],
        [["first", "3"], [Cell("second run", ("red",)), "120"]],
        ink=PLAIN,
    )
    assert text.splitlines() == [
        "name          n",
        "──────────  ───",
        "first         3",
        "second run  120",
    ]


def test_wide_characters_keep_the_alignment() -> None:
    text = render_table([Column(title="a"), Column(title="b")], [["日本", "x"], ["abcd", "y"]], ink=PLAIN)
    assert text.splitlines()[2:] == ["日本  x", "abcd  y"]


def test_color_does_not_move_anything() -> None:
    rows = [[Cell("ab", ("red",)), Cell("1", ("dim",))], ["abcd", "22"]]
    columns = [Column(title="t"), Column(title="n", is_right=True)]
    colored = render_table(columns, rows, ink=Ink(has_color=True))
    for code in ("\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"):
        colored = colored.replace(code, "")
    assert colored == render_table(columns, rows, ink=PLAIN)


@given(
    st.lists(st.lists(st.text(max_size=60), min_size=3, max_size=3), min_size=1, max_size=5),
    st.integers(min_value=30, max_value=120),
)
def test_a_table_fits_its_width(rows: list[list[str]], width: int) -> None:
    cleaned = [["".join(c for c in cell if c.isprintable()) for cell in row] for row in rows]
    columns = [Column(title=title, least=4) for title in "abc"]
    text = render_table(columns, cleaned, ink=PLAIN, width=width, indent="  ")
    assert max(text_width(line) for line in text.splitlines()) <= width


def test_only_columns_that_may_shrink_do() -> None:
    columns = [Column(title="id"), Column(title="text", least=5)]
    lines = render_table(columns, [["identifier", "a long text"]], ink=PLAIN, width=18).splitlines()
    assert lines[2] == "identifier  a lon…"


def test_what_a_column_means_is_said_as_long_as_it_is_there() -> None:
    columns = [Column(title="arm"), Column(title="best", leaves=1, note="best: a chance, in percent")]
    rows = [["a name that is long", "12%"]]
    assert render_table(columns, rows, ink=PLAIN).splitlines()[3:] == ["best: a chance, in percent"]
    assert render_table(columns, rows, ink=PLAIN, width=25).splitlines()[3:] == [
        "best: a chance, in",
        "percent",
    ]
    assert render_table(columns, rows, ink=PLAIN, width=24).splitlines()[3:] == []


def test_a_wrapped_cell_goes_on_in_empty_cells_below_then_in_rows_of_its_own() -> None:
    columns = [Column(title="arm", least=10, wraps=True), Column(title="n", is_right=True)]
    rows = [["few_shot/a-long-model", "1"], ["", "2"], ["short", "3"], ["", "4"], ["retrieval/other", "5"]]
    text = render_table(columns, rows, ink=PLAIN, width=13)
    assert [line.split() for line in text.splitlines()[2:]] == [
        ["few_shot/", "1"], ["a-long-", "2"], ["model"], ["short", "3"], ["4"], ["retrieval/", "5"], ["other"],
    ]  # fmt: skip


def test_a_wrapped_cell_keeps_its_color_on_every_row() -> None:
    columns = [Column(title="arm", least=4, wraps=True)]
    text = render_table(columns, [[Cell("abcdefgh", ("red",))]], ink=Ink(has_color=True), width=4)
    assert text.count("\x1b[31m") == 2


@given(st.text("ab/_- 日\u0301", max_size=60), st.integers(min_value=2, max_value=20))
def test_split_text_loses_nothing_but_blanks_and_fits(text: str, width: int) -> None:
    pieces = split_text(text, width)
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
    assert all(text_width(piece) <= width for piece in pieces)
