"""What a look at an online test says, as words: shared by the terminal, Markdown and the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp

from headrace.domain.ab_report import AbArm, AbComparison, AbGuardrail, AbReport
from headrace.domain.offline_beside import JoinedResults
from headrace.evaluation import wording
from headrace.evaluation.report.board import MARKS, UNKNOWN
from headrace.evaluation.report.offline_text import JOINED_HEADER, OFFLINE_TITLE, joined_reasons, joined_rows
from headrace.evaluation.report.revisions import percent

ARM_HEADER = ("arm", "share", "units", "requests", "failed", "latency", "cost")
GUARDRAIL_HEADER = ("arm", "guardrail", "arm's", "baseline's", "evidence", "state")
_LARGEST = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRow:
    """An arm on one metric, ready to print.

    Attributes:
        units: Units that count.
        word: The verdict; "baseline" for the baseline, "open" where nothing is decided yet.
        reason: The sentence behind the verdict; empty for the baseline.
    """

    arm: str
    units: str
    mean: str
    effect: str
    interval: str
    evidence: str
    word: str
    reason: str


def effect_rows(report: AbReport, metric: str) -> tuple[EffectRow, ...]:
    """One row for every arm that answers, in the order of the file."""
    return tuple(_effect_row(report, arm, metric) for arm in report.arms if not arm.is_shadow)


def _effect_row(report: AbReport, arm: AbArm, metric: str) -> EffectRow:
    found = arm.metric(metric)
    comparison = report.comparison(arm.arm, metric)
    is_known = comparison is not None and comparison.effect is not None
    return EffectRow(
        arm=arm.arm,
        units=f"{found.n if found else 0:,}",
        mean=UNKNOWN if found is None or found.mean is None else wording.number(found.mean),
        effect=wording.signed(comparison.effect) if comparison and comparison.effect is not None else "",
        interval=wording.span(comparison.interval) if comparison and comparison.interval else "",
        evidence=say_evidence(comparison.log_e, comparison.threshold) if comparison and is_known else "",
        word=_word(comparison),
        reason="" if comparison is None else comparison.verdict.reason,
    )


def _word(comparison: AbComparison | None) -> str:
    if comparison is None:
        return "baseline"
    return comparison.word if comparison.verdict.is_judged else "open"


def arm_rows(report: AbReport) -> tuple[tuple[str, ...], ...]:
    """What each arm was asked and what that took, under :data:`ARM_HEADER`."""
    return tuple(_arm_row(arm) for arm in report.arms)


def _arm_row(arm: AbArm) -> tuple[str, ...]:
    failed = "" if arm.failure_rate is None else f" ({arm.failure_rate * 100:.3g}%)"
    latency, cost = arm.mean_latency_ms, arm.mean_cost_usd
    return (
        f"{arm.arm} (shadow)" if arm.is_shadow else arm.arm,
        percent(arm.share),
        UNKNOWN if arm.is_shadow else f"{arm.units:,}",
        f"{arm.exposures:,}",
        f"{arm.failures:,}{failed}",
        UNKNOWN if latency is None else wording.duration(latency),
        UNKNOWN if cost is None else wording.cost(cost),
    )


def guardrail_rows(report: AbReport) -> tuple[tuple[str, ...], ...]:
    """How each arm keeps each guardrail, under :data:`GUARDRAIL_HEADER`."""
    return tuple(_guardrail_row(guardrail) for guardrail in report.guardrails)


def _guardrail_row(guardrail: AbGuardrail) -> tuple[str, ...]:
    observed, baseline = guardrail.observed, guardrail.observed_baseline
    return (
        guardrail.arm,
        guardrail.metric,
        UNKNOWN if observed is None else wording.number(observed),
        UNKNOWN if baseline is None else wording.number(baseline),
        say_evidence(guardrail.log_e, guardrail.threshold),
        "breached" if guardrail.is_breached else "kept",
    )


def say_evidence(log_e: float, threshold: float) -> str:
    """An e-value beside the one that decides, e.g. "3.2 of 20"."""
    return f"{_e_value(log_e)} of {_e_value(threshold)}"


def _e_value(log_e: float) -> str:
    value = exp(min(log_e, 40.0))
    if value > _LARGEST:
        return "> 1,000,000"
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.2g}"


def split_decision(report: AbReport) -> tuple[str, str]:
    """The first sentence of the decision, and the rest."""
    first, _, rest = report.decision.reason.partition(". ")
    return (f"{first}.", rest) if rest else (first, "")


def say_sample_ratio(report: AbReport) -> str:
    """Whether units were split as the shares say."""
    ratio = report.sample_ratio
    pairs = ", ".join(
        f"{arm} {n:,} (expected {ratio.expected.get(arm, 0.0):,.0f})" for arm, n in ratio.observed.items()
    )
    said = f"evidence against it {say_evidence(ratio.log_e, ratio.threshold)}"
    if ratio.is_mismatch:
        return f"Sample ratio mismatch: {pairs}; {said}. Nothing is decided before its cause is found."
    return f"Sample ratio as it should be: {pairs}; {said}." if pairs else "No unit is in the test yet."


def say_horizon(report: AbReport) -> str:
    """Where a fixed horizon stands; empty where one may always look."""
    horizon = report.horizon
    if horizon is None:
        return ""
    looks = f"look {horizon.looks_done} of {horizon.looks} taken"
    if horizon.is_over:
        return f"Fixed horizon: the last of {horizon.looks} looks was taken."
    next_at = -(-horizon.n_units * (horizon.looks_done + 1) // horizon.looks)
    left = max(next_at - horizon.n, 0)
    return (
        f"Fixed horizon: {horizon.n:,} of {wording.count(horizon.n_units, 'unit')}, {looks}; the next one is due in "
        f"{wording.count(left, 'unit')}. Between looks there is no verdict."
    )


def say_facts(report: AbReport) -> Iterator[str]:
    """Further sentences: what is no evidence, and what a reader has to know."""
    others = {"held out": report.held_out, "forced": report.forced, "not in the test": report.outside}
    parts = [f"{n:,} {name}" for name, n in others.items() if n]
    if parts:
        yield f"Requests that are no evidence: {', '.join(parts)}."
    if report.orphans:
        yield (
            f"{wording.count(report.orphans, 'record')} came late, are about requests that are no evidence, or wait "
            "for their exposure."
        )


def find_interval_level(report: AbReport) -> str:
    """The level of the intervals, e.g. "95%"; empty without any."""
    return next((wording.level(item.interval) for item in report.comparisons if item.interval), "")


def metric_names(report: AbReport) -> tuple[str, ...]:
    """The metrics of the test, the primary one first."""
    return tuple(dict.fromkeys(metric.metric for arm in report.arms for metric in arm.metrics))


def direction_of(report: AbReport, metric: str) -> str:
    """Which way is better, for the title of a column."""
    found: AbComparison | None = next((item for item in report.comparisons if item.metric == metric), None)
    return "" if found is None or found.direction == "higher" else " (lower is better)"


def render_online_markdown(report: AbReport, shares: str, offline: JoinedResults | None = None) -> str:
    """A look as Markdown, for a comment or a chat; with what an experiment said of the arms."""
    lines = [f"## {report.test}", "", f"**{_cell(report.decision.reason)}**", "", _cell(shares)]
    for metric in metric_names(report):
        lines += ["", f"### {_cell(metric)}{direction_of(report, metric)}", ""]
        lines += _table(
            ("arm", "units", "mean", f"vs {report.baseline}", "interval", "evidence", "verdict"),
            [
                (row.arm, row.units, row.mean, row.effect, row.interval, row.evidence, _marked(row.word))
                for row in effect_rows(report, metric)
            ],
        )
    lines += ["", "### Requests", "", *_table(ARM_HEADER, arm_rows(report))]
    if report.guardrails:
        lines += ["", "### Guardrails", "", *_table(GUARDRAIL_HEADER, guardrail_rows(report))]
    if offline is not None:
        rows = joined_rows(offline)
        lines += ["", f"### {_cell(OFFLINE_TITLE)}", "", *(_table(JOINED_HEADER, rows) if rows else ())]
        lines += ["", *(f"- {_cell(sentence)}" for sentence in joined_reasons(offline))]
    sentences = [say_sample_ratio(report), say_horizon(report), *say_facts(report), *report.caveats]
    lines += ["", *(f"- {_cell(sentence)}" for sentence in sentences if sentence)]
    return "\n".join(lines) + "\n"


def _marked(word: str) -> str:
    return f"{MARKS[word]} {word}" if word in MARKS else word


def _table(
    header: tuple[str, ...], rows: tuple[tuple[str, ...], ...] | list[tuple[str, ...]]
) -> Iterator[str]:
    yield f"| {' | '.join(map(_cell, header))} |"
    yield f"|{' --- |' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
