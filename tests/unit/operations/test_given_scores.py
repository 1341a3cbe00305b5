from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from headrace.domain.scores import LineFacts
from headrace.errors import UsageError
from headrace.operations.given_scores import read_scores

pandas = pytest.importorskip("pandas")


def values(scores: Any, metric: str = "score", **options: Any) -> dict[str, dict[str, list[float | None]]]:
    return {
        arm.arm: {line: [item.scores.get(metric) for item in found] for line, found in arm.lines.items()}
        for arm in read_scores(scores, **options).arms
    }


@pytest.mark.parametrize(
    "scores",
    [
        {"a": {1: True, "x": 0.25}, "b": {1: None, "x": 1}},
        {"a": {"1": {"score": 1}, "x": {"score": 0.25}}, "b": {"1": {"score": None}, "x": {"score": True}}},
        [
            {"arm": "a", "line": 1, "score": 1},
            {"arm": "a", "line": "x", "score": 0.25},
            {"arm": "b", "line": "1", "score": None},
            {"arm": "b", "line": "x", "score": 1.0},
        ],
        [
            {"arm": "a", "line_id": "1", "metric": "score", "value": "1"},
            {"arm": "a", "line_id": "x", "metric": "score", "value": "0.25"},
            {"arm": "b", "line_id": "1", "metric": "score", "value": ""},
            {"arm": "b", "line_id": "x", "metric": "score", "value": "1.0"},
        ],
        pandas.DataFrame(
            {
                "arm": ["a", "a", "b", "b"],
                "line": ["1", "x", "1", "x"],
                "score": pandas.array([1, 0.25, None, 1]),
            }
        ),
    ],
    ids=["mapping", "mapping of metrics", "rows", "rows of one score", "frame"],
)
def test_every_form_says_the_same(scores: Any) -> None:
    assert values(scores) == {"a": {"1": [1.0], "x": [0.25]}, "b": {"1": [None], "x": [1.0]}}


def test_lists_and_numbers_are_repeats() -> None:
    listed = {"a": {"1": [0.0, 1.0]}, "b": {"1": [{"score": 1}, {"score": 1}]}}
    rows = [
        {"arm": arm, "line": "1", "repeat": repeat, "score": score}
        for arm, repeat, score in (("a", 0, 0.0), ("a", 1, 1.0), ("b", "0", 1.0), ("b", 1.0, 1.0))
    ]
    assert values(listed) == values(rows) == {"a": {"1": [0.0, 1.0]}, "b": {"1": [1.0, 1.0]}}


def test_what_an_answer_took_and_whether_it_failed_is_read_from_columns() -> None:
    row = {"arm": "a", "line": 7, "score": None, "failed": "true", "duration_ms": 12.5, "cost_usd": 0.5,
           "prompt_tokens": 3, "completion_tokens": 4, "model": "m", "variant": nan}  # fmt: skip
    given = read_scores([row, {**row, "line": 8, "score": 1.0, "failed": False}])
    assert given.metrics == ("score",)
    (arm,) = given.arms
    (found,) = arm.lines["7"]
    assert (found.is_failed, found.duration_ms, found.cost_usd) == (True, 12.5, 0.5)
    assert (found.prompt_tokens, found.completion_tokens) == (3, 4)
    assert (arm.model, arm.variant) == ("m", None)
    assert [record.failed for record in given.records] == [True, False]


@pytest.mark.parametrize("is_column", [True, False])
def test_clusters_and_slices_belong_to_lines(is_column: bool) -> None:
    rows = [
        {"arm": arm, "line": line, "score": 1, "document": line[0], "topic": "t" + line[1]}
        for arm in "ab"
        for line in ("x1", "x2", "y1")
    ]
    given = (
        read_scores(rows, clusters="document", slices=["topic"])
        if is_column
        else read_scores(
            rows,
            metrics=["score"],
            clusters={"x1": "x", "x2": "x", "y1": "y"},
            slices={"topic": {"x1": "t1", "x2": "t2", "y1": "t1"}},
        )
    )
    assert given.metrics == ("score",)
    assert given.facts == {
        "x1": LineFacts(cluster="x", slices={"topic": "t1"}),
        "x2": LineFacts(cluster="x", slices={"topic": "t2"}),
        "y1": LineFacts(cluster="y", slices={"topic": "t1"}),
    }


def test_columns_of_text_are_no_metrics_unless_they_are_asked_for() -> None:
    rows = [{"arm": "a", "line": 1, "note": "good", "f1": 0.5, "text": "0.25"}]
    assert read_scores(rows).metrics == ("f1",)
    assert values(rows, "text", metrics=["text"]) == {"a": {"1": [0.25]}}


@pytest.mark.parametrize(
    ("scores", "options", "code", "words"),
    [
        ([], {}, "G902", "no scores"),
        ([{"arm": "a", "line": 1, "note": "x"}], {}, "G902", "No column"),
        (12, {}, "G905", "int"),
        ({"a": [1, 2]}, {}, "G905", "'a'"),
        ([["a", 1]], {}, "G905", "row 0"),
        ([{"arm": "a", "line": 1, "f1": 1}] * 2, {}, "G905", "two rows"),
        ([{"arm": "a", "line": 1, "repeat": 1, "f1": 1}] * 2, {}, "G905", "repeat 1"),
        ([{"arm": "a", "line": 1, "repeat": 0.5, "f1": 1}], {}, "G905", "whole number"),
        ([{"arm": "a", "line": 1, "f1": "good"}], {"metrics": ["f1"]}, "G905", "no number"),
        ([{"line": 1, "f1": 1}], {}, "D403", "'arm'"),
        ([{"arm": "a", "line": 1, "f1": 1}], {"clusters": "doc"}, "D403", "'doc'"),
        ([{"arm": "a", "line": 1, "f1": 1}], {"line_id": "id"}, "D403", "'id'"),
        ([{"arm": "a", "line": 1, "f1": 1}], {"metrics": ["f2"]}, "G901", "f2"),
        (
            [{"arm": "a", "line": 1, "f1": 1, "c": 1}, {"arm": "b", "line": 1, "f1": 1, "c": 2}],
            {"clusters": "c", "metrics": ["f1"]},
            "G905",
            "two clusters",
        ),
    ],
)
def test_what_cannot_be_read_is_said(scores: Any, options: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_scores(scores, **options)
    (problem,) = caught.value.problems
    assert problem.code == code
    assert words in problem.what
    assert problem.fix


def test_numbers_beyond_every_float_are_missing() -> None:
    assert values({"a": {"1": 10**400}, "b": {"1": 1.0}}) == {"a": {"1": [None]}, "b": {"1": [1.0]}}
    row = {
        "arm": "a",
        "line": 1,
        "score": 1.0,
        "cost_usd": inf,
        "prompt_tokens": inf,
        "completion_tokens": 10**400,
    }
    (found,) = read_scores([row, {**row, "line": 2}]).arms[0].lines["1"]
    assert (found.cost_usd, found.prompt_tokens, found.completion_tokens) == (None, 0, 0)
