"""Results of nodes that stores keep: the first of a key, whole, whatever becomes of the run that made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from tests.support.new_stores import new_postgresql, new_sqlite
from tests.support.runs import START_NS, a_line, a_spec, a_time

from headrace.domain.cache import CacheChanges, CachedResult, CacheSummary
from headrace.domain.run import COMPLETED, NodeResult, Usage
from headrace.errors import UsageError
from headrace.store.base import RunStore
from headrace.store.opening import STORES, open_store

LOCATIONS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "memory": lambda request: "memory:",
    "sqlite": new_sqlite,
    "postgresql": new_postgresql,
}


@pytest.fixture(params=sorted(STORES))
def location(request: pytest.FixtureRequest) -> str:
    return LOCATIONS[request.param](request)


@pytest.fixture
def store(location: str) -> Iterator[RunStore]:
    opened = open_store(location)
    yield opened
    opened.close()


def a_result(number: int = 1, **changes: Any) -> CachedResult:
    fields: dict[str, Any] = {
        "key": f"{number:064x}",
        "output": '{"text":"\\ud83d\\u0000\\u00e9","n":[1,2.5,NaN]}',
        "run": "first",
        "line_number": 3,
        "node": "generate",
        "logs": {"stdout": "é\n", "stderr": ""},
        "usage": Usage(calls=1, prompt_tokens=10, completion_tokens=2, cost_usd=0.25),
        "duration_ns": 1_500_000,
        "made_ns": START_NS,
    }
    return CachedResult(**{**fields, **changes})


def test_results_read_back_as_they_were_kept(store: RunStore) -> None:
    one, other = a_result(1), a_result(2, usage=Usage(), logs={}, output="null")
    store.change_cache(CacheChanges(made=(one, other)))
    assert store.read_cached([other.key, "f" * 64, one.key]) == {one.key: one, other.key: other}
    assert store.read_cached([]) == {}


def test_a_store_that_has_nothing_yet_has_no_results(store: RunStore) -> None:
    assert store.read_cached(["0" * 64]) == {}
    assert store.summarize_cache() == CacheSummary()
    assert store.clear_cache() == 0


def test_the_first_result_of_a_key_stays(store: RunStore) -> None:
    store.change_cache(CacheChanges(made=(a_result(1),)))
    store.change_cache(CacheChanges(made=(a_result(1, run="second", output="2"),)))
    assert store.read_cached([a_result(1).key])[a_result(1).key].run == "first"


def test_lines_and_what_they_add_to_the_cache_are_committed_together(store: RunStore) -> None:
    store.create_run(a_spec(), n_lines=2, created_at=a_time())
    store.append_lines("first", [a_line(0)], CacheChanges(made=(a_result(1),)))
    assert list(store.line_statuses("first")) == [0]
    with pytest.raises(UsageError):
        store.append_lines("no such run", [a_line(1)], CacheChanges(made=(a_result(2),)))
    assert set(store.read_cached([a_result(1).key, a_result(2).key])) == {a_result(1).key}


def test_results_outlive_the_run_that_made_them(store: RunStore) -> None:
    store.create_run(a_spec(), n_lines=1, created_at=a_time())
    store.append_lines("first", [a_line(0)], CacheChanges(made=(a_result(1),)))
    store.delete_run("first")
    assert store.read_cached([a_result(1).key]) == {a_result(1).key: a_result(1)}


def test_the_summary_counts_results_uses_and_what_they_saved(store: RunStore) -> None:
    one, other = a_result(1), a_result(2, made_ns=START_NS + 7, usage=Usage())
    store.change_cache(CacheChanges(made=(one, other)))
    store.change_cache(CacheChanges(used={one.key: 2, other.key: 1, "f" * 64: 1}, used_ns=START_NS + 9))
    store.change_cache(CacheChanges(used={one.key: 1}, used_ns=START_NS + 9))
    found = store.summarize_cache()
    assert (found.n_results, found.n_uses, found.saved_tokens) == (2, 4, 3 * 12)
    assert found.usage == replace(one.usage, cost_usd=0.25)
    assert (found.oldest_ns, found.newest_ns) == (START_NS, START_NS + 7)
    assert found.n_bytes >= len(one.output) + len(other.output)


def test_results_that_are_not_used_any_more_can_be_forgotten(store: RunStore) -> None:
    store.change_cache(CacheChanges(made=(a_result(1), a_result(2), a_result(3, made_ns=START_NS + 10))))
    store.change_cache(CacheChanges(used={a_result(2).key: 1}, used_ns=START_NS + 20))
    assert store.clear_cache(unused_since_ns=START_NS + 5) == 1
    assert set(store.read_cached([a_result(n).key for n in (1, 2, 3)])) == {a_result(2).key, a_result(3).key}
    assert store.clear_cache() == 2
    assert store.summarize_cache() == CacheSummary()


def test_what_a_node_depended_on_is_recorded_with_it(store: RunStore) -> None:
    node = NodeResult(
        node="ask",
        status=COMPLETED,
        cached_from="base",
        saved=Usage(calls=1, prompt_tokens=4),
        saved_ns=12,
        parts={"code": "a" * 12, "inputs": "b" * 12},
    )
    sources = {"ask": {"ask.py": "12", "package numpy": "2.0"}}
    created = store.create_run(a_spec(sources=sources), n_lines=1, created_at=a_time())
    store.append_lines("first", [a_line(0, nodes=(node,))])
    assert created.spec.sources == sources
    assert next(iter(store.read_lines("first"))).nodes == (node,)


def test_writers_of_the_same_results_do_not_disturb_each_other(location: str, store: RunStore) -> None:
    stores = [store] if location == "memory:" else [store, open_store(location)]
    results = [a_result(number) for number in range(200)]

    def write(number: int) -> None:
        ordered = results if number % 2 else results[::-1]
        for start in range(0, len(ordered), 10):
            group = tuple(ordered[start : start + 10])
            changes = CacheChanges(made=group, used={item.key: 1 for item in group}, used_ns=START_NS)
            stores[number % len(stores)].change_cache(changes)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert store.summarize_cache().n_results == 200
    assert store.summarize_cache().n_uses == 800
    for opened in stores[1:]:
        opened.close()
