"""A comparison as one self-contained HTML file, for people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from headrace.domain.comparison import Comparison, Recommendation
from headrace.domain.report import ReportContext, RunFacts
from headrace.evaluation import wording
from headrace.evaluation.report.arms import arm_sections, made
from headrace.evaluation.report.board import per_line, plain_span, shown_arm
from headrace.evaluation.report.board_style import BOARD_STYLE
from headrace.evaluation.report.breakdown import (
    heat_section,
    judge_section,
    main_effect_section,
    regression_section,
    slice_section,
)
from headrace.evaluation.report.elements import Head, bullets, chance, lead, name, row, table
from headrace.evaluation.report.flips import flip_section
from headrace.evaluation.report.graph import graph_section
from headrace.evaluation.report.headline import decision_of, headline
from headrace.evaluation.report.lines import line_section
from headrace.evaluation.report.methods import method_sentences
from headrace.evaluation.report.page import render_header, render_page, render_section
from headrace.evaluation.report.race import RACE_HEADER, race_rows, race_sentences, recommend
from headrace.evaluation.report.script import SCRIPT
from headrace.evaluation.report.style import STYLE
from headrace.evaluation.report.tradeoffs import tradeoff_section

_MARKS = {"ship": "\N{CHECK MARK}", "keep": "=", "undecided": "?"}
_DIGEST = 12
_SECTION = re.compile(r'<section id="([^"]+)"')
_CONTENTS = {
    "board": "Arms",
    "reasons": "Why",
    "other-metrics": "Metrics",
    "race": "The race",
    "caveats": "Caveats",
    "quality-cost": "Trade-offs",
    "main-effects": "Factors",
    "interaction": "Heat map",
    "slices": "Slices",
    "flips": "Flips",
    "regressions": "Regressions",
    "lines": "Lines",
    "flow": "Flow",
    "judges": "Judges",
    "methods": "Methods",
    "reproduce": "Make it again",
}


def render_html(comparison: Comparison, context: ReportContext) -> str:
    """Render a comparison as one HTML file that loads nothing from anywhere.

    Plots are inline SVG; every text of the user is escaped; the page can be read without its script.
    """
    recommendation = recommend(comparison, context)
    shown = shown_arm(comparison, recommendation)
    sections = [
        *arm_sections(comparison, recommendation, context),
        *_race_section(context),
        *_caveat_section(comparison),
        *tradeoff_section(comparison),
        *main_effect_section(comparison),
        *heat_section(comparison),
        *slice_section(comparison),
        *flip_section(comparison, context, shown),
        *regression_section(comparison, context),
        *line_section(comparison, context, shown),
        *graph_section(comparison, context, shown),
        *judge_section(comparison),
        _method_section(comparison),
        _reproduce_section(comparison, context),
    ]
    body = [
        _header(comparison, context),
        _contents(sections),
        "<main>",
        _verdict_card(comparison, recommendation),
        *([f'<p class="note">{escape(context.model_note)}</p>'] if context.model_note else []),
        *sections,
        "</main>",
    ]
    has_script = context.matrix is not None and any('id="data"' in text for text in sections)
    return render_page(
        body,
        title=context.title,
        skip=("verdict", "Skip to the verdict"),
        footer="Made by headrace. Every number can be made again from the recorded runs.",
        style=STYLE + BOARD_STYLE,
        script=SCRIPT if has_script else "",
    )


def _contents(sections: Sequence[str]) -> str:
    links = "".join(
        f'<li><a href="#{found[1]}">{_CONTENTS[found[1]]}</a></li>'
        for text in sections
        if (found := _SECTION.match(text)) is not None
    )
    return f'<nav class="contents" aria-label="On this page"><ul>{links}</ul></nav>'


def _header(comparison: Comparison, context: ReportContext) -> str:
    lines = max((arm.n_lines for arm in comparison.arms), default=0)
    repeats = max((arm.repeats for arm in comparison.arms), default=1)
    facts = {
        "Flow": context.flow,
        "Data": context.dataset,
        "Lines": f"{lines:,}" + (f" \N{MULTIPLICATION SIGN} {repeats} repeats" if repeats > 1 else ""),
        "Arms": f"{len(comparison.arms)}",
        "Baseline": comparison.baseline,
        "Created": f"{context.created_at:%Y-%m-%d %H:%M} UTC",
    }
    return render_header(context.title, facts)


def _verdict_card(comparison: Comparison, recommendation: Recommendation) -> str:
    decision = decision_of(comparison, recommendation)
    figures = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(number)}"
        + (f'<span class="small">{escape(note)}</span>' if note else "")
        + "</dd></div>"
        for label, number, note in _figures(comparison, recommendation)
    )
    return (
        f'<div class="verdict-card {decision}" role="region" aria-labelledby="verdict">'
        f'<div class="mark" aria-hidden="true">{_MARKS[decision]}</div>'
        f'<div class="verdict-text"><h2 id="verdict">{escape(headline(comparison, recommendation))}</h2>'
        f"<p>{escape(recommendation.reason)}</p>"
        + (f'<dl class="figures">{figures}</dl>' if figures else "")
        + "</div></div>"
    )


def _figures(comparison: Comparison, recommendation: Recommendation) -> Iterator[tuple[str, str, str]]:
    """The few numbers that a decision needs: what, number, note."""
    metric, arm = comparison.primary, recommendation.arm
    if metric is None or arm is None:
        return
    score, effect, summary = metric.score_of(arm), metric.effect_of(arm), comparison.summary_of(arm)
    if score.mean is not None:
        yield metric.spec.name, wording.number(score.mean.value), plain_span(score.mean)
    if effect is not None and effect.difference is not None:
        interval = effect.difference.interval
        note = "" if interval is None else wording.span(interval)
        yield f"against {comparison.baseline}", wording.signed(effect.difference.value), note
    if score.p_best is not None:
        yield "chance to be best", chance(score.p_best), ""
    each = None if summary.cost_usd is None else per_line(summary.cost_usd, summary)
    if each is not None:
        ratio = "" if summary.cost_ratio is None else f"{wording.ratio(summary.cost_ratio)} of the baseline"
        yield "cost", wording.cost(each * 1000), ratio or "per 1,000 lines"
    if summary.latency_p50_ms is not None:
        p95 = summary.latency_p95_ms
        yield (
            "median latency",
            wording.duration(summary.latency_p50_ms.value),
            "" if p95 is None else f"p95 {wording.duration(p95.value)}",
        )
    yield "failed", f"{summary.n_failed:,}", f"of {summary.n_observations:,}"


def _caveat_section(comparison: Comparison) -> Iterator[str]:
    if comparison.warnings:
        yield render_section("caveats", "Before you trust this", bullets(comparison.warnings))


def _race_section(context: ReportContext) -> Iterator[str]:
    if context.race is None:
        return
    heads = [Head(text=text) for text in RACE_HEADER]
    rows = [
        row(heads, escape(first), [escape(text) or "\N{EN DASH}" for text in cells])
        for first, *cells in race_rows(context.race)
    ]
    content = table("race-table", "When each arm left the race, and what it took.", heads, rows)
    yield render_section("race", "The race", content + bullets(race_sentences(context.race)))


def _method_section(comparison: Comparison) -> str:
    heads = [
        Head(text="Metric"),
        Head(text="Means", css="wide"),
        Head(text="Differences", css="wide"),
        Head(text="Tests", css="wide"),
        Head(text="Adjusted by"),
    ]
    rows = []
    for metric in comparison.metrics:
        means = dict.fromkeys(made(score.mean) for score in metric.scores)
        differences = dict.fromkeys(made(effect.difference) for effect in metric.effects)
        tests = dict.fromkeys(effect.method_p for effect in metric.effects if effect.p_raw is not None)
        cells = [
            escape("; ".join(text for text in texts if text)) or "\N{EM DASH}"
            for texts in (means, differences, tests)
        ]
        rows.append(row(heads, escape(metric.spec.name), [*cells, escape(comparison.provenance.adjustment)]))
    content = table("methods-table", "The method behind every number.", heads, rows) if rows else ""
    return render_section(
        "methods", "How the numbers were made", content + bullets(method_sentences(comparison))
    )


def _reproduce_section(comparison: Comparison, context: ReportContext) -> str:
    provenance = comparison.provenance
    facts = {
        "Seed": f"{provenance.seed}",
        "Alpha": f"{provenance.alpha:g}",
        "Family": provenance.family,
        "Statistics": f"version {provenance.statistics_version}",
        "Scores": f"SHA-256 {provenance.data_digest[:_DIGEST]}" if provenance.data_digest else "",
        **context.versions,
    }
    settings = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(text)}</dd></div>" for label, text in facts.items() if text
    )
    commands = f"<pre><code>{escape(chr(10).join(context.commands))}</code></pre>" if context.commands else ""
    return render_section(
        "reproduce", "Make it again", f'{commands}<dl class="facts">{settings}</dl>{_runs(context.runs)}'
    )


def _runs(runs: Sequence[RunFacts]) -> str:
    if not runs:
        return ""
    texts = ("Run", "Arm", "Evaluator", "Repeat", "Model", "Flow", "Flow digest", "Data digest", "Created")
    heads = [Head(text=text) for text in texts]
    rows = [
        row(
            heads,
            name(run.run),
            [
                name(run.arm),
                escape(run.evaluator or "\N{EM DASH}"),
                f"{run.repeat}",
                name(run.model or "\N{EM DASH}"),
                escape(run.flow_version or run.flow),
                f"<code>{escape(run.flow_digest[:_DIGEST])}</code>",
                f"<code>{escape((run.data_digest or '')[:_DIGEST]) or chr(8212)}</code>",
                f"{run.created_at:%Y-%m-%d %H:%M}",
            ],
        )
        for run in runs
    ]
    caption = "The runs behind the numbers; digests are the first 12 digits of SHA-256."
    return (
        f"<details><summary>{wording.count(len(runs), 'run')}</summary>"
        f"{lead('See one with headrace run show --name RUN.')}{table('runs-table', caption, heads, rows)}</details>"
    )
