"""Experiments: recorded once before anything runs, claimed by one process at a time, closed by their owner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from tests.support.new_stores import new_postgresql, new_sqlite
from tests.support.runs import a_time

from headrace.domain.recorded_experiment import PinnedData, PinnedFlow, PlannedRun, RecordedExperiment
from headrace.domain.run import CANCELED, COMPLETED, RUNNING, Cap
from headrace.errors import UsageError
from headrace.store.base import RunStore
from headrace.store.opening import STORES, open_store

LOCATIONS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "memory": lambda request: "memory:",
    "sqlite": new_sqlite,
    "postgresql": new_postgresql,
}
BEGUN = RecordedExperiment(
    id="e_1",
    name="é",
    created_at=a_time(1),
    definition={"arms": [{"name": "a"}], "alpha": 0.05, "nothing": None},
    judgement={"metrics": [{"name": "f1", "labels": {}}]},
    flows=(
        PinnedFlow(role="flow", path="/w/f", name="f", number=7, digest="d" * 64, used_by=("a", "b")),
        PinnedFlow(role="evaluator", path="/w/g", name="g", number=1, digest="e" * 64, used_by=("judge",)),
    ),
    data=PinnedData(path="/w/d.jsonl#sample=2", name="d.jsonl", number=2, digest="c" * 64, n_lines=2),
    planned=(
        PlannedRun(name="e_1_a", arm="a", repeat=0),
        PlannedRun(name="e_1_a_judge", arm="a", repeat=0, evaluator="judge"),
    ),
    texts={"experiment.yaml": "name: é\n"},
    cap=Cap(cost_usd=1.5),
    environment_names=("REGION",),
    owner="host:1:one",
    heartbeat_at=a_time(1),
)


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest) -> Iterator[RunStore]:
    opened = open_store(LOCATIONS[request.param](request))
    yield opened
    opened.close()


def test_an_experiment_reads_back_as_it_was_recorded(store: RunStore) -> None:
    assert store.list_experiments() == ()
    assert store.read_experiment("e_1") is None
    store.create_experiment(BEGUN)
    assert store.read_experiment("e_1") == BEGUN
    assert BEGUN.run_name("a", 0, "judge") == "e_1_a_judge"
    with pytest.raises(UsageError) as caught:
        store.create_experiment(replace(BEGUN, name="other"))
    assert caught.value.problems[0].code == "S802"
    assert store.read_experiment("e_1") == BEGUN


def test_lists_give_the_newest_first(store: RunStore) -> None:
    again = replace(
        BEGUN, id="e_2", created_at=a_time(2), rerun_of="e_1", cap=None, owner=None, heartbeat_at=None
    )
    store.create_experiment(again)
    store.create_experiment(BEGUN)
    assert store.list_experiments() == (again, BEGUN)


def test_one_process_at_a_time_works_on_an_experiment(store: RunStore) -> None:
    store.create_experiment(BEGUN)
    assert store.beat_experiment("e_1", owner="host:1:one", at=a_time(5))
    assert not store.claim_experiment(BEGUN, owner="host:2:two", at=a_time(9), seen=a_time(1))
    richer = replace(BEGUN, cap=Cap(cost_usd=9))
    assert store.claim_experiment(richer, owner="host:2:two", at=a_time(9), seen=a_time(5))
    assert not store.claim_experiment(BEGUN, owner="host:3:three", at=a_time(10), seen=a_time(5))
    assert not store.beat_experiment("e_1", owner="host:1:one", at=a_time(10))
    assert not store.finish_experiment("e_1", owner="host:1:one", status=CANCELED, finished_at=a_time(10))
    found = store.read_experiment("e_1")
    assert found == replace(richer, owner="host:2:two", heartbeat_at=a_time(9), status=RUNNING)


def test_an_experiment_is_closed_and_taken_up_again(store: RunStore) -> None:
    store.create_experiment(BEGUN)
    closed = {"status": COMPLETED, "finished_at": a_time(7), "verdict": "Ship b."}
    assert store.finish_experiment("e_1", owner="host:1:one", **closed)  # type: ignore[arg-type]
    assert store.read_experiment("e_1") == replace(BEGUN, **closed)  # type: ignore[arg-type]
    assert store.claim_experiment(BEGUN, owner="host:2:two", at=a_time(9), seen=a_time(1))
    found = store.read_experiment("e_1")
    assert found is not None
    assert (found.status, found.finished_at) == (RUNNING, None)
