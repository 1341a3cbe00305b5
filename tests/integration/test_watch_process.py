"""``headrace ab watch`` as a process: it rolls back while a page shows it, and ends in order when it is asked to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.evidence import a_traffic, a_trial

from headrace.domain.traffic import DecisionRule, OnlineGuardrail, OnlineMetric
from headrace.operations.ab_revisions import settle_revision
from headrace.store.base import RunStore
from headrace.store.opening import open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    (tmp_path / ".headrace").mkdir()
    with closing(open_store(str(tmp_path / ".headrace" / "headrace.sqlite"), tmp_path)) as opened:
        traffic = a_traffic(
            metrics=(OnlineMetric(name="failures", source="failures", direction="lower"),),
            guardrails=(OnlineGuardrail(metric="failures", max_ratio=1.0),),
            decision=DecisionRule(every_s=1),
        )
        settle_revision(opened, traffic, datetime.now(UTC))
        yield opened


@contextmanager
def watching(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "headrace", "ab", "watch", *options],
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)
        if process.stderr is not None:
            process.stderr.close()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stderr is not None
    for line in iter(process.stderr.readline, ""):
        if words in line:
            return line
    raise AssertionError(words)


def let_b_fail(store: RunStore) -> None:
    now_ns = time.time_ns()
    store.append_evidence([replace(record, at_ns=now_ns) for record in a_trial(60, failing=3)])


def test_a_watch_with_a_page_rolls_back_shows_it_and_ends_in_order(tmp_path: Path, store: RunStore) -> None:
    with watching(tmp_path, "--all", "--page", "0") as process:
        address = read_until(process, "The page is at").split()[-1]
        let_b_fail(store)
        read_until(process, "rolled back: b")
        with urllib.request.urlopen(address, timeout=20) as answer:
            page = answer.read().decode()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    assert "rolled back: b" in page
    assert store.list_revisions("checkout")[-1].share("a") == 1.0


def test_a_watch_that_was_killed_is_followed_by_the_next_one(tmp_path: Path, store: RunStore) -> None:
    with watching(tmp_path, "checkout", "--every", "1") as process:
        process.kill()
        process.wait(20)
    let_b_fail(store)
    with watching(tmp_path, "checkout") as process:
        read_until(process, "rolled back: b")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    assert [item.reason for item in store.list_revisions("checkout")] == ["started", "rolled back"]
