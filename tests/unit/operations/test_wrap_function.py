from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.tool_nodes import serving_names

from headrace.config import load_settings
from headrace.errors import DefinitionError, HeadraceError, UsageError
from headrace.formats.flow_file import load_flow
from headrace.operations.check_flow import check_flow
from headrace.operations.test_flow import TestRequest, run_test
from headrace.operations.workspace import open_workspace
from headrace.operations.wrap_function import wrap_function

CODE = """\
import beside
from promptflow.connections import CustomConnection


def shout(text: str, times: int = 2, prompt: str = "", sep=None, *, tags: list = ["a"]) -> str:
    return prompt + beside.mark(text) * times + ",".join(tags)


async def later(text: str):
    return text


def only_position(text, /, more: dict):
    return [text, more]


def connected(text: str, store: CustomConnection):
    return store.configs["url"] + text


def inputs(word: str):
    return word


word = shout
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "work.py").write_text(CODE)
    (tmp_path / "beside.py").write_text("def mark(text):\n    return text.upper()\n")
    (tmp_path / "ask.jinja2").write_text("{{greeting}} {{text}}: ")
    with serving_names(tmp_path):
        yield tmp_path


def run(folder: Path, **inputs: Any) -> Any:
    with open_workspace(load_settings({"HOME": str(folder)}), folder) as workspace:
        assert check_flow(workspace, folder) == ()
        result = run_test(workspace, TestRequest(flow=folder, inputs=inputs))
    assert result.line.problem is None
    return result.outputs["output"]


def test_parameters_become_inputs_and_a_template_a_prompt_node(folder: Path) -> None:
    made = wrap_function(folder, "work.py", "shout", {"prompt": "ask.jinja2"})
    assert [path.name for path in made.files] == [
        "flow.dag.yaml", "shout_tool.py", "requirements.txt", ".gitignore",
    ]  # fmt: skip
    assert (made.inputs, made.left_out) == (("text", "greeting"), ("sep",))
    flow = load_flow(folder)
    assert {name: (item.type, item.default) for name, item in flow.inputs.items() if item.has_default} == {
        "times": ("int", 2),
        "tags": ("list", ["a"]),
    }
    assert [(node.name, node.type) for node in flow.nodes] == [("prompt", "prompt"), ("shout", "python")]
    assert run(folder, text="ho", greeting="Hey") == "Hey ho: HOHOa"


@pytest.mark.parametrize(
    ("function", "inputs", "output"),
    [
        ("later", {"text": "x"}, "x"),
        ("only_position", {"text": "x", "more": {"a": 1}}, ["x", {"a": 1}]),
        ("inputs", {"word": "w"}, "w"),
    ],
)
def test_functions_of_every_form(folder: Path, function: str, inputs: dict[str, Any], output: Any) -> None:
    wrap_function(folder, "work.py", function, {})
    assert run(folder, **inputs) == output


def test_a_connection_parameter_names_a_connection(folder: Path) -> None:
    made = wrap_function(folder, "work.py", "connected", {})
    assert (made.inputs, made.connections) == (("text",), ("custom_connection",))
    stored = folder / ".headrace" / "connections" / "custom_connection.yaml"
    stored.parent.mkdir(parents=True)
    stored.write_text("type: custom\nconfigs: {url: here/}\nsecrets: {token: t}\n")
    assert run(folder, text="x") == "here/x"


def test_files_of_the_user_are_kept_unless_they_may_be_replaced(folder: Path) -> None:
    (folder / "requirements.txt").write_text("mine")
    (folder / "flow.dag.yaml").write_text("mine")
    with pytest.raises(UsageError, match="S806"):
        wrap_function(folder, "work.py", "later", {})
    assert not (folder / "later_tool.py").exists()
    wrap_function(folder, "work.py", "later", {}, is_replacing=True)
    assert (folder / "requirements.txt").read_text() == "mine"
    assert run(folder, text="x") == "x"


@pytest.mark.parametrize(
    ("arguments", "code", "fix"),
    [
        (("wrok.py", "shout", {}), "F001", ""),
        (("work.py", "shuot", {}), "C507", '"shout"'),
        (("work.py", "beside", {}), "C507", "Its functions are: shout, later"),
        (("work.py", "shout", {"promt": "ask.jinja2"}), "C507", '"prompt"'),
        (("work.py", "shout", {"prompt": "task.jinja2"}), "F001", ""),
        (("broken.py", "shout", {}), "T206", "Correct the file"),
    ],
)
def test_what_does_not_exist_is_said_with_the_nearest(
    folder: Path, arguments: tuple[str, str, dict[str, str]], code: str, fix: str
) -> None:
    (folder / "broken.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(HeadraceError) as caught:
        wrap_function(folder, *arguments)
    (problem,) = caught.value.problems
    assert problem.code == code
    assert fix in (problem.fix or "")
    assert not (folder / "flow.dag.yaml").exists()


def test_a_file_that_fails_shows_its_line(folder: Path) -> None:
    (folder / "broken.py").write_text("x = 1\nx.y\n\ndef f(): ...\n")
    with pytest.raises(DefinitionError) as caught:
        wrap_function(folder, "broken.py", "f", {})
    span = caught.value.problems[0].span
    assert span is not None
    assert (Path(span.file).name, span.line) == ("broken.py", 2)
