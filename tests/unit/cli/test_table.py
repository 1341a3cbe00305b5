from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.table import Cell, Column, render_table
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
