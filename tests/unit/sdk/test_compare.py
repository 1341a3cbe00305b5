from __future__ import annotations

import ast
import csv
import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

import headrace
from headrace.domain.score_record import ScoreRecord
from headrace.errors import HeadraceError, UsageError
from headrace.sdk.compared import ComparedArms

_draw = Random(7)  # noqa: S311 - draws for tests, not secrets
OLD = {str(number): _draw.random() < 0.5 for number in range(80)}
NEW = {line: was_right or _draw.random() < 0.6 for line, was_right in OLD.items()}
LIKE_OLD = {line: was_right != (line in ("3", "44")) for line, was_right in OLD.items()}


def compared(**options: object) -> ComparedArms:
    return headrace.compare({"old": OLD, "new": NEW, "like": LIKE_OLD}, **options)  # type: ignore[arg-type]


def test_importing_the_package_imports_nothing_else() -> None:
    script = (
        "import sys; before = set(sys.modules); import headrace; print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == ["headrace"]
    assert "compare" in dir(headrace)
    with pytest.raises(AttributeError, match="compera"):
        headrace.compera  # type: ignore[attr-defined]  # noqa: B018


def test_the_comparison_and_its_forms() -> None:
    arms = compared()
    assert (arms.baseline, [summary.arm for summary in arms.arms]) == ("old", ["old", "new", "like"])
    assert arms.recommendation.arm == "new"
    assert arms.verdict("new").word == "better"
    assert arms.verdict("like", "score").word == "inconclusive"
    assert "| new |" in arms.to_markdown()
    assert str(arms) == arms._repr_markdown_() == arms.to_markdown()
    assert json.loads(arms.to_json())["recommendation"]["arm"] == "new"
    rows = arms.to_records()
    assert [(row["arm"], row["is_baseline"], row["n"]) for row in rows] == [
        ("old", True, 80),
        ("new", False, 80),
        ("like", False, 80),
    ]
    assert rows[1]["difference"] == pytest.approx((sum(NEW.values()) - sum(OLD.values())) / 80)
    assert "new" in repr(arms)


def test_a_frame_has_a_row_for_each_arm_and_metric() -> None:
    pytest.importorskip("pandas")
    frame = compared().to_frame()
    assert list(frame["arm"]) == ["old", "new", "like"]
    assert frame.loc[1, "verdict"] == "better"


def test_a_page_is_written(tmp_path: Path) -> None:
    path = compared().to_html(tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8").lstrip().startswith("<!doctype html>")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_scores_are_written_and_read_again(tmp_path: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    arms = compared()
    path = arms.write_scores(tmp_path / f"scores.{suffix}")
    again = headrace.compare(path)
    assert again.comparison.metrics == arms.comparison.metrics
    assert again.scores == arms.scores
    assert arms.scores[0] == ScoreRecord(arm="old", line="0", repeat=0, metric="score", value=float(OLD["0"]))


def test_cells_of_a_table_are_what_they_say(tmp_path: Path) -> None:
    rows = [
        {
            "arm": arm,
            "line": "1",
            "metric": "f1",
            "value": value,
            "reason": 'says "no",\nand why',
            "failed": failed,
        }
        for arm, value, failed in (("a", 0.5, False), ("b", None, True))
    ]
    path = headrace.compare(rows).write_scores(tmp_path / "s.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        first, second = csv.DictReader(stream)
    assert (first["value"], first["failed"], second["value"], second["failed"]) == (
        "0.5",
        "false",
        "",
        "true",
    )
    assert first["reason"] == 'says "no",\nand why'


def test_texts_that_a_spreadsheet_would_compute_are_guarded_and_come_back(tmp_path: Path) -> None:
    arms = headrace.compare({"=HYPERLINK(1)": {"-1+1": 1, "-2": 0}, "'=b": {"-1+1": 0, "-2": 0}})
    path = arms.write_scores(tmp_path / "scores.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["arm"] for row in rows} == {"'=HYPERLINK(1)", "''=b"}
    assert {row["line"] for row in rows} == {"'-1+1", "-2"}
    assert headrace.compare(path).scores == arms.scores


def test_a_table_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="C507"):
        compared().write_scores(tmp_path / "scores.xlsx")


def test_tests_can_ask_whether_an_arm_is_better() -> None:
    arms = compared()
    arms.assert_better(arm="new")
    arms.assert_better("score", arm="new", against="like")
    with pytest.raises(AssertionError) as caught:
        arms.assert_better("score", arm="like")
    text = str(caught.value)
    assert text.startswith("like is not shown to be better than old on score.")
    for words in (
        "difference ",
        "95% interval",
        "p ",
        "80 paired lines",
        "worst lines",
        "verdict: inconclusive",
    ):
        assert words in text


def test_margins_of_their_own_ask_questions_of_their_own() -> None:
    arms = compared(metrics="score", margin=0.2)
    arms.assert_better(margin=0.05, arm="new")
    arms.assert_not_worse(arm="like")
    arms.assert_equivalent(arm="like")
    arms.assert_not_worse(margin=0.05, arm="new", against="like")
    with pytest.raises(AssertionError, match=r"better than old by more than 0\.5") as caught:
        arms.assert_better(margin=0.5, arm="new")
    assert "better by more than the margin of 0.500: not shown, p " in str(caught.value)
    with pytest.raises(AssertionError, match=r"within 0\.01 of old"):
        arms.assert_equivalent(margin=0.01, arm="like")
    with pytest.raises(AssertionError, match=r"worse than new by less than 0\.2"):
        arms.assert_not_worse(arm="old", against="new")
    assert arms.verdict("like").word == "equivalent"


def test_too_few_lines_show_nothing_at_all() -> None:
    few = headrace.compare({"old": {"1": 0, "2": 1}, "new": {"1": 1, "2": 1}}, metrics="score", margin=0.9)
    for ask in (few.assert_better, few.assert_not_worse, few.assert_equivalent):
        with pytest.raises(AssertionError, match="are needed"):
            ask()


def test_clusters_and_slices_reach_the_comparison() -> None:
    rows = [
        {"arm": arm, "line": line, "score": scores[line], "document": int(line) // 4, "half": int(line) % 2}
        for arm, scores in (("old", OLD), ("new", NEW))
        for line in OLD
    ]
    metric = headrace.compare(rows, clusters="document", slices="half").metric()
    assert metric.n_clusters == 20
    assert [(item.value, item.n_lines) for item in metric.slices] == [("0", 40), ("1", 40)]


def test_the_only_other_arm_needs_no_name() -> None:
    headrace.compare({"old": OLD, "new": NEW}).assert_better()
    with pytest.raises(UsageError, match="C507"):
        compared().assert_better()


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("V305", {"arm": "newer"}),
        ("V305", {"arm": "old"}),
        ("V305", {"arm": "new", "against": "x"}),
        ("G901", {"arm": "new", "metric": "f1"}),
        ("G903", {"arm": "new", "margin": -1}),
    ],
)
def test_questions_about_what_is_not_there_are_refused(code: str, options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=code):
        compared().assert_better(**options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="G903"):
        compared().assert_not_worse(arm="new")


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("V305", {"baseline": "older"}),
        ("G901", {"metrics": "f1"}),
        ("G903", {"metrics": "score", "margin": -0.1}),
        ("F003", {"metrics": ["score", "score"]}),
        ("C507", {"alpha": 2}),
        ("C507", {"family": "big"}),
        ("C507", {"margin": 0.1}),
        ("C507", {"metrics": "score", "margin": {"f1": 0.1}}),
        ("C507", {"metrics": {"name": "score", "unit": "m"}}),
        ("C507", {"repeats": 3}),
    ],
)
def test_requests_that_cannot_be_met_say_how_they_could(code: str, options: dict[str, object]) -> None:
    with pytest.raises(HeadraceError, match=code) as caught:
        compared(**options)
    assert any(note.startswith(code) for note in caught.value.__notes__)


def test_one_thing_is_compared_at_a_time() -> None:
    with pytest.raises(UsageError, match="C507"):
        headrace.compare()
    with pytest.raises(UsageError, match="G902"):
        headrace.compare({"old": OLD})
