"""Runs of flex flows: their aggregation, what they are made with, and going on with them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.tool_nodes import served_names

from headrace.config import load_settings
from headrace.domain.flow import AGGREGATE
from headrace.domain.run import COMPLETED
from headrace.domain.variant import Arm, ModelSpec
from headrace.errors import DefinitionError, UsageError
from headrace.formats.experiment import load_experiment
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.run_experiment import run_experiment
from headrace.operations.test_flow import TestRequest, run_test
from headrace.operations.workspace import Workspace, open_workspace
from headrace.tools.model_configuration import OpenAIModelConfiguration

__all__ = ["served_names"]

pytestmark = pytest.mark.usefixtures("served_names")

GRADER = """
class Grader:
    def __init__(self, weight: int = 1, fails: str = ""):
        self.weight = weight
        self.fails = fails

    def __call__(self, text: str):
        if text == self.fails:
            raise ValueError("no")
        return {"length": len(text) * self.weight}

    def __aggregate__(self, lines):
        return {"total": sum(line.length for line in lines), "lines": len(lines)}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "memory:"})
    with open_workspace(settings, tmp_path) as opened, chdir(tmp_path):
        yield opened


def a_request(folder: Path, code: str = GRADER, *texts: str, **fields: Any) -> RunRequest:
    (folder / "grader.py").write_text(code, encoding="utf-8")
    data = folder / "data.jsonl"
    data.write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in texts or ("a", "bb", "ccc")), "utf-8"
    )
    return RunRequest(flow=Path("grader:Grader"), data=data, **{"name": "r", **fields})


def test_an_entry_runs_over_lines_and_aggregates(workspace: Workspace, tmp_path: Path) -> None:
    run = create_run(workspace, a_request(tmp_path, init={"weight": "2"}))
    assert (run.status, dict(run.metrics)) == (COMPLETED, {"total": 12, "lines": 3})
    assert [line.outputs for line in workspace.store.read_lines("r")] == [{"length": n} for n in (2, 4, 6)]
    assert [node.node for node in run.aggregation] == [AGGREGATE]
    assert run.spec.flow_path == str(tmp_path / "grader:Grader")
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix) == ["data.jsonl", "grader.py"]


def test_a_run_that_goes_on_aggregates_all_lines(workspace: Workspace, tmp_path: Path) -> None:
    first = create_run(workspace, a_request(tmp_path, init={"fails": "bb"}))
    assert (first.n_failed, dict(first.metrics)) == (1, {"total": 4, "lines": 2})
    with pytest.raises(DefinitionError, match="T211"):
        create_run(workspace, replace(a_request(tmp_path, "raise ValueError"), name="s", resume_from="r"))
    (tmp_path / "grader.py").write_text(GRADER.replace("text == self.fails", "not text"), encoding="utf-8")
    again = create_run(workspace, RunRequest(flow=Path(), resume_from="r", name="again"))
    assert (again.n_failed, dict(again.metrics)) == (0, {"total": 6, "lines": 3})


def test_an_aggregation_that_fails_leaves_the_lines(workspace: Workspace, tmp_path: Path) -> None:
    run = create_run(workspace, a_request(tmp_path, GRADER.replace("line.length", "line.size")))
    assert (run.status, run.n_failed, dict(run.metrics)) == (COMPLETED, 0, {})
    assert run.problem is not None
    assert run.problem.code == "E601"
    assert "no 'size'; they have: length" in run.problem.what


def test_a_test_does_not_aggregate(workspace: Workspace, tmp_path: Path) -> None:
    a_request(tmp_path)
    result = run_test(workspace, TestRequest(flow=Path("grader:Grader"), inputs={"text": "ab"}))
    assert (result.outputs, result.metrics, result.aggregation) == ({"length": 2}, {}, ())


def test_lines_at_the_same_time_do_not_see_what_others_set(workspace: Workspace, tmp_path: Path) -> None:
    code = """
from threading import Barrier

together = Barrier(4)


class Grader:
    def __call__(self, text: str):
        self.text = text
        together.wait()
        return self.text
"""
    texts = [f"line {number}" for number in range(8)]
    create_run(workspace, a_request(tmp_path, code, *texts, max_concurrency=4))
    assert [line.outputs["output"] for line in workspace.store.read_lines("r")] == texts
    assert threading.active_count() < 50


@pytest.mark.parametrize(
    "given",
    [{"model": "m", "api_key": "a-secret-key"}, OpenAIModelConfiguration(model="m", api_key="a-secret-key")],
)
def test_a_key_is_not_recorded_so_that_such_a_run_cannot_go_on(
    given: Any, workspace: Workspace, tmp_path: Path
) -> None:
    code = """
from promptflow.core import OpenAIModelConfiguration


class Grader:
    def __init__(self, model: OpenAIModelConfiguration):
        self.model = model

    def __call__(self, text: str):
        print(self.model.api_key)
        raise ValueError(self.model.api_key)
"""
    run = create_run(workspace, a_request(tmp_path, code, init={"model": given}))
    assert run.spec.init["model"]["api_key"] == "******"
    assert "a-secret-key" not in repr((run, list(workspace.store.read_lines("r"))))
    with pytest.raises(UsageError, match="a key with --init"):
        create_run(workspace, RunRequest(flow=Path(), resume_from="r", name="again"))


ASKS = """
from promptflow.core import OpenAIModelConfiguration


class Grader:
    def __init__(self, model: OpenAIModelConfiguration, other: OpenAIModelConfiguration = None, word: str = ""):
        self.models = [model, other]

    def __call__(self, text: str):
        return [[item.model, item.api_key] for item in self.models]
"""


def test_a_model_that_is_chosen_for_the_flow_is_what_its_configurations_name(tmp_path: Path) -> None:
    settings = load_settings({"HOME": str(tmp_path), "OPENAI_API_KEY": "key", "HEADRACE_STORE": "memory:"})
    request = a_request(tmp_path, ASKS, init={"model": {"model": "m", "api_key": "k"}})
    with open_workspace(settings, tmp_path) as workspace, chdir(tmp_path):
        run = create_run(workspace, replace(request, model="openai/gpt"))
        assert run.spec.model == "openai/gpt"
        (line, *_) = workspace.store.read_lines("r")
        assert line.outputs == {"output": [["gpt", "key"], ["gpt", "key"]]}


def test_a_flow_that_takes_no_model_configuration_refuses_a_model(
    workspace: Workspace, tmp_path: Path
) -> None:
    a_request(tmp_path)
    with pytest.raises(DefinitionError, match=r"V304.*no model configuration"):
        run_test(workspace, TestRequest(flow=Path("grader:Grader"), inputs={"text": "a"}, model="baseline/b"))


def test_parameters_of_a_chosen_model_have_to_be_set_in_the_code(
    workspace: Workspace, tmp_path: Path
) -> None:
    request = a_request(tmp_path, ASKS)
    model = ModelSpec(name="cold", connection="baseline", model="m", parameters={"temperature": 0})
    with pytest.raises(DefinitionError, match=r"V304.*temperature"):
        create_run(workspace, replace(request, arm=Arm(name="cold", model=model)))


JUDGE = """
class Judge:
    def __call__(self, answer: str, text: str):
        return {"correct": float(answer.startswith("good"))}
"""


def test_arms_of_a_flex_flow_are_compared_though_it_announces_no_outputs(tmp_path: Path) -> None:
    settings = load_settings({"HOME": str(tmp_path), "OPENAI_API_KEY": "key", "HEADRACE_STORE": "memory:"})
    a_request(
        tmp_path,
        ASKS.replace(
            "[[item.model, item.api_key] for item in self.models]", "{'said': self.models[0].model}"
        ),
    )
    (tmp_path / "judge.py").write_text(JUDGE, encoding="utf-8")
    (tmp_path / "experiment.yaml").write_text(
        "flow: grader:Grader\ndata: data.jsonl\nmodels: [openai/good, openai/bad]\n"
        "evaluators: [{name: judge, flow: judge:Judge, column_mapping: {answer: '${run.outputs.said}', text: '${data.text}'}}]\n"
        "metrics: [correct]\n",
        encoding="utf-8",
    )
    with open_workspace(settings, tmp_path) as workspace, chdir(tmp_path):
        result = run_experiment(workspace, load_experiment(Path("experiment.yaml")))
        (metric,) = result.comparison.metrics
        assert [score.mean.value for score in metric.scores if score.mean] == [1.0, 0.0]
        unknown = (tmp_path / "experiment.yaml").read_text(encoding="utf-8").replace("[correct]", "[corect]")
        (tmp_path / "experiment.yaml").write_text(unknown, encoding="utf-8")
        with pytest.raises(UsageError, match="G901"):
            run_experiment(workspace, load_experiment(Path("experiment.yaml")))
