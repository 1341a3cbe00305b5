"""Lines in the HTML report: the matrix of all lines and arms, and the answers of those worth reading."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from shlex import quote

from headrace.domain.comparison import Comparison, MetricComparison
from headrace.domain.report import LineMatrix, ReportContext, SampleLine, SampleOutput
from headrace.domain.scores import Score
from headrace.evaluation import wording
from headrace.evaluation.report.elements import answer_places, cut, lead, line_link, name, shade, short_id
from headrace.evaluation.report.page import render_section

MAX_MATRIX_CELLS = 30_000
"""Cells of the matrix on one page: beyond that the lines that differ most stay."""

MAX_SCORES = 150_000
"""Scores of all metrics that the page holds for its script: beyond that likewise."""

MAX_ANSWER_BYTES, MAX_REASON_BYTES = 900_000, 300_000
"""Of answers and of reasons on one page: beyond that each is cut to its share."""

_MAX_TEXT, _MIN_TEXT = 2_000, 120
_MAX_REASON, _MIN_REASON = 240, 40
_MAX_SUMMARY = 110


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The most characters of one text and of one reason."""

    text: int
    reason: int


def line_section(comparison: Comparison, context: ReportContext, shown: str) -> Iterator[str]:
    """The matrix with its filters, then the lines with their answers.

    Args:
        comparison: The comparison.
        context: Lines and answers.
        shown: The arm that is shown against the baseline at first.
    """
    matrix, metric = context.matrix, comparison.primary
    with_answers = answer_places(context)
    parts = []
    if matrix is not None and metric is not None and matrix.line_ids:
        places = _chosen(matrix, metric, len(comparison.metrics))
        parts.append(_matrix_lead(matrix, places))
        parts.append(_toolbar(comparison, matrix, shown))
        parts.append(_matrix(comparison, matrix, metric, places, with_answers))
        parts.append(line_data(comparison, matrix, places, shown))
    if context.sample_lines:
        parts.append(_answers(context.sample_lines))
    if parts:
        yield render_section("lines", "Line by line", "".join(parts))


def _chosen(matrix: LineMatrix, metric: MetricComparison, n_metrics: int) -> list[int]:
    """Places of the lines on the page, in the order of the data."""
    arms = matrix.scores.get(metric.spec.name, {})
    room = max(min(MAX_MATRIX_CELLS, MAX_SCORES // n_metrics) // max(len(arms), 1), 1)
    places = range(len(matrix.line_ids))
    if len(matrix.line_ids) <= room:
        return list(places)

    def spread(place: int) -> float:
        values = [scores[place] or 0.0 for scores in arms.values()]
        return max(values, default=0.0) - min(values, default=0.0)

    return sorted(sorted(places, key=lambda place: -spread(place))[:room])


def _matrix_lead(matrix: LineMatrix, places: Sequence[int]) -> str:
    total = len(matrix.line_ids)
    text = f"{wording.count(total, 'line')}, one row each."
    if len(places) < total:
        text = f"{len(places):,} of {total:,} lines, those on which the arms differ most. "
        text += "All of them: headrace run show-details --name RUN."
    return lead(text)


def _toolbar(comparison: Comparison, matrix: LineMatrix, shown: str) -> str:
    """Filters; they need the script, which shows them."""
    arms = [arm.arm for arm in comparison.arms]
    filters = [("all", "all"), ("different", "different"), ("regressed", "regressed")]
    filters += [("disputed", "judges disagree")] if any(matrix.disputed.values()) else []
    has_errors = any(matrix.failed.values()) or any(matrix.unscored.values())
    filters += [("errors", "errors")] if has_errors else []
    buttons = "".join(
        f'<button type="button" data-filter="{key}" aria-pressed="{str(key == "all").lower()}">{label}</button>'
        for key, label in filters
    )
    metrics = _select("pick-metric", "Metric", [metric.spec.name for metric in comparison.metrics], "")
    slices = "".join(
        _select(f"pick-slice-{index}", column, ["", *sorted(set(values))], "")
        for index, (column, values) in enumerate(matrix.slices.items())
    )
    return (
        f'<div class="toolbar" id="toolbar" hidden><div class="buttons" role="group" aria-label="Which lines">'
        f"{buttons}</div>{metrics}{_select('pick-a', 'Arm A', arms, comparison.baseline)}"
        f"{_select('pick-b', 'Arm B', arms, shown)}{slices}"
        '<label>Search <input type="search" id="search" autocomplete="off"></label>'
        '<span class="count" id="count" role="status"></span></div>'
    )


def _select(identifier: str, label: str, options: Sequence[str], chosen: str) -> str:
    texts = "".join(
        f'<option value="{escape(option)}"{" selected" if option == chosen else ""}>{escape(option) or "all"}</option>'
        for option in options
    )
    return f'<label>{escape(label)} <select id="{identifier}">{texts}</select></label>'


def _matrix(
    comparison: Comparison,
    matrix: LineMatrix,
    metric: MetricComparison,
    places: Sequence[int],
    with_answers: Mapping[str, int],
) -> str:
    arms = [arm.arm for arm in comparison.arms]
    scores = matrix.scores.get(metric.spec.name, {})
    failed = {arm: frozenset(matrix.failed.get(arm, ())) for arm in arms}
    low, high = score_range(matrix, metric)
    is_reversed = metric.spec.direction == "lower"
    rows = []
    for place in places:
        cells = []
        for arm in arms:
            found = scores.get(arm)
            number = found[place] if found is not None else None
            cells.append(_cell(number, low, high, is_reversed=is_reversed, has_failed=place in failed[arm]))
        text = line_link(matrix.line_ids[place], with_answers)
        start = f' <span class="start">{escape(matrix.starts[place])}</span>' if matrix.starts else ""
        rows.append(f'<tr><th scope="row">{text}{start}</th>{"".join(cells)}</tr>')
    heads = "".join(f'<th scope="col"><span>{escape(arm)}</span></th>' for arm in arms)
    return (
        '<div class="scroll matrix-frame" role="region" aria-labelledby="matrix-caption" tabindex="0">'
        '<table class="matrix" id="matrix"><caption id="matrix-caption"><b id="matrix-metric">'
        f"{escape(metric.spec.name)}</b> of every arm on every line; "
        "\N{MULTIPLICATION SIGN} failed, \N{EN DASH} no score. A line with a link has its answers below.</caption>"
        f'<thead><tr><th scope="col">Line</th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def score_range(matrix: LineMatrix, metric: MetricComparison) -> tuple[float, float]:
    """Lowest and highest score of the metric; 0 to 1 where it has these limits."""
    if metric.spec.kind in ("binary", "graded"):
        return 0.0, 1.0
    arms = matrix.scores.get(metric.spec.name, {})
    values = [score for scores in arms.values() for score in scores if score is not None]
    return (min(values), max(values)) if values else (0.0, 1.0)


def _cell(number: float | None, low: float, high: float, *, is_reversed: bool, has_failed: bool) -> str:
    if has_failed:
        return '<td class="x">\N{MULTIPLICATION SIGN}</td>'
    if number is None:
        return "<td>\N{EN DASH}</td>"
    return f'<td class="{shade(number, low, high, is_reversed=is_reversed)}">{short_number(number)}</td>'


def short_number(number: float) -> str:
    """A score in few characters: whole numbers as such, else three significant digits."""
    return f"{number:.0f}" if number == int(number) and abs(number) < 1e6 else f"{number:.3g}"


def line_data(comparison: Comparison, matrix: LineMatrix, places: Sequence[int], shown: str) -> str:
    """What the script needs to filter and to draw, as JSON; rows are in the order of the matrix."""
    arms = [arm.arm for arm in comparison.arms]
    row_of = {place: index for index, place in enumerate(places)}

    def rows(found: Sequence[int]) -> list[int]:
        return [row_of[place] for place in found if place in row_of]

    metrics = []
    for metric in comparison.metrics:
        scores = matrix.scores.get(metric.spec.name, {})
        metrics.append(
            {
                "name": metric.spec.name,
                "higher": metric.spec.direction == "higher",
                "range": score_range(matrix, metric),
                "failed": metric.failed_count_as,
                "disputed": rows(matrix.disputed.get(metric.spec.name, ())),
                "scores": [
                    [_rounded(scores[arm][place]) for place in places] if arm in scores else []
                    for arm in arms
                ],
            }
        )
    data = {
        "arms": arms,
        "a": comparison.baseline,
        "b": shown,
        "metrics": metrics,
        "failed": [rows(matrix.failed.get(arm, ())) for arm in arms],
        "unscored": [rows(matrix.unscored.get(arm, ())) for arm in arms],
        "slices": [[values[place] for place in places] for values in matrix.slices.values()],
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A text of the user must not end the element, whatever it holds.
    safe = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return f'<script type="application/json" id="data">{safe}</script>'


def _rounded(number: float | None) -> float | int | None:
    if number is None:
        return None
    rounded = float(f"{number:.4g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e9 else rounded


def _answers(lines: Sequence[SampleLine]) -> str:
    limits = _limits(lines)
    text = f"{wording.count(len(lines), 'line')}, the largest losses and differences first. "
    text += f"Texts are cut at {limits.text:,} characters."
    items = "".join(_line(line, place, limits) for place, line in enumerate(lines))
    return f'<h3 id="answers">Answers</h3>{lead(text)}<div class="answers">{items}</div>'


def _limits(lines: Sequence[SampleLine]) -> Limits:
    groups = [group for line in lines for group in _grouped(line.outputs)]
    texts = [group[0].error or group[0].text for group in groups]
    texts += [text for line in lines for text in (line.inputs, line.reference or "")]
    reasons = [text for group in groups for text in _reason_texts(group)]
    return Limits(
        text=_share(texts, MAX_ANSWER_BYTES, _MIN_TEXT, _MAX_TEXT),
        reason=_share(reasons, MAX_REASON_BYTES, _MIN_REASON, _MAX_REASON),
    )


def _share(texts: Sequence[str], budget: int, least: int, most: int) -> int:
    """The most characters of each text, so that all together take ``budget`` bytes on the page."""
    size = sum(len(escape(text[:most]).encode("utf-8", "backslashreplace")) for text in texts)
    if size <= budget:
        return most
    bytes_each = size / sum(len(text[:most]) for text in texts)
    return max(min(int(budget / len(texts) / bytes_each), most), least)


def _line(line: SampleLine, place: int, limits: Limits) -> str:
    start = cut(" ".join(line.inputs.split()), _MAX_SUMMARY)
    reference = (
        "" if line.reference is None else f"<h4>Reference</h4>{_line_text(line.reference, limits.text)}"
    )
    cards = "".join(_card(group, limits) for group in _grouped(line.outputs))
    where = _where(line)
    return (
        f'<details class="line" id="line-{place}"{" open" if place == 0 else ""}>'
        f'<summary><span class="id">{short_id(line.line_id)}</span> '
        f'<span class="start">{escape(start)}</span></summary><h4>Inputs</h4>'
        f"{_line_text(line.inputs, limits.text)}{reference}"
        f'<div class="diff" hidden></div><div class="cards">{cards}</div>{where}</details>'
    )


def _where(line: SampleLine) -> str:
    runs = [output.run for output in line.outputs if output.run]
    if not runs or line.line_number is None:
        return ""
    command = f"headrace run explain {quote(runs[0])} {line.line_number}"
    return f'<p class="where">Whole texts and nodes: <code>{escape(command)}</code></p>'


def _grouped(outputs: Sequence[SampleOutput]) -> list[list[SampleOutput]]:
    """Answers that are the same stand together."""
    groups: dict[tuple[str, str | None], list[SampleOutput]] = {}
    for output in outputs:
        groups.setdefault((output.text, output.error), []).append(output)
    return list(groups.values())


def _card(group: Sequence[SampleOutput], limits: Limits) -> str:
    arms = "".join(f"<li>{name(output.arm)} {_scores(output.scores)}</li>" for output in group)
    first = group[0]
    if first.error is None:
        answer = f'<div class="answer">{escape(cut(first.text, limits.text))}</div>'
    else:
        failed = '<span class="error">Failed:</span>'
        answer = f'<div class="answer">{failed} {escape(cut(first.error, limits.text))}</div>'
    names = escape(json.dumps([output.arm for output in group], ensure_ascii=False))
    reasons = _reasons(group, limits.reason)
    return f'<article class="card" data-arms="{names}"><ul>{arms}</ul>{answer}{reasons}</article>'


def _scores(scores: Mapping[str, Score]) -> str:
    texts = " \N{MIDDLE DOT} ".join(f"{escape(metric)} {_score(score)}" for metric, score in scores.items())
    return f'<span class="scores">{texts}</span>' if texts else ""


def _score(score: Score) -> str:
    if score.error is not None:
        return f'<span class="error">{escape(cut(score.error, _MAX_REASON))}</span>'
    number = "\N{EN DASH}" if score.value is None else f"<b>{short_number(score.value)}</b>"
    return number if score.label is None else f"{number} {escape(score.label)}"


def _reason_texts(group: Sequence[SampleOutput]) -> list[str]:
    """Why the evaluators say so, each reason once."""
    texts = (
        f"{metric}: {score.reason}"
        for output in group
        for metric, score in output.scores.items()
        if score.reason
    )
    return list(dict.fromkeys(texts))


def _reasons(group: Sequence[SampleOutput], limit: int) -> str:
    items = "".join(f"<li>{escape(cut(text, limit))}</li>" for text in _reason_texts(group))
    return f'<ul class="why">{items}</ul>' if items else ""


def _line_text(text: str, limit: int) -> str:
    return f'<div class="line-text">{escape(cut(text, limit))}</div>'
