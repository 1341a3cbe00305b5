from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.boards import rich_board

from headrace.evaluation.report.html import render_html
from headrace.evaluation.report.markdown import render_markdown
from headrace.evaluation.report.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("safe\u202eexe.txt", "safe[U+202E]exe.txt"),
        ("zero\u200bwidth\ufeff", "zero[U+200B]width[U+FEFF]"),
        ("\x1b[31mred\x00", "[U+001B][31mred[U+0000]"),
        ("ignore\U000e0041\U000e0042", "ignore[U+E0041][U+E0042]"),
        ("two\u2066lines\u2028", "two[U+2066]lines[U+2028]"),
    ],
)
def test_what_hides_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "plain\n\ttext",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian needs the joiner
        "\u05e9\u05dc\u05d5\u05dd\u200f!",  # Hebrew with a direction mark
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family of joined emoji
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England
        "soft\u00adhyphen and \u4e2d\u6587",
    ],
)
def test_what_writing_needs_stays(text: str) -> None:
    assert visible(text) == text


def test_no_answer_hides_on_a_board() -> None:
    comparison, context = rich_board(60)
    line = context.sample_lines[0]
    output = replace(line.outputs[0], text="seen\u202eturned\x1b[2J\x00")
    context = replace(context, sample_lines=(replace(line, outputs=(output, *line.outputs[1:])),))
    for page in (render_html(comparison, context), render_markdown(comparison, context)):
        assert "seen" in page
        for hidden in ("\u202e", "\x1b", "\x00"):
            assert hidden not in page
