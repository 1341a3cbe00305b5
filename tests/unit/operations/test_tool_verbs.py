"""New tools, lists of tools and tools that are checked by themselves."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from tests.support.tool_nodes import serving_names

from headrace.errors import HeadraceError
from headrace.formats.flow_file import load_flow
from headrace.operations.check_tools import check_tools
from headrace.operations.describe_tools import list_tools
from headrace.operations.init_tool import init_tool

EVERY_TYPE = '''\
from enum import Enum
from typing import List, Optional, Union
from promptflow.core import tool
from promptflow.connections import AzureOpenAIConnection, CustomConnection, OpenAIConnection
from promptflow.contracts.multimedia import Image
from promptflow.contracts.types import FilePath, Secret


class Color(str, Enum):
    RED = "red"
    BLUE = "blue"


@tool(name="Nice A", description="does a")
def a(
    x: int,
    y: float = 2.5,
    z: str = "d",
    c: CustomConnection = None,
    d: Union[AzureOpenAIConnection, OpenAIConnection] = None,
    col: Color = Color.RED,
    l: List[str] = None,
    o: Optional[int] = None,
    u=None,
    s: Secret = "",
    f: FilePath = None,
    i: Image = None,
    dd: dict = {"a": 1},
    **kw,
) -> str:
    """doc"""
'''
RECORDED = {
    "a.py": {
        "type": "python",
        "inputs": {
            "x": {"type": ["int"]},
            "y": {"type": ["double"], "default": "2.5"},
            "z": {"type": ["string"], "default": "d"},
            "c": {"type": ["CustomConnection"]},
            "d": {"type": ["AzureOpenAIConnection", "OpenAIConnection"]},
            "col": {"type": ["string"], "default": "red", "enum": ["red", "blue"]},
            "l": {"type": ["object"]},
            "o": {"type": ["int"]},
            "u": {"type": ["object"]},
            "s": {"type": ["secret"]},
            "f": {"type": ["file_path"]},
            "i": {"type": ["image"]},
            "dd": {"type": ["object"], "default": "{'a': 1}"},
        },
        "description": "does a",
        "source": "a.py",
        "function": "a",
        "enable_kwargs": True,
    },
    "p.jinja2": {
        "type": "prompt",
        "inputs": {"v": {"type": ["string"]}, "w": {"type": ["string"]}},
        "source": "p.jinja2",
    },
    "l.jinja2": {
        "type": "llm",
        "inputs": {"v": {"type": ["string"]}, "q": {"type": ["string"]}},
        "source": "l.jinja2",
    },
    "cls.py": {
        "type": "python",
        "inputs": {"root": {"type": ["string"]}, "k": {"type": ["int"], "default": "3"}},
        "class_name": "T",
        "source": "cls.py",
        "function": "go",
    },
}
"""What stock promptflow 1.18.5 writes to flow.tools.json for this flow."""

FLOW = {
    "flow.dag.yaml": """\
inputs: {}
outputs: {}
nodes:
- {name: a, type: python, source: {type: code, path: a.py}, inputs: {x: 1}}
- {name: p, type: prompt, source: {type: code, path: p.jinja2}}
- {name: l, type: llm, source: {type: code, path: l.jinja2}, connection: c, api: chat}
- {name: cls, type: python, source: {type: code, path: cls.py}, inputs: {root: r}}
- {name: e, type: python, source: {type: package, tool: promptflow.tools.embedding.embedding}}
""",
    "a.py": EVERY_TYPE,
    "p.jinja2": "hi {{v}} {{w}}",
    "l.jinja2": "system:\n{{v}} {{q}}",
    "cls.py": """\
from promptflow.core import ToolProvider, tool


class T(ToolProvider):
    def __init__(self, root: str): ...

    @tool
    def go(self, k: int = 3): ...
""",
}
SETTINGS = """\
from promptflow.core import tool
from promptflow.entities import DynamicList, InputSetting


def choices(prefix: str = "", **kwargs):
    return []


@tool(
    category="c",
    tags={"a": "b"},
    icon="x.png",
    input_settings={
        "y": InputSetting(
            is_multi_select=True, enabled_by="x", enabled_by_value=["1"],
            dynamic_list=DynamicList(function=choices, input_mapping={"prefix": "x"}),
        )
    },
)
def a(x: str, y: str = "d"): ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with chdir(tmp_path), serving_names(tmp_path):
        yield tmp_path


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def install(folder: Path, package: str) -> None:
    """Make a package that lies in ``folder`` look installed."""
    write(
        folder,
        {
            f"{package}-0.0.1.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.0.1\n",
            f"{package}-0.0.1.dist-info/entry_points.txt": (
                f"[package_tools]\n{package} = {package}.listing:list_package_tools\n"
            ),
        },
    )
    sys.path.insert(0, str(folder))


def test_the_tools_of_a_flow_are_described_as_prompt_flow_describes_them(folder: Path) -> None:
    write(folder, FLOW)
    listed = list_tools(load_flow(folder))
    assert listed.problems == ()
    assert listed.code == RECORDED
    embedding = listed.package["promptflow.tools.embedding.embedding"]
    assert embedding["inputs"]["input"] == {"type": ["string"]}
    assert (embedding["module"], embedding["function"]) == ("promptflow.tools.embedding", "embedding")
    search = listed.package["promptflow.tools.serpapi.SerpAPI.search"]
    assert (search["module"], search["class_name"], search["function"]) == (
        "promptflow.tools.serpapi", "SerpAPI", "search",
    )  # fmt: skip


def test_settings_of_inputs_are_described(folder: Path) -> None:
    write(
        folder,
        {
            "a.py": SETTINGS,
            "flow.dag.yaml": "nodes:\n- {name: a, type: python, source: {type: code, path: a.py}}\n",
        },
    )
    (folder / "x.png").write_bytes(b"\x89PNG")
    described = list_tools(load_flow(folder)).code["a.py"]
    assert described["inputs"]["y"] == {
        "type": ["string"],
        "default": "d",
        "is_multi_select": True,
        "enabled_by": "x",
        "enabled_by_value": ["1"],
        "dynamic_list": {
            "func_path": "a.py:choices",
            "func_kwargs": [{"name": "prefix", "optional": True, "reference": "${inputs.x}", "default": ""}],
        },
    }
    assert (described["category"], described["tags"]) == ("c", {"a": "b"})
    assert described["icon"] == "data:image/png;base64,iVBORw=="


def test_files_without_a_tool_are_said_beside_the_rest(folder: Path) -> None:
    write(folder, {**FLOW, "cls.py": "x = 1\n"})
    listed = list_tools(load_flow(folder))
    assert [problem.code for problem in listed.problems] == ["T206"]
    assert set(listed.code) == {"a.py", "p.jinja2", "l.jinja2"}


def test_a_new_tool_is_sound(folder: Path) -> None:
    (path,) = init_tool(folder, "count", None, {"category": "text"})
    checked = check_tools(str(path))
    assert (checked.n_tools, checked.findings) == (1, ())
    assert "category='text'" in path.read_text()


def test_a_new_package_offers_its_tools(folder: Path) -> None:
    (folder / "x.png").write_bytes(b"\x89PNG")
    init_tool(folder, "one", "texts", {"icon": "x.png", "tags": {"a": "b"}})
    init_tool(folder, "two", "texts")
    assert (folder / "texts/texts/icons/x.png").exists()
    install(folder / "texts", "texts")
    checked = check_tools("texts")
    assert (checked.n_tools, checked.findings) == (2, ())
    assert check_tools("texts.one.one").n_tools == 1
    listed = list_tools(None).package["texts.one.one"]
    assert (listed["package"], listed["package_version"], listed["tags"]) == ("texts", "0.0.1", {"a": "b"})


def test_what_a_package_says_is_compared_with_its_tools(folder: Path) -> None:
    init_tool(folder, "one", "texts2")
    init_tool(folder, "two", "texts2")
    path = folder / "texts2/texts2/tools.json"
    tools: dict[str, Any] = json.loads(path.read_text())
    tools["texts2.one.one"]["inputs"]["more"] = {"type": ["int"]}
    tools["texts2.two.two"]["function"] = "tow"
    path.write_text(json.dumps(tools))
    install(folder / "texts2", "texts2")
    checked = check_tools("texts2")
    assert (checked.n_tools, checked.n_invalid) == (2, 2)
    assert [(item.function, item.problem.code) for item in checked.findings] == [
        ("one", "T204"),
        ("tow", "T206"),
    ]


@pytest.mark.parametrize(
    ("decorator", "found"),
    [
        ("@tool(category=3)", ["F005"]),
        ("@tool(tags='x')", ["F005"]),
        ("@tool(icon='no.png')", ["F001"]),
        ("@tool(icon='a.py', icon_light='a.py')", ["F005"]),
        ("@tool(input_settings={'no': InputSetting(enabled_by='none')})", ["T204", "T204"]),
        ("@tool(icon='data:image/png;base64,x')", []),
    ],
)
def test_what_is_wrong_with_a_tool(folder: Path, decorator: str, found: list[str]) -> None:
    start = "from promptflow.core import tool\nfrom promptflow.entities import InputSetting\n"
    write(folder, {"a.py": f"{start}{decorator}\ndef a(x: str): ...\n"})
    checked = check_tools("a.py")
    assert [item.problem.code for item in checked.findings] == found
    assert all(item.problem.span and item.problem.span.line == 3 for item in checked.findings)
    assert checked.n_invalid == bool(found)


def test_a_class_whose_parameters_clash_is_no_tool(folder: Path) -> None:
    code = FLOW["cls.py"].replace("k: int = 3", "root: int")
    write(folder, {"a.py": code})
    assert [item.problem.code for item in check_tools("a.py").findings] == ["T206"]


@pytest.mark.parametrize(
    ("source", "code", "fix"),
    [
        ("promptflow.tools.embedding.embeding", "C507", "promptflow.tools.embedding.embedding"),
        ("nothing", "C507", "headrace tool list"),
        ("broken.py", "T206", "Correct the file"),
    ],
)
def test_what_is_no_tool_at_all(folder: Path, source: str, code: str, fix: str) -> None:
    write(folder, {"broken.py": "x.y\n"})
    with pytest.raises(HeadraceError) as caught:
        check_tools(source)
    assert caught.value.problems[0].code == code
    assert fix in (caught.value.problems[0].fix or "")


@pytest.mark.parametrize(
    ("tool", "package", "options", "code"),
    [
        ("no-name", None, {}, "C507"),
        ("one", "no-name", {}, "C507"),
        ("one", None, {"icon": "no.png"}, "F001"),
        ("taken", None, {}, "S806"),
        ("taken", "texts", {}, "S806"),
        ("one", "torn", {}, "F002"),
    ],
)
def test_a_tool_that_cannot_be_written(
    folder: Path, tool: str, package: str | None, options: Mapping[str, str], code: str
) -> None:
    write(folder, {"taken.py": "", "texts/texts/taken.py": "", "torn/torn/tools.json": "["})
    with pytest.raises(HeadraceError) as caught:
        init_tool(folder, tool, package, options)
    assert caught.value.problems[0].code == code
