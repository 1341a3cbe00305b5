"""What a person is told about the nodes of a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.runs import START_NS, a_line, a_spec, a_time

from headrace.cli.commands.run_explain import explanation_to_json, render_explanation
from headrace.cli.terminal import Ink
from headrace.config import load_settings
from headrace.domain.run import BYPASSED, COMPLETED, FAILED, NodeResult, RunSpec, Usage
from headrace.errors import UsageError
from headrace.operations.explain_line import Change, LineExplanation, explain_line
from headrace.operations.workspace import Workspace, open_workspace

PARTS = {"code": "1", "inputs": "2", "model": "3", "engine": "4"}
SOURCES = {"ask": {"ask.jinja2": "a", "package numpy": "1.0"}, "find": {}, "tell": {}}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(
        load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "memory:"}), tmp_path
    ) as opened:
        yield opened


def a_node(**changes: Any) -> NodeResult:
    fields: dict[str, Any] = {
        "node": "ask",
        "status": COMPLETED,
        "inputs": {"q": "why", "temperature": 0},
        "start_ns": START_NS,
        "end_ns": START_NS + 2_000_000,
        "parts": PARTS,
        "usage": Usage(calls=1, prompt_tokens=1_000, completion_tokens=234),
    }
    return NodeResult(**{**fields, **changes})


def record(
    workspace: Workspace, name: str, *nodes: NodeResult, minute: int = 0, number: int = 0, **spec: Any
) -> None:
    made: RunSpec = a_spec(name, **{"sources": SOURCES, **spec})
    workspace.store.create_run(made, n_lines=number + 1, created_at=a_time(minute))
    workspace.store.append_lines(name, [a_line(number, nodes=nodes or (a_node(),))])


def changes_of(explanation: LineExplanation) -> tuple[Change, ...] | None:
    return explanation.nodes[0].changes


def test_a_first_run_has_nothing_to_be_compared_with(workspace: Workspace) -> None:
    record(workspace, "first")
    found = explain_line(workspace, "first", 0)
    assert (found.earlier, found.nodes[0].outcome, changes_of(found)) == (None, "executed", None)


def test_it_names_the_files_and_arguments_that_changed(workspace: Workspace) -> None:
    record(workspace, "first")
    changed = a_node(
        parts={**PARTS, "code": "x", "inputs": "y", "model": "z", "connection": "c"},
        inputs={"q": "how", "temperature": 1, "more": 1},
    )
    sources = {"ask": {"ask.jinja2": "b", "package numpy": "1.0", "new.py": "c"}}
    record(workspace, "second", changed, minute=1, sources=sources)
    found = explain_line(workspace, "second", 0)
    assert found.earlier == "first"
    assert changes_of(found) == (
        Change(part="code", names=("ask.jinja2", "new.py")),
        Change(part="inputs", names=("more", "q")),
        Change(part="model", names=("temperature",)),
        Change(part="connection"),
    )


def test_runs_of_the_same_arm_come_first_and_those_without_the_line_not_at_all(workspace: Workspace) -> None:
    record(workspace, "same", variant="${ask.v1}")
    record(workspace, "other", variant="${ask.v2}", minute=1)
    record(workspace, "elsewhere", variant="${ask.v1}", minute=2, flow_path="flows/other")
    record(workspace, "shorter", variant="${ask.v1}", minute=3, number=7)
    record(workspace, "this", variant="${ask.v1}", minute=4)
    record(workspace, "later", variant="${ask.v1}", minute=5)
    assert explain_line(workspace, "this", 0).earlier == "same"
    workspace.store.delete_run("same")
    assert explain_line(workspace, "this", 0).earlier == "other"
    assert explain_line(workspace, "this", 0, earlier="later").earlier == "later"


def test_an_evaluation_is_compared_with_that_of_the_same_arm(workspace: Workspace) -> None:
    for number, variant in enumerate(("v1", "v2", "v1")):
        record(workspace, f"run{number}", variant=variant, minute=number)
        record(workspace, f"judged{number}", source_run=f"run{number}", minute=10 + number, flow_path="judge")
    assert explain_line(workspace, "judged2", 0).earlier == "judged0"
    workspace.store.delete_run("run0")
    assert explain_line(workspace, "judged2", 0).earlier == "judged1"


def test_runs_and_lines_that_are_not_there_are_refused(workspace: Workspace) -> None:
    record(workspace, "first")
    for name, line, code in (("first", 4, "S805"), ("other", 0, "S801")):
        with pytest.raises(UsageError) as raised:
            explain_line(workspace, name, line)
        assert raised.value.problems[0].code == code


def test_every_outcome_is_told_in_words(workspace: Workspace) -> None:
    bypassed = NodeResult(node="maybe", status=BYPASSED)
    failed = a_node(node="tell", status=FAILED, usage=Usage(), parts={**PARTS, "environment": "e"})
    plain = a_node(node="plain", parts={}, usage=Usage())
    taken = a_node(node="find", cached_from="base", saved=Usage(calls=1, prompt_tokens=5), usage=Usage())
    nodes = (a_node(), taken, failed, bypassed, plain)
    record(workspace, "first", *(replace(node, parts=node.parts and PARTS) for node in nodes))
    record(workspace, "second", *nodes, minute=1)
    found = explain_line(workspace, "second", 0)
    assert render_explanation(found, ink=Ink(), width=100).splitlines() == [
        "second · line 0 of 1 · Completed · compared with first",
        "",
        "node   outcome     time  tokens  why",
        "─────  ────────  ──────  ──────  ─────────────────────────────────────────────────",
        "ask    executed  2.0 ms   1,234  nothing changed since first, which kept no result",
        "find   cached    2.0 ms       5  result of run base",
        "tell   failed    2.0 ms          environment changed",
        "maybe  bypassed",
        "plain  executed  2.0 ms          always called",
    ]
    data = explanation_to_json(found)
    assert data["nodes"][1]["cached_from"] == "base"
    assert data["nodes"][2]["changes"] == [{"part": "environment", "names": []}]
    assert data["nodes"][4]["changes"] is None
    assert [item["takes_part"] for item in data["nodes"]] == [True, True, True, False, False]


def test_it_says_where_the_cache_was_off(workspace: Workspace) -> None:
    record(workspace, "first", a_node(parts={}), sources={})
    found = explain_line(workspace, "first", 0)
    assert render_explanation(found, ink=Ink(), width=100).splitlines()[-1].endswith("  the cache was off")
