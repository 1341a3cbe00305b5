from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from tests.support.tool_nodes import call_once, load_node

from headrace.errors import DefinitionError

pytestmark = pytest.mark.usefixtures("served_names")

CODE = """
from promptflow.core import tool, ToolProvider
from promptflow.connections import OpenAIConnection
from promptflow.contracts.types import PromptTemplate

@tool
def add(a: str, b: int = 1): return a, b

@tool
def ask(connection: OpenAIConnection, prompt: PromptTemplate, limit: int = 3, **kwargs):
    return connection.api_key, str(prompt), limit, kwargs

class Store(ToolProvider):
    def __init__(self, root: str):
        super().__init__()
        self.root = root
    @tool
    def get(self, key: str): return self.root, key

def list_tools():
    return {
        "acme.add": {"module": "acme_tools", "function": "add", "inputs": {"a": {"type": ["int"]}}, "deprecated_tools": ["old.add"]},
        "acme.ask": {"module": "acme_tools", "function": "ask", "type": "custom_llm"},
        "acme.get": {"module": "acme_tools", "class_name": "Store", "function": "get"},
        "acme.gone": {"module": "acme_tools_gone", "function": "get"},
    }

def broken():
    raise RuntimeError("cannot list")
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two packages with tools, installed into a folder on the path."""
    site = tmp_path / "site"
    for name, function in (("acme_tools", "list_tools"), ("broken_tools", "broken")):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[package_tools]\ntools = acme_tools:{function}\n")
    (site / "acme_tools.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(site))


def load(folder: Path, tool: str, inputs: Mapping[str, Any] | None = None, kind: str = "python") -> Any:
    source = {
        "type": "package" if kind == "python" else "package_with_prompt",
        "tool": tool,
        "path": "p.jinja2",
    }
    node = {"type": kind, "source": source, "inputs": inputs or {}}
    return load_node(folder, {"p.jinja2": "user:\n{{ q }}"}, node)


def test_a_function_with_the_types_that_the_package_describes(tmp_path: Path) -> None:
    tool = load(tmp_path, "acme.add")
    assert [(item.name, item.types) for item in tool.spec.parameters] == [("a", ("int",)), ("b", ())]
    assert call_once(tool, {"a": 1}) == (1, 1)


def test_an_id_that_the_tool_had_earlier(tmp_path: Path) -> None:
    assert call_once(load(tmp_path, "old.add"), {"a": 1}) == (1, 1)


def test_a_class(tmp_path: Path) -> None:
    assert call_once(load(tmp_path, "acme.get", {"root": "r"}), {"root": "r", "key": "k"}) == ("r", "k")


def test_a_prompt_goes_to_the_parameter_that_is_annotated_so(tmp_path: Path) -> None:
    tool = load(tmp_path, "acme.ask", {"connection": "openai"}, "custom_llm")
    assert [item.name for item in tool.spec.parameters] == ["connection", "limit"]
    assert tool.spec.reserved == ()
    assert tool.spec.template_variables == ("q",)
    assert call_once(tool, {"connection": "openai", "q": "x"}) == ("k", "user:\n{{ q }}", 3, {"q": "x"})


@pytest.mark.parametrize(
    ("tool", "kind", "code", "words"),
    [
        ("acme.ad", "python", "T207", "'acme.ad'"),
        ("nothing.like.it", "python", "T207", "no installed package offers"),
        ("promptflow_vectordb.tool.common_index_lookup.search", "python", "T207", "retiring service"),
        ("acme.gone", "python", "T206", "acme_tools_gone"),
        ("acme.add", "custom_llm", "T206", "PromptTemplate"),
    ],
)
def test_what_cannot_be_loaded(tool: str, kind: str, code: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        load(tmp_path, tool, kind=kind)
    (problem,) = caught.value.problems
    assert problem.code == code
    assert words in f"{problem.what} {problem.fix}"
    assert problem.span is not None
    assert problem.span.line == 10


def test_an_unknown_id_lists_what_there_is_and_what_could_not_be_listed(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        load(tmp_path, "acme.ad")
    (problem,) = caught.value.problems
    assert problem.fix == 'Did you mean "acme.add"?'
    assert "available: acme.ask" in problem.detail
    assert "available: promptflow.tools.embedding.embedding" in problem.detail
    assert any("broken_tools" in line and "cannot list" in line for line in problem.detail)


def test_a_tool_of_the_retiring_service_is_not_answered_with_a_list_of_others(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        load(tmp_path, "promptflow_vectordb.tool.common_index_lookup.search")
    (problem,) = caught.value.problems
    assert not any(line.startswith("available") for line in problem.detail)


def test_a_package_that_lacks_a_module_says_which_one_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry_point = EntryPoint("lacks", "acme_lacking_module:tools", "package_tools")
    monkeypatch.setattr("headrace.tools.package.entry_points", lambda **_: (entry_point,))
    with pytest.raises(DefinitionError) as caught:
        load(tmp_path, "lacks.tool")
    (problem,) = caught.value.problems
    assert problem.fix is not None
    assert problem.fix.startswith("Mend the package that cannot be listed")
    assert "Install what provides the module acme_lacking_module" in problem.detail[0]
