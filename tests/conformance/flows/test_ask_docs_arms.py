"""The arms of flows/ask_docs differ for the right reason: retrieval wins, and it loses when retrieval is broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.domain.comparison import MetricComparison
from headrace.formats.experiment import load_experiment
from headrace.operations.run_experiment import run_experiment
from headrace.operations.workspace import open_workspace

ROOT = Path(__file__).resolve().parents[3]
ARMS = ("zero_shot", "few_shot", "retrieval", "retrieval_few_shot")
BROKEN = """
from promptflow.core import tool


@tool
def retrieve(query: str, docs: str, budget_chars: int = 3000, most: int = 5) -> dict:
    return {"context": "", "sources": []}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the flow beside the documentation that it reads."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copytree(ROOT / "flows" / "ask_docs", tmp_path / "flows" / "ask_docs")
    return tmp_path


def _race(project: Path) -> tuple[MetricComparison, str | None]:
    experiment = load_experiment(project / "flows" / "ask_docs" / "experiment.yaml")
    settings = load_settings({"HOME": str(project), "HEADRACE_STORE": "memory:"})
    with open_workspace(settings, project) as workspace:
        result = run_experiment(workspace, experiment)
    assert result.n_failed == 0
    assert tuple(arm.arm for arm in result.comparison.arms) == ARMS
    primary = result.comparison.primary
    assert primary is not None
    return primary, result.recommendation.arm


def _words(metric: MetricComparison) -> dict[str, str]:
    return {effect.arm: effect.verdict.word for effect in metric.effects}


def test_retrieval_wins_and_examples_alone_do_not(project: Path) -> None:
    metric, shipped = _race(project)
    words = _words(metric)
    assert metric.spec.name == "f1"
    assert words["retrieval_few_shot"] == "better"
    # Whole sentences score little beside short answers, the less the more pages there are to find them in.
    effect = metric.effect_of("retrieval")
    assert effect is not None
    assert effect.difference is not None
    assert effect.difference.value > 0
    assert words["few_shot"] != "better"
    assert shipped == "retrieval_few_shot"


def test_retrieval_loses_when_it_is_broken(project: Path) -> None:
    (project / "flows" / "ask_docs" / "retrieve.py").write_text(BROKEN, encoding="utf-8")
    metric, shipped = _race(project)
    assert "better" not in _words(metric).values()
    assert shipped in (None, "zero_shot")
