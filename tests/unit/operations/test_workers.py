"""Lines in worker processes: the same results as in this process, whatever the tools do to the processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import run_command

from headrace.config import load_settings
from headrace.domain.cache import CacheChoice
from headrace.domain.run import COMPLETED, LineResult, Run
from headrace.errors import DefinitionError, ExecutionError, UsageError
from headrace.operations.resume_run import ResumeRequest, resume_run
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[3]
FLOW = """\
environment_variables:
  GREETING: from the flow
inputs:
  n: {type: int}
outputs:
  answer: {type: object, reference: "${work.output}"}
nodes:
- {name: work, type: python, source: {type: code, path: work.py}, inputs: {n: "${inputs.n}"}}
- name: total
  type: python
  source: {type: code, path: total.py}
  inputs: {values: "${work.output}"}
  aggregation: true
"""
WORK = """\
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from promptflow.core import tool

{before}

@tool
def work(n: int):
    {body}
    return 2 * n
"""
TOTAL = """\
from promptflow.core import log_metric, tool

@tool
def total(values: list):
    log_metric("total", sum(values))
"""


def make_workspace(folder: Path, **variables: str) -> Iterator[Workspace]:
    settings = load_settings({"HOME": str(folder), "HEADRACE_LINE_TIMEOUT_S": "1", **variables})
    with open_workspace(settings, folder) as opened:
        yield opened


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    yield from make_workspace(tmp_path)


def make_flow(
    folder: Path, body: str = "pass", *, n_lines: int = 8, before: str = "", total: str = TOTAL
) -> Mapping[str, Path]:
    flow = folder / "flow"
    flow.mkdir(exist_ok=True)
    work = WORK.format(before=before, body=textwrap.indent(textwrap.dedent(body), "    ").strip())
    for name, text in (("flow.dag.yaml", FLOW), ("work.py", work), ("total.py", total)):
        flow.joinpath(name).write_text(text, "utf-8")
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(n_lines)), "utf-8")
    return {"flow": flow, "data": data}


def run(
    workspace: Workspace, name: str = "r", *, workers: int = 2, n_at_once: int = 4, **changes: Any
) -> Run:
    folder = workspace.folder
    fields: dict[str, Any] = {"flow": folder / "flow", "data": folder / "data.jsonl", **changes}
    return create_run(workspace, RunRequest(name=name, workers=workers, max_concurrency=n_at_once, **fields))


def lines(workspace: Workspace, name: str = "r") -> list[LineResult]:
    return list(workspace.store.read_lines(name))


def n_recorded(workspace: Workspace) -> int:
    """Lines of a run that another process makes, which may not have begun."""
    return sum(item.n_completed + item.n_failed for item in workspace.store.list_runs())


def problems(workspace: Workspace) -> dict[int, str]:
    return {line.line_number: line.problem.code for line in lines(workspace) if line.problem is not None}


def worker_processes(parent: int | None = None) -> list[int]:
    """Living processes that the parent, or anybody, has started to work on lines."""
    told = subprocess.run(["ps", "-ewwo", "pid,stat,args"], capture_output=True, text=True, check=True).stdout
    mine = f"main({parent or os.getpid()})"
    return [int(row.split()[0]) for row in told.splitlines() if mine in row and "ps -ewwo" not in row]


def test_results_are_those_of_lines_in_this_process(workspace: Workspace, tmp_path: Path) -> None:
    body = """
    print("out", n, os.environ["GREETING"], Path.cwd().name)
    print("err", file=sys.stderr)
    if n == 3:
        raise ValueError("three")
    """
    make_flow(tmp_path, body)
    spread, plain = run(workspace), run(workspace, "plain", workers=0)
    assert (spread.status, spread.n_failed, spread.metrics) == (plain.status, plain.n_failed, plain.metrics)
    for ours, theirs in zip(lines(workspace), lines(workspace, "plain"), strict=True):
        assert (ours.line_number, ours.status, ours.inputs) == (
            theirs.line_number,
            theirs.status,
            theirs.inputs,
        )
        assert (ours.outputs, ours.problem) == (theirs.outputs, theirs.problem)
        assert [(node.node, node.status, node.output, node.logs) for node in ours.nodes] == [
            (node.node, node.status, node.output, node.logs) for node in theirs.nodes
        ]
    ours, theirs = (workspace.store.read_spans(name, 3) for name in ("r", "plain"))
    assert [(span.name, span.status) for span in ours] == [(span.name, span.status) for span in theirs]
    assert ours[-1].attributes["headrace.run"] == "r"
    assert worker_processes() == []


def test_the_pipes_are_not_the_tools(workspace: Workspace, tmp_path: Path) -> None:
    body = """
    os.write(1, b"past Python")
    os.system("cat; echo from a program")
    assert sys.stdin.read() == ""
    """
    make_flow(tmp_path, body)
    assert run(workspace).n_completed == 8


@pytest.mark.parametrize(
    ("death", "what"),
    [
        ("os._exit(9)", "exit code 9"),
        ("ctypes.string_at(0)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL, as the system does when memory runs out"),
    ],
)
def test_a_worker_that_dies_costs_one_line(
    death: str, what: str, workspace: Workspace, tmp_path: Path
) -> None:
    body = f"""
    with Path("calls.txt").open("a") as calls:
        calls.write(f"{{n}} ")
    time.sleep(0.05)
    if n == 2:
        {death}
    """
    make_flow(tmp_path, body)
    done = run(workspace)
    assert (done.status, done.n_completed, done.metrics) == (COMPLETED, 7, {"total": 2 * (28 - 2)})
    assert problems(workspace) == {2: "E610"}
    problem = workspace.store.read_line("r", 2).problem  # type: ignore[union-attr]
    assert problem is not None
    assert what in problem.what
    assert (problem.span and problem.span.line) == 3
    assert ("SIGSEGV" in what) == any("work.py" in line for line in problem.detail), problem.detail
    counts = [(tmp_path / "flow" / "calls.txt").read_text().split().count(str(n)) for n in range(8)]
    assert counts[2] == 2
    assert max(counts) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_process_that_a_tool_has_forked_holds_no_run_up(workspace: Workspace, tmp_path: Path) -> None:
    body = """
    if n in (2, 5) and not os.fork():
        time.sleep(600)
    if n == 5:
        os._exit(3)
    """
    make_flow(tmp_path, body)
    done = run(workspace, workers=1, n_at_once=1)
    assert (done.n_completed, problems(workspace)) == (7, {5: "E610"})
    assert worker_processes() == []  # those of a worker that died end with it


def test_a_stuck_tool_ends_with_its_worker(workspace: Workspace, tmp_path: Path) -> None:
    body = """
    with Path("pids.txt").open("a") as pids:
        pids.write(f"{os.getpid()} ")
    time.sleep(600 if n == 1 else 0.2)
    """
    make_flow(tmp_path, body, n_lines=40)
    started = time.monotonic()
    done = run(workspace, workers=1, n_at_once=2)
    assert (done.n_completed, problems(workspace)) == (39, {1: "E603"})
    assert len(set((tmp_path / "flow" / "pids.txt").read_text().split())) == 2
    assert time.monotonic() - started < 30
    assert worker_processes() == []


def test_a_worker_that_does_not_answer_is_ended(workspace: Workspace, tmp_path: Path) -> None:
    make_flow(tmp_path, "if n == 1: ctypes.PyDLL(None).sleep(600)", n_lines=6)
    done = run(workspace, n_at_once=2)
    assert (done.n_completed, problems(workspace)) == (5, {1: "E603"})
    problem = workspace.store.read_line("r", 1).problem  # type: ignore[union-attr]
    assert "did not answer" in problem.what  # type: ignore[union-attr]


def test_a_flow_that_workers_cannot_load_is_said_once(workspace: Workspace, tmp_path: Path) -> None:
    make_flow(tmp_path, before=f"if os.getpid() != {os.getpid()}: raise RuntimeError('not here')")
    with pytest.raises(DefinitionError, match="T206"):
        run(workspace)
    ended = workspace.store.read_run("r")
    assert ended.problem is not None
    assert (ended.status, ended.problem.code, lines(workspace)) == ("Failed", "T206", [])


def test_workers_that_die_over_loading_end_the_run(workspace: Workspace, tmp_path: Path) -> None:
    make_flow(tmp_path, before=f"if os.getpid() != {os.getpid()}: os._exit(4)")
    with pytest.raises(ExecutionError, match="E610"):
        run(workspace)
    assert worker_processes() == []


def test_state_of_modules_is_shared_by_the_lines_of_a_worker(workspace: Workspace, tmp_path: Path) -> None:
    body = """
    seen.append(n)
    return len(seen) * 1000 + os.getpid() % 1000
    """
    make_flow(tmp_path, body, n_lines=20, before="seen = []")
    run(workspace, "plain", workers=0, n_at_once=1)
    assert [line.outputs["answer"] // 1000 for line in lines(workspace, "plain")] == list(range(1, 21))
    run(workspace, "one", workers=1, n_at_once=1)
    assert [line.outputs["answer"] // 1000 for line in lines(workspace, "one")] == list(range(1, 21))
    run(workspace, "two", n_at_once=2)
    counts: dict[int, list[int]] = {}
    for line in lines(workspace, "two"):
        count, process = divmod(line.outputs["answer"], 1000)
        counts.setdefault(process, []).append(count)
    assert len(counts) == 2
    assert all(sorted(seen) == list(range(1, len(seen) + 1)) for seen in counts.values())


def test_values_of_types_that_stay_in_the_worker_are_aggregated_as_they_were_recorded(
    workspace: Workspace, tmp_path: Path
) -> None:
    before = "from dataclasses import dataclass\n@dataclass\nclass Score:\n    value: int"
    total = TOTAL.replace("sum(values)", "sum(item['value'] for item in values)")
    make_flow(tmp_path, "return Score(n)", before=before, total=total)
    assert run(workspace).metrics == {"total": 28}


def test_environment_and_settings_reach_the_workers(tmp_path: Path) -> None:
    make_flow(tmp_path, "return [os.environ['GIVEN'], os.environ.get('HEADRACE_WORKERS')]", total=TOTAL)
    for workspace in make_workspace(tmp_path, HEADRACE_WORKERS="2"):
        request = RunRequest(
            flow=tmp_path / "flow",
            data=tmp_path / "data.jsonl",
            name="r",
            environment_variables={"GIVEN": "as given"},
        )
        create_run(workspace, request)
        assert {json.dumps(line.outputs["answer"]) for line in lines(workspace)} == {'["as given", null]'}


def test_a_class_of_a_flex_flow_is_made_in_every_worker(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "grader.py").write_text(
        "class Grader:\n"
        "    def __init__(self, factor: int):\n        self.factor = factor\n"
        "    def __call__(self, n: int):\n        return {'value': self.factor * n}\n"
        "    def __aggregate__(self, results: list):\n"
        "        return {'total': sum(item['value'] for item in results)}\n",
        "utf-8",
    )
    make_flow(tmp_path)
    done = run(workspace, flow=tmp_path / "grader:Grader", init={"factor": 3})
    assert done.metrics == {"total": 3 * 28}


def test_includes_are_copied_once(workspace: Workspace, tmp_path: Path) -> None:
    make_flow(tmp_path, "return [str(Path.cwd()), shared.WORD]", before="import shared")
    (tmp_path / "shared.py").write_text("WORD = 'included'", "utf-8")
    flow = tmp_path / "flow" / "flow.dag.yaml"
    flow.write_text(flow.read_text("utf-8") + "additional_includes: [../shared.py]\n", "utf-8")
    run(workspace)
    ((folder, word),) = {tuple(line.outputs["answer"]) for line in lines(workspace)}
    assert word == "included"
    assert not Path(folder).exists()


def test_results_of_nodes_are_used_again_in_whatever_process(workspace: Workspace, tmp_path: Path) -> None:
    body = """
    with Path("..", "calls" + ".txt").open("a") as calls:  # not to be found in the code
        calls.write(f"{n} ")
    """
    make_flow(tmp_path, body)
    for name, workers in (("first", 2), ("second", 2), ("third", 0)):
        done = run(workspace, name, workers=workers, cache=CacheChoice(is_on=True))
        assert (done.n_completed, done.metrics) == (8, {"total": 56})
    assert sorted((tmp_path / "calls.txt").read_text().split()) == list("01234567")
    assert {line.nodes[0].cached_from for line in lines(workspace, "second")} == {"first"}


@pytest.mark.parametrize("end", ["", "Path(f'{os.getpid()}.dead').touch() or os._exit(3)"])
def test_equal_calls_in_flight_are_made_once_in_all_processes(
    workspace: Workspace, tmp_path: Path, end: str
) -> None:
    body = f"""
    with Path("..", "calls" + ".txt").open("a") as calls:
        calls.write(f"{{n}} ")
    time.sleep(0.3)  # the others wait meanwhile
    if not list(Path().glob("*.dead")):
        {end or "pass"}
    """
    made = make_flow(tmp_path, body)
    made["data"].write_text('{"n": 3}\n' * 8, "utf-8")
    done = run(workspace, cache=CacheChoice(is_on=True))
    assert (done.n_completed, done.metrics) == (8, {"total": 48})
    n_calls = (tmp_path / "calls.txt").read_text().split().count("3")
    assert n_calls == (2 if end else 1)  # the call of a process that died is made by another one
    nodes = [line.nodes[0] for line in lines(workspace)]
    assert [node.cached_from for node in nodes].count("r") == 7


def start(folder: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONWARNINGS": "error",
        **variables,
    }
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_run(folder: Path, **variables: str) -> subprocess.Popen[str]:
    words = ("-m", "headrace", "run", "create", "--flow", "flow", "--data", "data.jsonl", "--name", "r")
    return start(folder, *words, "--workers", "2", "--max-concurrency", "2", **variables)


def wait_until(is_so: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_workers_end_when_the_run_is_killed(workspace: Workspace, tmp_path: Path) -> None:
    make_flow(tmp_path, "ctypes.PyDLL(None).usleep(200_000)", n_lines=200)
    with start_run(tmp_path) as process:
        wait_until(lambda: len(worker_processes(process.pid)) == 2)
        wait_until(lambda: n_recorded(workspace) > 2)
        process.kill()
    wait_until(lambda: not worker_processes(process.pid), 5)
    assert 2 < n_recorded(workspace) < 200


def test_an_interrupt_is_for_the_run_alone(workspace: Workspace, tmp_path: Path) -> None:
    make_flow(tmp_path, "time.sleep(0.1)", n_lines=60)
    with start_run(tmp_path) as process:
        wait_until(lambda: n_recorded(workspace) > 4)
        process.send_signal(signal.SIGINT)
        errors = process.communicate()[1]
    assert process.returncode == 130
    assert "Warning" not in errors
    assert worker_processes(process.pid) == []
    assert not problems(workspace)
    done = resume_run(workspace, ResumeRequest(name="r", workers=2))
    assert (done.n_completed, done.metrics) == (60, {"total": 2 * sum(range(60))})


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    make_flow(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(
        "from promptflow.client import PFClient\n"
        "run = PFClient().run(flow='flow', data='data.jsonl', name='r')\n"
        "print(run.status, PFClient().get_metrics(run))\n",
        "utf-8",
    )
    program = f"from headrace import compat; compat.install(); import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
    with start(tmp_path, "-c", program, HEADRACE_WORKERS="2") as process:
        output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert "Completed {'total': 56}" in output


def test_what_only_this_process_has_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    make_flow(tmp_path)
    with pytest.raises(UsageError, match="C507"):
        run(workspace, init={"factor": lambda: 1})


def test_ray_is_an_extra(tmp_path: Path) -> None:
    make_flow(tmp_path)
    command = "run create --flow flow --data data.jsonl --name r --on ray"
    assert [item.code for item in run_command(tmp_path, command, missing=["ray"])] == ["C505"]
    (problem,) = run_command(tmp_path, command.replace("--on ray", "--on spark"))
    assert (problem.code, "ray://HOST:PORT" in (problem.fix or "")) == ("C507", True)
    assert run_command(tmp_path, command.removesuffix(" --on ray")) == []  # no run was made before
