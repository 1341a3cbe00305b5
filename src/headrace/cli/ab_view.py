"""Online tests and their revisions as people and programs read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from textwrap import wrap
from typing import Any

from headrace.cli.board_details import TEXT_WIDTH, dimmed
from headrace.cli.forest import Axis, draw_interval, make_axis
from headrace.cli.run_view import age
from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Terminal
from headrace.domain.ab_report import AbReport
from headrace.domain.comparison import Estimate
from headrace.domain.offline_beside import JoinedResults
from headrace.domain.traffic import Reason, Revision
from headrace.domain.values import without_nan
from headrace.evaluation.report.offline_text import joined_reasons, joined_rows
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
from headrace.evaluation.report.revisions import say_reason, say_shares

_STYLES: Mapping[Reason, tuple[str, ...]] = {
    "rolled back": ("red", "bold"),
    "stopped": ("yellow",),
    "promoted": ("green", "bold"),
}

WIDE = 100
"""Columns from which on intervals stand beside their effects and not below them."""

_AGREEMENTS: Mapping[str, tuple[str, ...]] = {
    "agree": ("green", "bold"),
    "disagree": ("red", "bold"),
    "cannot say yet": ("yellow",),
}
_ARM = Column(title="arm", least=12, wraps=True)
_WORDS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "better": ("\N{BLACK UP-POINTING TRIANGLE}", "^", ("green", "bold")),
    "worse": ("\N{BLACK DOWN-POINTING TRIANGLE}", "v", ("red", "bold")),
    "equivalent": ("\N{IDENTICAL TO}", "=", ("cyan",)),
    "inconclusive": ("\N{MIDDLE DOT}", "?", ("yellow",)),
    "open": ("\N{MIDDLE DOT}", "?", ("dim",)),
}


def revision_to_json(revision: Revision) -> dict[str, Any]:
    """A revision with all that it holds; numbers that JSON has none for are not known."""
    found = {
        "test": revision.test,
        "number": revision.number,
        "at": revision.at.isoformat(),
        "reason": revision.reason,
        "by": revision.by,
        "is_over": revision.is_over,
        "answering": revision.answering,
        "shares": {arm: revision.share(arm) for arm in revision.ranges},
        "ranges": {arm: [list(part) for part in parts] for arm, parts in revision.ranges.items()},
        "digest": revision.digest,
        "evidence": dict(revision.evidence),
        "definition": dict(revision.definition),
    }
    plain: dict[str, Any] = without_nan(found)
    return plain


def render_revisions(history: Sequence[Revision], terminal: Terminal, now: datetime) -> str:
    """One row per revision; what it moved stands below it."""
    columns = (
        Column(title="#", is_right=True),
        Column(title="made", leaves=2),
        Column(title="what", least=16, wraps=True),
        Column(title="by", least=8, leaves=1),
        Column(title="shares", least=20, wraps=True),
    )
    rows = [
        [
            Cell(f"{revision.number}"),
            Cell(age(revision.at, now), ("dim",)),
            Cell(say_reason(revision), _STYLES.get(revision.reason, ())),
            Cell(revision.by, ("dim",)),
            Cell(say_shares(revision)),
        ]
        for revision in history
    ]
    width = terminal.width if terminal.has_tty_out else None
    return render_table(columns, rows, ink=terminal.out, width=width)


def view_to_json(view: AbView) -> dict[str, Any]:
    """Where a test stands, with all numbers; those that JSON has none for are not known."""
    return {
        "test": view.report.test,
        "report": without_nan(asdict(view.report)),
        "revision": revision_to_json(view.history[-1]),
        "offline": None if view.offline is None else without_nan(asdict(view.offline)),
    }


def render_view(view: AbView, terminal: Terminal, now: datetime) -> str:
    """Decision, effects, requests, guardrails, and what to know before trusting it; no final line end."""
    report = view.report
    parts = [
        _decision(view, terminal),
        _about(view, terminal, now),
        *(_effects(report, metric, terminal) for metric in metric_names(report)),
        dimmed(_reasons(report), terminal),
        _requests(report, terminal),
        _guardrails(report, terminal),
        *_offline(view.offline, terminal),
        _warnings(report, terminal),
        dimmed(_sentences(report), terminal),
    ]
    return "\n\n".join(part for part in parts if part)


def render_tests(latest: Sequence[Revision], terminal: Terminal, now: datetime) -> str:
    """One row per test: since when what holds of it."""
    columns = (
        Column(title="test", least=16, wraps=True),
        Column(title="revision", is_right=True),
        Column(title="made", leaves=1),
        Column(title="what", least=12, wraps=True),
        Column(title="shares", least=20, wraps=True),
    )
    rows = [
        [
            Cell(revision.test),
            Cell(f"{revision.number}"),
            Cell(age(revision.at, now), ("dim",)),
            Cell(say_reason(revision), _STYLES.get(revision.reason, ())),
            Cell(say_shares(revision)),
        ]
        for revision in latest
    ]
    return render_table(columns, rows, ink=terminal.out, width=_width(terminal))


def _width(terminal: Terminal) -> int | None:
    return terminal.width if terminal.has_tty_out else None


def _decision(view: AbView, terminal: Terminal) -> str:
    decision = view.report.decision
    styles: tuple[str, ...] = ("yellow", "bold")
    if decision.arm is not None:
        styles = ("bold",) if decision.arm == view.report.baseline else ("green", "bold")
    first = split_decision(view.report)[0]
    lines = wrap(decision.reason, min(terminal.width, TEXT_WIDTH), break_on_hyphens=False)
    lines[0] = lines[0].replace(first, terminal.out.paint(first, *styles), 1)
    return "\n".join(lines)


def _about(view: AbView, terminal: Terminal, now: datetime) -> str:
    latest = view.history[-1]
    since = f"revision {latest.number}: {say_reason(latest)}, {age(latest.at, now)}"
    facts = [view.report.test, view.traffic.experiment, since, say_shares(latest)]
    return _paragraph(" \N{MIDDLE DOT} ".join(dict.fromkeys(fact for fact in facts if fact)), terminal, "dim")


def _paragraph(text: str, terminal: Terminal, *styles: str) -> str:
    lines = wrap(text, min(terminal.width, TEXT_WIDTH), break_on_hyphens=False)
    return "\n".join(terminal.out.paint(line, *styles) for line in lines)


def _effects(report: AbReport, metric: str, terminal: Terminal) -> str:
    is_wide = terminal.width >= WIDE
    level = f"{find_interval_level(report)} interval".lstrip()
    found = {item.arm: item for item in report.comparisons if item.metric == metric}
    estimates = {
        arm: Estimate(value=item.effect, interval=item.interval, n=item.n)
        for arm, item in found.items()
        if item.effect is not None
    }
    axis = make_axis(list(estimates.values()))
    columns = [
        _ARM,
        Column(title="units", is_right=True, leaves=2),
        Column(title=f"{metric}{direction_of(report, metric)}", is_right=True, least=10),
        Column(title=f"vs {report.baseline}", is_right=True, least=18),
        *([Column(title=level)] if is_wide else []),
        Column(title="evidence", is_right=True),
        Column(title="verdict"),
        *([Column(title="", leaves=1)] if is_wide else []),
    ]
    rows: list[list[Cell]] = []
    for row in effect_rows(report, metric):
        cells = [Cell(row.arm), Cell(row.units), Cell(row.mean), _effect_cell(row)]
        ending = [Cell(row.evidence), _word_cell(row.word, terminal)]
        if is_wide:
            drawn = _drawn(estimates.get(row.arm), axis, row.word, terminal)
            rows.append([*cells, Cell(row.interval, ("dim",)), *ending, drawn])
        else:
            rows.append([*cells, *ending])
            if row.interval:
                rows.append([Cell(""), Cell(""), Cell(""), Cell(row.interval, ("dim",)), Cell(""), Cell("")])
    table = render_table(columns, rows, ink=terminal.out, width=_width(terminal))
    return (
        table
        if is_wide or not estimates
        else f"{table}\n{dimmed([f'below each effect its {level}'], terminal)}"
    )


def _reasons(report: AbReport) -> list[str]:
    """Why the primary metric says what it says of each arm; the decision says it of the arm that it is about."""
    primary = [row for metric in metric_names(report)[:1] for row in effect_rows(report, metric)]
    return [f"{row.arm}: {row.reason}" for row in primary if row.reason not in report.decision.reason]


def _effect_cell(row: EffectRow) -> Cell:
    return Cell("baseline", ("dim",)) if row.word == "baseline" else Cell(row.effect or "\N{EN DASH}")


def _word_cell(word: str, terminal: Terminal) -> Cell:
    if word not in _WORDS:
        return Cell("")
    mark, ascii_mark, styles = _WORDS[word]
    return Cell(f"{mark if terminal.has_unicode else ascii_mark} {word}", styles)


def _drawn(estimate: Estimate | None, axis: Axis | None, word: str, terminal: Terminal) -> Cell:
    if axis is None:
        return Cell("")
    styles = _WORDS[word][2] if word in _WORDS else ("dim",)
    return Cell(draw_interval(estimate, axis, has_unicode=terminal.has_unicode), styles)


def _requests(report: AbReport, terminal: Terminal) -> str:
    leaving = {"latency": 2, "cost": 1}
    columns = [
        _ARM,
        *(Column(title=title, is_right=True, leaves=leaving.get(title)) for title in ARM_HEADER[1:]),
    ]
    rows = [[Cell(text) for text in row] for row in arm_rows(report)]
    return render_table(columns, rows, ink=terminal.out, width=_width(terminal))


def _guardrails(report: AbReport, terminal: Terminal) -> str:
    if not report.guardrails:
        return ""
    columns = [
        _ARM,
        Column(title="guardrail", least=10, wraps=True),
        *(Column(title=title, is_right=True) for title in GUARDRAIL_HEADER[2:5]),
        Column(title="state"),
    ]
    rows = [
        [*(Cell(text) for text in row[:-1]), Cell(row[-1], ("red", "bold") if row[-1] == "breached" else ())]
        for row in guardrail_rows(report)
    ]
    return render_table(columns, rows, ink=terminal.out, width=_width(terminal))


def _offline(joined: JoinedResults | None, terminal: Terminal) -> Iterator[str]:
    if joined is None:
        return
    if joined.effects:
        columns = [
            _ARM,
            Column(title="metric", least=8, wraps=True),
            Column(title="offline", is_right=True, least=10, wraps=True),
            Column(title="online", is_right=True, least=10, wraps=True),
            Column(title="both", least=8, wraps=True),
        ]
        rows = [
            [*(Cell(text) for text in row[:-1]), Cell(row[-1], _AGREEMENTS[row[-1]])]
            for row in joined_rows(joined)
        ]
        yield render_table(columns, rows, ink=terminal.out, width=_width(terminal))
    yield dimmed(joined_reasons(joined), terminal)


def _warnings(report: AbReport, terminal: Terminal) -> str:
    sentences = [*([say_sample_ratio(report)] if report.sample_ratio.is_mismatch else []), *report.caveats]
    lines: list[str] = []
    for sentence in sentences:
        wrapped = wrap(
            sentence,
            min(terminal.width, TEXT_WIDTH),
            initial_indent="! ",
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
        lines += [wrapped[0].replace("!", terminal.out.paint("!", "yellow", "bold"), 1), *wrapped[1:]]
    return "\n".join(lines)


def _sentences(report: AbReport) -> Iterator[str]:
    if not report.sample_ratio.is_mismatch:
        yield say_sample_ratio(report)
    if horizon := say_horizon(report):
        yield horizon
    yield from say_facts(report)
    yield "Evidence is an e-value beside the one that decides; it may be looked at always."
