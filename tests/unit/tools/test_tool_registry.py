from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.tool_nodes import MODELS, write_flow

from headrace.domain.flow import Node, ToolSource
from headrace.errors import DefinitionError
from headrace.providers.loading import load_by_name
from headrace.tools.registry import LOADERS, PACKAGE_LOADERS, load_tool


@pytest.mark.parametrize("import_string", sorted({*LOADERS.values(), *PACKAGE_LOADERS.values()}))
def test_every_loader_exists(import_string: str) -> None:
    assert callable(load_by_name(import_string))


@pytest.mark.parametrize(
    ("kind", "source", "code"),
    [
        ("llm", ToolSource(type="package", tool="x"), "F010"),
        ("csharp", ToolSource(type="code", path="x"), "F010"),
        ("custom_llm", ToolSource(type="code", path="x"), "F010"),
        ("prompt", ToolSource(type="code"), "F006"),
        ("prompt", ToolSource(type="code", path="nothing.jinja2"), "F001"),
    ],
)
def test_nodes_that_cannot_be_loaded(kind: Any, source: ToolSource, code: str, tmp_path: Path) -> None:
    flow = write_flow(tmp_path, {}, nodes=[])
    node = Node(name="n", type=kind, source=source, inputs={})
    with pytest.raises(DefinitionError) as caught:
        load_tool(node, flow, tmp_path, MODELS)
    (problem,) = caught.value.problems
    assert problem.code == code
    assert problem.span is not None
    assert problem.fix
