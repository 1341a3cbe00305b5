"""The spans of one line as a tree: what ran when, for how long, with how many tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from headrace.cli.terminal import Ink, Terminal, crop, pad, text_width
from headrace.cli.wording import duration, plural
from headrace.domain.span import SpanRecord

_MIN_BAR_CELLS = 12
_MAX_BAR_CELLS = 40
_GAP = "  "


class Twigs(NamedTuple):
    """The characters that a tree and its bars are drawn with."""

    branch: str
    last: str
    down: str
    blank: str
    bar: str
    arrow: str


_BOX = Twigs("├─ ", "└─ ", "│  ", "   ", "━", "→")
_ASCII = Twigs("|- ", "`- ", "|  ", "   ", "=", "->")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One span in the tree: its label with the tree's lines in front, and what is said about it."""

    label: str
    span: SpanRecord
    note: str


def render_trace(spans: Sequence[SpanRecord], terminal: Terminal) -> str:
    """One row per span: name, time, a bar on the line's own time axis, tokens and errors.

    Args:
        spans: Finished spans of one line, in any order; spans whose parent is missing stand at the root.
        terminal: Width, colours and characters of standard output.
    """
    twigs = _BOX if terminal.has_unicode else _ASCII
    rows = make_rows(spans, twigs)
    begin = min(span.start_ns for span in spans)
    total_ns = max(max(span.end_ns for span in spans) - begin, 1)
    times = [duration(row.span.duration_ms) for row in rows]
    label_cells = min(max(text_width(row.label) for row in rows), terminal.width // 2 - 4)
    time_cells = max(len(time) for time in times)
    rest = terminal.width - label_cells - time_cells - 3 * len(_GAP)
    note_cells = min(max(text_width(row.note) for row in rows), rest - _MIN_BAR_CELLS)
    bar_cells = min(max(rest - note_cells, _MIN_BAR_CELLS), _MAX_BAR_CELLS)
    lines = []
    for row, time in zip(rows, times, strict=True):
        bar = _bar(row.span, begin, total_ns, bar_cells, twigs.bar)
        parts = [
            _paint_label(pad(crop(row.label, label_cells), label_cells), row.span, terminal.out),
            pad(time, time_cells, is_right=True),
            terminal.out.paint(pad(bar, bar_cells), *_bar_styles(row.span)),
            terminal.out.paint(
                crop(row.note, max(note_cells, 1)), *(("red",) if _failed(row.span) else ("dim",))
            ),
        ]
        lines.append(_GAP.join(parts).rstrip())
    return "\n".join(lines)


def make_rows(spans: Sequence[SpanRecord], twigs: Twigs = _BOX) -> list[Row]:
    """The spans in tree order, children by start time, each with its drawn label."""
    known = {span.span_id for span in spans}
    children: dict[str | None, list[SpanRecord]] = {}
    for span in sorted(spans, key=lambda item: (item.start_ns, item.end_ns)):
        parent = span.parent_id if span.parent_id in known else None
        children.setdefault(parent, []).append(span)
    rows: list[Row] = []
    # A stack and not recursion: the depth of a trace is the user's.
    waiting = [(span, "", "") for span in reversed(children.get(None, []))]
    while waiting:
        span, lead, below = waiting.pop()
        rows.append(Row(label=lead + span.name, span=span, note=span_note(span, twigs.arrow)))
        inner = children.get(span.span_id, [])
        for position, child in reversed(list(enumerate(inner))):
            is_last = position == len(inner) - 1
            twig = twigs.last if is_last else twigs.branch
            waiting.append((child, below + twig, below + (twigs.blank if is_last else twigs.down)))
    return rows


def span_note(span: SpanRecord, arrow: str = "→") -> str:
    """What is worth saying beside the time: model, tokens, retries, the kind of error."""
    attributes = span.attributes
    parts = []
    model = attributes.get("gen_ai.request.model")
    if model and str(model) not in span.name:
        parts.append(str(model))
    tokens_in = attributes.get("gen_ai.usage.input_tokens")
    tokens_out = attributes.get("gen_ai.usage.output_tokens")
    if tokens_in is not None:
        text = f"{tokens_in:,}" if tokens_out is None else f"{tokens_in:,} {arrow} {tokens_out:,}"
        parts.append(f"{text} tokens")
    retries = attributes.get("headrace.retries")
    if retries:
        parts.append(f"after {retries} {'retry' if retries == 1 else 'retries'}")
    waited_s = attributes.get("headrace.quota_wait_s")
    if waited_s:
        parts.append(f"{waited_s:.1f} s of it waiting for quota")
    if _failed(span):
        parts.append(span.status_text or str(attributes.get("error.type", "failed")))
    return ", ".join(parts)


def _failed(span: SpanRecord) -> bool:
    return span.status == "error"


def _bar(span: SpanRecord, begin: int, total_ns: int, cells: int, mark: str) -> str:
    start = min(int((span.start_ns - begin) / total_ns * cells), cells - 1)
    end = max(round((span.end_ns - begin) / total_ns * cells), start + 1)
    return " " * start + mark * (min(end, cells) - start)


def _bar_styles(span: SpanRecord) -> tuple[str, ...]:
    if _failed(span):
        return ("red",)
    return ("blue",) if span.kind == "client" else ("cyan",)


def _paint_label(label: str, span: SpanRecord, ink: Ink) -> str:
    return ink.paint(label, "red") if _failed(span) else label


def trace_to_json(spans: Sequence[SpanRecord]) -> list[dict[str, Any]]:
    """The spans in tree order, with OpenTelemetry's attribute names."""
    return [_span_json(row.span) for row in make_rows(spans)]


def _span_json(span: SpanRecord) -> dict[str, Any]:
    return {
        "name": span.name,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "kind": span.kind,
        "start_ns": span.start_ns,
        "end_ns": span.end_ns,
        "duration_ms": span.duration_ms,
        "status": span.status,
        "status_text": span.status_text,
        "attributes": dict(span.attributes),
        "events": [_event_json(event) for event in span.events],
    }


def _event_json(event: tuple[str, int, Mapping[str, Any]]) -> dict[str, Any]:
    name, time_ns, attributes = event
    return {"name": name, "time_ns": time_ns, "attributes": dict(attributes)}


def describe_line(title: str, status: str, duration_ms: float, tokens: int) -> str:
    """The line above the tree."""
    parts = [title, status, duration(duration_ms), plural(tokens, "token") if tokens else ""]
    return " · ".join(part for part in parts if part)
