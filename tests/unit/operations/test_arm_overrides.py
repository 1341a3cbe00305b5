from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.domain.run import Cap, lower_cap
from headrace.domain.variant import Arm
from headrace.operations.forecast_run import forecast_run
from headrace.operations.resume_run import ResumeRequest, resume_run
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import Workspace, open_workspace

FLOW = """\
inputs: {text: {type: string}}
outputs: {answer: {type: string, reference: "${cut.output}"}}
nodes:
- name: cut
  type: python
  source: {type: code, path: cut.py}
  inputs: {text: "${inputs.text}", n: 1}
"""
CODE = """\
from pathlib import Path
from promptflow.core import tool


@tool
def cut(text: str, n: int) -> str:
    if text == "no" and not Path("ready").exists():
        raise ValueError("not yet")
    return text[:n] + f"/{type(n).__name__}"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    tmp_path.joinpath("flow.dag.yaml").write_text(FLOW, "utf-8")
    tmp_path.joinpath("cut.py").write_text(CODE, "utf-8")
    tmp_path.joinpath("data.jsonl").write_text('{"text": "abcdef"}\n{"text": "no"}\n', "utf-8")
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "memory:"})
    with open_workspace(settings, tmp_path) as opened:
        yield opened


def request(workspace: Workspace, name: str, **more: str) -> RunRequest:
    arm = Arm(name="long", overrides={"cut.n": "4"})
    folder = workspace.folder
    return RunRequest(flow=folder, data=folder / "data.jsonl", name=name, arm=arm, connections=more)


def answers(workspace: Workspace, name: str) -> list[object]:
    return [line.outputs.get("answer") for line in workspace.store.read_lines(name)]


def test_an_arm_overrides_a_field_in_its_type_and_the_run_records_it(workspace: Workspace) -> None:
    run = create_run(workspace, request(workspace, "one"))
    assert answers(workspace, "one")[0] == "abcd/int"
    assert (run.spec.arm, dict(run.spec.connections)) == ("long", {"cut.n": "4"})


def test_what_the_run_is_asked_for_wins_over_its_arm(workspace: Workspace) -> None:
    create_run(workspace, request(workspace, "one", **{"cut.n": "2"}))
    assert answers(workspace, "one")[0] == "ab/int"


def test_a_resumed_run_keeps_the_overrides_of_its_arm(workspace: Workspace) -> None:
    create_run(workspace, request(workspace, "one"))
    workspace.folder.joinpath("ready").touch()
    run = resume_run(workspace, ResumeRequest(name="one", retries_failed=True))
    assert answers(workspace, "one") == ["abcd/int", "no/int"]
    assert run.spec.arm == "long"


def test_a_pilot_with_other_overrides_is_no_pilot(workspace: Workspace) -> None:
    create_run(workspace, request(workspace, "one"))
    assert forecast_run(workspace, request(workspace, "next")).source_run == "one"
    assert forecast_run(workspace, request(workspace, "next", **{"cut.n": "2"})).source_run is None


def test_of_two_caps_the_lower_of_each_counts() -> None:
    both = lower_cap(Cap(cost_usd=2.0, tokens=10), Cap(cost_usd=1.0))
    assert both == Cap(cost_usd=1.0, tokens=10)
    assert lower_cap(None, Cap(tokens=3)) == Cap(tokens=3)
    assert lower_cap(None, None) is None
