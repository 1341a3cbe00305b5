"""The thread that writes kept requests: what it bounds, what it leaves out, and that nobody waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.runs import a_line, a_spec
from tests.support.serve_process import until

from headrace.config import load_settings
from headrace.domain.run import LineResult
from headrace.domain.version import Manifest
from headrace.errors import Problem, StateError, UsageError
from headrace.operations import kept_requests
from headrace.operations.kept_requests import KeptRequests, KeptRun, keep_rule, served_name
from headrace.operations.read_version import FlowSnapshot
from headrace.store.memory import MemoryStore
from headrace.telemetry.sampling import TailRule
from headrace.telemetry.setup import SilentSink

NOW = datetime(2026, 7, 1, 12, 30, 5, tzinfo=UTC)
SNAPSHOT = FlowSnapshot(
    digest="d" * 64,
    manifest=Manifest(place="flow", file="flow.dag.yaml", entry="", files=(), skipped=()),
    contents={},
)


class FaultyStore(MemoryStore):
    """A store that waits, or fails, as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.is_free = threading.Event()
        self.is_free.set()
        self.n_failures = 0

    def append_lines(self, run: str, results: Sequence[LineResult], changes: Any = None) -> None:
        self.is_free.wait(20)
        if self.n_failures:
            self.n_failures -= 1
            raise StateError(Problem(code="S803", what="The store is away."))
        if any(line.inputs.get("q") == "odd" for line in results):
            what = "a value that no store takes"
            raise TypeError(what)
        super().append_lines(run, results, changes)

    def close(self) -> None:
        """Stay open, to be looked at."""


class Counting(SilentSink):
    def __init__(self) -> None:
        super().__init__()
        self.counted: list[str] = []

    def count(self, name: str, change: int, attributes: Any) -> None:
        self.counted.append(name)


def begin(store: FaultyStore, sink: SilentSink | None = None) -> tuple[KeptRequests, KeptRun]:
    kept = KeptRequests(store, TailRule(share=1.0), now=lambda: NOW, sink=sink or SilentSink(), every_s=0.01)
    return kept, kept.begin(a_spec("", flow_name="my flow"), SNAPSHOT)


def numbers(store: FaultyStore) -> list[int]:
    return [line.line_number for run in store.list_runs() for line in store.read_lines(run.spec.name)]


def test_lines_get_the_next_numbers_of_their_run_whatever_they_were_before() -> None:
    store = FaultyStore()
    kept, run = begin(store)
    for number in (7, 3, 9):
        kept.take(run, a_line(number))
    kept.close()
    assert numbers(store) == [0, 1, 2]
    (found,) = store.list_runs()
    assert (found.status, found.n_lines, found.spec.is_served) == ("Completed", 3, True)
    assert found.spec.name.startswith("served-my-flow-20260701-123005-")


def test_a_store_that_was_away_gets_everything_once() -> None:
    store = FaultyStore()
    store.n_failures = 3
    kept, run = begin(store)
    kept.take(run, a_line(0))
    until(lambda: numbers(store) == [0])
    kept.take(run, a_line(0))
    kept.close()
    assert numbers(store) == [0, 1]
    assert kept.n_lost == 0


def test_what_does_not_fit_is_lost_counted_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kept_requests, "MOST_LINES", 10)
    store, sink = FaultyStore(), Counting()
    store.is_free.clear()
    kept, run = begin(store, sink)
    with caplog.at_level(logging.WARNING, "headrace.serving"):
        for number in range(25):
            kept.take(run, a_line(number))
        store.is_free.set()
        kept.close()
    assert kept.n_lost == 15
    assert sink.counted == ["headrace.requests.lost"] * 15
    assert numbers(store) == list(range(10))
    said = [record.getMessage() for record in caplog.records]
    assert sum("Some requests" in text for text in said) == 1
    assert said[-1].startswith("15 requests")


def test_what_waits_is_bounded_by_its_length_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_requests, "MOST_CHARACTERS", 1000)
    store = FaultyStore()
    store.is_free.clear()
    kept, run = begin(store)
    for _ in range(3):
        kept.take(run, replace(a_line(0), inputs={"q": ["x" * 400]}, outputs={}))
    store.is_free.set()
    kept.close()
    assert (kept.n_lost, numbers(store)) == (1, [0, 1])


def test_a_line_that_cannot_be_recorded_keeps_no_other_from_it() -> None:
    store = FaultyStore()
    store.is_free.clear()
    kept, run = begin(store)
    for text in ("a", "odd", "b"):
        kept.take(run, replace(a_line(0), inputs={"q": text}))
    store.is_free.set()
    kept.close()
    (found,) = store.list_runs()
    assert [line.inputs["q"] for line in store.read_lines(found.spec.name)] == ["a", "b"]
    assert numbers(store) == [0, 1]
    assert kept.n_lost == 1


def test_nobody_waits_for_a_store_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    store = FaultyStore()
    store.is_free.clear()
    kept, run = begin(store)
    kept.take(run, a_line(0))
    with caplog.at_level(logging.WARNING, "headrace.serving"):
        kept.close(0.05)
    assert "1 requests that were to be kept are not in the store." in caplog.text
    store.is_free.set()


def test_the_run_of_a_version_ends_with_it_and_one_without_requests_is_none() -> None:
    store = FaultyStore()
    kept, run = begin(store)
    unused = kept.begin(a_spec(""), SNAPSHOT)
    kept.take(run, a_line(0))
    kept.end(run)
    kept.end(unused)
    until(lambda: [found.status for found in store.list_runs()] == ["Completed"])
    kept.close()


@pytest.mark.parametrize(
    ("given", "variable", "expected"),
    [
        (None, "", None),
        (None, "0", None),
        ("0", "1", None),
        ("0.25", "", TailRule(share=0.25)),
        (None, "errors", TailRule(errors=True)),
        ("errors,slow=2,share=0.5", "", TailRule(errors=True, slow_s=2.0, share=0.5)),
        ("share=0.5,errors", "", TailRule(errors=True, share=0.5)),
    ],
)
def test_a_share_or_a_rule_says_what_is_kept(
    given: str | None, variable: str, expected: TailRule | None
) -> None:
    assert keep_rule(load_settings({"HEADRACE_SERVE_KEEP": variable}), given) == expected


@pytest.mark.parametrize("text", ["1.5", "-1", "nan", "x", "errors=1", "slow", "error"])
def test_a_rule_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="C507"):
        keep_rule(load_settings({}), text)
    with pytest.raises(UsageError, match="C506"):
        keep_rule(load_settings({"HEADRACE_SERVE_KEEP": text}), None)


def test_the_name_of_a_run_holds_what_a_shell_takes_as_one_word() -> None:
    assert served_name("a b/c", NOW, "12ab") == "served-a-b-c-20260701-123005-12ab"
    assert Path(served_name("a b/c", NOW, "12ab")).name == served_name("a b/c", NOW, "12ab")
