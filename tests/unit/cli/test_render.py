from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.render import (
    Sources,
    count_problems,
    mask_secrets,
    problems_to_json,
    render_github,
    render_problem,
    render_problems,
)
from headrace.cli.terminal import Ink
from headrace.errors import Problem
from headrace.source import Span

PLAIN = Ink()
FLOW = """\
inputs:
  question: {type: string}
nodes:
- name: retrieve
  type: python
- name: answer
  type: llm
  inputs:
    context: ${retreive.output}
"""


def a_span(line: int, column: int, end_column: int, file: str = "flow.dag.yaml", end_line: int = 0) -> Span:
    return Span(file=file, line=line, column=column, end_line=end_line or line, end_column=end_column)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flow.dag.yaml").write_text(FLOW, encoding="utf-8")
    return tmp_path


def unknown_node(**changes: object) -> Problem:
    fields: dict[str, object] = {
        "code": "R102",
        "what": 'nodes[answer].inputs.context refers to "retreive", but the flow has no such node.',
        "span": a_span(9, 14, 32),
        "pointer": ("nodes", 1, "inputs", "context"),
        "fix": 'did you mean "retrieve" (line 4)?',
    }
    return Problem(**{**fields, **changes})  # type: ignore[arg-type]  # fields vary by test


def test_a_problem_shows_place_excerpt_carets_and_fix(folder: Path) -> None:
    assert render_problem(unknown_node(), sources=Sources(folder, shows_data=False), ink=PLAIN) == (
        "flow.dag.yaml:9:14: error[R102 unknown-node]\n"
        '  nodes[answer].inputs.context refers to "retreive", but the flow has no such node.\n'
        "\n"
        "     8 |   inputs:\n"
        "     9 |     context: ${retreive.output}\n"
        "       |              ^^^^^^^^^^^^^^^^^^\n"
        '  fix: did you mean "retrieve" (line 4)?'
    )


def test_related_places_and_detail_are_shown(folder: Path) -> None:
    problem = unknown_node(
        related=(("first defined here", a_span(4, 9, 17)),), detail=("  tool.py:3, in work", ""), fix=None
    )
    text = render_problem(problem, sources=Sources(folder, shows_data=False), ink=PLAIN)
    assert "  first defined here: flow.dag.yaml:4:9\n     4 | - name: retrieve\n" in text
    assert "       |         ^^^^^^^^\n" in text
    assert text.endswith("      tool.py:3, in work")


def test_a_problem_without_a_place_is_two_lines_and_a_fix() -> None:
    problem = Problem(code="C507", what="No such option.", fix="Leave it away.")
    text = render_problem(problem, sources=Sources(Path(), shows_data=True), ink=PLAIN)
    assert text == "error[C507 bad-option]\n  No such option.\n  fix: Leave it away."


@pytest.mark.parametrize(
    ("line", "span", "shown", "caret"),
    [
        ("a: 日本 x", a_span(1, 7, 8), "a: 日本 x", "        ^"),
        ("\tname: x", a_span(1, 1, 2), " name: x", "^"),
        ("key:", a_span(1, 5, 5), "key:", "    ^"),
        ("first line", a_span(1, 7, 4, end_line=3), "first line", "      ^^^^"),
    ],
)
def test_carets_stand_under_the_value(tmp_path: Path, line: str, span: Span, shown: str, caret: str) -> None:
    (tmp_path / "flow.dag.yaml").write_text(line + "\nmore\nmore\n", encoding="utf-8")
    problem = Problem(code="F002", what="x", span=span)
    lines = render_problem(problem, sources=Sources(tmp_path, shows_data=True), ink=PLAIN).splitlines()
    assert lines[3:] == [f"     1 | {shown}", f"       | {caret}"]


def test_a_very_long_line_is_shown_around_the_place(tmp_path: Path) -> None:
    (tmp_path / "flow.dag.yaml").write_text("a" * 5000 + "HERE" + "b" * 5000, encoding="utf-8")
    problem = Problem(code="F002", what="x", span=a_span(1, 5001, 5005))
    lines = render_problem(problem, sources=Sources(tmp_path, shows_data=True), ink=PLAIN).splitlines()
    assert max(len(line) for line in lines) < 140
    start = lines[4].index("^")
    assert lines[3][start : start + 4] == "HERE"
    assert lines[4].count("^") == 4


@given(st.text(), st.integers(1, 5), st.integers(1, 300), st.integers(1, 300))
def test_any_span_over_any_text_renders(text: str, line: int, column: int, end_column: int) -> None:
    class Memory:
        def lines(self, file: str) -> list[str]:
            return text.splitlines()

        def shown(self, file: str) -> str:
            return file

    problem = Problem(code="F002", what="x", span=a_span(line, column, end_column))
    assert render_problem(problem, sources=Memory(), ink=PLAIN, width=60).startswith("flow.dag.yaml:")


def test_files_outside_or_gone_have_no_excerpt(tmp_path: Path) -> None:
    problem = Problem(code="F001", what="It is gone.", span=a_span(1, 1, 1, file="gone.yaml"))
    text = render_problem(problem, sources=Sources(tmp_path, shows_data=True), ink=PLAIN)
    assert text == "gone.yaml:1:1: error[F001 file-not-found]\n  It is gone."


def test_places_below_the_working_directory_are_relative(folder: Path) -> None:
    problem = unknown_node(span=a_span(9, 14, 32, file=str(folder / "flow.dag.yaml")))
    text = render_problem(problem, sources=Sources(folder, shows_data=False), ink=PLAIN)
    assert text.startswith("flow.dag.yaml:9:14: ")


@pytest.mark.parametrize("name", ["data.jsonl", "data.csv", "data.tsv", "data.json"])
def test_lines_of_data_are_shown_to_people_only(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"question": "my private question", }\n', encoding="utf-8")
    problem = Problem(code="D401", what="x", span=a_span(1, 36, 37, file=name))
    for_a_log = render_problem(problem, sources=Sources(tmp_path, shows_data=False), ink=PLAIN)
    assert "private" not in for_a_log
    for_a_person = render_problem(problem, sources=Sources(tmp_path, shows_data=True), ink=PLAIN)
    assert "my private question" in for_a_person


def test_an_env_file_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WORD\n", encoding="utf-8")
    problem = Problem(code="C506", what="x", span=a_span(1, 1, 4, file=".env"))
    assert "WORD" not in render_problem(problem, sources=Sources(tmp_path, shows_data=True), ink=PLAIN)


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("api_key: sk-12345678", "api_key: ******"),
        ('  "api_key": "sk-12345678",', '  "api_key": ******'),
        ("  my_token: abc", "  my_token: ******"),
        ("  - password: abc", "  - password: ******"),
        ("secrets: {a: b}", "secrets: ******"),
        ("conn: {api_base: x, api_key: sk-12345678, n: 1}", "conn: {api_base: x, api_key: ******, n: 1}"),
        ("max_tokens: 50", "max_tokens: 50"),
        ("api_key: ${env:MY_KEY}", "api_key: ${env:MY_KEY}"),
        ("    key: ${inputs.key}", "    key: ${inputs.key}"),
        ("name: monkey", "name: monkey"),
    ],
)
def test_values_of_secret_keys_are_masked(line: str, masked: str) -> None:
    assert mask_secrets(line) == [masked]


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ('client = Client(api_key="sk-12345678")', 'client = Client(api_key="******")'),
        ("def call(key: str, token: str = None):", "def call(key: str, token: str = None):"),
        ("rows = sorted(rows, key=lambda row: row.token)", "rows = sorted(rows, key=lambda row: row.token)"),
    ],
)
def test_code_keeps_its_declarations(line: str, masked: str) -> None:
    assert mask_secrets(line, is_code=True) == [masked]


def test_a_connection_file_shows_plain_fields_only() -> None:
    text = "name: a\ntype: custom\nsecrets:\n  anything: hidden\nconfigs:\n  url: hidden too\n"
    assert mask_secrets(text) == [
        "name: a", "type: custom", "secrets:", "  anything: ******", "configs:", "  url: ******",
    ]  # fmt: skip


def test_sentences_are_wrapped_for_people_only(folder: Path) -> None:
    problem = Problem(code="C507", what="word " * 40, fix="fix " * 40)
    sources = Sources(folder, shows_data=False)
    assert (
        max(len(line) for line in render_problem(problem, sources=sources, ink=PLAIN, width=60).splitlines())
        <= 60
    )
    assert len(render_problem(problem, sources=sources, ink=PLAIN).splitlines()) == 3


def test_several_problems_are_counted(folder: Path) -> None:
    problems = [unknown_node(), unknown_node(severity="warning"), unknown_node()]
    text = render_problems(problems, sources=Sources(folder, shows_data=False), ink=PLAIN, has_summary=True)
    assert text.count("unknown-node") == 3
    assert text.endswith("\n\n2 errors, 1 warning")
    assert count_problems([]) == "no problems"


def test_validation_json_has_the_shape_of_prompt_flow_and_more() -> None:
    data = problems_to_json([unknown_node(), unknown_node(severity="warning", span=None, pointer=())])
    assert data["result"] == "Failed"
    assert data["errors"] == [
        {
            "message": unknown_node().what,
            "path": "nodes.1.inputs.context",
            "yaml_path": "nodes.1.inputs.context",
            "code": "R102",
            "name": "unknown-node",
            "file": "flow.dag.yaml",
            "line": 9,
            "column": 14,
            "fix": 'did you mean "retrieve" (line 4)?',
        }
    ]
    assert data["warnings"][0]["path"] == "*"
    assert problems_to_json(())["result"] == "Succeeded"
    assert problems_to_json([unknown_node(severity="warning")])["result"] == "Succeeded"
    json.dumps(data)


def test_github_lines_are_escaped() -> None:
    problem = unknown_node(what="50% of a:b,c\nis wrong", fix=None, span=a_span(3, 1, 2, file="a,b:c.yaml"))
    assert render_github([problem]) == (
        "::error file=a%2Cb%3Ac.yaml,line=3,col=1,endLine=3,title=R102 unknown-node"
        "::50%25 of a:b,c%0Ais wrong"
    )
    assert render_github([Problem(code="F012", what="x", severity="warning")]).startswith("::warning title=")
