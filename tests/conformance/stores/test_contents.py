"""Long texts: kept once, given back exactly, gone with the last run that refers to them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.new_stores import new_postgresql, new_sqlite
from tests.support.postgresql import Server
from tests.support.runs import a_line, a_spec, a_time

from headrace.domain.cache import CacheChanges, CachedResult
from headrace.domain.run import COMPLETED, LineResult, NodeResult
from headrace.errors import StateError, UsageError
from headrace.store.base import RunStore
from headrace.store.contents import LONG_TEXT
from headrace.store.database import Connection
from headrace.store.opening import open_store
from headrace.store.postgresql import parse_address
from headrace.store.sql import SqlStore

LONG = "zwölf Boxkämpfer 🥊 \x00 \ud83c " * (LONG_TEXT // 20)


class Kept:
    """The contents of one store, as somebody sees them who looks at the files or the table."""

    def __init__(self, location: str, server: Server | None) -> None:
        self.location = location
        self._server = server
        if server is None:
            self.folder = Path(f"{location}.contents")
        else:
            self._table = f'"{parse_address(location.partition("://")[2]).schema}".content'

    def digests(self) -> set[str]:
        if self._server is None:
            return {path.parent.name + path.name for path in self.folder.glob("*/*")}
        return set(self._server.sql(f"SELECT digest FROM {self._table}").split())

    def damage(self, digest: str) -> str:
        """Change a content; returns what its name contains."""
        if self._server is None:
            path = self.folder / digest[:2] / digest[2:]
            path.write_bytes(path.read_bytes()[:-1] + b"!")
            return str(path)
        self._server.sql(f"UPDATE {self._table} SET data = 'x' WHERE digest = '{digest}'")
        return digest

    def lose(self, digest: str) -> str:
        """Take a content away; returns what its name contains."""
        if self._server is None:
            path = self.folder / digest[:2] / digest[2:]
            path.unlink()
            return str(path)
        self._server.sql(
            f"SET session_replication_role = replica; DELETE FROM {self._table} WHERE digest = '{digest}'"
        )
        return digest


@pytest.fixture(params=[new_sqlite, new_postgresql], ids=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest) -> Kept:
    location = request.param(request)
    return Kept(location, request.getfixturevalue("postgresql") if "://" in location else None)


@pytest.fixture
def open_it(kept: Kept) -> Iterator[Callable[[], RunStore]]:
    opened: list[RunStore] = []

    def open_one() -> RunStore:
        opened.append(open_store(kept.location))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_it: Callable[[], RunStore]) -> RunStore:
    store = open_it()
    store.create_run(a_spec(), n_lines=10, created_at=a_time())
    return store


def a_long_line(number: int = 0, text: str = LONG) -> LineResult:
    node = NodeResult(
        node="ask", status=COMPLETED, inputs={"image": text, "n": [1, 2.5]}, output=[{"a": text}]
    )
    return a_line(number, inputs={"image": text, "t": "short"}, outputs={"x": {"y": text}}, nodes=(node,))


@contextmanager
def failing(*texts: str) -> Iterator[None]:
    with pytest.raises(StateError) as raised:
        yield
    problem = raised.value.problems[0]
    assert (problem.code, problem.what.split(":")[0]) == ("S803", "A recorded value cannot be read")
    assert problem.fix
    for text in texts:
        assert text in problem.what


def test_a_long_text_is_kept_once_for_all_that_refer_to_it(store: RunStore, kept: Kept) -> None:
    store.create_run(a_spec("second"), n_lines=1, created_at=a_time())
    lines = [a_long_line(0), a_long_line(1), a_line(2), a_long_line(3, "x" * LONG_TEXT)]
    store.append_lines("first", lines)
    store.append_lines("second", lines[:1])
    assert len(kept.digests()) == 2
    assert [store.read_line("first", number) for number in range(4)] == lines
    assert list(store.read_lines("first")) == [replace(line, spans=()) for line in lines]
    assert [item.outputs for item in store.read_outcomes("first")] == [line.outputs for line in lines]
    assert store.read_line("second", 0) == lines[0]


@pytest.mark.parametrize(("length", "n_kept"), [(LONG_TEXT - 1, 0), (LONG_TEXT, 1)])
def test_a_text_is_long_from_a_number_of_characters_on(
    store: RunStore, kept: Kept, length: int, n_kept: int
) -> None:
    line = a_line(0, outputs={"text": "é" * length, "many": ["x" * 1000] * 200})
    store.append_lines("first", [line])
    assert len(kept.digests()) == n_kept
    assert store.read_line("first", 0) == line


@pytest.mark.parametrize("mark", ["\0sha256:", "\0sha256:" + "ab" * 32, "\0sha256:\ud800"])
def test_a_text_that_looks_like_a_mark_reads_back(store: RunStore, mark: str) -> None:
    lines = [
        a_line(0, inputs={"m": mark}, outputs={mark: mark}),
        replace(a_long_line(1), outputs={mark: [mark, LONG]}),
    ]
    store.append_lines("first", lines)
    assert [store.read_line("first", number) for number in range(2)] == lines


def test_a_hundred_megabytes_read_back(store: RunStore, kept: Kept) -> None:
    text = 'ab\n"é' * 17_500_000
    assert len(text.encode()) > 100_000_000
    store.append_lines("first", [a_line(0, outputs={"text": text}), a_line(1)])
    line = store.read_line("first", 0)
    assert line is not None
    assert line.outputs["text"] == text


def test_a_line_that_is_recorded_again_without_its_long_text_reads_back(store: RunStore, kept: Kept) -> None:
    store.append_lines("first", [a_long_line(0)])
    store.append_lines("first", [a_line(0)])
    assert store.read_line("first", 0) == a_line(0)
    store.delete_run("first")
    assert kept.digests() == set()


def test_nothing_is_kept_for_a_run_that_does_not_exist(store: RunStore, kept: Kept) -> None:
    with pytest.raises(UsageError):
        store.append_lines("third", [a_long_line(0)])
    assert kept.digests() == set()


def a_kept_result(text: str = LONG) -> CachedResult:
    output = json.dumps({"": "media", "value": {"dict": {"image": text, "n": 1.0}}}, separators=(",", ":"))
    return CachedResult(key="k" * 64, output=output, run="first", line_number=0, node="ask")


def test_a_kept_result_shares_its_long_texts_with_lines_and_outlives_them(
    store: RunStore, kept: Kept
) -> None:
    result = a_kept_result()
    store.append_lines("first", [a_long_line(0)], CacheChanges(made=(result,)))
    assert len(kept.digests()) == 1
    assert store.read_cached([result.key]) == {result.key: result}
    assert store.summarize_cache().n_bytes >= len(LONG)
    store.delete_run("first")
    assert len(kept.digests()) == 1
    assert store.read_cached([result.key]) == {result.key: result}
    assert store.clear_cache() == 1
    assert kept.digests() == set()


@pytest.mark.parametrize("harm", [Kept.damage, Kept.lose])
def test_a_kept_result_that_is_lost_is_none_until_it_is_made_again(
    store: RunStore, kept: Kept, harm: Callable[[Kept, str], str]
) -> None:
    result = a_kept_result()
    store.change_cache(CacheChanges(made=(result,)))
    (digest,) = kept.digests()
    harm(kept, digest)
    assert store.read_cached([result.key]) == {}
    if harm is Kept.lose:
        store.change_cache(CacheChanges(made=(result,)))
        assert store.read_cached([result.key]) == {result.key: result}


def test_deleting_a_run_deletes_what_no_other_run_refers_to(store: RunStore, kept: Kept) -> None:
    store.create_run(a_spec("second"), n_lines=1, created_at=a_time())
    store.append_lines("first", [a_long_line(0), a_long_line(1, "x" * LONG_TEXT)])
    store.append_lines("second", [a_long_line(0)])
    store.delete_run("first")
    assert len(kept.digests()) == 1
    assert store.read_line("second", 0) == a_long_line(0)
    store.delete_run("second")
    assert kept.digests() == set()


@pytest.mark.parametrize("is_missing", [True, False])
def test_a_lost_content_is_named_and_all_else_reads(store: RunStore, kept: Kept, *, is_missing: bool) -> None:
    others = [a_line(0), a_long_line(2, "x" * LONG_TEXT), a_line(3)]
    store.append_lines("first", others[1:2])
    before = kept.digests()
    store.append_lines("first", [a_long_line(1), others[0], others[2]])
    (digest,) = kept.digests() - before
    name = kept.lose(digest) if is_missing else kept.damage(digest)
    with failing(name, "missing" if is_missing else "damaged"):
        store.read_line("first", 1)
    reading = store.read_lines("first")
    assert next(reading).line_number == 0
    with failing(name):
        next(reading)
    assert [line.line_number for line in reading] == [2, 3]
    assert store.read_run("first").n_completed == 4
    assert [store.read_line("first", line.line_number) for line in others] == others


def test_a_content_that_is_lost_is_kept_again_with_the_next_line(store: RunStore, kept: Kept) -> None:
    store.append_lines("first", [a_long_line(0)])
    (digest,) = kept.digests()
    kept.lose(digest)
    store.append_lines("first", [a_long_line(1)])
    assert store.read_line("first", 0) == a_long_line(0)


def test_a_content_that_is_needed_while_it_is_deleted_is_there_in_the_end(
    open_it: Callable[[], RunStore], store: RunStore, kept: Kept
) -> None:
    """One thread records lines and another deletes runs with the same content, over and over."""
    deleter = open_it()
    is_done = threading.Event()

    def delete() -> None:
        number = 0
        while not is_done.is_set():
            name = f"passing {number}"
            deleter.create_run(a_spec(name), n_lines=1, created_at=a_time())
            deleter.append_lines(name, [a_long_line(0)])
            deleter.delete_run(name)
            number += 1

    with ThreadPoolExecutor(1) as pool:
        deleting = pool.submit(delete)
        try:
            for number in range(25):
                name = f"kept {number}"
                store.create_run(a_spec(name), n_lines=1, created_at=a_time())
                store.append_lines(name, [a_long_line(0)])
                assert store.read_line(name, 0) == a_long_line(0)
                store.delete_run(name)
        finally:
            is_done.set()
        deleting.result()
    assert kept.digests() == set()


# Files


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[SqlStore, Path]]:
    path = tmp_path / "runs.sqlite"
    store = open_store(path)
    assert isinstance(store, SqlStore)
    store.create_run(a_spec(), n_lines=10, created_at=a_time())
    yield store, tmp_path / "runs.sqlite.contents"
    store.close()


def test_a_file_that_was_left_half_written_is_written_whole(files: tuple[SqlStore, Path]) -> None:
    store, folder = files
    store.append_lines("first", [a_long_line(0)])
    (path,) = folder.glob("*/*")
    path.write_bytes(path.read_bytes()[:100])
    store.append_lines("first", [a_long_line(1)])
    assert store.read_line("first", 0) == a_long_line(0)


def test_what_a_killed_process_left_behind_goes_with_the_next_deleted_run(
    files: tuple[SqlStore, Path],
) -> None:
    store, folder = files
    (folder / "ab").mkdir(parents=True)
    for name in ("cd.old.unfinished", "cd.new.unfinished", "cd" * 31):
        (folder / "ab" / name).write_text("x")
    os.utime(folder / "ab" / "cd.old.unfinished", (time.time() - 7200,) * 2)
    store.delete_run("first")
    assert [path.name for path in folder.glob("*/*")] == ["cd.new.unfinished"]


def test_a_row_is_never_committed_without_its_file(files: tuple[SqlStore, Path]) -> None:
    """A deleter that comes between writing the file and the transaction that needs it."""
    store, folder = files
    keep = store._contents.keep

    def keep_late(connection: Connection, contents: Any) -> None:
        for path in folder.glob("*/*"):
            path.unlink()
        keep(connection, contents)

    store._contents.keep = keep_late  # type: ignore[method-assign]
    store.append_lines("first", [a_long_line(0)])
    assert store.read_line("first", 0) == a_long_line(0)


def test_a_folder_that_cannot_be_written_says_so_and_loses_nothing(files: tuple[SqlStore, Path]) -> None:
    store, folder = files
    folder.write_text("in the way")
    store.append_lines("first", [a_line(0)])
    with pytest.raises(StateError) as raised:
        store.append_lines("first", [a_line(1), a_long_line(2)])
    assert str(folder) in raised.value.problems[0].what
    assert store.line_statuses("first").keys() == {0}
    folder.unlink()
    store.append_lines("first", [a_line(1), a_long_line(2)])
    assert store.line_statuses("first").keys() == {0, 1, 2}


def test_a_file_that_cannot_be_read_says_so(files: tuple[SqlStore, Path]) -> None:
    store, folder = files
    store.append_lines("first", [a_long_line(0)])
    (path,) = folder.glob("*/*")
    path.unlink()
    path.mkdir()
    with pytest.raises(StateError) as raised:
        store.read_line("first", 0)
    assert str(folder) in raised.value.problems[0].what


def test_a_full_disk_says_so_and_loses_nothing(files: tuple[SqlStore, Path]) -> None:
    resource = pytest.importorskip("resource")
    store, folder = files
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LONG_TEXT // 2, hard))
    try:
        with pytest.raises(StateError) as raised:
            store.append_lines("first", [a_long_line(0)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "disk is full" in raised.value.problems[0].what
    assert list(folder.glob("*/*")) == []
    store.append_lines("first", [a_long_line(0)])
    assert store.read_line("first", 0) == a_long_line(0)
