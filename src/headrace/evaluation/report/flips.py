"""One arm against another, line by line: a plot of the two scores, and the lines that flip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from html import escape
from math import sqrt

from headrace.domain.comparison import Comparison, MetricComparison
from headrace.domain.report import LineMatrix, ReportContext
from headrace.evaluation import wording
from headrace.evaluation.report.elements import answer_places, lead, line_link
from headrace.evaluation.report.lines import score_range, short_number
from headrace.evaluation.report.page import render_section

SIZE, START, END, INSET = 360.0, 66.0, 336.0, 18.0
"""Of the plot: its width and height, where its scales begin and end, and how far the axes stand off."""

MAX_FLIPS = 8
_STEPS = 100
_SAME = 1e-9


def flip_section(comparison: Comparison, context: ReportContext, shown: str) -> Iterator[str]:
    """The plot of baseline against ``shown``, and the lines on which they differ most, each way."""
    matrix, metric = context.matrix, comparison.primary
    if matrix is None or metric is None or shown == comparison.baseline:
        return
    scores = matrix.scores.get(metric.spec.name, {})
    if comparison.baseline not in scores or shown not in scores:
        return
    both = (_counted(matrix, metric, arm) for arm in (comparison.baseline, shown))
    pairs = {
        place: (a, b)
        for place, (a, b) in enumerate(zip(*both, strict=True))
        if a is not None and b is not None
    }
    if not pairs:
        return
    answers = answer_places(context)
    content = (
        lead(
            "Each point is a line, or as many lines as its area says; on the diagonal both arms score the same. "
            f"{metric.spec.name} of {comparison.baseline} against {shown}; the filters of the lines choose others."
            + _failed_words(matrix, metric)
        )
        + '<div class="flips"><figure id="flip-plot">'
        + _plot(comparison.baseline, shown, matrix, metric, pairs)
        + f'</figure><div id="flip-lists">{_lists(comparison.baseline, shown, matrix, metric, pairs, answers)}'
        + "</div></div>"
    )
    yield render_section("flips", "Arm against arm", content)


def _failed_words(matrix: LineMatrix, metric: MetricComparison) -> str:
    if metric.failed_count_as is None or not any(matrix.failed.values()):
        return ""
    return f" A failed line counts as {short_number(metric.failed_count_as)}."


def _counted(matrix: LineMatrix, metric: MetricComparison, arm: str) -> list[float | None]:
    """Scores of an arm as the verdict counts them: a line that failed has the worst, where there is one."""
    failed = frozenset(matrix.failed.get(arm, ()))
    return [
        metric.failed_count_as if value is None and place in failed else value
        for place, value in enumerate(matrix.scores[metric.spec.name][arm])
    ]


def _plot(
    a: str, b: str, matrix: LineMatrix, metric: MetricComparison, pairs: Mapping[int, tuple[float, float]]
) -> str:
    low, high = score_range(matrix, metric)

    def at(value: float) -> int:
        return round(_STEPS * ((value - low) / (high - low) if high > low else 0.5))

    counts = Counter((at(x), at(y)) for x, y in pairs.values())
    most = max(counts.values())
    sign = 1 if metric.spec.direction == "higher" else -1
    circles = "".join(
        f'<circle class="{_side(sign * (y - x))}" cx="{START + (END - START) * x / _STEPS:.1f}" '
        f'cy="{SIZE - START - (END - START) * y / _STEPS:.1f}" r="{3 + 13 * sqrt(count / most) * (most > 1):.1f}">'
        f"<title>{wording.count(count, 'line')}</title></circle>"
        for (x, y), count in sorted(counts.items(), key=lambda item: -item[1])
    )
    bottom, top = SIZE - START, SIZE - END
    label = f"{metric.spec.name} of {b} over that of {a}, line by line"
    axis_x, axis_y = START - INSET, bottom + INSET
    ticks = "".join(
        f'<text class="tick-text" x="{x:.0f}" y="{axis_y + 16:.0f}" text-anchor="middle">{short_number(value)}</text>'
        f'<text class="tick-text" x="{axis_x - 6:.0f}" y="{y + 4:.0f}" text-anchor="end">{short_number(value)}</text>'
        for value, x, y in ((low, START, bottom), (high, END, top))
    )
    return (
        f'<svg class="flip" viewBox="0 0 {SIZE:.0f} {SIZE:.0f}" role="img" aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title>"
        f'<line class="base" x1="{axis_x}" y1="{axis_y}" x2="{END}" y2="{axis_y}"/>'
        f'<line class="base" x1="{axis_x}" y1="{axis_y}" x2="{axis_x}" y2="{top}"/>'
        f'<line class="zero" x1="{START}" y1="{bottom}" x2="{END}" y2="{top}"/>{ticks}'
        f'<g id="flip-points">{circles}</g>'
        f'<text class="axis-text" id="flip-a" x="{(START + END) / 2}" y="{SIZE - 6}" text-anchor="middle">'
        f"{escape(a)}</text>"
        f'<text class="axis-text" id="flip-b" transform="translate(14 {(bottom + top) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(b)}</text></svg>'
    )


def _side(gain: float) -> str:
    if abs(gain) <= _SAME:
        return "tied"
    return "won" if gain > 0 else "lost"


def _lists(
    a: str,
    b: str,
    matrix: LineMatrix,
    metric: MetricComparison,
    pairs: Mapping[int, tuple[float, float]],
    answers: Mapping[str, int],
) -> str:
    sign = 1.0 if metric.spec.direction == "higher" else -1.0
    gains = {place: sign * (y - x) for place, (x, y) in pairs.items()}
    won = sorted((place for place in gains if gains[place] > _SAME), key=lambda place: -gains[place])
    lost = sorted((place for place in gains if gains[place] < -_SAME), key=lambda place: gains[place])
    parts = []
    for title, places in ((f"{b} is better", won), (f"{a} is better", lost)):
        items = "".join(
            f"<li>{_flip(matrix, place, pairs[place], answers)}</li>" for place in places[:MAX_FLIPS]
        )
        more = (
            f'<li class="start">and {len(places) - MAX_FLIPS:,} more</li>' if len(places) > MAX_FLIPS else ""
        )
        parts.append(
            f"<div><h3>{escape(title)}: {wording.count(len(places), 'line')}</h3>"
            f'<ol class="flip-list">{items}{more}</ol></div>'
        )
    tied = len(pairs) - len(won) - len(lost)
    return f'{"".join(parts)}<p class="small">The same on {wording.count(tied, "line")}.</p>'


def _flip(matrix: LineMatrix, place: int, pair: tuple[float, float], answers: Mapping[str, int]) -> str:
    text = line_link(matrix.line_ids[place], answers)
    change = f"{short_number(pair[0])} \N{RIGHTWARDS ARROW} {short_number(pair[1])}"
    return f'{text} <span class="small-inline">{change}</span>'
