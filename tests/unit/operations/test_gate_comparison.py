from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.domain.gate import GateSpec
from headrace.domain.scores import MetricSpec
from headrace.errors import HeadraceError
from headrace.evaluation.report.as_json import render_json
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.compare_scores import Judgement, compare_scores
from headrace.operations.gate_comparison import GateReport, default_gate, gate_comparison
from headrace.operations.stored_comparison import read_stored_arms


def _scores(*yes: int, n: int = 200) -> dict[str, dict[str, float]]:
    names = ("old", "new", "other")
    return {
        name: {f"line-{i}": float(i < count) for i in range(n)}
        for name, count in zip(names, yes, strict=False)
    }


def _result(*yes: int, margin: float | None = 0.05) -> ComparisonResult:
    return compare_scores(_scores(*yes), Judgement(metrics=[MetricSpec(name="score", margin=margin)]))


def _ask(result: ComparisonResult, **spec: object) -> GateReport:
    return gate_comparison(None, result, [GateSpec(**{"metric": "score", **spec})])  # type: ignore[arg-type]


def _stored(folder: Path, result: ComparisonResult) -> Path:
    """The file of a comparison, with the scores of its lines as recorded runs have them."""
    document = json.loads(render_json(result.comparison, result.context))
    lines = sorted({line for arm in result.arms for line in arm.lines})
    document["context"]["matrix"] = {
        "line_ids": lines,
        "scores": {
            "score": {
                arm.arm: [
                    None if arm.lines[line][0].is_failed else arm.lines[line][0].scores["score"]
                    for line in lines
                ]
                for arm in result.arms
            }
        },
        "failed": {
            arm.arm: [place for place, line in enumerate(lines) if arm.lines[line][0].is_failed]
            for arm in result.arms
        },
    }
    file = folder / "main.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def test_the_margin_of_the_metric_is_the_gates() -> None:
    report = _ask(_result(100, 100))
    assert report.outcome == "passed"
    (result,) = report.results
    assert (result.spec.arm, result.spec.against, result.spec.margin) == ("new", "old", 0.05)


def test_a_margin_of_its_own_is_compared_by() -> None:
    assert _ask(_result(100, 96), margin=0.01).outcome == "undecided"
    assert _ask(_result(100, 96, margin=None), margin=0.2).outcome == "passed"


def test_any_arm_can_be_what_is_compared_with() -> None:
    report = _ask(_result(100, 160, 100), arm="other", against="new")
    assert report.outcome == "failed"
    assert report.results[0].spec.against == "new"


def test_an_arm_is_compared_with_its_namesake_in_a_file(tmp_path: Path) -> None:
    file = _stored(tmp_path, _result(100, 150))
    before = read_stored_arms(file)
    assert (before.baseline, before.metrics) == ("old", ("score",))
    worse = _ask(_result(100, 100), arm="new", against=str(file))
    assert worse.outcome == "failed"
    assert worse.results[0].numbers["difference"] == pytest.approx(-0.25)
    assert worse.results[0].spec.against == "new@main.json"
    assert _ask(_result(100, 100), against=str(file)).outcome == "passed"  # old, which both call the baseline
    named = _ask(_result(100, 150), arm="new", against=f"{file}#old", test="superiority")
    assert named.outcome == "passed"


def test_a_line_that_failed_counts_as_wrong_in_a_file_too(tmp_path: Path) -> None:
    rows = [
        {"arm": arm, "line": f"line-{i}", "score": 1.0, "failed": arm == "old" and i < 50}
        for arm in ("old", "new")
        for i in range(200)
    ]
    given = compare_scores(rows, Judgement(metrics=[MetricSpec(name="score", margin=0.05)]))
    report = _ask(given, arm="new", against=f"{_stored(tmp_path, given)}#old", test="superiority")
    assert report.results[0].numbers["difference"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"metric": "scor"}, "G901"),
        ({"arm": "nwe"}, "V305"),
        ({"arm": "old"}, "V305"),
        ({"against": "nobody"}, "G961"),
        ({"against": "@prod"}, "G961"),
        ({"metric": "cost", "test": "superiority"}, "G962"),
        ({"margin": -0.1}, "G903"),
        ({"margin": "0.1"}, "G962"),
        ({"metric": "ok", "test": "budget", "limit": True}, "G962"),
        ({"limit": 0.1}, "G962"),
        ({"test": "better"}, "G962"),
        ({"test": "budget", "limit": 0.1, "margin": 0.1}, "G962"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(spec: dict[str, object], code: str) -> None:
    with pytest.raises(HeadraceError) as error:
        _ask(_result(100, 100), **spec)
    assert [problem.code for problem in error.value.problems] == [code]


def test_the_baseline_is_not_called_unknown() -> None:
    with pytest.raises(HeadraceError, match='"old" is what the others are compared with') as error:
        _ask(_result(100, 100), arm="old")
    assert error.value.problems[0].fix == "Ask about one of new."


def test_without_any_margin_nothing_can_be_shown_to_be_no_worse() -> None:
    with pytest.raises(HeadraceError, match="G903"):
        _ask(_result(100, 100, margin=None))


def test_which_arm_is_meant_must_be_clear() -> None:
    with pytest.raises(HeadraceError, match="C507"):
        _ask(_result(100, 100, 100))


def test_a_file_about_other_lines_or_scores_is_refused(tmp_path: Path) -> None:
    file = _stored(tmp_path, _result(100, 150))
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("line-", "other-"), encoding="utf-8")
    with pytest.raises(HeadraceError, match="no line in common"):
        _ask(_result(100, 100), arm="new", against=str(file))
    file.write_text(text.replace('"score":', '"grade":'), encoding="utf-8")
    with pytest.raises(HeadraceError, match="no scores of score"):
        _ask(_result(100, 100), arm="new", against=str(file))
    file.write_text("[]", encoding="utf-8")
    with pytest.raises(HeadraceError, match="no comparison of headrace"):
        _ask(_result(100, 100), arm="new", against=str(file))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, GateSpec(metric="f1", test="superiority")),
        ({"margin": 0.1}, GateSpec(metric="f1", test="non_inferiority", margin=0.1)),
        ({"limit": 0.1}, GateSpec(metric="f1", test="budget", limit=0.1)),
        ({"metric": "words"}, GateSpec(metric="words", test="equivalence")),
        ({"metric": "cost", "margin": 0.1}, GateSpec(metric="cost", test="guardrail", margin=0.1)),
        ({"test": "equivalence", "margin": 1.0}, GateSpec(metric="f1", test="equivalence", margin=1.0)),
    ],
)
def test_what_is_not_said_is_as_the_metric_says(given: dict[str, object], expected: GateSpec) -> None:
    metrics = [MetricSpec(name="f1"), MetricSpec(name="words", goal="equivalence", margin=2.0)]
    assert default_gate(metrics, **given) == expected  # type: ignore[arg-type]
