from __future__ import annotations

import json
import sys
from contextlib import chdir
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.config import load_settings
from headrace.domain.certificate import FlowQuality
from headrace.domain.scores import MetricSpec
from headrace.errors import ExitCode
from headrace.evaluation.quality_plan import plan_quality
from headrace.operations.certify_project import CertifyRequest, certify_project
from headrace.operations.certify_quality import QualityRequest
from headrace.operations.workspace import open_workspace

FAKE_STOCK = Path(__file__).parents[2] / "support" / "fake_stock"
FLOW = """
inputs:
  text: {type: string}
outputs:
  answer: {type: string, reference: "${a.output}"}
nodes:
- {name: a, type: python, source: {type: code, path: a.py}, inputs: {text: "${inputs.text}"}}
"""
ECHO = "from promptflow.core import tool\n\n@tool\ndef a(text):\n    return text\n"
JUDGE = """
inputs:
  answer: {type: string}
  truth: {type: string}
outputs:
  correct: {type: bool, reference: "${grade.output}"}
nodes:
- name: grade
  type: python
  source: {type: code, path: grade.py}
  inputs: {answer: "${inputs.answer}", truth: "${inputs.truth}"}
"""
GRADE = """
from promptflow.core import tool


@tool
def grade(answer: str, truth: str) -> bool:
    return answer.split()[0] == truth
"""
MAPPING = {"answer": "${run.outputs.answer}", "truth": "${data.truth}"}


def write(folder: Path, n_lines: int, stock: list[Any]) -> None:
    (folder / "flow").mkdir()
    lines = "".join(
        json.dumps({"text": f"t{number} ours", "truth": f"t{number}"}) + "\n" for number in range(n_lines)
    )
    files = {
        "flow.dag.yaml": FLOW,
        "a.py": ECHO,
        "data.jsonl": lines,
        "stock_answers.json": json.dumps(stock),
    }
    for name, text in files.items():
        (folder / "flow" / name).write_text(text, "utf-8")
    (folder / "judge").mkdir()
    (folder / "judge" / "flow.dag.yaml").write_text(JUDGE, "utf-8")
    (folder / "judge" / "grade.py").write_text(GRADE, "utf-8")


def settings_for(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "PYTHONPATH": str(FAKE_STOCK)}


def certify(folder: Path, *, margin: float, is_planned: bool = False, **fields: Any) -> FlowQuality:
    quality = QualityRequest(
        metric=MetricSpec(name=fields.pop("metric", "correct"), margin=margin),
        evaluator=fields.pop("evaluator", "judge"),
        folder=folder,
        column_mapping=fields.pop("mapping", MAPPING),
        is_planned=is_planned,
    )
    with open_workspace(load_settings(settings_for(folder)), folder) as workspace:
        request = CertifyRequest(
            project=folder / "flow", python=Path(sys.executable), n_lines=None, quality=quality, **fields
        )
        certificate = certify_project(workspace, request)
        assert workspace.store.list_runs() == ()
    (flow,) = certificate.flows
    assert flow.quality is not None
    assert certificate.is_clean == (flow.quality.word == "no worse")
    return flow.quality


def theirs(n_lines: int, n_wrong: int, repeats: int = 1) -> list[dict[str, str]]:
    """Stock's answers: other words, and wrong on the last lines."""
    right = [f"t{number} theirs" for number in range(n_lines - n_wrong)]
    return [{"answer": answer} for answer in (*right, *["wrong"] * n_wrong) for _ in range(repeats)]


def test_other_words_are_no_worse_when_lines_are_enough(tmp_path: Path) -> None:
    write(tmp_path, 60, theirs(60, 0))
    quality = certify(tmp_path, margin=0.05)
    assert quality.word == "no worse"
    assert (quality.ours, quality.theirs, quality.difference) == (1.0, 1.0, 0.0)
    assert quality.bound is not None
    assert quality.bound > -0.05
    assert (quality.n_lines, quality.repeats, quality.n_needed) == (60, 1, None)


def test_built_in_evaluators_find_their_inputs(tmp_path: Path) -> None:
    write(tmp_path, 60, theirs(60, 0))
    mapping = {"reference": "${data.truth}"}
    quality = certify(tmp_path, margin=0.05, evaluator="f1", metric="f1", mapping=mapping)
    assert (quality.word, quality.reason) == ("no worse", "")
    assert quality.ours == quality.theirs == pytest.approx(2 / 3)


def test_equal_answers_on_few_lines_show_nothing_and_it_is_said_how_many_would(tmp_path: Path) -> None:
    write(tmp_path, 20, theirs(20, 0, repeats=2))
    quality = certify(tmp_path, margin=0.05, repeats=2)
    assert (quality.word, quality.difference, quality.n_lines) == ("not shown", 0.0, 20)
    assert quality.n_needed == 52  # 1.645² × .95 / .05, rounded up
    assert quality.bound is not None
    assert quality.bound < -0.05


def test_answers_that_are_worse_are_not_shown_to_be_no_worse(tmp_path: Path) -> None:
    write(tmp_path, 40, theirs(40, 0))
    (tmp_path / "flow" / "a.py").write_text(
        ECHO.replace("return text", "return 'wrong' if text < 't2' else text"), "utf-8"
    )
    quality = certify(tmp_path, margin=0.2)
    assert quality.word == "not shown"
    assert quality.difference is not None
    assert quality.difference < -0.2
    assert quality.p is not None
    assert quality.p > 0.5


def test_answers_that_fail_count_as_wrong(tmp_path: Path) -> None:
    write(tmp_path, 40, theirs(40, 0))
    (tmp_path / "flow" / "a.py").write_text(
        ECHO.replace("return text", "if text < 't3': raise ValueError('no')\n    return text"), "utf-8"
    )
    quality = certify(tmp_path, margin=0.2)
    n_failed = sum(f"t{number}" < "t3" for number in range(40))
    assert quality.n_failed_ours == n_failed
    assert quality.difference == pytest.approx(-n_failed / 40)
    assert quality.word == "not shown"


def test_an_evaluator_that_cannot_be_run_is_not_clean(tmp_path: Path) -> None:
    write(tmp_path, 10, theirs(10, 0))
    (tmp_path / "flow" / "data.jsonl").write_text('{"text": "a"}\n', "utf-8")
    quality = certify(tmp_path, margin=0.2)
    assert quality.word == "not tried"
    assert "truth" in quality.reason
    other = certify(tmp_path, margin=0.2, metric="f1")
    assert other.word == "not tried"


def test_lines_and_repeats_are_planned_from_a_trial(tmp_path: Path) -> None:
    write(tmp_path, 80, list(islice(cycle([{"answer": "t1 theirs"}]), 3)))
    # In the trial no answer of stock is right, and every one of ours is: the engines differ on every line alike.
    quality = certify(tmp_path, margin=0.1, is_planned=True)
    assert quality.is_planned
    assert quality.repeats == 1
    assert quality.n_lines == 5
    assert quality.word == "no worse"


@pytest.mark.parametrize(
    ("noise", "n_available", "n_lines", "repeats"),
    [
        (0.0, 500, 25, 1),  # equal on every line: 1.645² × .9 / .1
        (0.3, 500, None, 1),
        (0.3, 30, 27, None),
    ],
)
def test_more_lines_come_before_more_repeats(
    noise: float, n_available: int, n_lines: int | None, repeats: int | None
) -> None:
    wave = [(0.5 + noise, 0.5 - noise, 0.5), (0.5, 0.5 + noise, 0.5 - noise), (0.5 - noise, 0.5, 0.5 + noise)]
    pairs = [(wave[line % 3], wave[(line + 1) % 3]) for line in range(10)]
    design = plan_quality(pairs, 0.1, n_available=n_available)
    assert design is not None
    if n_lines is not None:
        assert design.n_lines == n_lines
    if repeats is None:
        assert design.repeats > 1
        assert design.n_needed == n_lines
    else:
        assert design.repeats == repeats
        assert design.n_lines == design.n_needed


def test_nothing_is_planned_from_a_single_line() -> None:
    assert plan_quality([((1.0,), (1.0,)), ((), (1.0,))], 0.1, n_available=9) is None


def test_the_command_says_what_was_shown_and_ends_accordingly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, 60, theirs(60, 0))
    command = [
        "certify", "flow", "--python", sys.executable, "--metric", "correct", "--evaluator", "judge",
        "--evaluation-mapping", *(f"{key}={value}" for key, value in MAPPING.items()),
    ]  # fmt: skip
    session = Session(tmp_path, settings_for(tmp_path))
    (tmp_path / "here").mkdir()
    with chdir(tmp_path):
        code = run_command_line([*command, "--margin", "0.05", "--certificate", "c.json"], session)
        out = " ".join(capsys.readouterr().out.split())
        assert code == ExitCode.OK
        assert "1 no worse" in out
        assert "correct no worse: 1.000 here, 1.000 there, difference +0.000, 95% sure above −0.043" in out
        saved = json.loads((tmp_path / "c.json").read_text("utf-8"))
        assert saved["is_clean"] is True
        assert saved["flows"][0]["quality"]["n_lines"] == 60
        code = run_command_line(
            [*command, "--margin", "0.01", "-o", "markdown"], Session(tmp_path, settings_for(tmp_path))
        )
        out = capsys.readouterr().out
        assert code == ExitCode.FAILED
        assert "correct not shown" in out
        assert "268 lines would show it" in out


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("C507", ("--metric", "f1")),
        ("C507", ("--margin", "0.1")),
        ("C507", ("--repeats", "planned")),
        ("C507", ("--repeats", "some")),
        ("G903", ("--metric", "f1", "--evaluator", "x", "--margin", "-1")),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, options: tuple[str, ...]
) -> None:
    command = ["certify", str(tmp_path), "--python", sys.executable, *options]
    assert run_command_line(command, Session(tmp_path, settings_for(tmp_path))) == ExitCode.USAGE
    assert code in capsys.readouterr().err


def test_a_trial_without_scores_plans_nothing_and_says_why(tmp_path: Path) -> None:
    write(tmp_path, 8, ["not today"])
    quality = certify(tmp_path, margin=0.1, is_planned=True)
    assert quality.word == "not tried"
    assert "G902" in quality.reason
    assert "ValueError: not today" in quality.reason
