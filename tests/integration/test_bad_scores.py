"""Scores that decide nothing, as a person meets them at the command line: what is said, why, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.main import run_command_line

FLOW = """\
inputs:
  a: {type: object}
  b: {type: object}
outputs:
  answer: {type: string, reference: "${pick.output}"}
nodes:
- {name: pick, use_variants: true}
node_variants:
  pick:
    default_variant_id: one
    variants:
      one: {node: {type: python, source: {type: code, path: pick.py}, inputs: {a: "${inputs.a}"}}}
      two: {node: {type: python, source: {type: code, path: pick.py}, inputs: {a: "${inputs.b}"}}}
"""
PICK = """\
from promptflow.core import tool


@tool
def pick(a):
    if a == "crash":
        raise ValueError("no")
    return a
"""
JUDGE = """\
inputs:
  answer: {type: object}
outputs:
  score: {type: double, reference: "${grade.output}"}
nodes:
- name: grade
  type: python
  source: {type: code, path: grade.py}
  inputs: {answer: "${inputs.answer}"}
"""
GRADE = """\
from promptflow.core import tool


@tool
def grade(answer):
    if answer == "broken":
        raise ValueError("no grade")
    return {"nothing": None, "nan": float("nan"), "word": "good"}.get(answer, answer)
"""
Compare = Callable[..., tuple[int, str, str]]


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Compare:
    for name, text in {
        "flow/flow.dag.yaml": FLOW,
        "flow/pick.py": PICK,
        "judge/flow.dag.yaml": JUDGE,
        "judge/grade.py": GRADE,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def call(one: Any, two: Any, *options: str, n: int = 10) -> tuple[int, str, str]:
        rows = [{"id": f"q{place % 8}", "a": one, "b": two, "document": place % 4} for place in range(n)]
        (tmp_path / "data.jsonl").write_text(
            "".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8"
        )
        command = (
            "-q compare --flow flow --data data.jsonl --variants one,two --evaluation judge --metric score"
        )
        mapping = "--evaluation-mapping answer=${run.outputs.answer}"
        code = run_command_line([*command.split(), *mapping.split(), *options])
        said = capsys.readouterr()
        return code, " ".join(said.out.split()), " ".join(said.err.split())

    return call


@pytest.mark.parametrize(
    ("one", "two", "because"),
    [
        ("word", "word", "! 20 answers have no usable score, always because: the evaluator gave a text"),
        (
            "nan",
            "nan",
            "! 20 answers have no usable score, always because: the score is NaN, infinite or beyond 1e100",
        ),
        (1, "nothing", "! 10 answers have no usable score, always because: the evaluator gave nothing."),
    ],
)
def test_scores_that_are_missing_are_explained(compare: Compare, one: Any, two: Any, because: str) -> None:
    code, out, _ = compare(one, two)
    assert code == 0
    assert "Cannot be decided, because no line has a usable score on both two and one." in out
    assert because in out


def test_words_of_an_evaluation_flow_are_scores_with_labels(compare: Compare, tmp_path: Path) -> None:
    """As prompt flow's classification sample grades."""
    code, out, _ = compare("Incorrect", " correct", "--scores", "scores.csv", n=12)
    assert code == 0
    assert out.startswith("Ship two. two beats one on score: 1.000 higher on 12 paired lines")
    rows = (tmp_path / "scores.csv").read_text("utf-8").splitlines()
    assert rows[1].startswith("one,0,0,score,0.0,Incorrect,")
    named = [row.split(",")[-2] for row in (rows[1], rows[-1])]
    assert run_command_line(["-q", "compare", *named]) == 0  # found where no output is a number


def test_a_metric_that_is_logged_for_whole_runs_is_not_a_score(
    compare: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = tmp_path / "judge"
    (judge / "sum.py").write_text(
        "from promptflow.core import log_metric, tool\n\n\n@tool\ndef sum_up(scores):\n"
        "    log_metric('accuracy', sum(scores) / len(scores))\n",
        encoding="utf-8",
    )
    node = "- {name: all, type: python, aggregation: true, source: {type: code, path: sum.py}, inputs: {scores: '${grade.output}'}}\n"
    with (judge / "flow.dag.yaml").open("a", encoding="utf-8") as stream:
        stream.write(node)
    compare(0, 1, "--scores", "scores.csv")
    rows = (tmp_path / "scores.csv").read_text("utf-8").splitlines()
    named = [row.split(",")[-2] for row in (rows[1], rows[-1])]
    assert run_command_line(["compare", *named, "--metric", "accuracy"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "'accuracy' is logged for whole runs, and arms are compared by a score of each line." in said
    assert "The evaluations produce: score." in said


def test_evaluations_that_fail_are_explained_and_can_be_looked_at(compare: Compare) -> None:
    code, out, err = compare(1, "broken")
    assert code == 1
    assert (
        "10 answers have no usable score, always because: the evaluation failed with E601 tool-failed" in out
    )
    assert "[E606 lines-failed] 10 lines failed in the arms or their evaluations." in err
    run = err.partition("headrace run show-details --name ")[2].split()[0]
    assert run.startswith("judge_")
    assert run_command_line(["run", "show", "--name", run]) == 0


def test_an_arm_that_always_fails_says_why_and_has_no_part_in_the_ranking(compare: Compare) -> None:
    code, out, err = compare("crash", 1)
    assert code == 1
    assert "Cannot be decided, because every line of one failed." in out
    assert "one failed on every line, always because: E601 tool-failed" in out
    assert "chance to be the best" not in out
    assert "show-details --name flow_one_" in err


def test_no_chance_is_claimed_from_three_lines(compare: Compare) -> None:
    code, out, _ = compare(0, 1, n=3)
    assert code == 0
    assert "only 3 lines are paired and 5 are needed" in out
    assert "chance to be the best" not in out
    assert "99.9%" not in out


@pytest.mark.parametrize(
    ("options", "exit_code", "says"),
    [
        (("--margin", "0.1"), 2, "The margin 0.1 gives no metric."),
        (("--margin", "score=-0.1"), 2, "The margin score=-0.1 gives no number above zero."),
        (("--line-id", "id"), 3, "some values occur more than once"),
        (("--cluster", "nowhere"), 3, "which the data does not have"),
    ],
)
def test_what_cannot_be_asked(compare: Compare, options: tuple[str, ...], exit_code: int, says: str) -> None:
    code, _, err = compare(0, 1, *options)
    assert code == exit_code
    assert says in err
    assert "fix: " in err


def test_four_clusters_decide_nothing(compare: Compare) -> None:
    _, out, _ = compare(0, 1, "--cluster", "document")
    assert "the paired lines come from 4 clusters and 5 are needed" in out


def test_the_commands_that_go_on_with_an_experiment_can_be_pasted(
    compare: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiment.yaml").write_text(
        "name: my race $(date)\nflow: flow\ndata: data.jsonl\nvariants: [pick.one, pick.two]\n"
        "evaluators: [{flow: judge, column_mapping: {answer: '${run.outputs.answer}'}}]\nmetrics: [score]\n",
        encoding="utf-8",
    )
    compare(0, 1)
    assert run_command_line(["-q", "compare", "experiment.yaml", "--output", "board.md"]) == 0
    board = (tmp_path / "board.md").read_text("utf-8")
    assert "headrace compare --again 'my race $(date)_" in board
    assert run_command_line(["experiment", "show", "my race $(date)", "--output", "json"]) == 0
    assert "headrace compare --again 'my race $(date)_" in json.loads(capsys.readouterr().out)["again"]


def test_the_command_that_shows_failed_lines_of_a_run_can_be_pasted(
    compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    compare("crash", 1)
    command = ["-q", "run", "create", "--flow", "flow", "--data", "data.jsonl", "--name", "my run; ls"]
    assert run_command_line([*command, "--variant", "${pick.one}"]) == 1
    assert "headrace run show-details --name 'my run; ls'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "file", ["board.json", "board.md", "board.xml", "board.html", "scores.csv", "scores.parquet"]
)
def test_half_of_an_emoji_in_an_answer_keeps_no_report_from_being_written(
    compare: Compare, tmp_path: Path, file: str
) -> None:
    if file.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    option = "--scores" if file.startswith("scores") else "--output"
    code, out, err = compare("cut \ud83d", "whole", option, file)
    assert (code, err) == (0, "")
    assert (tmp_path / file).stat().st_size > 0
    if file == "board.json":
        samples = json.loads((tmp_path / file).read_text("utf-8"))["context"]["sample_lines"]
        assert "cut \ud83d" in {output["text"] for line in samples for output in line["outputs"]}
    assert out or option == "--output"


@pytest.mark.parametrize(
    ("body", "because"),
    [
        (
            "return f'{answer} indeed'",
            "always because: the evaluator gave a text, and a score is a number or a word",
        ),
        (
            "return None",
            "always because: the evaluation failed with G921 unscorable-line: tone gave no score",
        ),
        ("raise KeyError", "always because: the evaluation failed with E601 tool-failed"),
    ],
)
def test_evaluators_that_give_no_score_at_all_say_why(
    compare: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str, because: str
) -> None:
    compare(0, 1)
    (tmp_path / "tones.py").write_text(f"def tone(answer: str):\n    {body}\n", "utf-8")
    command = "-q compare --flow flow --data data.jsonl --variants one,two --evaluator tones.py:tone"
    assert run_command_line(command.split()) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "[G902 nothing-to-compare] No answer of these runs has a score, so there is nothing to compare."
        in said
    )
    assert because in said
    run = said.partition("headrace run show-details --name ")[2].split()[0].rstrip(".")
    assert run_command_line(["run", "show", "--name", run]) == 0


def test_a_metric_of_runs_that_nobody_has_judged_is_no_board_without_numbers(
    compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    compare(0, 1)
    for name in ("one", "two"):
        command = f"-q run create --flow flow --data data.jsonl --name {name} --variant ${{pick.{name}}}"
        assert run_command_line(command.split()) == 0
    assert run_command_line(["compare", "one", "two", "--metric", "score"]) == 2
    assert "None of these runs has been evaluated" in capsys.readouterr().err


def test_a_score_that_an_evaluator_leaves_away_is_not_called_unjudged(
    compare: Compare, tmp_path: Path
) -> None:
    compare(0, 1)
    tone = "def tone(answer):\n    return {'warm': 1.0} if answer else {'warm': 0.0, 'long': 0.5}\n"
    (tmp_path / "tones.py").write_text(tone, "utf-8")
    command = "-q compare --flow flow --data data.jsonl --variants one,two --evaluator tones.py:tone"
    assert run_command_line([*command.split(), "--output", "board.md"]) == 0
    board = (tmp_path / "board.md").read_text("utf-8")
    assert "10 answers have no usable long, always because: the evaluator gave nothing." in board
