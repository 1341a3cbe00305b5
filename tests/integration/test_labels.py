"""Labels from the command line: taken blind, kept at once, gone on with, counted, moved, and used by a comparison."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headrace.cli.main import run_command_line

N_LINES = 60
FLOW = """\
inputs:
  n: {type: int}
outputs:
  answer: {type: string, reference: "${say.output}"}
nodes:
- {name: say, type: python, source: {type: code, path: say.py}, inputs: {n: "${inputs.n}"}}
"""
SAY = "from promptflow.core import tool\n\n\n@tool\ndef say(n: int) -> str:\n    return 'odd' if n %% %d else 'even'\n"
JUDGE = """\
inputs:
  answer: {type: string}
  truth: {type: string}
outputs:
  right: {type: bool, reference: "${grade.output}"}
nodes:
- name: grade
  type: python
  source: {type: code, path: grade.py}
  inputs: {answer: "${inputs.answer}", truth: "${inputs.truth}"}
"""
GRADE = "from promptflow.core import tool\n\n\n@tool\ndef grade(answer: str, truth: str) -> bool:\n    return answer == truth\n"


class Done(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str


Call = Callable[..., Done]


@pytest.fixture
def headrace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line, with lines on standard input, in a folder with two runs that are evaluated."""
    rows = [{"n": n, "truth": "odd" if n % 2 else "even"} for n in range(N_LINES)]
    for name, text in {
        "one/flow.dag.yaml": FLOW,
        "one/say.py": SAY % 2,
        "two/flow.dag.yaml": FLOW,
        "two/say.py": SAY % 3,
        "judge/flow.dag.yaml": JUDGE,
        "judge/grade.py": GRADE,
        "data.jsonl": "".join(f"{json.dumps(row)}\n" for row in rows),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USER", "tester")
    monkeypatch.delenv("HEADRACE_STORE", raising=False)

    def call(*arguments: str, given: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        code = run_command_line(arguments)
        return Done(code, *capsys.readouterr())

    for name in ("one", "two"):
        assert call("run", "create", "--flow", name, "--data", "data.jsonl", "--name", name,
                    "--column-mapping", "n=${data.n}").code == 0  # fmt: skip
        assert call("run", "create", "--flow", "judge", "--data", "data.jsonl", "--run", name, "--name", f"{name}_judged",
                    "--column-mapping", "answer=${run.outputs.answer}", "truth=${data.truth}").code == 0  # fmt: skip
    return call


TAKE = ("label", "one", "two", "--metric", "right")


def counts(headrace: Call) -> Any:
    return json.loads(headrace("label", "list", "-o", "json").out)


def test_answers_are_shown_blind_and_labels_are_kept_for_every_run_that_gave_them(headrace: Call) -> None:
    done = headrace(*TAKE, "--n", "3", given="p\nf\npass\nfail\np\nf\n")
    assert done.code == 0
    assert "even" in done.out
    assert "reference" in done.out
    assert "one" not in done.out.replace("one of", "")
    assert "two" not in done.out
    assert "\x1b" not in done.out
    rows = [json.loads(row) for row in headrace("label", "export", "one", "two").out.splitlines()]
    assert sorted({row["run"] for row in rows}) == ["one", "two"]
    assert len(rows) == 6  # three lines of two runs, also where both said the same
    assert {row["labeller"] for row in rows} == {"tester"}
    assert all(row["is_random"] for row in rows)
    by_line: dict[int, list[float]] = {}
    for row in rows:
        by_line.setdefault(row["line_number"], []).append(row["value"])
    assert any(len(set(values)) == 1 for values in by_line.values())


def test_a_session_goes_on_where_it_was_and_more_lines_add_to_it(headrace: Call) -> None:
    first = headrace(*TAKE, "--n", "5", given="p\np\nq\n")
    assert "The same command goes on from here." in first.err
    shown = first.out.split("1 of ")[1].split("> pass")[0]
    second = headrace(*TAKE, "--n", "5", given="p\n")
    assert shown not in second.out
    assert "3 of" in second.out
    headrace(*TAKE, "--n", "5", given="p\n" * 20)
    assert "labelled." in headrace(*TAKE, "--n", "5").err
    n_before = sum(row["labels"] for row in counts(headrace))
    assert n_before == 10
    headrace(*TAKE, "--n", "7", given="f\n" * 20)
    assert sum(row["labels"] for row in counts(headrace)) == 14


def test_undo_skip_and_unknown_keys(headrace: Call) -> None:
    done = headrace(*TAKE, "--n", "4", given="u\nx\np\ns\nu\nu\nf\ns\n\nq\n")
    assert "There is nothing to take back." in done.err
    assert "'x' is none of the keys." in done.err
    assert "1 answer left out" in done.err
    (first, *_) = [json.loads(row) for row in headrace("label", "export", "one", "two").out.splitlines()]
    assert first["value"] == 0.0
    assert {row["mean"] for row in counts(headrace)} == {0.0}


def test_people_are_told_apart_and_the_last_word_of_each_counts(headrace: Call) -> None:
    headrace(*TAKE, "--n", "2", "--by", "Ada", given="p\n" * 9)
    headrace(*TAKE, "--n", "2", "--by", "Bo", given="f\n" * 9)
    assert sorted((row["labeller"], row["mean"]) for row in counts(headrace)) == [
        ("Ada", 1.0), ("Ada", 1.0), ("Bo", 0.0), ("Bo", 0.0)
    ]  # fmt: skip
    row = {"run": "one", "line_number": 0, "metric": "right", "labeller": "Ada"}
    for value in (0, 1, 0.5):
        Path("more.jsonl").write_text(json.dumps({**row, "value": value}), "utf-8")
        assert headrace("label", "import", "more.jsonl").code == 0
    exported = [json.loads(text) for text in headrace("label", "export", "one").out.splitlines()]
    assert [item["value"] for item in exported if item["line_number"] == 0 and item["labeller"] == "Ada"] == [
        0.5
    ]


def test_lines_that_were_chosen_are_not_random(headrace: Call) -> None:
    assert headrace(*TAKE, "--line", "7", "--line", "8", given="p\n" * 4).code == 0
    assert {(row["labels"], row["random"]) for row in counts(headrace)} == {(2, 0)}
    assert "G947" in headrace(*TAKE, "--line", "60").err


def test_grades_are_scores_from_0_to_1(headrace: Call) -> None:
    done = headrace(*TAKE, "--n", "1", "--scale", "1-5", given="4\n1\n")
    assert "1 worst … 5 best" in done.out
    assert {row["mean"] for row in counts(headrace)} <= {0.75, 0.0}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_drawn_answers_can_be_labelled_elsewhere(headrace: Call, form: str) -> None:
    assert (
        headrace(
            "label", "export", "one", "two", "--metric", "right", "--draw", "5", "--file", f"b.{form}"
        ).code
        == 0
    )
    text = Path(f"b.{form}").read_text("utf-8")
    assert '"one"' not in text
    assert '"two"' not in text
    filled = text.replace('"value": null', '"value": "pass"')
    if form == "csv":
        filled = text.replace(",right,,", ",right,pass,")
    assert filled != text
    Path(f"b.{form}").write_text(filled, "utf-8")
    assert headrace("label", "import", f"b.{form}", "one", "two", "--by", "Bo").code == 0
    assert [(r["run"], r["labels"], r["random"], r["labeller"]) for r in counts(headrace)] == [
        ("one", 5, 5, "Bo"), ("two", 5, 5, "Bo")
    ]  # fmt: skip


def test_a_file_with_a_wrong_row_is_not_kept_at_all(headrace: Call) -> None:
    good = {"run": "one", "line_number": 1, "metric": "right", "value": 1}
    wrong = [
        {**good, "value": 2},
        {**good, "value": "nan"},
        {**good, "line_number": 60},
        {**good, "metric": ""},
        {**good, "run": "onee"},
        {**good, "run": None, "item": "0" * 12},
        {**good, "line_number": "first"},
    ]
    rows = [good, {**good, "value": ""}, *wrong]
    Path("labels.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    done = headrace("label", "import", "labels.jsonl")
    assert done.code == 3
    for number, code in enumerate(("G946", "G946", "G947", "G948", "S801", "G948", "G948"), 3):
        assert f"labels.jsonl:{number}:1: error[{code}" in done.err
    assert counts(headrace) == []


def test_rows_with_the_same_problem_are_counted(headrace: Call) -> None:
    rows = [{"item": f"{number:012}", "metric": "right", "value": 1} for number in range(50)]
    Path("labels.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    done = headrace("label", "import", "labels.jsonl")
    assert done.code == 3
    assert done.err.count("error[G948") == 3
    assert "47 more rows have the same problem." in " ".join(done.err.split())
    assert "labels.jsonl:1:1: error[G948" in done.err


def test_answers_that_a_spreadsheet_would_compute_are_guarded(headrace: Call, tmp_path: Path) -> None:
    tmp_path.joinpath("one", "say.py").write_text((SAY % 2).replace("'even'", "'=1+1'"), encoding="utf-8")
    assert headrace("run", "create", "--flow", "one", "--data", "data.jsonl", "--name", "sums").code == 0
    assert headrace("label", "export", "sums", "--metric", "m", "--draw", "60", "--file", "b.csv").code == 0
    text = Path("b.csv").read_text("utf-8")
    assert ",'=1+1,m" in text
    Path("b.csv").write_text(text.replace(",m,,", ",m,pass,"), "utf-8")
    assert headrace("label", "import", "b.csv", "sums", "--by", "Bo").code == 0
    assert [(row["run"], row["labels"]) for row in counts(headrace)] == [("sums", 60)]


def test_what_is_labelled_is_there_after_the_process_was_killed(headrace: Call, tmp_path: Path) -> None:
    program = "import sys; from headrace.cli.main import main; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *TAKE, "--n", "3"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ),
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(b"p\np\n")
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while sum(row["labels"] for row in counts(headrace)) < 2:
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdin.close()
    assert sum(row["labels"] for row in counts(headrace)) >= 2


def test_a_comparison_says_how_far_scores_and_labels_agree(headrace: Call) -> None:
    assert headrace(*TAKE, "--n", "60", given="p\nf\n" * 60).code == 0
    assert headrace("compare", "one", "two", "--output", "result.json").code == 0
    text = Path("result.json").read_text("utf-8")
    judge = json.loads(text)["comparison"]["metrics"][0]["judge"]
    assert judge["n_labels"] == judge["n_random_labels"] == 120
    (found,) = judge["agreements"]
    assert (found["between"], found["n"]) == ("judge and people", 120)
    assert 0.0 < found["exact"] < 1.0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("label", "take", "--metric", "right"), 2, "No run is named."),
        (("label", "take", "three", "--metric", "right"), 2, "S801"),
        (("label", "one", "--metric", "rihgt"), 2, "G901"),
        (("label", "one", "--metric", "right", "--n", "3", "--line", "1"), 2, "contradict"),
        (("label", "export", "one", "--draw", "3"), 2, "--draw needs --metric"),
        (("label", "export", "one", "--metric", "rihgt", "--draw", "3"), 2, "G901"),
        (("label", "export", "one", "--file", "x.txt"), 2, "Labels are written"),
        (("label", "import", "none.csv"), 3, "F001"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    headrace: Call, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = headrace(*arguments)
    assert done.code == code
    assert says in done.err
