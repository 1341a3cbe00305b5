"""Evidence of live traffic: kept once, whatever arrives how often and in which order; and the revisions of tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from tests.support.evidence import a_completion, a_feedback, a_revision, an_exposure
from tests.support.new_stores import new_postgresql, new_sqlite

from headrace.domain.evidence import Evidence
from headrace.store.base import RunStore
from headrace.store.opening import STORES, open_store

LOCATIONS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "memory": lambda request: "memory:",
    "sqlite": new_sqlite,
    "postgresql": new_postgresql,
}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest) -> Iterator[RunStore]:
    opened = open_store(LOCATIONS[request.param](request))
    yield opened
    opened.close()


def arrived(store: RunStore, test: str = "checkout", after: int = 0) -> list[Evidence]:
    arrivals = store.read_arrivals(test, after=after)
    places = [arrival.place for arrival in arrivals]
    assert places == sorted(set(places))
    assert all(place > after for place in places)
    return [arrival.evidence for arrival in arrivals]


def test_a_store_without_evidence_is_empty(store: RunStore) -> None:
    assert store.append_evidence([]) == 0
    assert store.read_arrivals("checkout") == ()
    assert store.find_exposure("r1") is None
    assert store.latest_revision("checkout") is None
    assert store.list_revisions("checkout") == ()
    assert store.list_ab_tests() == ()
    store.delete_ab_test("checkout")


def test_records_read_back_in_the_order_of_their_arrival(store: RunStore) -> None:
    records: list[Evidence] = [
        a_completion(
            problem="E601", is_gone=True, first_token_ms=0.5, prompt_tokens=3, completion_tokens=0, cost_usd=0.25,
            inputs={"q": 'é\n"\0\ud83d', "l": [1, None, {"x": 1.5}]}, outputs={}, has_consent=True,
        ),
        an_exposure(role="forced", version="flow@abc", trace_id="1" * 32, attributes={"plan": "pro", "n": 3}),
        a_feedback(value=None, text="☃", source="judge", unit="u" * 32),
        an_exposure(2, test="other"),
    ]  # fmt: skip
    assert store.append_evidence(records) == 4
    assert arrived(store) == records[:3]
    assert arrived(store, "other") == records[3:]


def test_records_are_read_from_a_place_on_and_a_few_at_a_time(store: RunStore) -> None:
    records = [an_exposure(number) for number in range(10)]
    for record in records:
        assert store.append_evidence([record]) == 1
    page = store.read_arrivals("checkout", limit=4)
    assert [arrival.evidence for arrival in page] == records[:4]
    assert arrived(store, after=page[-1].place) == records[4:]
    assert arrived(store, after=store.read_arrivals("checkout")[-1].place) == []


def test_a_record_that_comes_again_is_ignored_even_with_another_content(store: RunStore) -> None:
    records: list[Evidence] = [an_exposure(), a_completion(), a_feedback()]
    assert store.append_evidence([*records, records[0]]) == 3
    last = store.read_arrivals("checkout")[-1].place
    again = [an_exposure(arm="a"), a_completion(problem="E601"), a_feedback(value=0.0)]
    assert store.append_evidence([*again, an_exposure(2)]) == 1
    assert arrived(store) == [*records, an_exposure(2)]
    assert arrived(store, after=last) == [an_exposure(2)]


def test_one_request_is_evidence_in_each_test_that_it_is_part_of(store: RunStore) -> None:
    ours: list[Evidence] = [an_exposure(), a_completion(), a_feedback()]
    theirs: list[Evidence] = [replace(record, test="other") for record in ours]
    assert store.append_evidence([ours[0], *theirs, *ours]) == 6
    assert store.append_evidence([*ours, *theirs]) == 0
    assert (arrived(store), arrived(store, "other")) == (ours, theirs)
    waits = a_feedback(2, test="")
    assert store.append_evidence([waits, a_feedback(2), an_exposure(2), an_exposure(2, test="other")]) == 4
    assert arrived(store)[3:] == [a_feedback(2), an_exposure(2)]
    assert arrived(store, "other")[3:] == [an_exposure(2, test="other")]
    store.delete_ab_test("checkout")
    assert arrived(store, "other")[:3] == theirs


def test_feedback_that_names_no_test_gets_that_of_its_exposure(store: RunStore) -> None:
    store.append_evidence([an_exposure()])
    store.append_evidence([a_feedback(test="")])
    assert arrived(store) == [an_exposure(), a_feedback()]


def test_feedback_that_came_before_its_exposure_arrives_behind_what_was_read_meanwhile(
    store: RunStore,
) -> None:
    early = [a_feedback("1", test=""), a_feedback("1", id="f1b", test="", value=0.0), a_feedback(9, test="")]
    assert store.append_evidence(early) == 3
    store.append_evidence([an_exposure(7)])
    assert arrived(store) == [an_exposure(7)]
    seen = store.read_arrivals("checkout")[-1].place
    assert store.append_evidence([a_feedback(8, test=""), an_exposure(8), an_exposure(1)]) == 3
    settled = [a_feedback("1"), a_feedback("1", id="f1b", value=0.0), a_feedback(8)]
    assert arrived(store, after=seen) == [an_exposure(8), an_exposure(1), *settled]
    assert store.append_evidence(early) == 0
    assert arrived(store, after=seen) == [an_exposure(8), an_exposure(1), *settled]


def test_an_exposure_is_found_by_its_request_and_a_mirror_is_not(store: RunStore) -> None:
    mirror = an_exposure("1 c", request_id="r1", role="shadow", arm="c")
    store.append_evidence([mirror])
    assert store.find_exposure("r1") is None
    store.append_evidence([an_exposure()])
    assert store.find_exposure("r1") == an_exposure()
    assert store.find_exposure("r") is None


def test_names_of_any_length_and_kind_are_told_apart(store: RunStore) -> None:
    names = ["x" * 5000, "x" * 5000 + "y", "é\0", "\ud83d", "é", ""]
    records = [a_feedback(id=name, exposure="e" * 9000) for name in names]
    records += [an_exposure("long", id=name, request_id=name) for name in names]  # type: ignore[misc]
    assert store.append_evidence(records) == len(records)
    assert store.append_evidence(records) == 0
    assert arrived(store) == records
    assert store.find_exposure(names[1]) == records[len(names) + 1]


def test_revisions_are_numbered_without_gaps_and_the_first_writer_wins(store: RunStore) -> None:
    assert not store.append_revision(a_revision(2))
    first = a_revision(evidence={"e": [1.5, None]}, definition={"arms": ["a", "b"]}, by="é")
    assert store.append_revision(first)
    assert not store.append_revision(a_revision(reason="promoted"))
    assert not store.append_revision(a_revision(3))
    second = a_revision(2, reason="stopped", is_over=True, ranges={})
    assert store.append_revision(second)
    assert store.append_revision(a_revision(test="a test"))
    assert store.list_revisions("checkout") == (first, second)
    assert store.latest_revision("checkout") == second
    assert store.list_ab_tests() == ("a test", "checkout")


def test_deleting_a_test_leaves_the_others_and_what_its_readers_know(store: RunStore) -> None:
    store.append_evidence([an_exposure(1), a_completion(1), a_feedback(1, test="")])
    store.append_evidence([an_exposure(2, test="other"), a_feedback(3, test="")])
    last = store.read_arrivals("other")[-1].place
    for test in ("checkout", "other"):
        store.append_revision(a_revision(test=test))
    store.delete_ab_test("other")
    assert store.list_ab_tests() == ("checkout",)
    assert store.list_revisions("other") == ()
    assert (len(arrived(store)), arrived(store, "other")) == (3, [])
    store.append_evidence([an_exposure(2, test="other"), an_exposure(3)])
    assert arrived(store, "other", after=last) == [an_exposure(2, test="other")]
    assert arrived(store)[3:] == [an_exposure(3), a_feedback(3)]
    assert store.append_revision(replace(a_revision(), test="other"))
