"""``headrace ab simulate``: what a person and a script are told about a test that is not live yet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session

Call = Callable[[str], tuple[int, str, str]]

TRAFFIC = """\
name: demo
arms:
  - {name: old, weight: 0.5}
  - {name: new, weight: 0.5}
metrics:
  - {name: helpful, window: 10m, missing: 0}
guardrails: [{metric: failures, max_ratio: 1.5}]
"""
SCENARIO = """\
days: 1
arms:
  new: {failures: 0.6}
"""


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    (tmp_path / "traffic.yaml").write_text(TRAFFIC, encoding="utf-8")
    (tmp_path / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")

    def call(options: str) -> tuple[int, str, str]:
        words = ["ab", "simulate", str(tmp_path / "traffic.yaml"), *options.split()]
        return run_command_line(words, Session(tmp_path, {})), *capsys.readouterr()

    return call


def test_a_person_reads_when_a_test_decides(run: Call) -> None:
    code, out, _ = run("--days 2 --base 0.5 --effect 0.3 --runs 2 --output table")
    assert code == 0
    text = " ".join(out.split())
    assert "new is 0.300 higher on helpful in truth. 2 of 2 runs decided within 2 days, half within" in text
    assert "the test 100% – – 0%" in text
    assert "1,000 requests and 1,000 new units a day, a look every 14 minutes" in text


def test_a_person_reads_how_much_of_what_is_said_comes_too_late(run: Call, tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text("days: 0.1\nfeedback: {delay: 1h}\n", encoding="utf-8")
    _, out, _ = run(f"--scenario {tmp_path / 'slow.yaml'} --runs 1 --output table")
    assert "Only 15% of what is said of a request is said within the window of helpful" in " ".join(
        out.split()
    )


def test_a_person_reads_what_becomes_of_a_broken_arm(run: Call, tmp_path: Path) -> None:
    code, out, _ = run(f"--scenario {tmp_path / 'scenario.yaml'} --runs 2 --output table")
    assert code == 0
    assert "new was rolled back in 2 runs (guardrail failures: 2), half of these after at most" in " ".join(
        out.split()
    )


def test_a_script_gets_all_numbers(run: Call) -> None:
    code, out, _ = run("--days 0.1 --runs 1 --every 3600 --planned-units 500 --seed 3")
    found = json.loads(out)
    assert (code, found["test"], found["look_s"], found["planned_units"]) == (0, "demo", 3600, 500)
    assert found["arms"][0]["called"]["words"]["inconclusive"] == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("--base 0.9 --effect 0.3", 2),
        ("--days nan", 2),
        ("--pause inf", 2),
        ("--every 1e400", 2),
        ("--requests-per-day 1e9", 2),
        ("--scenario no.yaml", 3),
    ],
)
def test_what_cannot_be_played_is_refused(run: Call, options: str, code: int) -> None:
    assert run(options)[0] == code
