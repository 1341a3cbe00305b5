"""Versions of flows as arms: in experiment files, on the command line and from Python, and what all records of them say."""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from tests.support.gated_project import write_flow, write_project
from tests.support.tool_nodes import serving_names

import headrace as package
from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.config import load_settings
from headrace.formats.experiment import load_experiment
from headrace.operations.arm_requests import ArmRuns
from headrace.operations.workspace import open_workspace

FACTORS = """\
data: data.jsonl
column_mapping: {n: "${data.n}"}
variants: ["${say.new}"]
factors:
  flow: [shop@1, shop@prod, .]
evaluators:
- {name: exact_match, builtin: exact_match, column_mapping: {prediction: "${run.outputs.answer}", reference: "${data.n}"}}
metrics: [exact_match]
"""
EVALUATED = (
    "--evaluator exact_match --evaluation-mapping prediction='${run.outputs.answer}' reference='${data.n}' "
    "--column-mapping n='${data.n}' --metric exact_match"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    write_project(folder)
    return folder


@pytest.fixture
def headrace(project: Path) -> Callable[..., int]:
    def call(words: str) -> int:
        with chdir(project), serving_names(project):
            return run_command_line(shlex.split(words), Session(project, {"HOME": str(project)}))

    return call


@pytest.fixture(autouse=True)
def versions(headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Versions 1 and 2 are recorded, 2 is tagged, and the files are at what will be version 3."""
    for number, right in enumerate((3, 5), start=1):
        write_flow(project, old=6, new=right)
        assert (
            headrace(f"run create --flow . --data data.jsonl --variant '${{say.new}}' --name r{number}") == 0
        )
    assert headrace("flow tag shop@2 prod") == 0
    write_flow(project, old=6, new=8)
    (project / "versions.yaml").write_text(FACTORS, encoding="utf-8")
    capsys.readouterr()


def means(document: str) -> dict[str, float]:
    (metric,) = json.loads(document)["comparison"]["metrics"]
    return {score["arm"]: score["mean"]["value"] for score in metric["scores"]}


def test_versions_and_the_files_compete_in_one_experiment(
    headrace: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert headrace("compare versions.yaml -o json -q") == 0
    out = capsys.readouterr().out
    assert means(out) == {"shop@1": 0.3, "shop@prod": 0.5, "shop": 0.8}
    runs = json.loads(out)["context"]["runs"]
    assert [run["flow_version"] for run in runs][:3] == ["shop@1", "shop@2", "shop@3"]
    again = next(
        word for item in json.loads(out)["context"]["commands"] for word in item.split() if "_20" in word
    )
    assert headrace("flow tag shop@1 prod --move") == 0
    capsys.readouterr()
    assert headrace(f"compare --again {again}") == 0
    assert "shop@prod was on shop@2 when this was run, and is on shop@1 now" in capsys.readouterr().err


def test_a_version_is_compared_from_the_command_line_and_from_python(
    headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"compare --flow shop@1 --data data.jsonl --variants new,old {EVALUATED} -o json -q"
    assert headrace(words) == 0
    assert means(capsys.readouterr().out) == {"new": 0.3, "old": 0.6}
    assert headrace(words.replace("shop@1", "shop@9")) == 2
    assert "S831" in capsys.readouterr().err
    with chdir(project), serving_names(project):
        compared = package.compare(
            flow="shop@prod",
            data="data.jsonl",
            variants=["new", "old"],
            column_mapping={"n": "${data.n}"},
            evaluators=[
                {
                    "name": "exact_match",
                    "builtin": "exact_match",
                    "column_mapping": {"prediction": "${run.outputs.answer}", "reference": "${data.n}"},
                }
            ],
        )
    assert {run.spec.version_name for run in compared.result.runs} == {"shop@2"}


def test_an_overlay_is_laid_from_python(project: Path) -> None:
    (project / "experiment.dev.yaml").write_text("repeats: 2\n", encoding="utf-8")
    with chdir(project), serving_names(project):
        compared = package.compare("experiment.yaml", env="dev")
        assert len(compared.result.runs) == 4
        with pytest.raises(Exception, match="env= belongs to an experiment file"):
            package.compare(flow=".", data="data.jsonl", evaluators=["exact_match"], env="dev")


@pytest.mark.parametrize(
    ("before", "after", "place", "said"),
    [
        ("shop@1,", "shop@7,", "versions.yaml:5:10", "There is no version shop@7"),
        ("shop@prod", "shop@prd", "versions.yaml:5:18", 'Did you mean "shop@prod"?'),
        ("shop@1,", "shob@1,", "versions.yaml:5:10", 'Did you mean "shop"?'),
    ],
)
def test_what_is_no_version_is_said_at_its_place(
    headrace: Callable[..., int],
    project: Path,
    capsys: pytest.CaptureFixture[str],
    before: str,
    after: str,
    place: str,
    said: str,
) -> None:
    (project / "versions.yaml").write_text(FACTORS.replace(before, after), encoding="utf-8")
    assert headrace("compare versions.yaml") == 3
    shown = capsys.readouterr().err
    assert place in shown
    assert said in shown


def test_a_version_whose_file_is_gone_is_a_problem_at_its_place(
    headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = sqlite3.connect(project / ".headrace" / "headrace.sqlite")
    connection.execute("DELETE FROM kept_file")
    connection.commit()
    connection.close()
    assert headrace("compare versions.yaml") == 5
    shown = capsys.readouterr().err
    assert "versions.yaml:5:10" in shown
    assert "S833" in shown


def test_runs_comparisons_and_traces_carry_the_ids_of_flow_and_data(
    headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(words: str) -> Any:
        assert headrace(words) == 0
        return json.loads(capsys.readouterr().out)

    run = said("run show --name r2")
    ids = (run["flow_version"], run["flow_digest"], run["data_version"], run["data_digest"])
    assert (ids[0], ids[2]) == ("shop@2", 1)
    with chdir(project), open_workspace(load_settings(), project) as workspace:
        for line_number in (0, 99):
            (root,) = [
                span for span in workspace.store.read_spans("r2", line_number) if span.parent_id is None
            ]
            names = ("flow.version", "flow.digest", "data.version", "data.digest")
            assert tuple(root.attributes[f"headrace.{name}"] for name in names) == ids
    compared = said("compare experiment.yaml -o json -q")["context"]["runs"]
    assert {(item["flow_version"], item["data_version"]) for item in compared if item["flow"] == "shop"} == {
        ("shop@3", 1)
    }
    assert {item["data_digest"] for item in compared if item["flow"] == "shop"} == {ids[3]}


def test_versions_of_data_are_listed_shown_restored_and_deleted(
    headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (project / "data.jsonl").read_bytes()
    (project / "data.jsonl").write_text('{"n": "1"}\n', encoding="utf-8")
    assert headrace("run create --flow . --data data.jsonl --variant '${say.new}' --name one") == 0
    capsys.readouterr()
    assert headrace("data versions -o json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(item["version"], item["lines"], item["runs"]) for item in listed] == [
        ("data.jsonl@1", 100, ["r2", "r1"]),
        ("data.jsonl@2", 1, ["one"]),
    ]
    assert headrace("data show r1") == 0
    assert "data.jsonl@1" in capsys.readouterr().out
    assert headrace("data restore data.jsonl@1 old/data.jsonl") == 0
    assert (project / "old" / "data.jsonl").read_bytes() == before
    assert headrace("data restore data.jsonl@1 old/data.jsonl") == 2
    assert "S806" in capsys.readouterr().err
    assert headrace("data delete data.jsonl@1") == 2  # nobody there to answer
    assert headrace("data delete data.jsonl@1 --yes") == 0
    assert headrace("data restore data.jsonl@1 again.jsonl") == 2
    assert "S836" in capsys.readouterr().err
    for words, said in (
        ("data show data.jsonl@7", "Versions of it: data.jsonl@1, data.jsonl@2"),
        ("data show date.jsonl@1", 'Did you mean "data.jsonl"?'),
        ("data versions nothing.jsonl", "S831"),
    ):
        assert headrace(words) == 2
        assert said in capsys.readouterr().err
    assert headrace("run show --name r1") == 0
    assert json.loads(capsys.readouterr().out)["data_version"] == 1


def test_a_flow_is_read_once_for_all_runs_of_an_experiment(
    project: Path,
) -> None:
    request = ArmRuns(experiment=load_experiment(project / "experiment.yaml"), experiment_id="x")
    first, second = (request.arm_request(arm, 0) for arm in request.experiment.arms)
    assert first.snapshots is second.snapshots
