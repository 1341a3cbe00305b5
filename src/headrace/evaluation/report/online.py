"""The live page of an online test: one file that loads nothing, runs no script and refreshes itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final
from urllib.parse import quote, unquote

from headrace.domain.ab_report import AbReport
from headrace.domain.comparison import Estimate
from headrace.domain.offline_beside import JoinedResults
from headrace.domain.traffic import Revision
from headrace.evaluation.report.board_style import BOARD_STYLE
from headrace.evaluation.report.course import course_of, course_plot
from headrace.evaluation.report.elements import Head, bullets, chip, lead, name, row, table
from headrace.evaluation.report.offline_text import JOINED_HEADER, OFFLINE_TITLE, joined_reasons, joined_rows
from headrace.evaluation.report.online_style import ONLINE_STYLE
from headrace.evaluation.report.online_text import (
    ARM_HEADER,
    GUARDRAIL_HEADER,
    EffectRow,
    arm_rows,
    direction_of,
    effect_rows,
    find_interval_level,
    guardrail_rows,
    metric_names,
    say_facts,
    say_horizon,
    say_sample_ratio,
    split_decision,
)
from headrace.evaluation.report.online_view import AbView
from headrace.evaluation.report.page import render_header, render_page, render_section
from headrace.evaluation.report.plots import Scale, interval_track
from headrace.evaluation.report.revisions import say_moves, say_reason, say_shares
from headrace.evaluation.report.style import STYLE

REFRESH_S: Final = 10
_MARKS = {"ship": "\N{CHECK MARK}", "keep": "=", "undecided": "?"}
_BY_PEOPLE = "Nothing is promoted but by a person."
_DASH = "\N{EN DASH}"
_OPEN = '<span class="chip inconclusive"><span aria-hidden="true">\N{MIDDLE DOT}</span> open</span>'


def render_online_pages(views: Callable[[], Sequence[AbView]], path: str) -> str | None:
    """The page at a path: of the only test, a list of several at ``/``, each of them at its name.

    Args:
        views: What is known of each test right now.
        path: Of the request.

    Returns:
        HTML; ``None`` where there is no page.
    """
    known = {view.report.test: view for view in views()}
    wanted = unquote(path.removeprefix("/"))
    if wanted:
        return render_online_page(known[wanted]) if wanted in known else None
    if len(known) == 1:
        return render_online_page(next(iter(known.values())))
    return _render_list(tuple(known.values()))


def render_online_page(view: AbView) -> str:
    """The page of one test."""
    report = view.report
    latest = view.history[-1]
    facts = {
        "Baseline": report.baseline,
        "Experiment": view.traffic.experiment,
        "Revision": f"{latest.number}, {say_reason(latest)}",
        "Now": say_shares(latest),
        "Seen": _time(report.at_ns),
    }
    body = [
        render_header(report.test, facts),
        "<main>",
        _verdict_card(report),
        *_caveats(report),
        *_metric_sections(view),
        _request_section(report),
        *_guardrail_section(report),
        *_offline_section(view.offline),
        _history_section(view.history),
        "</main>",
    ]
    return render_page(
        body,
        title=f"{report.test}: {split_decision(report)[0]}",
        skip=("verdict", "Skip to the verdict"),
        footer=f"Made by headrace at {_time(report.at_ns)}; looks again every {REFRESH_S} seconds.",
        style=STYLE + BOARD_STYLE + ONLINE_STYLE,
        refresh_s=REFRESH_S,
    )


def _render_list(views: Sequence[AbView]) -> str:
    heads = [Head(text=text) for text in ("Test", "Traffic", "Decision")]
    rows = [
        row(
            heads,
            f'<a href="/{quote(view.report.test, safe="")}">{name(view.report.test)}</a>',
            [escape(say_shares(view.history[-1])), escape(view.report.decision.reason)],
        )
        for view in views
    ]
    content = table("tests", "Each with what holds of it now.", heads, rows) if rows else lead("No test yet.")
    return render_page(
        [render_header("Online tests", {}), "<main>", render_section("list", "Tests", content), "</main>"],
        title="Online tests",
        skip=("list", "Skip to the tests"),
        footer=f"Made by headrace; looks again every {REFRESH_S} seconds.",
        style=STYLE + BOARD_STYLE + ONLINE_STYLE,
        refresh_s=REFRESH_S,
    )


def _verdict_card(report: AbReport) -> str:
    decision = "undecided"
    if report.decision.arm is not None:
        decision = "keep" if report.decision.arm == report.baseline else "ship"
    first, rest = split_decision(report)
    sentences = " ".join(text for text in (rest, say_horizon(report)) if text)
    return (
        f'<div class="verdict-card {decision}" role="region" aria-labelledby="verdict">'
        f'<div class="mark" aria-hidden="true">{_MARKS[decision]}</div>'
        f'<div class="verdict-text"><h2 id="verdict">{escape(first)}</h2>'
        f"<p>{escape(sentences or _BY_PEOPLE)}</p></div></div>"
    )


def _caveats(report: AbReport) -> Iterator[str]:
    sentences = [*([say_sample_ratio(report)] if report.sample_ratio.is_mismatch else []), *report.caveats]
    if sentences:
        yield render_section("caveats", "Before you trust this", bullets(sentences))


def _metric_sections(view: AbView) -> Iterator[str]:
    for number, metric in enumerate(metric_names(view.report)):
        title = escape(metric) + escape(direction_of(view.report, metric))
        content = _effect_table(view.report, metric, number)
        if number == 0:
            content += "".join(_courses(view, metric))
        yield render_section(f"metric-{number}", title, content)


def _effect_table(report: AbReport, metric: str, number: int) -> str:
    level = f"{find_interval_level(report)} interval".lstrip()
    scale = _scale_of(report, metric)
    heads = [
        Head(text="Arm"),
        Head(text="Units", css="number"),
        Head(text="Mean", css="number"),
        Head(text=f"Against {report.baseline}", css="number"),
        Head(text=level.capitalize(), css="plot"),
        Head(text="Evidence", css="number"),
        Head(text="Verdict", css="verdict"),
    ]
    rows = [
        row(
            heads,
            name(effect.arm),
            [
                effect.units,
                effect.mean,
                _effect_cell(effect),
                _track(report, effect, metric, scale) or _DASH,
                effect.evidence or _DASH,
                _verdict(effect),
            ],
        )
        for effect in effect_rows(report, metric)
    ]
    caption = (
        "Evidence is an e-value beside the one that decides; it and the intervals may be looked at always."
    )
    return table(f"effects-{number}", caption, heads, rows)


def _effect_cell(effect: EffectRow) -> str:
    if not effect.effect:
        return _DASH
    note = f'<span class="small">{escape(effect.interval)}</span>' if effect.interval else ""
    return f'<span class="value">{escape(effect.effect)}</span>{note}'


def _verdict(effect: EffectRow) -> str:
    word = _OPEN if effect.word == "open" else chip(effect.word)
    return f'{word}<span class="small">{escape(effect.reason)}</span>' if effect.reason else word


def _scale_of(report: AbReport, metric: str) -> Scale:
    ends = [0.0]
    for item in report.comparisons:
        if item.metric == metric and item.effect is not None and item.interval is not None:
            ends += [item.interval.low, item.interval.high]
    low, high = min(ends), max(ends)
    pad = (high - low) * 0.06 or 1.0
    return Scale(low=low - pad, high=high + pad, start=1.0, end=99.0)


def _track(report: AbReport, effect: EffectRow, metric: str, scale: Scale) -> str:
    found = report.comparison(effect.arm, metric)
    if found is None or found.effect is None or found.interval is None:
        return ""
    estimate = Estimate(value=found.effect, interval=found.interval, n=found.n)
    margin = None if found.margin is None else found.margin.margin
    label = f"{effect.arm}: {effect.effect}, {effect.interval}"
    word = "inconclusive" if effect.word == "open" else effect.word
    drawn = interval_track(estimate, word, scale, label=label, margin=margin)
    return f'<div class="track-cell">{drawn}</div>'


def _courses(view: AbView, metric: str) -> Iterator[str]:
    for effect in effect_rows(view.report, metric):
        points = course_of(view.looks, effect.arm, metric)
        if len(points) < 2:
            continue
        label = f"{effect.arm} against {view.report.baseline} over {len(points)} looks, now {effect.effect}"
        word = "inconclusive" if effect.word == "open" else effect.word
        yield (
            f"<figure><h3>{name(effect.arm)} over time</h3>{course_plot(points, word, label=label)}</figure>"
        )


def _request_section(report: AbReport) -> str:
    titles = [text.capitalize() for text in ARM_HEADER]
    heads = [Head(text=titles[0]), *(Head(text=text, css="number") for text in titles[1:])]
    rows = [row(heads, name(first), [escape(text) for text in rest]) for first, *rest in arm_rows(report)]
    content = table("requests-table", "All requests of each arm, whatever their unit.", heads, rows)
    ratio = report.sample_ratio
    if ratio.observed:
        heads = [Head(text="Arm"), Head(text="Units", css="number"), Head(text="Expected", css="number")]
        rows = [
            row(heads, name(arm), [f"{n:,}", f"{ratio.expected.get(arm, 0.0):,.0f}"])
            for arm, n in ratio.observed.items()
        ]
        content += f"<h3>Sample ratio</h3>{lead(say_sample_ratio(report))}"
        content += table("ratio-table", "Units shown an arm first.", heads, rows, css="board narrow")
    return render_section("requests", "Requests and sample ratio", content + bullets(say_facts(report)))


def _guardrail_section(report: AbReport) -> Iterator[str]:
    if not report.guardrails:
        return
    titles = [text.capitalize() for text in GUARDRAIL_HEADER]
    heads = [Head(text=text, css="number" if 2 <= at <= 4 else "") for at, text in enumerate(titles)]
    rows = [
        row(
            heads,
            name(cells[0]),
            [
                f'{escape(cells[1])}<span class="small">{escape(guardrail.what)}</span>',
                *(escape(text) for text in cells[2:5]),
                f'<span class="chip {"worse" if guardrail.is_breached else "equivalent"}">{cells[5]}</span>',
            ],
        )
        for guardrail, cells in zip(report.guardrails, guardrail_rows(report), strict=True)
    ]
    caption = "An arm that breaches one gives its traffic to the baseline."
    yield render_section("guardrails", "Guardrails", table("guardrails-table", caption, heads, rows))


def _offline_section(joined: JoinedResults | None) -> Iterator[str]:
    if joined is None:
        return
    content = ""
    if joined.effects:
        titles = [text.capitalize() for text in JOINED_HEADER]
        heads = [Head(text=text, css="number" if at in (2, 3) else "") for at, text in enumerate(titles)]
        rows = [
            row(heads, name(cells[0]), [escape(text) for text in cells[1:]]) for cells in joined_rows(joined)
        ]
        caption = f"Against the baseline, in the experiment {joined.experiment} and by live requests."
        content = table("offline-table", caption, heads, rows)
    yield render_section("offline", OFFLINE_TITLE, content + bullets(joined_reasons(joined)))


def _history_section(history: Sequence[Revision]) -> str:
    heads = [
        Head(text=text, css="number" if text == "Revision" else "")
        for text in ("Revision", "What", "Made", "By", "Traffic")
    ]
    rows = [
        row(
            heads,
            f"{revision.number}",
            [
                escape(say_reason(revision)),
                f"{revision.at:%Y-%m-%d %H:%M:%S} UTC",
                escape(revision.by),
                escape(" ".join([f"{say_shares(revision)}.", *say_moves(revision)])),
            ],
        )
        for revision in reversed(history)
    ]
    caption = "What moved traffic, the latest first."
    return render_section("history", "Revisions", table("history-table", caption, heads, rows))


def _time(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
