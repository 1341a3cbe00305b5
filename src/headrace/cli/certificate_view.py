"""A parity certificate for people, for a page, and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Ink, Terminal
from headrace.cli.wording import plural
from headrace.domain.certificate import Certificate, Difference, FlowParity, FlowQuality, FlowWord

_STYLES: Mapping[FlowWord, tuple[str, ...]] = {
    "equal": ("green", "bold"),
    "varies": ("green",),
    "different": ("red", "bold"),
    "both failed": ("yellow",),
    "not tried": ("dim",),
}
_COLUMNS = (
    Column(title="flow", least=12),
    Column(title="kind"),
    Column(title="lines", is_right=True),
    Column(title="answers"),
    Column(title="", least=20, wraps=True),
)
_MAX_VALUE = 160


def render_certificate(certificate: Certificate, terminal: Terminal) -> str:
    """A sentence, a row per flow, and the lines on which the engines differ."""
    ink = terminal.out
    width = terminal.width if terminal.has_tty_out else None
    rows = [
        (flow.path, flow.kind, str(flow.n_lines or ""), Cell(flow.word, _STYLES[flow.word]), _remark(flow))
        for flow in certificate.flows
    ]
    parts = [ink.paint(headline(certificate), "bold")]
    if rows:
        parts.append(render_table(_COLUMNS, rows, ink=ink, width=width))
    untested = [flow for flow in certificate.flows if flow.quality is None]
    parts += [_differences(flow, certificate, ink) for flow in untested if flow.differences]
    if certificate.repeats == 1 and not all(flow.is_clean for flow in untested):
        parts.append("One answer each cannot tell noise from a difference; --repeats 5 can.")
    return "\n\n".join(parts)


def headline(certificate: Certificate) -> str:
    """Both engines and how many flows came out how."""
    counts = Counter(flow.word for flow in certificate.flows)
    words = ", ".join(f"{counts[word]} {word}" for word in _STYLES if counts[word]) or "none"
    tested = Counter(flow.quality.word for flow in certificate.flows if flow.quality is not None)
    words += "".join(f", {count} {word}" for word, count in sorted(tested.items()))
    times = "" if certificate.repeats == 1 else f", {certificate.repeats} answers each"
    return f"{certificate.ours} against {certificate.theirs}{times}: {plural(len(certificate.flows), 'flow')}: {words}."


def _remark(flow: FlowParity) -> str:
    if flow.quality is not None:
        return _quality(flow.quality)
    if flow.word == "not tried":
        return flow.reason
    parts = [f"{item.name} {item.word}{_p(item.p)}" for item in flow.fields if item.word != "equal"]
    for count, words in (
        (flow.n_only_ours_failed, "failed here only"),
        (flow.n_only_theirs_failed, "failed there only"),
        (flow.n_both_failed, "failed in both"),
    ):
        if count:
            parts.append(f"{plural(count, 'line')} {words}")
    return "; ".join(parts) or f"lines from {flow.data}"


def _quality(quality: FlowQuality) -> str:
    """What the test of the metric says, in a sentence."""
    name = quality.metric
    failed = quality.n_failed_ours + quality.n_failed_theirs
    failures = (
        f"; {quality.n_failed_ours} answers failed here, {quality.n_failed_theirs} there" if failed else ""
    )
    if quality.difference is None or quality.ours is None or quality.theirs is None:
        return f"{name} {quality.word}: {quality.reason}{failures}"
    bound = "" if quality.bound is None else f", 95% sure above {_signed(quality.bound)}"
    lines = f"{plural(quality.n_lines, 'line')} × {plural(quality.repeats, 'answer')}"
    planned = ", planned" if quality.is_planned else ""
    made = f"margin {quality.margin:g}, {lines}{planned}{_only_p(quality.p)}"
    text = (
        f"{name} {quality.word}: {quality.ours:.3f} here, {quality.theirs:.3f} there, "
        f"difference {_signed(quality.difference)}{bound} ({made})"
    )
    if quality.word == "not shown":
        text += f"; {quality.reason.rstrip('.')}" if quality.reason else ""
        if quality.n_needed is not None and quality.n_needed > quality.n_lines:
            text += f"; if both answer alike, {quality.n_needed:,} lines would show it"
    return text + failures


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _only_p(p: float | None) -> str:
    return "" if p is None else f", p {p:.3f}"


def _p(p: float | None) -> str:
    return "" if p is None else f" (p {p:.3f})"


def _differences(flow: FlowParity, certificate: Certificate, ink: Ink) -> str:
    lines = [ink.paint(flow.path, "bold")]
    names = (certificate.ours.partition(" ")[0], certificate.theirs.partition(" ")[0])
    pad = max(map(len, names))
    for item in flow.differences:
        lines.append(f"  line {item.line_number}{f', {item.field}' if item.field else ''}")
        lines += [f"    {name:<{pad}}  {value}" for name, value in zip(names, _values(item), strict=True)]
    return "\n".join(lines)


def _values(item: Difference) -> tuple[str, str]:
    ours, theirs = (json.dumps(value, ensure_ascii=False, default=str) for value in (item.ours, item.theirs))
    return _cut(ours), _cut(theirs)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + " …"


def render_markdown(certificate: Certificate) -> str:
    """The certificate as a page."""
    lines = [
        f"# Parity certificate: {certificate.project}",
        "",
        headline(certificate),
        "",
        f"Made {certificate.created_at:%Y-%m-%d %H:%M} UTC.",
        "",
        "| flow | kind | lines | answers | | digest |",
        "| --- | --- | --: | --- | --- | --- |",
    ]
    for flow in certificate.flows:
        cells = (flow.path, flow.kind, str(flow.n_lines or ""), flow.word, _remark(flow), flow.digest[:12])
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    for flow in certificate.flows:
        for item in flow.differences if flow.quality is None else ():
            ours, theirs = _values(item)
            lines += ["", f"`{flow.path}` line {item.line_number} {item.field}".rstrip() + ":", "", "```text"]
            lines += [f"{certificate.ours}: {ours}", f"{certificate.theirs}: {theirs}", "```"]
    return "\n".join(lines) + "\n"


def certificate_to_json(certificate: Certificate) -> dict[str, Any]:
    """Everything as plain data."""
    return {
        **asdict(certificate),
        "created_at": certificate.created_at.isoformat(),
        "is_clean": certificate.is_clean,
    }
