"""Parts of which the HTML report is made: tables, words of a verdict, names and texts.

What is given is plain text unless its description says otherwise; what comes out is HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from headrace.domain.comparison import Estimate, PairedEffect
from headrace.domain.report import ReportContext
from headrace.evaluation import wording
from headrace.evaluation.report.board import MARKS, UNKNOWN, Cell

SYMBOLS = {**MARKS, "baseline": "\N{BLACK CIRCLE}"}
"""The marks of verdicts, and that of the baseline."""

_MAX_ID = 80
_LEVELS = 5
_JOINT = re.compile(r"([_./:-])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The head of a column: its text, and the class of its cells."""

    text: str
    css: str = ""


def table(
    identifier: str,
    caption: str,
    heads: Sequence[Head],
    rows: Iterable[str],
    *,
    css: str = "board",
    foot: str = "",
) -> str:
    """A table that can be scrolled sideways and is read aloud with its caption.

    Args:
        identifier: Unique on the page.
        caption: HTML.
        heads: One per column.
        rows: HTML of whole rows, see :func:`row`.
        css: Classes of the table; ``board`` becomes a list of cards on a phone.
        foot: HTML of rows below.
    """
    columns = "".join(
        f'<th scope="col" role="columnheader"{_css(head.css)}>{name(head.text)}</th>' for head in heads
    )
    footer = f'<tfoot role="rowgroup">{foot}</tfoot>' if foot else ""
    return (
        f'<div class="scroll" role="region" aria-labelledby="{identifier}-caption" tabindex="0">'
        f'<table class="{css}" role="table"><caption id="{identifier}-caption"><span>{caption}</span></caption>'
        f'<thead role="rowgroup"><tr role="row">{columns}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(rows)}</tbody>{footer}</table></div>'
    )


def row(heads: Sequence[Head], first: str, cells: Sequence[str], *, css: str = "") -> str:
    """A row of a table: HTML of its head and of its cells."""
    texts = "".join(
        f'<td role="cell"{_css(head.css)} data-label="{escape(head.text)}">{cell}</td>'
        for head, cell in zip(heads[1:], cells, strict=True)
    )
    return f'<tr role="row"{_css(css)}><th scope="row" role="rowheader">{first}</th>{texts}</tr>'


def _css(css: str) -> str:
    return f' class="{css}"' if css else ""


def value(cell: Cell, made: str = "") -> str:
    """A number with its note below it; ``made`` says how it was made, where the pointer rests on it."""
    note = f'<span class="small">{escape(cell.note)}</span>' if cell.note else ""
    title = f' title="{escape(made)}"' if made else ""
    return f'<span class="value"{title}>{escape(cell.value)}</span>{note}'


def chip(word: str) -> str:
    """A verdict word with its mark."""
    return f'<span class="chip {word}"><span aria-hidden="true">{SYMBOLS[word]}</span> {word}</span>'


def marked_mean(mean: Estimate | None, effect: PairedEffect | None, made: str = "") -> str:
    """A mean with the mark of its verdict, and the difference below it, where there is one."""
    text = UNKNOWN if mean is None else wording.number(mean.value)
    if effect is None or effect.difference is None:
        return value(Cell(value=text), made)
    word = effect.verdict.word
    return (
        f'<span class="value {word} tone"><span role="img" aria-label="{word}">{SYMBOLS[word]}</span> '
        f'{text}</span><span class="small">{wording.signed(effect.difference.value)}</span>'
    )


def shade(number: float, low: float, high: float, *, is_reversed: bool) -> str:
    """The class of a cell of a heat map, the best being the darkest."""
    share = 0.5 if high == low else (number - low) / (high - low)
    return f"c{min(int((1.0 - share if is_reversed else share) * _LEVELS), _LEVELS - 1)}"


def answer_places(context: ReportContext) -> dict[str, int]:
    """The lines whose answers are on the page, each with its place there."""
    return {line.line_id: place for place, line in enumerate(context.sample_lines)}


def short_id(line_id: str) -> str:
    """The id of a line, cut where it is long."""
    return escape(cut(line_id, _MAX_ID))


def line_link(line_id: str, answers: Mapping[str, int]) -> str:
    """The id of a line, with the way to its answers where the page has them."""
    text = short_id(line_id)
    return f'<a href="#line-{answers[line_id]}">{text}</a>' if line_id in answers else text


def name(arm: str) -> str:
    """The name of an arm, allowed to break where its parts meet."""
    return _JOINT.sub(r"\1<wbr>", escape(arm))


def cut(text: str, limit: int) -> str:
    """``text``, ended with an ellipsis where it is longer than ``limit`` characters."""
    return text if len(text) <= limit else f"{text[:limit]}\N{HORIZONTAL ELLIPSIS}"


def bullets(sentences: Iterable[str]) -> str:
    """A list of sentences."""
    return f'<ul class="plain">{"".join(f"<li>{escape(text)}</li>" for text in sentences)}</ul>'


def lead(text: str) -> str:
    """The paragraph below a heading."""
    return f'<p class="lead">{escape(text)}</p>'


def percent(share: float | None) -> str:
    """A share in percent; only all is 100% and only none is 0%."""
    if share is None:
        return "\N{EM DASH}"
    return f"{share * 100:.3g}%" if share in (0.0, 1.0) else chance(share)


def chance(probability: float | None) -> str:
    """A probability in percent; never certain."""
    if probability is None:
        return "\N{EM DASH}"
    if probability > 0.999:
        return "> 99.9%"
    return "< 0.1%" if probability < 0.001 else f"{probability * 100:.3g}%"
