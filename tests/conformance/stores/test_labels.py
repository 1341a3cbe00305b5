"""What people say about answers: kept in order, whole, never replaced, gone with the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from tests.support.new_stores import new_postgresql, new_sqlite
from tests.support.runs import a_line, a_spec, a_time

from headrace.domain.label import Label, labels_in_force
from headrace.errors import UsageError
from headrace.store.base import RunStore
from headrace.store.opening import STORES, open_store

LOCATIONS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "memory": lambda request: "memory:",
    "sqlite": new_sqlite,
    "postgresql": new_postgresql,
}
LABEL = Label(
    line_number=3, metric="f1", value=0.25, labeller="Ada", is_random=True, at=a_time(), note="dull — é"
)


@pytest.fixture(params=sorted(STORES))
def location(request: pytest.FixtureRequest) -> str:
    return LOCATIONS[request.param](request)


@pytest.fixture
def store(location: str) -> Iterator[RunStore]:
    opened = open_store(location)
    opened.create_run(a_spec(), n_lines=4, created_at=a_time())
    opened.append_lines("first", [a_line(3)])
    yield opened
    opened.close()


def test_labels_read_back_as_they_were_given_oldest_first(store: RunStore) -> None:
    other = replace(LABEL, line_number=0, value=1.0, labeller="", is_random=False, at=a_time(-5), note="")
    store.append_labels("first", [LABEL, other])
    store.append_labels("first", [replace(LABEL, value=None)])
    store.append_labels("first", [])
    assert store.read_labels("first") == (LABEL, other, replace(LABEL, value=None))


def test_the_last_label_of_a_person_counts_and_what_was_taken_back_does_not(store: RunStore) -> None:
    changed = replace(LABEL, value=0.75)
    store.append_labels("first", [LABEL, replace(LABEL, labeller="Bo"), changed])
    store.append_labels("first", [replace(LABEL, labeller="Bo", value=None)])
    assert labels_in_force(store.read_labels("first")) == {(3, "f1", "Ada"): changed}


def test_labels_belong_to_a_run_and_go_with_it(store: RunStore) -> None:
    store.create_run(a_spec("second"), n_lines=4, created_at=a_time())
    store.append_labels("first", [LABEL])
    assert store.read_labels("second") == ()
    store.delete_run("first")
    for use in (lambda: store.read_labels("first"), lambda: store.append_labels("first", [LABEL])):
        with pytest.raises(UsageError) as raised:
            use()
        assert raised.value.problems[0].code == "S801"
    store.create_run(a_spec(), n_lines=4, created_at=a_time())
    assert store.read_labels("first") == ()


def test_labels_of_a_killed_process_are_there_afterwards(location: str, store: RunStore) -> None:
    if location == "memory:":
        pytest.skip("a store in memory lives as long as its process")
    store.append_labels("first", [LABEL])
    other = open_store(location)  # nothing was closed in between
    try:
        assert other.read_labels("first") == (LABEL,)
    finally:
        other.close()
