from __future__ import annotations

import errno
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path

import pytest
from tests.support.evidence import a_completion, a_feedback, an_exposure

from headrace.domain.evidence import Completion, Evidence, Exposure, Feedback
from headrace.errors import Problem, StateError
from headrace.store.base import RunStore
from headrace.store.evidence_records import (
    EvidenceRow,
    evidence_from_row,
    evidence_row,
    journal_line,
    row_from_line,
)
from headrace.store.journal import EvidenceStore, Journal, JournalMover
from headrace.store.opening import open_store

ROOT = Path(__file__).parents[3]
LONG_S = 30.0
AWAY = StateError(Problem(code="S803", what="The store cannot be used."))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".headrace" / "journal"


@pytest.fixture
def store() -> RunStore:
    return open_store("memory:")


def kept(store: RunStore) -> list[Evidence]:
    return [arrival.evidence for arrival in store.read_arrivals("checkout")]


@contextmanager
def moving(folder: Path, store: EvidenceStore, every_s: float = 0.01) -> Iterator[JournalMover]:
    mover = JournalMover(folder, store, every_s)
    try:
        yield mover
    finally:
        mover.close(LONG_S)


def move(folder: Path, store: EvidenceStore) -> None:
    with moving(folder, store) as mover:
        assert mover.flush(LONG_S)


def names(folder: Path) -> set[str]:
    return {path.suffix for path in folder.iterdir()}


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


class Away:
    """A store that is away for some calls, or fails otherwise."""

    def __init__(self, store: RunStore, n_calls: int, error: Exception = AWAY) -> None:
        self._store = store
        self._error = error
        self.n_calls = n_calls

    def append_evidence(self, records: Sequence[Evidence | EvidenceRow]) -> int:
        if self.n_calls > 0:
            self.n_calls -= 1
            raise self._error
        return self._store.append_evidence(records)


class Refusing:
    """A store that keeps what it is given, and says that it did not."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self.n_calls = 0

    def append_evidence(self, records: Sequence[Evidence | EvidenceRow]) -> int:
        self._store.append_evidence(records)
        self.n_calls += 1
        raise StateError(Problem(code="S803", what="The connection was lost."))


@pytest.mark.parametrize(
    "record",
    [
        an_exposure(attributes={"plan": 'é\n\r\u2028"\0\ud83d', "n": [1, None, 0.5]}, role="shadow"),
        a_completion(inputs={"a": {}}, outputs={}, cost_usd=0.0, has_consent=True),
        a_feedback(value=None, text="line\nline"),
    ],
)
def test_a_record_is_one_line_and_reads_back(record: Evidence) -> None:
    line = journal_line(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    row = row_from_line(line).columns
    assert evidence_from_row(row) == record
    assert {**row, "record": ""} == {**evidence_row(record), "record": ""}


ALL_OF_IT = [
    Exposure(
        id="e", test="checkout", revision=2, at_ns=1, unit="u", arm="a", propensity=0.5, role="forced", version="f@1",
        request_id="r", trace_id="t", attributes={"header:x": "y"},
    ),
    Completion(
        exposure="e", test="checkout", at_ns=1, answered_by="a", problem="E603", is_gone=True, latency_ms=1e-7,
        first_token_ms=2.5, prompt_tokens=0, completion_tokens=3, cost_usd=float("inf"), inputs={"a": [1]},
        outputs={"b": None}, has_consent=True,
    ),
    Feedback(
        id="f", at_ns=1, metric="thumbs", value=-0.0, test="checkout", exposure="e", unit="u", source="judge", text="x",
    ),
]  # fmt: skip


@pytest.mark.parametrize("record", ALL_OF_IT)
def test_nothing_that_a_record_says_is_left_out(record: Evidence) -> None:
    said = row_from_line(journal_line(record)).columns["record"]
    names = {field.name for field in fields(record)}
    assert json.loads(said).keys() == names
    assert evidence_from_row(evidence_row(record)) == record


def test_what_is_no_plain_data_is_refused() -> None:
    with pytest.raises(TypeError):
        journal_line(an_exposure(at_ns=Path()))
    with pytest.raises(TypeError):
        journal_line(a_completion(outputs={"text": Path()}))


def test_what_is_appended_reaches_the_store_in_its_order(folder: Path, store: RunStore) -> None:
    journal = Journal(folder)
    assert not folder.exists()
    records: list[Evidence] = [an_exposure(), a_completion(), a_feedback(), an_exposure(2)]
    with moving(folder, store) as mover:
        assert mover.flush(LONG_S)
        for record in records[:3]:
            journal.append(record)
        assert mover.flush(LONG_S)
        assert kept(store) == records[:3]
        journal.append(records[3])
        assert mover.flush(LONG_S)
    assert kept(store) == records
    assert folder.parent.joinpath(".gitignore").read_text() == "*\n"
    assert names(folder) == {".jsonl", ".moved"}
    journal.close()
    move(folder, store)
    with moving(folder, store):
        wait_for(lambda: not names(folder))
    assert kept(store) == records


def test_a_closed_journal_takes_nothing(folder: Path) -> None:
    journal = Journal(folder)
    journal.close()
    journal.close()
    with pytest.raises(StateError) as caught:
        journal.append(an_exposure())
    assert caught.value.problems[0].code == "S851"


def test_a_full_file_is_followed_by_another_one(folder: Path, store: RunStore) -> None:
    journal = Journal(folder, file_bytes=1000)
    records = [an_exposure(number) for number in range(40)]
    for record in records:
        journal.append(record)
    assert len(list(folder.iterdir())) > 5
    move(folder, store)
    assert sorted(kept(store), key=repr) == sorted(records, key=repr)


def test_a_line_longer_than_what_is_read_at_once_is_moved(folder: Path, store: RunStore) -> None:
    journal = Journal(folder)
    records = [an_exposure(), a_completion(inputs={"text": "é" * 700_000}), an_exposure(2)]
    for record in records:
        journal.append(record)
    move(folder, store)
    assert kept(store) == records


def test_several_threads_append_and_several_movers_move_each_record_once(
    folder: Path, store: RunStore
) -> None:
    journals = [Journal(folder, file_bytes=20_000), Journal(folder)]

    def append(writer: int) -> None:
        for number in range(300):
            journals[writer % 2].append(an_exposure(f"{writer} {number}"))

    threads = [threading.Thread(target=append, args=(writer,)) for writer in range(4)]
    with moving(folder, store) as mover, moving(folder, store), moving(folder, store):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for journal in journals:
            journal.close()
        assert mover.flush(LONG_S)
        wait_for(lambda: not names(folder))
    found = [record.id for record in kept(store) if isinstance(record, Exposure)]
    assert sorted(found) == sorted(f"r{writer} {number}" for writer in range(4) for number in range(300))
    for writer in range(4):  # not two movers at one file at a time: what a thread appended keeps its order
        if writer % 2:
            mine = [name for name in found if name.startswith(f"r{writer} ")]
            assert mine == [f"r{writer} {number}" for number in range(300)]


def test_a_backup_moves_what_nobody_else_moves(folder: Path, store: RunStore) -> None:
    journal = Journal(folder)
    journal.append(an_exposure())
    backup = JournalMover(folder, store, 0.01, is_backup=True)
    with closing(backup):
        wait_for(lambda: kept(store) == [an_exposure()])


def test_a_backup_leaves_what_is_new_to_the_other_mover_until_it_is_asked(
    folder: Path, store: RunStore
) -> None:
    journal = Journal(folder)
    journal.append(an_exposure())
    with closing(JournalMover(folder, store, LONG_S, is_backup=True)) as backup:
        time.sleep(0.05)
        assert kept(store) == []
        assert backup.flush(LONG_S)
    assert kept(store) == [an_exposure()]


DYING = """\
import os, signal, sys
from pathlib import Path
from tests.support.evidence import an_exposure
from headrace.store.journal import Journal
journal = Journal(Path(sys.argv[1]))
for number in range(5):
    journal.append(an_exposure(number))
os.write(journal._file, b'["exposure",{"id":"torn"')
print("there", flush=True)
sys.stdin.readline()
"""


def test_the_journal_of_a_process_is_moved_while_it_lives_and_deleted_when_it_was_killed(
    folder: Path, store: RunStore
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DYING, str(folder)],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        with moving(folder, store):
            wait_for(lambda: len(kept(store)) == 5)
            assert ".jsonl" in names(folder)
            process.send_signal(signal.SIGKILL)
            process.wait()
            wait_for(lambda: not names(folder))
    assert kept(store) == [an_exposure(number) for number in range(5)]


FORKING = """\
import os, sys
from pathlib import Path
from tests.support.evidence import an_exposure
from headrace.store.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.append(an_exposure("before"))
child = os.fork()
journal.append(an_exposure("parent" if child else "child"))
if child:
    os.waitpid(child, 0)
"""


def test_a_forked_process_appends_to_a_file_of_its_own(folder: Path, store: RunStore) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    subprocess.run([sys.executable, "-c", FORKING, str(folder)], env=environment, check=True)
    texts = sorted(path.read_text("utf-8").count("\n") for path in folder.iterdir())
    assert texts == [1, 2]
    move(folder, store)
    assert sorted(map(repr, kept(store))) == sorted(
        repr(an_exposure(name)) for name in ("before", "parent", "child")
    )


def test_records_that_were_inserted_before_the_mover_could_say_so_are_kept_once(
    folder: Path, store: RunStore
) -> None:
    journal = Journal(folder)
    records = [an_exposure(number) for number in range(3)]
    for record in records:
        journal.append(record)
    refusing = Refusing(store)
    with moving(folder, refusing) as mover:
        wait_for(lambda: refusing.n_calls > 2)
        assert not mover.flush(0.0)
    assert kept(store) == records
    move(folder, store)
    (path,) = folder.glob("*.moved")
    path.write_bytes(b"\0\0\0")
    move(folder, store)
    assert kept(store) == records


def test_a_store_that_is_away_is_tried_again_and_that_is_said_once(
    folder: Path, store: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "headrace.store")
    journal = Journal(folder)
    away = Away(store, 4)
    journal.append(an_exposure())
    with moving(folder, away) as mover:
        wait_for(lambda: away.n_calls < 3)
        journal.append(an_exposure(2))
        assert mover.flush(LONG_S)
        wait_for(lambda: len(caplog.records) == 2)
    assert kept(store) == [an_exposure(), an_exposure(2)]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "waits in" in caplog.text


def test_a_failure_that_nobody_thought_of_does_not_end_the_moving(
    folder: Path, store: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(folder)
    journal.append(an_exposure())
    with moving(folder, Away(store, 1, ZeroDivisionError())) as mover:
        assert mover.flush(LONG_S)
    assert kept(store) == [an_exposure()]
    assert "could not be moved" in caplog.text


def test_how_far_a_journal_was_moved_has_its_room_before_the_store_is_there(
    folder: Path, store: RunStore
) -> None:
    away = Away(store, 10_000)
    journal = Journal(folder)
    journal.append(an_exposure())
    with moving(folder, away):
        wait_for(lambda: away.n_calls < 10_000)
        sizes = [path.stat().st_size for path in folder.glob("*.moved")]
    journal.close()
    assert sizes == [20]


def test_a_line_that_cannot_be_read_is_kept_aside(
    folder: Path, store: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(folder)
    journal.append(an_exposure())
    (path,) = folder.iterdir()
    odd = [
        b"\0\0\0\n",
        b"[1]\n",
        b'["exposure",{"id":"x"}]\n',
        b'["other",{}]\n',
        b'[["exposure"],{}]\n',
        b'["exposure",[]]\n',
        b'["exposure",{"id":1,"test":"checkout","revision":1,"at_ns":1,"unit":"u","arm":"a","propensity":1}]\n',
        b'["exposure",{"id":"y","test":"checkout","revision":1,"at_ns":1,"unit":"u","arm":"a","propensity":1,"no":1}]\n',
        b"\xff\n",
    ]
    with path.open("ab") as file:
        file.write(b"".join(odd))
    journal.append(an_exposure(2))
    move(folder, store)
    assert kept(store) == [an_exposure(), an_exposure(2)]
    assert path.with_suffix(".damaged").read_bytes() == b"".join(odd)
    assert "cannot be read" in caplog.text


@contextmanager
def no_file_above(n_bytes: int) -> Iterator[None]:
    """During the block, a file that would grow beyond a size is what it is on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("is_synced", [False, True])
@pytest.mark.parametrize("can_shrink", [True, False])
def test_on_a_full_disk_nothing_half_is_kept_and_it_goes_on_when_there_is_room(
    can_shrink: bool, is_synced: bool, folder: Path, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: int, size: int) -> None:
        del file, size
        raise OSError(errno.EIO, "no")

    if not can_shrink:
        monkeypatch.setattr(os, "ftruncate", refuse)
    journal = Journal(folder, is_synced=is_synced)
    journal.append(an_exposure())
    (path,) = folder.iterdir()
    with no_file_above(path.stat().st_size + 40), pytest.raises(StateError) as caught:
        journal.append(an_exposure(2))
    assert caught.value.problems[0].code == "S851"
    assert "full" in caught.value.problems[0].what
    journal.append(an_exposure(3))
    move(folder, store)
    assert sorted(kept(store), key=repr) == [an_exposure(), an_exposure(3)]
    assert not path.exists(), "what was moved makes room, though its process lives"


def test_forced_records_of_several_threads_are_all_kept(folder: Path, store: RunStore) -> None:
    journal = Journal(folder, is_synced=True, file_bytes=3000)

    def append(writer: int) -> None:
        for number in range(25):
            journal.append(a_completion(f"{writer} {number}"))

    threads = [threading.Thread(target=append, args=(writer,)) for writer in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(folder.glob("*.jsonl"))) > 1
    move(folder, store)
    found = [record.exposure for record in kept(store) if isinstance(record, Completion)]
    assert sorted(found) == sorted(f"r{writer} {number}" for writer in range(6) for number in range(25))


def test_a_record_that_the_disk_does_not_confirm_is_not_acknowledged(
    folder: Path, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: int) -> None:
        del file
        raise OSError(errno.EIO, "no")

    journal = Journal(folder, is_synced=True)
    journal.append(an_exposure())
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        with pytest.raises(StateError):
            journal.append(an_exposure(2))
    journal.append(an_exposure(3))
    assert len(list(folder.glob("*.jsonl"))) == 2
    move(folder, store)
    found = kept(store)
    assert an_exposure() in found
    assert an_exposure(3) in found


def test_lines_are_json_that_other_programs_read(folder: Path) -> None:
    Journal(folder).append(an_exposure())
    (path,) = folder.iterdir()
    kind, values = json.loads(path.read_text("utf-8"))
    assert (kind, values["arm"]) == ("exposure", "b")
