"""The page about recorded runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from tests.support.runs import a_line, a_spec, a_time

from headrace.domain.run import COMPLETED, FAILED, LineResult, NodeResult, Run
from headrace.errors import Problem
from headrace.evaluation.report import runs
from headrace.evaluation.report.runs import RecordedRun, render_runs

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOSTILE = "<script>alert('&\"')</script>"


class Page(HTMLParser):
    """Reads a page, refuses tags that do not nest, and keeps tags and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "br", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def count(self, tag: str, css: str | None = None) -> int:
        return sum(name == tag and (css is None or attrs.get("class") == css) for name, attrs in self.tags)


def a_run(name: str = "first", lines: tuple[LineResult, ...] = (), **changes: Any) -> RecordedRun:
    fields: dict[str, Any] = {
        "status": COMPLETED,
        "created_at": a_time(),
        "finished_at": a_time(0.5),
        "n_lines": len(lines),
        "n_failed": sum(line.status == FAILED for line in lines),
    }
    spec = a_spec(name, **changes.pop("spec", {}))
    return RecordedRun(run=Run(spec=spec, **{**fields, **changes}), lines=lines)


def page(*recorded: RecordedRun) -> Page:
    return Page(render_runs(recorded, created_at=NOW))


def failed(number: int) -> LineResult:
    problem = Problem(code="E601", what=f"What {HOSTILE}.", fix=f"Fix {HOSTILE}.", detail=(f"in {HOSTILE}",))
    return a_line(number, status=FAILED, outputs={}, problem=problem)


def test_everything_of_the_user_is_escaped_and_shown() -> None:
    line = a_line(
        0,
        inputs={HOSTILE: HOSTILE},
        outputs={HOSTILE: {"k": [HOSTILE]}},
        nodes=(NodeResult(node=HOSTILE, status=COMPLETED, output=HOSTILE, logs={"stdout": f"{HOSTILE}\n"}),),
    )
    spec = {
        "display_name": f"T{HOSTILE}",
        "description": HOSTILE,
        "tags": {HOSTILE: HOSTILE},
        "variant": HOSTILE,
    }
    shown = page(a_run("a", (line, failed(1)), spec=spec, metrics={HOSTILE: HOSTILE}))
    assert shown.count("script") == 0
    for tag, attributes in shown.tags:
        assert not any(name.startswith("on") or name in ("src", "href") for name in attributes if tag != "a")
    assert shown.text.count(HOSTILE) >= 18
    assert "E601 tool-failed" in shown.text


def test_a_page_loads_nothing() -> None:
    text = render_runs([a_run("a", (a_line(0),))], created_at=NOW)
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_lines_of_several_runs_stand_together() -> None:
    first = a_run("a", (a_line(0), failed(1)), metrics={"f1": 0.5, "n": 3})
    second = a_run("b", (a_line(1, inputs={"question": "other"}), a_line(7)), metrics={"n": 4})
    shown = page(first, second)
    assert "2 runs side by side" in shown.text
    assert (shown.count("details", "ended-well"), shown.count("details", "ended-badly")) == (2, 1)
    assert "b: Inputs" in shown.text
    assert "a: Outputs" in shown.text
    assert "All 3" in shown.text
    assert "Failed 1" in shown.text
    assert "0.500" in shown.text


def test_there_is_nothing_to_choose_where_all_lines_ended_alike() -> None:
    assert page(a_run("a", (a_line(0), a_line(1)))).count("input") == 0
    assert page(a_run("a", (failed(0), failed(1)))).count("input") == 0
    assert page(a_run("a", (a_line(0), failed(1)))).count("input") == 2


def test_a_run_without_lines_says_so() -> None:
    problem = Problem(code="E608", what="The run was interrupted.")
    shown = page(a_run("a", status=FAILED, finished_at=None, problem=problem))
    assert "No line is recorded." in shown.text
    assert "The run was interrupted." in shown.text


def test_of_too_many_lines_the_failed_ones_stay(monkeypatch: Any) -> None:
    monkeypatch.setattr(runs, "MAX_LINES", 3)
    shown = page(a_run("a", (a_line(0), a_line(1), a_line(2), failed(3), failed(4))))
    assert (shown.count("details", "ended-well"), shown.count("details", "ended-badly")) == (1, 2)
    assert "3 of 5 lines" in shown.text


def test_long_values_are_cut_and_half_emoji_written_as_escapes(monkeypatch: Any) -> None:
    monkeypatch.setattr(runs, "_MAX_TEXT", 10)
    line = replace(a_line(0), outputs={"long": "x" * 50, "half": "\ud83d"})
    shown = page(a_run("a", (line,)))
    assert "xxxxxxxxxx… (50 characters)" in shown.text
    assert "\\ud83d" in shown.text
