"""What stores promise to several processes and to one that is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Thread

import pytest
from tests.support.evidence import a_revision
from tests.support.new_stores import new_postgresql, new_sqlite
from tests.support.runs import a_line, a_spec, a_time

from headrace.domain.evidence import Arrival
from headrace.domain.run import COMPLETED
from headrace.store.opening import open_store

ROOT = Path(__file__).parents[3]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(params=[new_sqlite, new_postgresql], ids=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest) -> str:
    return str(request.param(request))


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def start_one(*arguments: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.store_process", *arguments],
                cwd=ROOT,
                env={"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PATH": ""},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start_one


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def assert_whole(location: str) -> None:
    """SQLite's own check of the file; a server sees to its files itself."""
    if "://" not in location:
        with closing(sqlite3.connect(location)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_one_process_reads_what_another_is_writing(location: str, start: Start) -> None:
    store = open_store(location)
    store.create_run(a_spec(), n_lines=40, created_at=a_time())
    writer = start("write", location, "first", "--batches", "10")
    for _ in range(10):
        committed = int(read_line(writer))
        assert store.read_run("first").n_completed == committed
        assert [line.line_number for line in store.read_lines("first")] == list(range(committed))
        go_on(writer)
    assert writer.wait() == 0
    assert list(store.read_lines("first")) == [a_line(n, spans=()) for n in range(40)]
    store.close()


def test_a_reader_in_the_middle_does_not_hold_up_a_writer(location: str, start: Start) -> None:
    store = open_store(location)
    store.create_run(a_spec(), n_lines=200, created_at=a_time())
    store.append_lines("first", [a_line(n) for n in range(100)])
    reading = store.read_lines("first")
    assert next(reading).line_number == 0
    writer = start("write", location, "first", "--batches", "1", "--batch", "1")
    assert read_line(writer) == "1"
    go_on(writer)
    assert writer.wait() == 0
    assert [line.line_number for line in reading] == list(range(1, 100))
    store.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_writer_loses_nothing_that_was_committed(location: str, start: Start) -> None:
    store = open_store(location)
    store.create_run(a_spec(), n_lines=200, created_at=a_time())
    store.close()
    writer = start("write", location, "first", "--batches", "1000")
    for _ in range(7):
        committed = int(read_line(writer))
        go_on(writer)
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL

    assert_whole(location)
    store = open_store(location)
    done = store.line_statuses("first").keys()
    assert committed >= 28
    assert done >= set(range(committed))
    # Whole batches only: what was written last was committed as one or not at all.
    assert done == frozenset(range(len(done)))
    assert len(done) % 4 == 0
    store.append_lines("first", [a_line(1000)])
    assert store.read_run("first").n_completed == len(done) + 1
    store.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_writer_killed_within_a_transaction_changes_nothing(location: str, start: Start) -> None:
    store = open_store(location)
    store.create_run(a_spec(), n_lines=3, created_at=a_time())
    store.append_lines("first", [a_line(0), a_line(1)])
    holder = start("hold", location, "first")
    assert read_line(holder) == "holding"
    assert store.line_statuses("first").keys() == {0, 1}
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert store.line_statuses("first").keys() == {0, 1}
    store.append_lines("first", [a_line(2)])
    assert store.line_statuses("first").keys() == {0, 1, 2}
    store.close()
    assert_whole(location)


def test_processes_that_open_a_new_store_at_once_all_get_it(location: str, start: Start) -> None:
    processes = [start("create", location, f"run {number}") for number in range(6)]
    for process in processes:
        assert read_line(process) == "ready"
    for process in processes:
        go_on(process)
    assert [read_line(process) for process in processes] == ["done"] * 6
    store = open_store(location)
    assert {run.spec.name: run.n_completed for run in store.list_runs()} == {f"run {n}": 1 for n in range(6)}
    store.close()


def test_many_writers_and_a_reader_are_never_told_that_it_is_locked(location: str, start: Start) -> None:
    # A server keeps its sessions apart by itself; for a file it is a feat.
    n_writers, n_commits = 8, 100 if "://" in location else 500
    writers = [
        start("commit", location, f"run {number}", "--batches", str(n_commits), "--batch", "2")
        for number in range(n_writers)
    ]
    for writer in writers:
        assert read_line(writer) == "ready"
    for writer in writers:
        go_on(writer)
    store = open_store(location)
    n_lines = 2 * n_commits
    while not (runs := store.list_runs()) or any(run.status != COMPLETED for run in runs):
        for run in runs:
            numbers = [line.line_number for line in store.read_lines(run.spec.name)]
            assert numbers == list(range(len(numbers)))
            assert len(numbers) >= run.n_completed
    assert [read_line(writer) for writer in writers] == ["done"] * n_writers
    assert [run.n_completed for run in store.list_runs()] == [n_lines] * n_writers
    store.close()
    assert_whole(location)


def test_two_processes_may_record_the_same_lines(location: str, start: Start) -> None:
    store = open_store(location)
    store.create_run(a_spec(), n_lines=400, created_at=a_time())
    writers = [start("write", location, "first", "--batches", "50", "--batch", "8") for _ in range(2)]
    for _ in range(50):
        for writer in writers:
            go_on(writer)
    assert [writer.wait() for writer in writers] == [0, 0]
    assert list(store.read_lines("first")) == [a_line(n, spans=()) for n in range(400)]
    store.close()


def test_evidence_of_many_processes_is_counted_once_and_read_in_one_order(
    location: str, start: Start
) -> None:
    n_processes, n_batches, batch = 4, 15, 8
    size = ("--batches", str(n_batches), "--batch", str(batch))
    processes = [start("evidence", location, f"p{number}", *size) for number in range(n_processes)]
    for process in processes:
        assert read_line(process) == "ready"
    for process in processes:
        go_on(process)
    n_expected = 3 * n_batches * (batch // 2) * (n_processes + 1)
    store = open_store(location)
    seen: list[Arrival] = []
    while len(seen) < n_expected:
        seen += store.read_arrivals("checkout", after=seen[-1].place if seen else 0, limit=50)
    assert sum(int(read_line(process)) for process in processes) == n_expected
    assert tuple(seen) == store.read_arrivals("checkout")
    assert len({repr(arrival.evidence) for arrival in seen}) == n_expected
    store.close()


def test_of_processes_that_make_the_same_revision_one_does(location: str) -> None:
    stores = [open_store(location) for _ in range(3)]
    made: list[tuple[int, int]] = []

    def make(writer: int) -> None:
        made.extend((writer, n) for n in range(1, 30) if stores[writer].append_revision(a_revision(n)))

    threads = [Thread(target=make, args=(writer,)) for writer in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for _, number in made) == list(range(1, 30))
    for store in stores:
        assert [revision.number for revision in store.list_revisions("checkout")] == list(range(1, 30))
        store.close()
