"""``--on azureml://…``: runs whose lines command jobs of Azure Machine Learning run, before a stand-in, with the real SDK."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.azure import StandIn, manners, rough_manners
from tests.support.deadly import story

from headrace.config import load_settings
from headrace.deploy.command_jobs import CommandJobs, Job, JobPlace
from headrace.deploy.managed_waiting import Waiting
from headrace.domain.azure_workspace import AzureWorkspace
from headrace.domain.run import COMPLETED
from headrace.errors import DefinitionError, RemoteRequestError, StateError, UsageError
from headrace.operations.resume_run import ResumeRequest, resume_run
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[2]
N_LINES = 10
FLOW = """
inputs: {n: {type: int}}
outputs: {answer: {type: string, reference: "${answer.output}"}}
nodes:
- {name: answer, type: python, source: {type: code, path: answer.py}, inputs: {n: "${inputs.n}"}}
- {name: total, type: python, source: {type: code, path: total.py}, inputs: {answers: "${answer.output}"}, aggregation: true}
"""
ANSWER = """
import os
from pathlib import Path
from promptflow.core import tool

HERE = Path(__file__).parent

@tool
def answer(n: int):
    print("answering", n)
    if n == 3:
        raise ValueError("three")
    if n == 5 and (HERE / "deadly").exists():
        mark = Path((HERE / "deadly").read_text().strip())
        if not mark.exists() or mark.read_text() == "always":
            mark.touch()
            os._exit(7)
    return f"{n} squared is {n * n}"
"""
TOTAL = """
from promptflow.core import log_metric, tool

@tool
def total(answers):
    log_metric("n", len(answers))
    log_metric("letters", sum(map(len, filter(None, answers))))
"""


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(tmp_path) as found:
        found.enter(monkeypatch)
        yield found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    flow = folder / "flow"
    flow.mkdir(parents=True)
    for name, text in (("flow.dag.yaml", FLOW), ("answer.py", ANSWER), ("total.py", TOTAL)):
        (flow / name).write_text(text, "utf-8")
    (folder / "data.jsonl").write_text("".join(json.dumps({"n": n}) + "\n" for n in range(N_LINES)), "utf-8")
    return folder


@pytest.fixture
def workspace(project: Path) -> Iterator[Workspace]:
    with open_workspace(load_settings({**os.environ, "HOME": str(project)}), project) as opened:
        yield opened


def place(azure: StandIn, compute: str = "cpu", environment: str = "&environment=python:3.12") -> str:
    workspace = f"subscriptions/{azure.subscription}/resourcegroups/rg/workspaces/ws"
    return f"azureml://{workspace}?compute={compute}{environment}"


def request(project: Path, name: str, **more: object) -> RunRequest:
    return RunRequest(flow=project / "flow", data=project / "data.jsonl", name=name, **more)  # type: ignore[arg-type]


def submitted(azure: StandIn) -> list[str]:
    """Names of the jobs that were submitted, without that of their run."""
    found = [item.path for item in azure.recording.find("PUT") if "/jobs/" in item.path]
    return sorted(re.sub(r".*/jobs/headrace-[0-9a-f]{16}-", "", path) for path in found)


def test_the_results_are_those_of_a_run_here(azure: StandIn, project: Path, workspace: Workspace) -> None:
    here = create_run(workspace, request(project, "here"))
    on = place(azure, environment="")  # the workspace builds it
    there = create_run(workspace, request(project, "there", on=on, workers=3))
    assert (here.status, there.status) == (COMPLETED, COMPLETED)
    assert story(workspace, "there") == story(workspace, "here")
    assert (there.n_completed, there.n_failed) == (9, 1)
    assert submitted(azure) == ["0-0", "1-0", "2-0"]
    environments = [item.body for item in azure.recording.find("PUT") if "/environments/" in item.path]
    assert environments
    assert all(item["properties"]["build"]["contextUri"] for item in environments)
    assert azure.unanswered == []


@pytest.mark.parametrize("moment", ["before", "after", "within"])
def test_connections_that_are_lost_end_no_run(
    azure: StandIn, project: Path, workspace: Workspace, moment: str
) -> None:
    azure.manners.append(rough_manners.Dropping(7, moment))
    there = create_run(workspace, request(project, "there", on=place(azure), workers=2))
    assert (there.status, there.n_completed, there.n_failed) == (COMPLETED, 9, 1)
    assert {*submitted(azure)} == {"0-0", "1-0"}  # one of them perhaps sent again


def test_a_job_that_is_not_shown_yet_has_not_died(
    azure: StandIn, project: Path, workspace: Workspace
) -> None:
    azure.manners.append(manners.LaggingReads(3, "/jobs/[^/]+$"))
    there = create_run(workspace, request(project, "there", on=place(azure), workers=2))
    assert (there.status, there.n_completed, there.n_failed) == (COMPLETED, 9, 1)
    assert submitted(azure) == ["0-0", "1-0"]


def test_what_a_dead_job_has_left_another_one_does(
    azure: StandIn, project: Path, workspace: Workspace
) -> None:
    create_run(workspace, request(project, "here"))
    (project / "flow" / "deadly").write_text(str(project / "mark"), "utf-8")
    create_run(workspace, request(project, "there", on=place(azure), workers=2, max_concurrency=2))
    assert (project / "mark").exists()
    assert story(workspace, "there") == story(workspace, "here")
    assert submitted(azure) == ["0-0", "0-1", "1-0"] or submitted(azure) == ["0-0", "1-0", "1-1"]


def test_lines_that_two_jobs_have_died_of_have_failed(
    azure: StandIn, project: Path, workspace: Workspace
) -> None:
    mark = project / "mark"
    mark.write_text("always", "utf-8")
    (project / "flow" / "deadly").write_text(str(mark), "utf-8")
    run = create_run(workspace, request(project, "there", on=place(azure), workers=3, max_concurrency=3))
    problem = next(line.problem for line in workspace.store.read_lines("there") if line.line_number == 5)
    assert (run.n_completed, run.n_failed) == (6, 4)  # three, and what came behind five in its jobs
    assert problem is not None
    assert problem.code == "X323"
    assert "ended as Failed" in problem.what
    assert submitted(azure) == ["0-0", "1-0", "1-1", "2-0"]

    mark.write_text("no more", "utf-8")
    resume_run(workspace, ResumeRequest(name="there", retries_failed=True))
    again = {line.line_number: line.status for line in workspace.store.read_lines("there")}
    assert [number for number, status in again.items() if status != COMPLETED] == [3]
    assert [name for name in submitted(azure) if not name.endswith("-0")] == ["0-1", "1-1", "1-2"]


def test_a_killed_command_is_gone_on_with_and_no_job_is_submitted_again(
    azure: StandIn, project: Path, workspace: Workspace
) -> None:
    create_run(workspace, request(project, "here"))
    azure.jobs.is_held = True
    words = ("run", "create", "--flow", "flow", "--data", "data.jsonl", "--name", "there", "--workers", "2")
    command = subprocess.Popen(
        [sys.executable, "-m", "headrace", *words, "--on", place(azure)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert azure.jobs.wait_for(2)
    command.send_signal(signal.SIGKILL)
    command.wait()
    assert list(workspace.store.read_lines("there")) == []
    azure.jobs.let_go()
    resumed = resume_run(workspace, ResumeRequest(name="there"))
    assert resumed.status == COMPLETED
    assert story(workspace, "there") == story(workspace, "here")
    assert submitted(azure) == ["0-0", "1-0"]


def test_a_flow_that_cannot_be_loaded_there_ends_the_run(
    azure: StandIn, project: Path, workspace: Workspace
) -> None:
    answer = project / "flow" / "answer.py"
    here = "import os\nif os.environ.get('PF_CONNECTION_PROVIDER'):\n    raise RuntimeError('not there')\n"
    answer.write_text(here + ANSWER, "utf-8")
    with pytest.raises(DefinitionError) as raised:
        create_run(workspace, request(project, "there", on=place(azure), workers=1))
    assert "not there" in str(raised.value)
    assert submitted(azure) == ["0-0"]


def test_what_others_write_is_lost_in_no_pause_before_a_job(
    azure: StandIn, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    azure.faults.add(method="PUT", path="/jobs/", status=409, code="Conflict", times=1)
    workspace = AzureWorkspace(subscription=azure.subscription, resource_group="rg", name="ws")
    jobs = CommandJobs(JobPlace(workspace=workspace, compute="cpu", environment="python:3.12"))

    def pause(_: float) -> None:
        sys.stderr.write("a warning of the run\n")

    jobs._waiting = Waiting(lambda _: None, sleep=pause)
    try:
        jobs.submit(Job(name="one", title="one", code=project, command="true {results}", context=None))
    finally:
        jobs.close()
    assert capfd.readouterr().err.splitlines() == ["a warning of the run"]


def test_a_compute_that_is_not_there(azure: StandIn, project: Path, workspace: Workspace) -> None:
    with pytest.raises(RemoteRequestError) as raised:
        create_run(workspace, request(project, "there", on=place(azure, "gpu")))
    assert "gpu" in raised.value.problems[0].what
    elsewhere = place(azure).replace("workspaces/ws", "workspaces/elsewhere")
    with pytest.raises(RemoteRequestError) as raised:
        create_run(workspace, request(project, "elsewhere", on=elsewhere))
    assert "elsewhere" in raised.value.problems[0].what


def test_what_would_be_sent_where_others_read_it_is_refused(
    azure: StandIn, project: Path, workspace: Workspace
) -> None:
    for more in ({"environment_variables": {"KEY": "secret"}}, {"init": {"api_key": "secret"}}):
        with pytest.raises(UsageError) as raised:
            create_run(workspace, request(project, "there", on=place(azure), **more))
        assert raised.value.problems[0].code == "X322"
    assert azure.recording.requests == []


@pytest.mark.parametrize(
    "on", ["azureml://nowhere?compute=cpu", "azureml://subscriptions/s/resourcegroups/g/workspaces/w"]
)
def test_an_address_that_says_no_place(project: Path, workspace: Workspace, on: str) -> None:
    with pytest.raises(UsageError) as raised:
        create_run(workspace, request(project, "there", on=on))
    assert raised.value.problems[0].code == "X321"


def test_a_cancelled_job_leaves_its_lines_for_later(
    azure: StandIn, project: Path, workspace: Workspace
) -> None:
    azure.jobs.is_held = True

    def cancel() -> None:
        assert azure.jobs.wait_for(1)
        azure.jobs.held.pop().properties["status"] = "Canceled"

    cancelling = threading.Thread(target=cancel)
    cancelling.start()
    with pytest.raises(StateError) as raised:
        create_run(workspace, request(project, "there", on=place(azure), workers=1))
    cancelling.join()
    assert raised.value.problems[0].code == "X324"
    azure.jobs.is_held = False
    assert resume_run(workspace, ResumeRequest(name="there")).n_completed == N_LINES - 1
    assert submitted(azure) == ["0-0", "0-1"]
