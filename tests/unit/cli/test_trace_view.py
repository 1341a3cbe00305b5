from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.terminal import Terminal, text_width
from headrace.cli.trace_view import describe_line, make_rows, render_trace, span_note, trace_to_json
from headrace.domain.span import SpanRecord

MS = 1_000_000


def a_span(name: str, start: float, end: float, parent: str | None = None, **changes: Any) -> SpanRecord:
    fields: dict[str, Any] = {"trace_id": "1" * 32, "span_id": name, "parent_id": parent}
    return SpanRecord(name=name, start_ns=int(start * MS), end_ns=int(end * MS), **{**fields, **changes})


SPANS = (
    a_span("flow", 0, 400),
    a_span("retrieve", 0, 100, "flow"),
    a_span("generate", 100, 400, "flow"),
    a_span(
        "chat gpt-4o", 200, 400, "generate", kind="client",
        attributes={"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 1200,
                    "gen_ai.usage.output_tokens": 46, "headrace.retries": 2},
    ),
)  # fmt: skip


def test_the_tree_shows_nesting_times_bars_and_tokens() -> None:
    text = render_trace(SPANS, Terminal(width=110))
    lines = text.splitlines()
    assert [line.split("  ")[0].rstrip() for line in lines] == [
        "flow", "├─ retrieve", "└─ generate", "", ]  # fmt: skip
    assert lines[3].startswith("   └─ chat gpt-4o")
    assert lines[3].endswith("1,200 → 46 tokens, after 2 retries")
    full, first, later, call = (line[line.index("━") : line.rindex("━") + 1] for line in lines)
    assert len(full) == 4 * len(first)
    assert len(later) == 3 * len(first)
    assert lines[2].index("━") == lines[1].rindex("━") + 1
    assert len(call) == 2 * len(first)
    assert [" ".join(line[: line.index("━")].split()[-2:]) for line in lines] == [
        "400 ms",
        "100 ms",
        "300 ms",
        "200 ms",
    ]


def test_without_unicode_the_tree_is_ascii() -> None:
    assert render_trace(SPANS, Terminal(width=92, has_unicode=False)).isascii()


def test_an_error_is_named_and_painted() -> None:
    failed = a_span("work", 0, 1, status="error", status_text="E601 tool-failed")
    assert span_note(failed) == "E601 tool-failed"
    assert span_note(a_span("w", 0, 1, status="error", attributes={"error.type": "timeout"})) == "timeout"


def test_spans_whose_parent_is_missing_stand_at_the_root() -> None:
    rows = make_rows((a_span("b", 5, 6, "gone"), a_span("a", 0, 1)))
    assert [row.label for row in rows] == ["a", "b"]


def test_a_very_deep_trace_is_drawn() -> None:
    spans = tuple(a_span(str(depth), 0, 1, str(depth - 1) if depth else None) for depth in range(3000))
    assert len(make_rows(spans)) == 3000


@given(st.integers(1, 30), st.integers(40, 200), st.randoms(use_true_random=False))
def test_any_tree_fits_and_shows_every_span_once(n_spans: int, width: int, chance: random.Random) -> None:
    spans = []
    for number in range(n_spans):
        start = chance.uniform(0, 100)
        parent = f"span {chance.randrange(number)}" if number and chance.random() < 0.8 else None
        spans.append(a_span(f"span {number}", start, start + chance.uniform(0, 50), parent))
    chance.shuffle(spans)
    lines = render_trace(spans, Terminal(width=width)).splitlines()
    assert len(lines) == n_spans
    assert max(text_width(line) for line in lines) <= width
    assert sorted(row.span.name for row in make_rows(spans)) == sorted(span.name for span in spans)


def test_json_keeps_everything_in_tree_order() -> None:
    data = trace_to_json(tuple(reversed(SPANS)))
    assert [item["name"] for item in data] == ["flow", "retrieve", "generate", "chat gpt-4o"]
    assert data[3]["attributes"]["gen_ai.usage.output_tokens"] == 46
    assert data[0]["duration_ms"] == pytest.approx(400)


def test_the_heading_leaves_out_what_there_is_none_of() -> None:
    assert describe_line("first · line 0", "Completed", 12.3, 0) == "first · line 0 · Completed · 12 ms"
    assert describe_line("x", "Failed", 1200, 1) == "x · Failed · 1.20 s · 1 token"
