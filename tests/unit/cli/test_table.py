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


ARMS = ("generate=few_shot/temperature=0.7", "performance_review/temperature=0")


def test_names_get_the_room_that_titles_of_numbers_do_not_need_and_no_word_is_broken() -> None:
    columns = [
        Column(title="arm", least=14, wraps=True),
        Column(title="answer_relevance", is_right=True, least=16),
        Column(title="vs generate=zero_shot/temperature=0", is_right=True, least=18),
        Column(title="verdict"),
    ]
    rows = [
        row
        for arm in ARMS
        for row in ([arm, "0.348", "+0.223", "▲ better"], ["", "0.250 to 0.445", "+0.103 to +0.343", ""])
    ]
    assert render_table(columns, rows, ink=PLAIN, width=72).splitlines() == [
        "                                                  vs generate=",
        "                                     answer_        zero_shot/",
        "arm                                relevance     temperature=0  verdict",
        "────────────────────────────  ──────────────  ────────────────  ────────",
        "generate=few_shot/                     0.348            +0.223  ▲ better",
        "temperature=0.7               0.250 to 0.445  +0.103 to +0.343",
        "performance_review/                    0.348            +0.223  ▲ better",
        "temperature=0                 0.250 to 0.445  +0.103 to +0.343",
    ]


def test_every_wrapping_column_goes_on_below() -> None:
    columns = [Column(title=title, least=4, wraps=True) for title in ("level", "over")]
    rows = [["few_shot/gpt-4o", "performance=high"], ["zero", "low"]]
    text = render_table(columns, rows, ink=PLAIN, width=24)
    assert [line.split() for line in text.splitlines()[2:]] == [
        ["few_shot/", "performance="], ["gpt-4o", "high"], ["zero", "low"],
    ]  # fmt: skip


def test_a_word_is_broken_where_nothing_else_fits_and_numbers_are_cut_last() -> None:
    columns = [Column(title="arm", least=4, wraps=True), Column(title="n", is_right=True, least=3)]
    text = render_table(columns, [["temperature", "12,345"]], ink=PLAIN, width=14)
    assert [line.split() for line in text.splitlines()[2:]] == [["temper", "12,345"], ["ature"]]
    text = render_table(columns, [["temperature", "12,345"]], ink=PLAIN, width=10)
    assert [line.split() for line in text.splitlines()[2:]] == [["temp", "12,…"], ["erat"], ["ure"]]


def test_texts_are_broken_at_marks_and_a_number_stays_whole() -> None:
    assert split_text("temperature=0.75/top_p=1", 13) == ["temperature=", "0.75/top_p=1"]
    assert split_text("few_shot/temperature=0", 21) == ["few_shot/", "temperature=0"]
    assert split_text("label feature_request", 19) == ["label", "feature_request"]
    assert split_text("performance review", 11) == ["performance", "review"]
    assert split_text("a/bcdefghijklmno", 10) == ["a/bcdefghi", "jklmno"]


def test_a_wrapped_cell_keeps_its_color_on_every_row() -> None:
    columns = [Column(title="arm", least=4, wraps=True)]
    text = render_table(columns, [[Cell("abcdefgh", ("red",))]], ink=Ink(has_color=True), width=4)
    assert text.count("\x1b[31m") == 2


@given(st.text("ab/_- 日\u0301", max_size=60), st.integers(min_value=2, max_value=20))
def test_split_text_loses_nothing_but_blanks_and_fits(text: str, width: int) -> None:
    pieces = split_text(text, width)
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
    assert all(text_width(piece) <= width for piece in pieces)
