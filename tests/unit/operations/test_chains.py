"""Prompt flow's experiments: flows in a chain, once and over all lines, and what is kept of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from tests.support.tool_nodes import serving_names

from headrace.config import load_settings
from headrace.domain.chain import Chain
from headrace.errors import HeadraceError, Problem
from headrace.formats.chain import load_chain
from headrace.formats.experiment import load_experiment
from headrace.operations.kept_chains import create_chain, list_chains, read_chain, start_chain, stop_chain
from headrace.operations.run_chain import run_chain_once
from headrace.operations.workspace import Workspace, open_workspace

TIMES = """\
inputs: {n: {type: int}}
outputs: {r: {type: int, reference: "${work.output}"}}
nodes:
- {name: work, type: python, source: {type: code, path: work.py}, inputs: {n: "${inputs.n}"}}
"""
GRADE = """\
inputs: {a: {type: int}, b: {type: int, default: 7}, truth: {type: int, default: 0}}
outputs: {s: {type: int, reference: "${add.output}"}}
nodes:
- {name: add, type: python, source: {type: code, path: add.py}, inputs: {a: "${inputs.a}", b: "${inputs.b}", t: "${inputs.truth}"}}
- {name: total, type: python, source: {type: code, path: total.py}, inputs: {sums: "${add.output}"}, aggregation: true}
"""
TOOL = "from promptflow.core import log_metric, tool\n\n\n@tool\n"
FILES = {
    "times/flow.dag.yaml": TIMES,
    "times/work.py": f"{TOOL}def work(n):\n    return n * 10 if n != 2 else 1 // 0\n",
    "grade/flow.dag.yaml": GRADE,
    "grade/add.py": f"{TOOL}def add(a, b, t):\n    return a + b + t\n",
    "grade/total.py": f"{TOOL}def total(sums):\n    log_metric('sum', sum(sums))\n",
    "d.jsonl": '{"n": 1, "t": 100}\n{"n": 2, "t": 200}\n{"n": 3, "t": 300}\n',
    "chain.yaml": """\
$schema: x
description: times and grade
data:
- {name: d, path: d.jsonl}
inputs:
- {name: k, type: int, default: 1}
nodes:
- name: grade
  type: flow
  path: grade
  inputs: {a: "${times.outputs.r}", b: "${inputs.k}", truth: "${data.d.t}"}
- {name: times, type: flow, path: times, inputs: {n: "${data.d.n}"}}
""",
}


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    write(tmp_path, FILES)
    (tmp_path / ".headrace").mkdir()
    with chdir(tmp_path), serving_names(tmp_path):
        yield tmp_path


@pytest.fixture
def workspace(folder: Path) -> Iterator[Workspace]:
    with open_workspace(load_settings({"HOME": str(folder / "home")}), folder) as opened:
        yield opened


def test_a_chain_is_read_in_the_order_in_which_it_runs(folder: Path) -> None:
    chain = load_chain(folder / "chain.yaml")
    assert [node.name for node in chain.nodes] == ["times", "grade"]
    assert (chain.description, chain.inputs) == ("times and grade", {"k": 1})
    assert chain.data == {"d": str(folder / "d.jsonl")}


@pytest.mark.parametrize(("given", "sums"), [({}, 111), ({"k": "5"}, 115)])
def test_once_on_the_first_line(workspace: Workspace, given: Mapping[str, Any], sums: int) -> None:
    outputs, failed = run_chain_once(workspace, load_chain(Path("chain.yaml")), given)
    assert (outputs, failed) == ({"times": {"r": 10}, "grade": {"s": sums}}, None)


def test_a_flow_that_fails_ends_the_chain(folder: Path, workspace: Workspace) -> None:
    write(folder, {"d.jsonl": '{"n": 2, "t": 1}\n'})
    outputs, failed = run_chain_once(workspace, load_chain(Path("chain.yaml")), {})
    assert outputs == {}
    assert failed is not None
    assert failed.line.problem is not None
    assert failed.line.problem.code == "E601"


def test_over_all_lines_each_flow_is_a_run_and_lines_keep_their_numbers(workspace: Workspace) -> None:
    record = create_chain(workspace, Path("chain.yaml"), "nightly")
    assert (record["status"], record["node_runs"]) == ("NotStarted", {})
    ended, runs = start_chain(workspace, "nightly", {"k": 2})
    assert ended["status"] == "Terminated"
    assert list(ended["node_runs"]) == ["times", "grade"]
    times, grade = runs
    assert (times.n_completed, times.n_failed) == (2, 1)
    assert (grade.n_completed, grade.metrics) == (2, {"sum": 10 + 2 + 100 + 30 + 2 + 300})
    assert ended["node_runs"]["grade"] == [{"name": grade.spec.name, "status": "Completed"}]
    assert read_chain(workspace, "nightly") == ended


def test_a_chain_that_is_asked_to_stop_ends_after_the_flow_that_it_is_at(workspace: Workspace) -> None:
    create_chain(workspace, Path("chain.yaml"), "nightly")
    stopped: list[str] = []

    def stop_at_once(event: Any) -> None:
        if not stopped:
            stopped.append(stop_chain(workspace, "nightly")["status"])

    record, runs = start_chain(workspace, "nightly", {}, stop_at_once)
    assert (stopped, record["status"], len(runs)) == (["InProgress"], "Canceled", 1)
    again, runs = start_chain(workspace, "nightly", {})
    assert (again["status"], len(runs)) == ("Terminated", 2)


def test_chains_are_listed_newest_first_and_have_a_name_by_themselves(workspace: Workspace) -> None:
    first = create_chain(workspace, Path("chain.yaml"), None)
    second = create_chain(workspace, Path("chain.yaml"), "b")
    assert first["name"].startswith("chain_2")
    assert [record["name"] for record in list_chains(workspace)] == [second["name"], first["name"]]


@pytest.mark.parametrize(("name", "code"), [("../x", "C507"), ("taken", "S806")])
def test_a_name_that_cannot_be_used(workspace: Workspace, name: str, code: str) -> None:
    create_chain(workspace, Path("chain.yaml"), "taken")
    with pytest.raises(HeadraceError, match=code):
        create_chain(workspace, Path("chain.yaml"), name)


def test_a_record_that_is_torn_is_said(folder: Path, workspace: Workspace) -> None:
    write(folder, {".headrace/experiments/torn.json": "{"})
    with pytest.raises(HeadraceError, match="S808"):
        read_chain(workspace, "torn")


def problems_of(folder: Path, text: str) -> list[Problem]:
    write(folder, {"wrong.yaml": text})
    with pytest.raises(HeadraceError) as caught:
        load_chain(folder / "wrong.yaml")
    return list(caught.value.problems)


def test_everything_that_is_wrong_is_said_at_once(folder: Path) -> None:
    text = """\
data:
- {name: d, path: d.jsonl}
- {name: d, path: d.jsonl}
- {name: gone, path: gone.jsonl}
inputs:
- {name: k, type: integer}
nodes:
- {name: g, type: command, command: python x.py}
- {name: c, type: chat_group}
- {name: a, type: flow, path: times, inputs: {n: "${g.outputs.x}", m: "${nope.outputs.r}", o: "${data.x.n}"}}
- {name: a, type: flow, path: gone, inputs: {n: "${inputs.kk}", m: "${a.result}"}}
- {name: b, type: flw, path: times}
- {name: data, type: flow, path: times}
- {type: flow}
- {name: x, type: flow, path: times, inputs: {n: "${y.outputs.r}"}}
- {name: y, type: flow, path: times, inputs: {n: "${x.inputs.r}"}}
"""
    found = [(p.code, p.span.line if p.span else 0) for p in problems_of(folder, text)]
    assert found == [
        ("F003", 3), ("F001", 4), ("F007", 6), ("F010", 8), ("F010", 9), ("R102", 10), ("R103", 10), ("F008", 11),
        ("F001", 11), ("R103", 11), ("R101", 11), ("F007", 12), ("F020", 13), ("F006", 14), ("R104", 15),
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "code"), [("data: []\n", "F006"), ("", "F005"), ("- 1\n", "F005")])
def test_a_file_that_is_no_chain(folder: Path, text: str, code: str) -> None:
    assert [problem.code for problem in problems_of(folder, text)] == [code]


def test_the_two_kinds_of_experiments_are_told_apart_by_their_content(folder: Path) -> None:
    (ours,) = problems_of(folder, "flow: times\ndata: d.jsonl\nmodels: [baseline]\n")
    assert (ours.code, "headrace compare" in (ours.fix or "")) == ("F004", True)
    with pytest.raises(HeadraceError) as caught:
        load_experiment(folder / "chain.yaml")
    (theirs,) = caught.value.problems
    assert (theirs.code, "headrace experiment test" in (theirs.fix or "")) == ("F004", True)


def chain_of(folder: Path, inputs: str) -> Chain:
    write(
        folder,
        {
            "one.yaml": f"data: [{{name: d, path: d.jsonl}}]\nnodes: [{{name: a, type: flow, path: grade, inputs: {inputs}}}]\n"
        },
    )
    return load_chain(folder / "one.yaml")


def test_a_column_that_no_line_has_is_a_problem_with_its_place(folder: Path, workspace: Workspace) -> None:
    chain = chain_of(folder, "{a: '${data.d.nn}'}")
    with pytest.raises(HeadraceError) as caught:
        run_chain_once(workspace, chain, {})
    (problem,) = caught.value.problems
    assert (problem.code, problem.span and problem.span.line) == ("D403", 2)


def test_a_flow_of_literals_runs_on_one_line(folder: Path, workspace: Workspace) -> None:
    outputs, _ = run_chain_once(workspace, chain_of(folder, "{a: 5}"), {})
    assert outputs == {"a": {"s": 12}}


def test_an_input_that_the_chain_has_not(folder: Path, workspace: Workspace) -> None:
    with pytest.raises(HeadraceError, match="C507"):
        run_chain_once(workspace, load_chain(Path("chain.yaml")), {"kk": 1})
