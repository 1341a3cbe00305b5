"""One suite over all built-in evaluators: published and computed values, and what must hold of every one.

A case names inputs and parameters, and either the scores (with labels) or the code of the problem. A file holds the
cases of the evaluator that it is called after, or each of its cases names one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.evaluation.evaluators.base import Builtin
from headrace.evaluation.evaluators.entry import BuiltinEntry
from headrace.evaluation.evaluators.registry import BUILTINS, score_names

Case = Mapping[str, Any]

CASES: list[tuple[str, Case]] = [
    (case.get("evaluator", file.stem), case)
    for file in sorted(Path(__file__).parent.glob("*.yaml"))
    for case in yaml.safe_load(file.read_text(encoding="utf-8"))
]
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "regex": {"pattern": "a"},
    "json_schema": {"schema": {"type": "object"}},
}
"""Options without which an evaluator cannot be made."""

GRADED = [
    name for name, item in BUILTINS.items() if all(output.kind != "unbounded" for output in item.outputs)
]
MATCHING = ("exact_match", "contains", "f1", "bleu", "chrf", "rouge", "classification")
"""Those that compare two texts."""

HUGE = "word " * 100_000
VALUES = (
    None,
    "",
    " ",
    "\x00",
    "🙂👩‍👩‍👧",
    "é",
    "ﬁ",
    HUGE,
    0,
    -1.5,
    True,
    math.nan,
    math.inf,
    10**400,
    [],
    {},
    [None],
    {"a": 1},
)


def scores_of(name: str, case: Case) -> dict[str, Any]:
    entry = BuiltinEntry(name, case.get("name", name), dict(case.get("parameters", {})))
    return entry.score(**case["inputs"])


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}{n}" for n, (name, _) in enumerate(CASES)])
def test_case(name: str, case: Case) -> None:
    if "code" in case:
        with pytest.raises(HeadraceError) as raised:
            scores_of(name, case)
        assert [problem.code for problem in raised.value.problems] == [case["code"]]
        assert all(problem.fix for problem in raised.value.problems)
        return
    outputs = scores_of(name, case)
    scores = {key: value for key, value in outputs.items() if isinstance(value, float)}
    assert scores == pytest.approx(case["scores"], abs=1e-12)
    for score, label in case.get("labels", {}).items():
        assert outputs[f"{score}_label"] == label


def test_every_evaluator_has_cases() -> None:
    assert {name for name, _ in CASES} == set(BUILTINS)


@pytest.mark.parametrize("builtin", BUILTINS.values(), ids=list(BUILTINS))
def test_what_is_said_of_it(builtin: Builtin) -> None:
    entry = yaml.safe_load(builtin.example)
    named = entry if isinstance(entry, str) else entry["builtin"]
    assert named == builtin.name
    parameters = {} if isinstance(entry, str) else entry.get("parameters", {})
    BuiltinEntry(builtin.name, builtin.name, parameters)
    assert builtin.title.endswith(".")
    assert builtin.note.endswith(".")
    assert all(item.title for item in (*builtin.inputs, *builtin.options, *builtin.outputs))


@pytest.mark.parametrize("name", BUILTINS)
@pytest.mark.parametrize("value", VALUES, ids=[repr(value)[:12] for value in VALUES])
def test_degenerate_inputs_give_a_score_or_a_problem(name: str, value: Any) -> None:
    builtin = BUILTINS[name]
    judge = BuiltinEntry(name, name, dict(NEEDED.get(name, {})))
    usual: dict[str, Any] = {
        "relevant": ["a"], "retrieved": ["a"], "sources": ["a"], "duration_ms": 1, "cost_usd": 1,
    }  # fmt: skip
    for item in builtin.inputs:
        others = {other.name: usual.get(other.name, '{"a": 1}') for other in builtin.inputs}
        check_outputs(judge, {**others, item.name: value}, builtin)
    check_outputs(judge, {other.name: value for other in builtin.inputs}, builtin)


def check_outputs(judge: BuiltinEntry, inputs: Mapping[str, Any], builtin: Builtin) -> None:
    try:
        outputs = judge.score(**inputs)
    except HeadraceError as error:
        assert [problem.code for problem in error.problems] == ["G921"]  # noqa: PT017 - a score is as good
        return
    scores = {key: value for key, value in outputs.items() if not key.endswith(("_label", "_reason"))}
    assert scores
    assert set(scores) <= set(score_names(builtin, builtin.name, {}))
    for key, value in scores.items():
        assert isinstance(value, float)
        assert math.isfinite(value)
        assert builtin.name not in GRADED or 0 <= value <= 1, key
    for key, value in outputs.items():
        assert key in scores or isinstance(value, str)


@pytest.mark.parametrize("name", MATCHING)
@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60))
def test_a_text_matches_itself(name: str, text: str) -> None:
    outputs = scores_of(name, {"inputs": {"prediction": text, "reference": text}})
    scores = {key: value for key, value in outputs.items() if isinstance(value, float)}
    if name == "rouge" and not any(sign.isascii() and sign.isalnum() for sign in text):
        assert set(scores.values()) <= {0.0, 1.0}  # its tokens are Latin letters and digits only
    elif name == "rouge":
        assert scores["rouge1"] == scores["rougeL"] == 1
    else:
        assert list(scores.values()) == pytest.approx([1.0])


@pytest.mark.parametrize("name", MATCHING)
@settings(max_examples=60, deadline=None)
@given(prediction=st.text(max_size=40), reference=st.text(max_size=40))
def test_scores_stay_in_range_and_more_right_answers_never_hurt(
    name: str, prediction: str, reference: str
) -> None:
    one = scores_of(name, {"inputs": {"prediction": prediction, "reference": reference}})
    assert all(0 <= value <= 1 for value in one.values() if isinstance(value, float))
    if name in ("exact_match", "contains", "f1", "rouge", "chrf"):
        two = scores_of(name, {"inputs": {"prediction": prediction, "reference": [reference, prediction]}})
        assert all(two[key] >= value - 1e-9 for key, value in one.items() if isinstance(value, float))


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}{n}" for n, (name, _) in enumerate(CASES)])
def test_the_order_of_columns_is_irrelevant(name: str, case: Case) -> None:
    if "code" in case or len(case["inputs"]) < 2:
        return
    backwards = dict(reversed(list(case["inputs"].items())))
    assert scores_of(name, case) == scores_of(name, {**case, "inputs": backwards})


def test_metrics_over_all_lines() -> None:
    entry = BuiltinEntry("classification", "kind", {"labels": ["a", "b", "c"]})
    pairs = [("a", "a"), ("a", "a"), ("b", "a"), ("b", "b"), ("x", "c"), ("c", "c")]
    lines = [entry.score(prediction=prediction, reference=reference) for prediction, reference in pairs]
    # F1 of a 2 * 2 / 5, of b 2 * 1 / 3, of c 2 * 1 / 3.
    assert entry.__aggregate__(lines) == pytest.approx(
        {
            "correct": 4 / 6,
            "accuracy": 4 / 6,
            "macro_f1": (4 / 5 + 2 / 3 + 2 / 3) / 3,
            "f1.a": 4 / 5,
            "f1.b": 2 / 3,
            "f1.c": 2 / 3,
            "confusion.a → a": 2,
            "confusion.a → b": 1,
            "confusion.b → b": 1,
            "confusion.c → (other)": 1,
            "confusion.c → c": 1,
        }
    )


def test_an_evaluator_gives_its_own_name_to_its_score() -> None:
    outputs = scores_of("exact_match", {"name": "same", "inputs": {"prediction": "a", "reference": "b"}})
    assert outputs == {"same": 0.0, "same_reason": "Expected 'b', got 'a'."}
