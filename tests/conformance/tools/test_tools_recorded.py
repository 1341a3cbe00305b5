"""What prompt flow does, recorded from it, and what our tools do with the same input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.tool_nodes import MODELS, python_node, run_nodes, write_flow

from headrace.domain.flow import Flow
from headrace.errors import HeadraceError, NodeError, raise_if_errors
from headrace.planning.check import check_flow
from headrace.providers.base import ModelRequest
from headrace.providers.fake import FakeModelClient, FakeReply
from headrace.tools.chat import parse_chat
from headrace.tools.registry import load_tool

HERE = Path(__file__).parent


def load(name: str) -> dict[str, Any]:
    return json.loads((HERE / name).read_text())


SIGNATURES = load("signatures.json")
# Where our reading differs on purpose: a connection that is annotated in the newer or the deferred way is injected.
READ_AS_CONNECTIONS = {
    "x: 'AzureOpenAIConnection' = None": ["AzureOpenAIConnection"],
    "x: OpenAIConnection | None = None": ["OpenAIConnection"],
    "x: OpenAIConnection | AzureOpenAIConnection": ["OpenAIConnection", "AzureOpenAIConnection"],
}


@pytest.mark.parametrize("case", load("chat_prompts.json")["cases"], ids=lambda case: repr(case["text"][:40]))
def test_chat_prompts(case: dict[str, Any]) -> None:
    if case.get("refused"):
        with pytest.raises(NodeError) as caught:
            parse_chat(case["text"])
        assert caught.value.problems[0].code == "E605"
    else:
        assert parse_chat(case["text"]) == case["messages"]


@pytest.mark.parametrize("case", SIGNATURES["cases"], ids=lambda case: case["parameters"])
def test_signatures(case: dict[str, Any], tmp_path: Path, served_names: None) -> None:
    code = f"{SIGNATURES['header']}@tool\ndef f({case['parameters']}): ...\n"
    spec = python_node(tmp_path, code).spec
    expected = dict(case["types"])
    if case["parameters"] in READ_AS_CONNECTIONS:
        expected["x"] = READ_AS_CONNECTIONS[case["parameters"]]
    assert {parameter.name: list(parameter.types) for parameter in spec.parameters} == expected
    assert spec.takes_any == case["takes_any"]


@pytest.mark.parametrize("case", load("nodes.json")["cases"], ids=lambda case: case["name"])
def test_nodes(case: dict[str, Any], tmp_path: Path, served_names: None) -> None:
    flow = write_flow(tmp_path, case["files"], inputs=case["inputs"], nodes=case["nodes"])
    values = {name: declared["default"] for name, declared in case["inputs"].items()}
    outputs = run_nodes(flow, tmp_path, values, FakeModelClient())
    assert json.loads(json.dumps({name: outputs[name] for name in case["outputs"]})) == case["outputs"]


@pytest.mark.parametrize("case", load("model_requests.json")["cases"], ids=lambda case: case["name"])
def test_model_requests(case: dict[str, Any], tmp_path: Path) -> None:
    client = FakeModelClient(default=_reply)
    if case.get("refused"):
        with pytest.raises(HeadraceError):
            run_nodes(_checked_flow(case, tmp_path), tmp_path, case.get("values", {}), client)
        assert client.requests == []
        return
    outputs = run_nodes(_checked_flow(case, tmp_path), tmp_path, case.get("values", {}), client)
    (request,) = client.requests
    assert json.loads(json.dumps({**request.body, "model": request.model})) == case["body"]
    assert outputs["ask"] == case["result"]


def _checked_flow(case: dict[str, Any], folder: Path) -> Flow:
    node = {
        "name": "ask",
        "type": "llm",
        "source": {"type": "code", "path": "ask.jinja2"},
        "inputs": case["inputs"],
    }
    if case.get("custom_llm"):
        node["type"] = "custom_llm"
        node["source"] = {
            "type": "package_with_prompt",
            "tool": "promptflow.tools.llm.llm",
            "path": "ask.jinja2",
        }
        node["inputs"] = {**case["inputs"], "connection": case["connection"], "api": case.get("api", "chat")}
    else:
        node["connection"] = case["connection"]
        if case.get("api", "chat"):
            node["api"] = case.get("api", "chat")
    nodes = [node]
    files = {"ask.jinja2": case["template"]}
    for name, prompt in case.get("prompts", {}).items():
        files[f"{name}.jinja2"] = prompt["template"]
        source = {"type": "code", "path": f"{name}.jinja2"}
        nodes.append({"name": name, "type": "prompt", "source": source, "inputs": prompt["inputs"]})
    inputs = {name: {"type": kind} for name, kind in case.get("flow_inputs", {}).items()}
    flow = write_flow(folder, files, inputs=inputs, nodes=nodes)
    specs = {node.name: load_tool(node, flow, folder, MODELS).spec for node in flow.nodes}
    raise_if_errors(check_flow(flow, specs))
    return flow


def _reply(request: ModelRequest) -> FakeReply:
    if request.operation == "completion":
        return FakeReply(text="done")
    if request.body.get("tools"):
        call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        return FakeReply(message={"content": None, "tool_calls": [call]})
    return FakeReply(text="hi there")
