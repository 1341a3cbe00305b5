from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.runs import START, a_line, a_spec, a_time

from headrace.cli.run_view import (
    MAX_CELL,
    age,
    count_evaluations,
    details_to_json,
    find_first_failure,
    is_folded,
    lines_failed_problem,
    render_details,
    render_run_table,
    run_to_json,
)
from headrace.cli.terminal import Ink
from headrace.domain.run import COMPLETED, FAILED, Run, Usage
from headrace.errors import Problem

PLAIN = Ink()
FAILURE = Problem(code="E601", what="The tool of node 'work' raised ValueError.")


def a_run(name: str = "first", **changes: Any) -> Run:
    spec = a_spec(name, **changes.pop("spec", {}))
    fields: dict[str, Any] = {
        "status": COMPLETED,
        "created_at": START,
        "finished_at": a_time(0.5),
        "n_lines": 3,
        "n_completed": 3,
        "usage": Usage(calls=3, prompt_tokens=30, completion_tokens=6),
    }
    return Run(spec=spec, **{**fields, **changes})


def test_a_run_has_the_keys_of_pf_run_show_in_their_order() -> None:
    run = a_run(
        spec={
            "data_path": "/data/d.jsonl",
            "column_mapping": {"q": "${data.q}"},
            "source_run": "base",
            "variant": "${a.b}",
            "tags": {"team": "x"},
            "resume_from": "before",
            "properties": {"ticket": 7},
            "init": {"limit": 2},
        }
    )
    data = run_to_json(run)
    assert list(data)[:11] == [
        "name", "created_on", "status", "display_name", "description", "tags", "properties", "flow_name", "data",
        "output", "run",
    ]  # fmt: skip
    assert data["properties"] == {
        "flow_path": "flows/hello",
        "column_mapping": {"q": "${data.q}"},
        "node_variant": "${a.b}",
        "run": "base",
        "resume_from": "before",
        "ticket": 7,
        "init_kwargs": {"limit": 2},
        "system_metrics": {
            "total_tokens": 36, "prompt_tokens": 30, "completion_tokens": 6, "duration": 30.0,
        },
    }  # fmt: skip
    assert data["created_on"] == START.isoformat()
    assert data["display_name"] == "first"
    assert data["lines"] == {"total": 3, "completed": 3, "failed": 0}
    json.dumps(data)


def test_what_a_run_does_not_have_is_left_out() -> None:
    data = run_to_json(a_run(finished_at=None))
    assert "run" not in data
    assert "error" not in data
    assert "node_variant" not in data["properties"]
    assert "duration" not in data["properties"]["system_metrics"]
    assert data["tags"] is None


def test_a_run_that_was_written_says_where_its_outputs_are() -> None:
    data = run_to_json(a_run(spec={"properties": {"output_path": "/out/first"}}))
    assert (data["output"], data["properties"]["output_path"]) == ("/out/first/flow_outputs", "/out/first")
    assert run_to_json(a_run())["output"] is None


def test_the_error_of_a_run_is_its_first_failed_line_or_its_own() -> None:
    failed = run_to_json(a_run(n_failed=1), FAILURE)["error"]
    assert failed["message"] == f"Failed to run 1/3 lines. First error message is: {FAILURE.what}"
    assert failed["innerError"]["innerError"]["code"] == "BulkRunException"
    assert failed["problem"]["code"] == "E601"
    own = Problem(code="E601", what="The aggregation failed.")
    data = run_to_json(a_run(problem=own), FAILURE)
    assert data["error"]["message"] == f"First error message is: {own.what}"


def test_the_first_failed_line_is_found_without_reading_on() -> None:
    def lines() -> Any:
        yield a_line(0)
        yield a_line(1, status=FAILED, problem=FAILURE)
        pytest.fail("read past the first failed line")

    found = find_first_failure(lines())
    assert found is not None
    assert found.line_number == 1
    assert find_first_failure([a_line(0)]) is None


def test_failed_lines_are_counted_in_words() -> None:
    problem = lines_failed_problem(a_run(n_lines=1200, n_failed=7))
    assert problem.what == "7 of 1,200 lines failed in run first."
    assert problem.fix is not None
    assert "--name first" in problem.fix


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s ago"), (59, "59 s ago"), (60, "1 min ago"), (3600, "1 h ago"), (86400 * 3, "3 d ago"),
     (86400 * 31, "2026-01-02"), (-5, "0 s ago")],
)  # fmt: skip
def test_age_is_given_in_the_largest_unit(seconds: int, text: str) -> None:
    assert age(START, START + timedelta(seconds=seconds)) == text


def test_the_run_table_names_what_a_run_evaluates_only_where_one_does() -> None:
    runs = [a_run("second", n_failed=1, status=FAILED), a_run("first")]
    plain = render_run_table(runs, {}, ink=PLAIN, width=None, now=a_time(2))
    assert plain.splitlines()[2].split() == [
        "second", "2", "min", "ago", "Failed", "3", "1", "30.00", "s", "36",
    ]  # fmt: skip
    assert "evaluates" not in plain
    assert "evaluations" not in plain
    judged = render_run_table([a_run(spec={"source_run": "first"})], {}, ink=PLAIN, width=None, now=a_time(2))
    assert "evaluates" in judged
    assert judged.splitlines()[2].endswith("first")


def test_the_run_table_counts_evaluations_and_names_the_experiment() -> None:
    runs = [
        a_run("arm", spec={"experiment": "race_1"}),
        a_run("scores", spec={"experiment": "race_1", "source_run": "arm"}),
        a_run("mine", spec={"source_run": "arm"}),
    ]
    assert [run.spec.name for run in runs if is_folded(run)] == ["scores"]
    table = render_run_table(runs, count_evaluations(runs), ink=PLAIN, width=None, now=a_time(2))
    header, _, arm, *_ = table.splitlines()
    assert header.split()[-3:] == ["evaluations", "evaluates", "experiment"]
    assert arm.split()[-2:] == ["2", "race_1"]


@pytest.mark.parametrize("width", [80, 140])
def test_the_run_table_fits_the_terminal(width: int) -> None:
    runs = [
        a_run(
            "a_very_long_flow_name_retrieval_few_shot_20260102_030405_678901", spec={"source_run": "b" * 60}
        )
    ]
    text = render_run_table(runs, {runs[0].spec.name: 1}, ink=PLAIN, width=width, now=a_time(2))
    assert max(map(len, text.splitlines())) <= width


def failed_line() -> Any:
    return a_line(1, status=FAILED, outputs={}, problem=FAILURE)


def test_details_show_failed_where_an_output_is_missing() -> None:
    lines = [a_line(0, outputs={"answer": "multi\nline", "n": 1}), failed_line()]
    text = render_details(lines, ink=PLAIN, width=None)
    rows = [row.split() for row in text.splitlines()]
    assert rows[0] == ["line", "status", "inputs.question", "outputs.answer", "outputs.n", "error"]
    assert rows[2] == ["0", "Completed", "question", "0", "multi↵line", "1"]
    assert rows[3][:6] == ["1", "Failed", "question", "1", "(Failed)", "(Failed)"]
    assert text.splitlines()[3].endswith(f"E601 tool-failed: {FAILURE.what}")
    sound = render_details(lines[:1], ink=PLAIN, width=None)
    assert "error" not in sound
    assert "Completed" in sound


@pytest.mark.parametrize("width", [None, 40, 80, 100, 160])
def test_a_failed_line_never_looks_healthy(width: int | None) -> None:
    without_outputs = [replace(failed_line(), line_number=0), failed_line()]
    text = render_details(without_outputs, ink=PLAIN, width=width)
    assert text.count("Failed") == 2
    assert text.count("E601 tool-failed") == 2
    assert max(map(len, text.splitlines())) <= (width or 999)


def test_a_long_value_does_not_widen_the_whole_table() -> None:
    long = {"n": ["x" * 100] * 200_000}
    lines = [a_line(number, outputs={"answer": long if number else "short", "z": 1}) for number in range(3)]
    text = render_details(lines, ink=PLAIN, width=None)
    assert max(map(len, text.splitlines())) < MAX_CELL + 100
    assert text.count("…") == 2
    assert details_to_json(lines)[1]["outputs"]["answer"] == long


def test_details_with_many_columns_become_blocks_that_fit() -> None:
    lines = [a_line(0, outputs={f"o{i}": "word " * 30 for i in range(9)}), failed_line()]
    text = render_details(lines, ink=PLAIN, width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("outputs.o8") == 2
    assert "\n\n" in text


def test_details_as_json_keep_values_and_problems() -> None:
    data = details_to_json([a_line(0, outputs={"answer": {"a": [1]}}), failed_line()])
    assert data[0]["outputs"] == {"answer": {"a": [1]}}
    assert data[0]["problem"] is None
    assert data[1]["problem"]["what"] == FAILURE.what
    assert data[1]["status"] == FAILED
    assert data[1]["error"] == f"E601 tool-failed: {FAILURE.what}"
    assert data[0]["error"] is None
    assert data[0]["duration_ms"] == 2.0


def test_an_output_that_is_not_there_on_a_completed_line_is_empty() -> None:
    lines = [a_line(0, outputs={"a": 1}), replace(a_line(1), outputs={"b": 2})]
    assert "(Failed)" not in render_details(lines, ink=PLAIN, width=None)
