"""What every store promises, over every store."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.new_stores import new_postgresql, new_sqlite
from tests.support.runs import START_NS, a_line, a_span, a_spec, a_time

from headrace.domain.run import BYPASSED, CANCELED, COMPLETED, FAILED, RUNNING, NodeResult, Usage
from headrace.domain.variant import ModelSpec, Price
from headrace.errors import Problem, UsageError
from headrace.source import Span
from headrace.store.base import AGGREGATION_LINE, RunStore
from headrace.store.opening import STORES, open_store

LOCATIONS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "memory": lambda request: "memory:",
    "sqlite": new_sqlite,
    "postgresql": new_postgresql,
}

PROBLEM = Problem(
    code="R102",
    what="The node is not there.",
    span=Span(file="flow.dag.yaml", line=3, column=5, end_line=3, end_column=9),
    pointer=("nodes", 2, "inputs"),
    fix='Did you mean "ask"?',
    related=(("first here", Span(file="flow.dag.yaml", line=1, column=1, end_line=1, end_column=4)),),
    severity="warning",
    detail=("a", "b"),
)


def test_every_store_is_under_test() -> None:
    assert set(LOCATIONS) == set(STORES)


@pytest.fixture(params=sorted(LOCATIONS))
def open_empty(request: pytest.FixtureRequest) -> Iterator[Callable[[], RunStore]]:
    opened: list[RunStore] = []

    def open_one() -> RunStore:
        opened.append(open_store(LOCATIONS[request.param](request)))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_empty: Callable[[], RunStore]) -> RunStore:
    return open_empty()


@pytest.fixture
def first(store: RunStore) -> RunStore:
    store.create_run(a_spec(), n_lines=10, created_at=a_time())
    return store


def code_of(raised: pytest.ExceptionInfo[UsageError]) -> str:
    return raised.value.problems[0].code


# Runs


def test_a_new_run_reads_back_as_it_was_asked_for(store: RunStore) -> None:
    spec = a_spec(
        data_path="data.jsonl",
        data_digest="cd" * 32,
        column_mapping={"b": "${data.b}", "a": "${run.outputs.a}"},
        source_run="base",
        variant="${ask.v1}",
        arm="v1 × gpt",
        model="open_ai/gpt",
        experiment="e1",
        repeat=3,
        display_name="Ünï ✓",
        description="two\nlines",
        tags={"z": "1", "a": "2"},
        resume_from="before",
        chosen_model=ModelSpec(
            name="gpt",
            connection="open_ai",
            model="gpt",
            parameters={"temperature": 0},
            price=Price(input_usd=0.5, output_usd=1.5),
        ),
        connections={"ask.connection": "mine"},
        init={"limit": 3, "model": {"connection": "mine"}},
        properties={"ticket": "A-1", "n": 2},
    )
    created = store.create_run(spec, n_lines=7, created_at=a_time())
    assert created == store.read_run("first")
    assert created.spec == spec
    assert list(created.spec.column_mapping) == ["b", "a"]
    assert (created.status, created.n_lines, created.created_at) == (RUNNING, 7, a_time())
    assert (created.n_completed, created.n_failed, created.usage) == (0, 0, Usage())
    assert (created.finished_at, created.problem, created.aggregation) == (None, None, ())
    assert created.is_archived is False


def test_a_model_without_a_price_reads_back(store: RunStore) -> None:
    model = ModelSpec(name="gpt", connection="open_ai", model="gpt")
    assert (
        store.create_run(a_spec(chosen_model=model), n_lines=1, created_at=a_time()).spec.chosen_model
        == model
    )


def test_a_run_of_served_requests_has_as_many_lines_as_are_recorded(store: RunStore) -> None:
    created = store.create_run(a_spec(is_served=True), n_lines=0, created_at=a_time(), owner="me")
    assert (created.spec.is_served, created.n_lines) == (True, 0)
    store.append_lines("first", [a_line(0), a_line(1, status=FAILED)])
    assert store.read_run("first").n_lines == 2
    assert [(run.spec.is_served, run.n_lines) for run in store.list_runs()] == [(True, 2)]


def test_times_come_back_in_utc(store: RunStore) -> None:
    elsewhere = a_time().astimezone(timezone(timedelta(hours=5, minutes=30)))
    run = store.create_run(a_spec(), n_lines=1, created_at=elsewhere)
    assert run.created_at == a_time()
    assert run.created_at.utcoffset() == timedelta(0)


def test_a_taken_name_is_refused_and_changes_nothing(first: RunStore) -> None:
    first.append_lines("first", [a_line(0)])
    before = first.read_run("first")
    with pytest.raises(UsageError) as raised:
        first.create_run(a_spec(flow_name="other"), n_lines=99, created_at=a_time(1))
    assert code_of(raised) == "S802"
    assert first.read_run("first") == before


def test_a_finished_run_keeps_what_it_was_closed_with(first: RunStore) -> None:
    nodes = (
        NodeResult(node="mean", status=COMPLETED, inputs={"x": [1, 2]}, output=1.5, start_ns=5, end_ns=9),
        NodeResult(node="odd", status=FAILED, problem=PROBLEM, logs={"stdout": "hi\n"}),
        NodeResult(node="rest", status=BYPASSED),
        NodeResult(node="judge", status=CANCELED, usage=Usage(calls=2, prompt_tokens=3, cost_usd=0.5)),
    )
    span = a_span(9)
    finished = first.finish_run(
        "first",
        status=FAILED,
        finished_at=a_time(2),
        metrics={"accuracy": 0.75, "count": 3},
        aggregation=nodes,
        problem=PROBLEM,
        spans=[span],
    )
    assert finished == first.read_run("first")
    assert (finished.status, finished.finished_at) == (FAILED, a_time(2))
    assert finished.metrics == {"accuracy": 0.75, "count": 3}
    assert finished.problem is not None
    assert finished.problem.to_json() == PROBLEM.to_json()
    assert [dataclasses.replace(node, problem=None) for node in finished.aggregation] == [
        dataclasses.replace(node, problem=None) for node in nodes
    ]
    assert [node.problem is not None for node in finished.aggregation] == [False, True, False, False]
    assert first.read_spans("first") == (span,)
    assert first.read_line("first", AGGREGATION_LINE) is None


def test_a_run_may_be_closed_again(first: RunStore) -> None:
    first.finish_run(
        "first", status=CANCELED, finished_at=a_time(1), metrics={"a": 1.0}, problem=PROBLEM, spans=[a_span()]
    )
    run = first.finish_run("first", status=COMPLETED, finished_at=a_time(2), metrics={})
    assert (run.status, run.metrics, run.problem) == (COMPLETED, {}, None)
    assert first.read_spans("first") == ()


def test_metrics_that_are_not_finite_come_back_as_they_were(first: RunStore) -> None:
    run = first.finish_run(
        "first", status=COMPLETED, finished_at=a_time(), metrics={"a": math.nan, "b": math.inf, "c": 2.0}
    )
    assert math.isnan(run.metrics["a"])
    assert run.metrics["b"] == math.inf
    assert run.metrics["c"] == 2.0


@pytest.mark.parametrize(
    ("known", "asked", "fix"),
    [
        (["baseline_run", "other"], "baseline_rum", '"baseline_run"'),
        (["baseline_run"], "zzz", "run list"),
        ([], "anything", "run create"),
    ],
)
def test_an_unknown_run_is_refused_by_every_method(
    store: RunStore, known: list[str], asked: str, fix: str
) -> None:
    for name in known:
        store.create_run(a_spec(name), n_lines=1, created_at=a_time())
    methods: list[Callable[[], object]] = [
        lambda: store.read_run(asked),
        lambda: store.append_lines(asked, [a_line()]),
        lambda: store.finish_run(asked, status=COMPLETED, finished_at=a_time(), metrics={}),
        lambda: store.update_run(asked, description="x"),
        lambda: store.read_lines(asked),
        lambda: store.read_outcomes(asked),
        lambda: store.read_line(asked, 0),
        lambda: store.read_spans(asked),
        lambda: store.line_statuses(asked),
        lambda: store.delete_spans(asked),
        lambda: store.delete_run(asked),
    ]
    for method in methods:
        with pytest.raises(UsageError) as raised:
            method()
        assert code_of(raised) == "S801"
        assert fix in (raised.value.problems[0].fix or "")


def test_runs_are_listed_newest_first(store: RunStore) -> None:
    for name, minutes in (("old", 0), ("newest", 5), ("tie a", 3), ("tie b", 3)):
        store.create_run(a_spec(name), n_lines=1, created_at=a_time(minutes))
    assert [run.spec.name for run in store.list_runs()] == ["newest", "tie b", "tie a", "old"]
    assert [run.spec.name for run in store.list_runs(limit=2)] == ["newest", "tie b"]
    assert store.list_runs(limit=0) == ()


def test_a_list_can_be_limited_to_an_experiment_or_a_source_run(store: RunStore) -> None:
    store.create_run(a_spec("base", experiment="e1"), n_lines=1, created_at=a_time(0))
    store.create_run(a_spec("scores", source_run="base", experiment="e1"), n_lines=1, created_at=a_time(1))
    store.create_run(a_spec("scores 2", source_run="base"), n_lines=1, created_at=a_time(2))
    store.create_run(a_spec("else", source_run="other", experiment="e2"), n_lines=1, created_at=a_time(3))

    def names(**filters: Any) -> list[str]:
        return [run.spec.name for run in store.list_runs(**filters)]

    assert names(experiment="e1") == ["scores", "base"]
    assert names(source_run="base") == ["scores 2", "scores"]
    assert names(source_run="base", experiment="e1") == ["scores"]
    assert names(source_run="base", limit=1) == ["scores 2"]
    assert names(experiment="nothing") == []


def test_archived_runs_can_be_listed_apart(store: RunStore) -> None:
    for name in ("a", "b", "c"):
        store.create_run(a_spec(name, experiment="e"), n_lines=1, created_at=a_time())
    assert store.update_run("b", is_archived=True).is_archived

    def names(**filters: Any) -> list[str]:
        return [run.spec.name for run in store.list_runs(**filters)]

    assert names() == ["c", "b", "a"]
    assert names(is_archived=False) == ["c", "a"]
    assert names(is_archived=False, limit=2) == ["c", "a"]
    assert names(is_archived=True, experiment="e") == ["b"]
    assert not store.update_run("b", is_archived=False).is_archived
    assert names(is_archived=True) == []


def test_what_people_note_can_be_changed_one_by_one(store: RunStore) -> None:
    store.create_run(a_spec(description="old", tags={"a": "1"}), n_lines=1, created_at=a_time())
    store.append_lines("first", [a_line(0)])
    before = store.read_run("first")
    changed = store.update_run("first", display_name="Ünï", tags={"b": ""})
    assert changed == store.read_run("first")
    assert changed == dataclasses.replace(
        before, spec=dataclasses.replace(before.spec, display_name="Ünï", tags={"b": ""})
    )
    assert store.update_run("first", description="").spec.description == ""
    assert store.update_run("first", tags={}).spec.tags == {}
    assert store.update_run("first") == store.read_run("first")


def test_an_empty_store_lists_no_runs(store: RunStore) -> None:
    assert store.list_runs() == ()


def test_a_deleted_run_takes_its_lines_and_spans_with_it(first: RunStore) -> None:
    first.create_run(a_spec("kept"), n_lines=1, created_at=a_time())
    for run in ("first", "kept"):
        first.append_lines(run, [a_line(0), a_line(1)])
        first.finish_run(run, status=COMPLETED, finished_at=a_time(1), metrics={}, spans=[a_span()])
    first.delete_run("first")
    assert [run.spec.name for run in first.list_runs()] == ["kept"]
    assert len(list(first.read_lines("kept"))) == 2

    again = first.create_run(a_spec(), n_lines=1, created_at=a_time(3))
    assert (again.n_completed, again.usage) == (0, Usage())
    assert list(first.read_lines("first")) == []
    assert first.read_spans("first") == ()
    assert first.read_spans("first", 0) == ()


def test_spans_can_be_deleted_and_the_lines_stay(first: RunStore) -> None:
    early, late = a_line(0, start_ns=100, spans=(a_span(),)), a_line(1, start_ns=200, spans=(a_span(),))
    first.append_lines("first", [early, late, a_line(2, start_ns=50, spans=())])
    first.finish_run("first", status=COMPLETED, finished_at=a_time(1), metrics={}, spans=[a_span()])
    assert first.delete_spans("first", started_before_ns=100) == 0
    assert first.delete_spans("first", started_before_ns=101) == 1
    assert [len(first.read_spans("first", number)) for number in (0, 1)] == [0, 1]
    assert first.read_spans("first") == (a_span(),)
    assert first.delete_spans("first", started_before_ns=201) == 2
    assert first.read_spans("first") == ()
    assert first.delete_spans("first") == 0
    assert [line.line_number for line in first.read_lines("first")] == [0, 1, 2]


# Lines


def test_a_line_reads_back_whole(first: RunStore) -> None:
    line = a_line(
        4,
        status=FAILED,
        inputs={"n": 1, "f": 0.1, "none": None, "deep": {"list": [True, {"x": []}]}},
        outputs={},
        nodes=(
            NodeResult(
                node="ask",
                status=COMPLETED,
                inputs={"text": "hi"},
                output={"score": [1, 2.5]},
                usage=Usage(calls=1, prompt_tokens=5, completion_tokens=6),
                start_ns=START_NS,
                end_ns=START_NS + 1,
                logs={"stdout": "a", "stderr": "b"},
            ),
            NodeResult(node="empty", status=COMPLETED, inputs={}, output="", start_ns=1, end_ns=2),
            NodeResult(node="skip", status=BYPASSED),
        ),
        spans=(
            a_span(1, kind="server", status="ok", attributes={}),
            a_span(
                2,
                parent_id=f"{1:016x}",
                kind="client",
                status="error",
                status_text="429",
                attributes={"gen_ai.response.finish_reasons": ["stop"], "x": 1.5, "y": False},
                events=(("exception", START_NS + 3, {"exception.type": "ValueError"}), ("tick", 5, {})),
            ),
        ),
    )
    first.append_lines("first", [line])
    assert first.read_line("first", 4) == line
    assert list(first.read_lines("first")) == [dataclasses.replace(line, spans=())]
    assert first.read_spans("first", 4) == line.spans


def test_a_problem_reads_back_with_its_place(first: RunStore) -> None:
    node = NodeResult(node="ask", status=FAILED, problem=PROBLEM)
    first.append_lines("first", [a_line(0, status=FAILED, problem=PROBLEM, nodes=(node,))])
    line = first.read_line("first", 0)
    assert line is not None
    assert line.problem is not None
    assert line.problem.to_json() == PROBLEM.to_json()
    assert line.problem.span == PROBLEM.span
    assert line.nodes[0].problem is not None
    assert line.nodes[0].problem.to_json() == PROBLEM.to_json()


def test_lines_come_in_order_of_their_number(first: RunStore) -> None:
    numbers = [(7 * n) % 200 for n in range(200)]
    for start in range(0, 200, 33):
        first.append_lines("first", [a_line(n) for n in numbers[start : start + 33]])
    assert [line.line_number for line in first.read_lines("first")] == list(range(200))
    assert [line.line_number for line in first.read_lines("first", limit=70)] == list(range(70))
    assert list(first.read_lines("first", limit=0)) == []


def test_outcomes_say_what_came_out_of_each_line(first: RunStore) -> None:
    spent = Usage(calls=2, prompt_tokens=7, completion_tokens=1, cost_usd=0.25)
    kept = NodeResult(node="ask", status=COMPLETED, cached_from="earlier", saved=spent, saved_ns=5)
    lines = [
        a_line(200, nodes=(kept, kept), usage=Usage(calls=1, prompt_tokens=1, cost_usd=0.5)),
        a_line(1, status=FAILED, outputs={}, problem=PROBLEM, nodes=()),
        a_line(0, nodes=(NodeResult(node="ask", status=COMPLETED, output='"saved":'),), usage=Usage()),
        *(a_line(number) for number in range(2, 100)),
    ]
    first.append_lines("first", lines)
    found = list(first.read_outcomes("first"))
    assert [item.line_number for item in found] == [*range(100), 200]
    by_number = {line.line_number: line for line in lines}
    for item in found:
        line = by_number[item.line_number]
        assert (item.status, item.outputs, item.whole_usage) == (line.status, line.outputs, line.whole_usage)
    assert found[-1].whole_usage == Usage(calls=5, prompt_tokens=15, completion_tokens=2, cost_usd=1.0)
    assert [item.problem and item.problem.to_json() for item in found[:3]] == [None, PROBLEM.to_json(), None]


def test_a_line_that_is_recorded_again_is_replaced(first: RunStore) -> None:
    first.append_lines("first", [a_line(0, status=FAILED, problem=PROBLEM, outputs={}), a_line(1)])
    again = a_line(0, outputs={"answer": "second"}, usage=Usage(calls=3, cost_usd=1.0), spans=())
    first.append_lines("first", [again])
    assert first.read_line("first", 0) == again
    run = first.read_run("first")
    assert (run.n_completed, run.n_failed) == (2, 0)
    assert run.usage == Usage(calls=4, prompt_tokens=10, completion_tokens=2, cost_usd=1.25)


def test_of_one_line_twice_in_a_batch_the_last_counts(first: RunStore) -> None:
    first.append_lines("first", [a_line(0, outputs={"n": 1}), a_line(0, outputs={"n": 2})])
    assert [line.outputs for line in first.read_lines("first")] == [{"n": 2}]


def test_appending_nothing_is_allowed(first: RunStore) -> None:
    first.append_lines("first", [])
    assert list(first.read_lines("first")) == []


def test_lines_that_are_not_recorded_are_none(first: RunStore) -> None:
    assert first.read_line("first", 0) is None
    assert first.read_spans("first", 0) == ()


def test_the_status_of_every_line_can_be_read_alone(first: RunStore) -> None:
    first.append_lines("first", [a_line(5), a_line(0), a_line(2, status=FAILED), a_line(3, status=CANCELED)])
    assert first.line_statuses("first") == {0: COMPLETED, 2: FAILED, 3: CANCELED, 5: COMPLETED}


def test_totals_are_counted_from_the_lines(first: RunStore) -> None:
    first.create_run(a_spec("other"), n_lines=1, created_at=a_time(-1))
    first.append_lines("other", [a_line(0)])
    first.append_lines(
        "first",
        [
            a_line(0),
            a_line(1, status=FAILED, usage=Usage(calls=2, prompt_tokens=1, cost_usd=0.5)),
            a_line(2, status=FAILED, usage=Usage()),
            a_line(3, status=CANCELED, usage=Usage()),
        ],
    )
    run = first.read_run("first")
    assert (run.n_lines, run.n_completed, run.n_failed) == (10, 1, 2)
    assert run.usage == Usage(calls=3, prompt_tokens=11, completion_tokens=2, cost_usd=0.75)
    assert first.list_runs()[0] == run


@pytest.mark.parametrize(
    ("usages", "cost"),
    [
        ([Usage(calls=1, cost_usd=0.25), Usage(calls=1)], None),
        ([Usage(calls=1, cost_usd=0.25), Usage()], 0.25),
        ([Usage(), Usage()], None),
        ([Usage(calls=1, cost_usd=0.0)], 0.0),
    ],
    ids=["one call without a price", "one line without a call", "no calls", "free"],
)
def test_a_cost_is_known_when_every_call_has_a_price(
    first: RunStore, usages: list[Usage], cost: float | None
) -> None:
    first.append_lines("first", [a_line(n, usage=usage) for n, usage in enumerate(usages)])
    assert first.read_run("first").usage.cost_usd == cost
    assert first.list_runs()[0].usage.cost_usd == cost


def test_a_megabyte_of_text_reads_back(first: RunStore) -> None:
    text = "zwölf Boxkämpfer 🥊 " * 52_000
    assert len(text.encode()) > 1_000_000
    first.append_lines("first", [a_line(0, inputs={"text": text}, outputs={"text": text})])
    line = first.read_line("first", 0)
    assert line is not None
    assert line.inputs["text"] == text
    assert line.outputs["text"] == text


@pytest.mark.parametrize(
    "text", ["naïve 漢字 🏁", "nul \x00 inside", "half an emoji \ud83c", '\u2028 \x7f \\ "']
)
def test_any_text_reads_back(first: RunStore, text: str) -> None:
    line = a_line(0, inputs={text: text}, outputs={"a": [text]}, spans=(a_span(1, attributes={"t": text}),))
    first.append_lines("first", [a_line(1), line])
    assert first.read_line("first", 0) == line
    assert first.read_line("first", 1) == a_line(1)


def test_a_file_name_that_is_not_unicode_can_be_recorded(store: RunStore) -> None:
    store.create_run(a_spec(data_path="data-\udcff.jsonl"), n_lines=1, created_at=a_time())
    assert (store.read_run("first").spec.data_path or "").startswith("data-")


def test_what_is_read_is_not_shared_with_the_writer(first: RunStore) -> None:
    inputs: dict[str, Any] = {"items": [1]}
    first.append_lines("first", [a_line(0, inputs=inputs)])
    inputs["items"].append(2)
    line = first.read_line("first", 0)
    assert line is not None
    assert line.inputs == {"items": [1]}


def test_odd_numbers_come_back_as_they_were_and_huge_ones_as_none(first: RunStore) -> None:
    odd = {"inf": -math.inf, "long": [10**5000], "deep": ({"nan": math.nan},), "n": 10**4000}
    first.append_lines("first", [a_line(0, outputs=odd), a_line(1)])
    lines = list(first.read_lines("first"))
    outputs = dict(lines[0].outputs)
    assert math.isnan(outputs.pop("deep")[0]["nan"])
    assert outputs == {"inf": -math.inf, "long": [None], "n": 10**4000}
    assert lines[1] == a_line(1, spans=())


any_text = st.text(st.characters(), max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)


def as_recorded(value: Any) -> Any:
    """What a value reads back as, by the rules of the protocol."""
    if isinstance(value, dict):
        return {key: as_recorded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_recorded(item) for item in value]
    return value


@given(value=plain)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_plain_data_reads_back(first: RunStore, value: Any) -> None:
    span = a_span(1, attributes={"v": value})
    node = NodeResult(node="ask", status=COMPLETED, inputs={"v": value}, output=value)
    first.append_lines(
        "first", [a_line(0, inputs={"v": value}, outputs={"v": value}, nodes=(node,), spans=(span,))]
    )
    line = first.read_line("first", 0)
    expected = as_recorded(value)
    assert line is not None
    assert line.inputs == line.outputs == line.nodes[0].inputs == line.spans[0].attributes == {"v": expected}
    assert line.nodes[0].output == expected
    json.dumps(line.outputs)


# Threads


def test_two_threads_may_append_while_a_third_reads(first: RunStore) -> None:
    def append(start: int) -> None:
        for number in range(start, 200, 2):
            first.append_lines("first", [a_line(number)])

    def read() -> list[int]:
        counts = []
        while not counts or counts[-1] < 200:
            counts.append(first.read_run("first").n_completed)
            assert len(list(first.read_lines("first"))) >= counts[-1]
        return counts

    with ThreadPoolExecutor(3) as pool:
        reading = pool.submit(read)
        writing = [pool.submit(append, start) for start in (0, 1)]
        for future in writing:
            future.result()
        counts = reading.result()
    assert counts == sorted(counts)
    assert [line.line_number for line in first.read_lines("first")] == list(range(200))


def test_closing_twice_is_allowed(first: RunStore) -> None:
    first.close()
    first.close()


def test_a_run_is_worked_on_by_its_owner(store: RunStore) -> None:
    store.create_run(a_spec("r"), n_lines=1, created_at=a_time(0), owner="one")
    run = store.read_run("r")
    assert (run.owner, run.heartbeat_at) == ("one", a_time(0))
    assert store.beat_run("r", owner="one", at=a_time(1))
    assert not store.beat_run("r", owner="two", at=a_time(2))
    assert store.read_run("r").heartbeat_at == a_time(1)


def test_a_run_is_claimed_by_one_of_those_who_saw_the_same_heartbeat(store: RunStore) -> None:
    store.create_run(a_spec("r"), n_lines=2, created_at=a_time(0), owner="one")
    store.append_lines("r", [a_line(0)])
    store.finish_run("r", status=CANCELED, finished_at=a_time(1), metrics={"m": 1}, problem=PROBLEM)
    assert store.claim_run("r", owner="two", at=a_time(2), seen=a_time(0))
    assert not store.claim_run("r", owner="three", at=a_time(3), seen=a_time(0))
    run = store.read_run("r")
    assert (run.status, run.owner, run.heartbeat_at) == (RUNNING, "two", a_time(2))
    assert (run.finished_at, run.problem, run.n_completed, run.metrics) == (None, None, 1, {"m": 1})


def test_a_run_that_nobody_owned_can_be_claimed(store: RunStore) -> None:
    store.create_run(a_spec("r"), n_lines=1, created_at=a_time(0))
    assert store.read_run("r").heartbeat_at is None
    assert not store.claim_run("r", owner="one", at=a_time(1), seen=a_time(0))
    assert store.claim_run("r", owner="one", at=a_time(1), seen=None)
    with pytest.raises(UsageError, match="no run named"):
        store.claim_run("other", owner="one", at=a_time(1), seen=None)
