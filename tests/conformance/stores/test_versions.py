"""Versions of flows and data: numbered as they are seen, kept once, never replaced; tags keep their history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256

import pytest
from tests.support.new_stores import new_postgresql, new_sqlite
from tests.support.runs import a_spec, a_time

from headrace.domain.version import (
    CODE,
    GRAPH,
    FlowVersion,
    KeptPieces,
    Manifest,
    SkippedFile,
    TagMove,
    VersionFile,
)
from headrace.store.base import RunStore
from headrace.store.opening import STORES, open_store

LOCATIONS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "memory": lambda request: "memory:",
    "sqlite": new_sqlite,
    "postgresql": new_postgresql,
}
TEXT = "print('é')\n".encode()
BINARY = bytes(range(256))
CONTENTS = {sha256(data).hexdigest(): data for data in (TEXT, BINARY)}
MANIFEST = Manifest(
    place="flows/f",
    file="flow.dag.yaml",
    files=(
        VersionFile(path="../a.py", kind=CODE, digest="d" * 64, content=sha256(TEXT).hexdigest(), n_bytes=11),
        VersionFile(path="flow.dag.yaml", kind=GRAPH, digest="e" * 64, content=None, n_bytes=5_000_000_000),
    ),
    skipped=(SkippedFile(path=".env", reason="its name says that it holds keys"),),
)


@pytest.fixture(params=sorted(STORES))
def location(request: pytest.FixtureRequest) -> str:
    return LOCATIONS[request.param](request)


@pytest.fixture
def store(location: str) -> Iterator[RunStore]:
    opened = open_store(location)
    yield opened
    opened.close()


def keep(store: RunStore, digest: str, flow: str = "f") -> FlowVersion:
    return store.keep_flow_version(
        flow, digest=digest, manifest=MANIFEST, contents=CONTENTS, at=a_time(len(digest))
    )


def test_a_version_reads_back_as_it_was_kept(store: RunStore) -> None:
    assert store.list_flow_versions() == ()
    assert store.find_flow_version("f", "one") is None
    kept = keep(store, "one")
    assert kept == FlowVersion(flow="f", number=1, digest="one", created_at=a_time(3), manifest=MANIFEST)
    assert store.find_flow_version("f", "one") == kept
    assert store.list_flow_versions("f") == (kept,)
    assert {digest: store.read_file(digest) for digest in CONTENTS} == CONTENTS
    assert store.read_file("0" * 64) is None


def test_versions_are_numbered_in_each_flow_and_kept_once(store: RunStore) -> None:
    names = [
        keep(store, digest, flow).name for flow, digest in (("f", "x"), ("f", "y"), ("g", "x"), ("f", "x"))
    ]
    assert names == ["f@1", "f@2", "g@1", "f@1"]
    assert [version.name for version in store.list_flow_versions()] == ["f@1", "f@2", "g@1"]
    assert [version.name for version in store.list_flow_versions("g")] == ["g@1"]


def test_writers_at_once_never_share_a_number(location: str) -> None:
    if location == "memory:":
        pytest.skip("a store in memory has one process")
    stores = [open_store(location) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        numbers = [
            *pool.map(lambda index: keep(stores[index % 4], f"digest {index}").number, range(24)),
        ]
    assert sorted(numbers) == list(range(1, 25))
    for opened in stores:
        opened.close()


def test_tags_move_only_from_where_they_are_known_to_be_and_keep_their_history(store: RunStore) -> None:
    first = TagMove(flow="f", tag="prod", number=1, digest="x", at=a_time())
    second = replace(first, number=2, digest="y", at=a_time(60))
    assert store.move_tag(first, n_moves=0)
    assert not store.move_tag(second, n_moves=0)
    assert store.list_tag_moves("f") == (first,)
    assert store.move_tag(second, n_moves=1)
    other = replace(first, flow="g", at=a_time(30))
    assert store.move_tag(other, n_moves=0)
    assert store.list_tag_moves("f") == (first, second)
    assert store.list_tag_moves() == (first, other, second)


def test_versions_of_data_are_numbered_and_their_file_is_kept_where_it_is_given(store: RunStore) -> None:
    small = store.keep_data_version("data/a.jsonl", digest="x", n_lines=3, content=TEXT, at=a_time())
    assert (small.number, small.content, small.n_lines) == (1, sha256(TEXT).hexdigest(), 3)
    large = store.keep_data_version("data/a.jsonl", digest="y", n_lines=10**7, content=None, at=a_time(1))
    assert (large.number, large.content) == (2, None)
    assert store.keep_data_version("data/a.jsonl", digest="x", n_lines=3, content=TEXT, at=a_time(2)) == small
    assert store.find_data_version("data/a.jsonl", "y") == large
    assert store.find_data_version("data/b.jsonl", "y") is None
    assert store.list_data_versions() == store.list_data_versions("data/a.jsonl") == (small, large)
    assert store.read_file(small.content or "") == TEXT


def test_the_file_of_a_version_of_data_is_forgotten_unless_another_has_it(store: RunStore) -> None:
    def keep_data(digest: str, content: bytes) -> str:
        kept = store.keep_data_version("d", digest=digest, n_lines=1, content=content, at=a_time())
        return kept.content or ""

    lone, shared = keep_data("x", b"lone"), keep_data("y", TEXT)
    store.keep_data_version("e", digest="y", n_lines=1, content=TEXT, at=a_time())
    keep(store, "one")
    assert store.forget_data("d", 1)
    assert (store.forget_data("d", 1), store.forget_data("d", 9)) == (False, False)
    assert store.read_file(lone) is None
    version = store.find_data_version("d", "x")
    assert version is not None
    assert (version.number, version.content) == (1, None)
    assert store.forget_data("d", 2)
    assert store.read_file(shared) == TEXT
    assert store.forget_data("e", 1)
    assert store.read_file(shared) == TEXT  # a version of a flow has it


def test_which_files_are_missing_is_said(store: RunStore) -> None:
    keep(store, "one")
    assert store.missing_files(["0" * 64, *CONTENTS]) == {"0" * 64}
    assert store.missing_files([]) == frozenset()


PIECES = (("a.csv", b"x" * 100), ("a.csv", b"yz"), ("b/c.csv", b""), ("b/d.csv", BINARY))


def test_large_data_is_kept_in_pieces_and_forgotten_with_the_last_version_of_it(store: RunStore) -> None:
    kept = store.keep_pieces("c" * 64, iter(PIECES))
    assert kept == KeptPieces(content="c" * 64, n_pieces=4)
    for data in ("d", "e"):
        version = store.keep_data_version(data, digest="x", n_lines=9, content=kept, at=a_time())
        assert (version.number, version.content) == (1, "c" * 64)
    store.create_run(a_spec("gone"), n_lines=1, created_at=a_time())
    store.delete_run("gone")  # contents that nothing refers to go with it
    assert tuple(store.read_pieces("c" * 64)) == PIECES
    assert store.forget_data("d", 1)
    assert tuple(store.read_pieces("c" * 64)) == PIECES
    assert store.forget_data("e", 1)
    assert tuple(store.read_pieces("c" * 64)) == ()
    assert store.read_file("c" * 64) is None


def test_pieces_that_are_kept_again_are_the_new_ones(store: RunStore) -> None:
    store.keep_pieces("c" * 64, [("", b"old"), ("", b"same")])
    kept = store.keep_pieces("c" * 64, [("", b"new"), ("", b"same")])
    assert store.keep_data_version("d", digest="x", n_lines=1, content=kept, at=a_time()).content == "c" * 64
    assert tuple(store.read_pieces("c" * 64)) == (("", b"new"), ("", b"same"))


def test_a_version_keeps_nothing_of_pieces_that_were_forgotten_meanwhile(store: RunStore) -> None:
    kept = store.keep_pieces("c" * 64, PIECES)
    store.keep_data_version("d", digest="x", n_lines=1, content=kept, at=a_time())
    store.forget_data("d", 1)
    assert store.keep_data_version("e", digest="x", n_lines=1, content=kept, at=a_time()).content is None


def test_a_run_says_which_versions_it_ran_and_they_stay_when_it_goes(store: RunStore) -> None:
    kept = keep(store, "one")
    store.create_run(replace(a_spec(), flow_version=1, data_version=4), n_lines=1, created_at=a_time())
    store.create_run(a_spec("second"), n_lines=1, created_at=a_time())
    assert (store.read_run("first").spec.flow_version, store.read_run("first").spec.data_version) == (1, 4)
    assert store.read_run("second").spec.flow_version is None
    store.delete_run("first")
    assert store.list_flow_versions() == (kept,)
    assert store.read_file(sha256(BINARY).hexdigest()) == BINARY
