from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.domain.run import CANCELED, COMPLETED, FAILED, Run
from headrace.engine.events import LineFinished, RunEvent
from headrace.operations import execute_run
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import Workspace, open_workspace

FLOW = """\
inputs:
  kind: {type: string}
outputs:
  first: {type: string, reference: "${act.output}"}
  second: {type: string, reference: "${act.output}"}
nodes:
- name: act
  type: python
  source: {type: code, path: act.py}
  inputs: {kind: "${inputs.kind}"}
- name: follow
  type: prompt
  source: {type: code, path: follow.jinja2}
  inputs: {kind: "${inputs.kind}"}
  activate: {when: "${act.output}", is: 1}
"""
ACT = """\
import asyncio

from promptflow.core import tool


class NoRepr:
    def __repr__(self):
        raise ValueError("no repr")


class NoEqual:
    def __eq__(self, other):
        raise ValueError("cannot be compared")


class Stop(BaseException):
    pass


def stream(error):
    print("from the generator")
    yield "a"
    if error is not None:
        raise error
    yield "b"


@tool
def act(kind: str):
    if kind == "nested":
        value = []
        value.append(value)
        return value
    if kind == "no repr":
        return NoRepr()
    if kind == "no equal":
        return NoEqual()
    if kind == "stream":
        return stream(None)
    if kind == "exit in a stream":
        return stream(SystemExit(3))
    if kind == "cancel in a stream":
        return stream(asyncio.CancelledError())
    errors = {
        "cancel": asyncio.CancelledError(),
        "exit": SystemExit(3),
        "generator exit": GeneratorExit(),
        "stop": Stop(),
        "interrupt": KeyboardInterrupt(),
    }
    if kind in errors:
        raise errors[kind]
    return kind
"""
ASYNC_ACT = ACT.replace("def act(", "async def act(")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "memory:"})
    with open_workspace(settings, tmp_path) as opened:
        yield opened


def a_request(folder: Path, *kinds: str, act: str = ACT) -> RunRequest:
    flow = folder / "flow"
    flow.mkdir(exist_ok=True)
    flow.joinpath("flow.dag.yaml").write_text(FLOW, "utf-8")
    flow.joinpath("act.py").write_text(act, "utf-8")
    flow.joinpath("follow.jinja2").write_text("{{kind}}", "utf-8")
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps({"kind": kind}) + "\n" for kind in kinds), "utf-8")
    return RunRequest(flow=flow, data=data, name="r", max_concurrency=2)


def codes(workspace: Workspace, run: Run) -> list[str | None]:
    return [line.problem.code if line.problem else None for line in workspace.store.read_lines(run.spec.name)]


@pytest.mark.parametrize("act", [ACT, ASYNC_ACT], ids=["in a thread", "async"])
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("nested", "E604"),
        ("no repr", "E604"),
        ("no equal", "E604"),
        ("exit in a stream", "E601"),
        ("cancel in a stream", "E601"),
        ("cancel", "E601"),
        ("exit", "E601"),
        ("stop", "E601"),
    ],
)
def test_whatever_a_tool_does_only_its_own_line_fails(
    kind: str, code: str, act: str, workspace: Workspace, tmp_path: Path
) -> None:
    run = create_run(workspace, a_request(tmp_path, "x", kind, kind, kind, "y", act=act))
    assert run.status == COMPLETED
    assert codes(workspace, run) == [None, code, code, code, None]
    assert (run.n_lines, run.n_completed, run.n_failed) == (5, 2, 3)


def test_a_tool_in_a_thread_that_raises_generator_exit_fails_its_line(
    workspace: Workspace, tmp_path: Path
) -> None:
    run = create_run(workspace, a_request(tmp_path, "generator exit", "y"))
    assert codes(workspace, run) == ["E601", None]


def test_an_interrupt_closes_the_run_as_canceled(
    workspace: Workspace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        create_run(workspace, a_request(tmp_path, "x", "interrupt"))
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]
    run = workspace.store.read_run("r")
    assert run.status == CANCELED
    assert run.problem is not None
    assert run.problem.code == "E608"
    assert run.finished_at is not None


def test_an_interrupt_ends_code_that_holds_the_event_loop_up(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute_run, "_DEAF_S", 0.1)
    act = """\
import signal
import time
from pathlib import Path

from promptflow.core import tool


@tool
async def act(kind: str):
    if kind == "hold":
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # at once: the loop may only be late
        time.sleep(0.2)
        Path("has gone on").touch()
        signal.raise_signal(signal.SIGINT)
        Path("was not ended").touch()
    return kind
"""
    request = replace(a_request(tmp_path, "x", "hold", "y", act=act), max_concurrency=1)
    with pytest.raises(KeyboardInterrupt):
        create_run(workspace, request)
    assert [path.name for path in (tmp_path / "flow").glob("* *")] == ["has gone on"]
    assert workspace.store.read_run("r").status == CANCELED
    assert workspace.store.line_statuses("r") == {0: COMPLETED}


def test_an_interrupted_run_can_be_gone_on_with(workspace: Workspace, tmp_path: Path) -> None:
    request = replace(a_request(tmp_path, "x", "interrupt", "y"), max_concurrency=1)
    with pytest.raises(KeyboardInterrupt):
        create_run(workspace, request)
    assert workspace.store.line_statuses("r") == {0: COMPLETED}
    (tmp_path / "flow/act.py").write_text(ACT.replace('"interrupt": KeyboardInterrupt(),', ""), "utf-8")
    run = create_run(workspace, RunRequest(flow=Path(), resume_from="r", name="again"))
    assert (run.status, run.n_completed, run.spec.resume_from) == (COMPLETED, 3, "r")
    first, again = workspace.store.read_line("r", 0), workspace.store.read_line("again", 0)
    assert first == again
    assert first is not None
    assert first.spans


def test_a_fault_of_ours_leaves_no_run_that_seems_to_run_on(workspace: Workspace, tmp_path: Path) -> None:
    def hear(event: RunEvent) -> None:
        if isinstance(event, LineFinished):
            raise LookupError(event.line_number)

    with pytest.raises(LookupError):
        create_run(workspace, a_request(tmp_path, "x", "y"), hear)
    run = workspace.store.read_run("r")
    assert run.status == FAILED
    assert run.problem is not None


def test_what_a_generator_prints_is_kept_and_not_shown(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = create_run(workspace, a_request(tmp_path, "stream"))
    line = workspace.store.read_line(run.spec.name, 0)
    assert line is not None
    assert line.nodes[0].logs == {"stdout": "from the generator\n"}
    assert capsys.readouterr().out == ""


def test_two_outputs_of_one_generator_are_those_of_prompt_flow_and_the_node_keeps_its_text(
    workspace: Workspace, tmp_path: Path
) -> None:
    run = create_run(workspace, a_request(tmp_path, "stream"))
    line = workspace.store.read_line(run.spec.name, 0)
    assert line is not None
    assert line.outputs == {"first": "ab", "second": ""}
    assert line.nodes[0].output == "ab"


CHANGING = """\
inputs: {q: {type: string}, h: {type: list, default: []}, o: {type: object}}
outputs: {r: {type: list, reference: "${change.output}"}}
nodes:
- {name: change, type: python, source: {type: code, path: change.py}, inputs: {q: "${inputs.q}", h: "${inputs.h}", o: "${inputs.o}"}}
"""
CHANGE = """\
from promptflow.core import tool

@tool
def change(q: str, h: list, o: dict):
    h.append(q)
    o["seen"].append(q)
    return [h, o]
"""


def test_a_tool_that_changes_what_it_is_given_changes_no_other_line_and_not_the_record(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "flow.dag.yaml").write_text(CHANGING, "utf-8")
    (tmp_path / "change.py").write_text(CHANGE, "utf-8")
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"q": q, "o": {"seen": []}}) + "\n" for q in "abc"), "utf-8")
    run = create_run(workspace, RunRequest(flow=tmp_path, data=data, name="r"))
    lines = sorted(workspace.store.read_lines(run.spec.name), key=lambda line: line.line_number)
    assert [line.outputs["r"] for line in lines] == [[[q], {"seen": [q]}] for q in "abc"]
    given = [{"q": q, "h": [], "o": {"seen": []}} for q in "abc"]
    assert [dict(line.inputs) for line in lines] == given
    assert [dict(line.nodes[0].inputs) for line in lines] == given


def test_a_mapping_to_no_input_is_warned_of_once(workspace: Workspace, tmp_path: Path) -> None:
    request = a_request(tmp_path, "x")
    for name in ("first", "second"):
        create_run(workspace, replace(request, name=name, column_mapping={"kinds": "${data.kind}"}))
    (warning,) = workspace.warnings
    assert warning.code == "T204"
    assert warning.severity == "warning"
    assert "kinds" in warning.what


def test_the_record_knows_where_flow_and_data_are_from_any_folder(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_request(tmp_path, "x")
    monkeypatch.chdir(tmp_path)
    run = create_run(workspace, RunRequest(flow=Path("flow"), data=Path("data.jsonl")))
    assert run.spec.flow_path == str(tmp_path / "flow")
    assert run.spec.data_path == str(tmp_path / "data.jsonl")


WAITING_ACT = """\
import asyncio

from promptflow.core import tool


@tool
async def act(kind: str):
    if kind == "slow":
        await asyncio.Event().wait()
    return kind
"""


def test_a_run_that_takes_too_long_is_cut_and_nothing_is_aggregated(tmp_path: Path) -> None:
    settings = load_settings(
        {"HOME": str(tmp_path), "HEADRACE_STORE": "memory:", "PF_BATCH_TIMEOUT_SEC": "0.05"}
    )
    with open_workspace(settings, tmp_path) as workspace:
        run = create_run(
            workspace, a_request(tmp_path, "x", "slow", "y", "slow", "slow", "z", act=WAITING_ACT)
        )
        lines = list(workspace.store.read_lines("r"))
    assert [line.problem and line.problem.code for line in lines] == [
        None,
        "E603",
        None,
        "E603",
        "E603",
        "E603",
    ]
    assert lines[1].inputs == {"kind": "slow"}
    assert (run.status, run.problem and run.problem.code, run.metrics) == (COMPLETED, "E603", {})


def test_a_flow_can_limit_the_lines_in_flight(workspace: Workspace, tmp_path: Path) -> None:
    counting = WAITING_ACT.replace("@tool\nasync", "running = 0\n\n\n@tool\nasync").replace(
        '    if kind == "slow":\n        await asyncio.Event().wait()\n    return kind',
        "    global running\n    running += 1\n    for _ in range(50):\n        await asyncio.sleep(0)\n    seen = running\n    running -= 1\n    return seen",
    )
    request = replace(a_request(tmp_path, *"abcdef", act=counting), max_concurrency=None)
    with (tmp_path / "flow/flow.dag.yaml").open("a", encoding="utf-8") as file:
        file.write("environment_variables: {PF_WORKER_COUNT: 2}\n")
    create_run(workspace, request)
    assert max(line.outputs["first"] for line in workspace.store.read_lines("r")) == 2
