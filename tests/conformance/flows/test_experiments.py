"""The experiments of flows/ ask what flows/README.md says, and what they ask can be run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.errors import ExitCode

ROOT = Path(__file__).resolve().parents[3]
FLOWS = ROOT / "flows"
EXPERIMENTS = sorted(
    file.relative_to(ROOT).as_posix()
    for file in FLOWS.glob("*/*.yaml")
    if re.search(r"^evaluators:", file.read_text("utf-8"), re.MULTILINE)
)
RUNNABLE = [file for file in EXPERIMENTS if "deployed:" not in ROOT.joinpath(file).read_text("utf-8")]
"""Those that ask no deployment; a workflow asks the others after it has deployed (tests/conformance/workflows)."""


@pytest.fixture
def session(tmp_path: Path) -> Session:
    variables = {
        "HOME": str(tmp_path),
        "HEADRACE_STORE": f"sqlite:///{tmp_path}/store.sqlite",
        "COLUMNS": "200",
    }
    return Session(ROOT, variables)


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("file", RUNNABLE)
def test_experiment_can_be_run(file: str, session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["compare", file, "--dry-run"], session) == ExitCode.OK
    assert "calls" in capsys.readouterr().out


def test_every_experiment_stands_in_the_readme() -> None:
    text = FLOWS.joinpath("README.md").read_text("utf-8")
    assert not [file for file in EXPERIMENTS if file.removeprefix("flows/") not in text]


def test_half_of_the_combinations_says_what_each_factor_is_worth(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", "flows/triage/factors.yaml", "--env", "dev", "--report", str(tmp_path / "r.html")]
    assert run_command_line(command, session) == ExitCode.OK
    out = capsys.readouterr().out
    gains = dict(
        re.findall(r"^(classify|length|temperature) +\S+ +\S+ +([+\N{MINUS SIGN}]?[\d.]+)", out, re.MULTILINE)
    )
    assert float(gains["classify"]) > 0.2
    assert (float(gains["length"]), float(gains["temperature"])) == (0.0, 0.0)


def test_few_shot_may_be_released(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["gate", "flows/triage/release.yaml"], session) == ExitCode.OK
    assert "3 passed, 0 failed, 0 undecided" in capsys.readouterr().out


def test_the_flow_gains_over_its_prompt_and_over_words_what_its_readme_says(
    session: Session, tmp_path: Path
) -> None:
    result = tmp_path / "result.json"
    command = [
        "compare",
        "flows/triage/forms.yaml",
        "--output",
        str(result),
        "--report",
        str(tmp_path / "r.html"),
    ]
    assert run_command_line(command, session) == ExitCode.OK
    (metric,) = json.loads(result.read_text("utf-8"))["comparison"]["metrics"]
    right = {score["arm"]: round(score["mean"]["value"] * 106) for score in metric["scores"]}
    assert right == {"words": 34, "prompty": 22, "flow": 57}
    readme = FLOWS.joinpath("triage/README.md").read_text("utf-8")
    assert "get 34 of 106 right" in " ".join(readme.split())
    assert "| `zero_shot` | 22 |" in readme
    assert "| `few_shot` | 57 |" in readme
