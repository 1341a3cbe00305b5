"""The OpenAPI document of what is served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.support.endpoint import serving

FLOW = """\
inputs:
  q: {type: string, description: the question}
  n: {type: int, default: 2}
outputs:
  s: {type: string, reference: "${g.output}"}
  e: {type: string, reference: "${g.output}", evaluation_only: true}
nodes:
- {name: g, type: python, source: {type: code, path: g.py}, inputs: {q: "${inputs.q}"}}
"""
TOOL = "from promptflow.core import tool\n\n@tool\ndef g(q: str):\n    yield q\n"
FLEX = {"flow.flex.yaml": "entry: ask:ask\n", "ask.py": "def ask(q: str) -> str:\n    return q\n"}


def test_what_a_flex_flow_answers_is_described_as_its_code_says(tmp_path: Path) -> None:
    code = """\
from dataclasses import dataclass

@dataclass
class Answer:
    text: str
    hits: list

def ask(q: str) -> Answer:
    return Answer(q, [1])
"""
    declared = {**FLEX, "flow.flex.yaml": "entry: ask:ask\noutputs: {output: {type: string}}\n"}
    flows = {
        "named": {"flow.flex.yaml": "entry: ask:ask\n", "ask.py": code},
        "bare": FLEX,
        "declared": declared,
    }
    files = {f"{name}/{file}": text for name, found in flows.items() for file, text in found.items()}
    with serving(tmp_path, files, ["."]) as endpoint:
        ours = endpoint.ask("GET", "/openapi.json").body["paths"]
        stock = {name: endpoint.ask("GET", f"/{name}/swagger.json").body["paths"] for name in flows}
    assert {name: _answer(ours, f"/{name}/score") for name in ("bare", "declared")} == {
        "bare": {},
        "declared": {},
    }
    assert _answer(ours, "/named/score")["properties"] == {
        "text": {"description": "(string)"},
        "hits": {"description": "(list)"},
    }
    assert {name: _answer(paths, "/score").get("properties") for name, paths in stock.items()} == {
        "named": {
            "text": {"type": "string"},
            "hits": {"type": "array", "items": {"type": "object", "additionalProperties": {}}},
        },
        "bare": None,
        "declared": {"output": {"type": "string"}},
    }


def test_defaults_that_are_no_json_are_served_and_left_out_of_the_documents(tmp_path: Path) -> None:
    code = """\
from datetime import date

def ask(day=date(2020, 1, 2), pair=(1, 2), odd={3}, far=float("inf"), n=4):
    return f"{day} {pair} {odd} {far} {n}"
"""
    dag = """\
inputs: {far: {type: double, default: .inf}, day: {type: string, default: 2020-01-02}, n: {type: int, default: 4}}
outputs: {r: {type: string, reference: "${inputs.day}"}}
nodes: []
"""
    files = {
        "dag/flow.dag.yaml": dag,
        "dag/samples.json": '[{"far": NaN}]',
        "flex/flow.flex.yaml": "entry: ask:ask\n",
        "flex/ask.py": code,
    }
    with serving(tmp_path, files, ["."]) as endpoint:
        assert endpoint.ask("POST", "/dag/score", {}).body == {"r": "2020-01-02"}
        assert endpoint.ask("POST", "/flex/score", {}).body == "2020-01-02 (1, 2) {3} inf 4"
        assert endpoint.ask("POST", "/flex/score", {"pair": [5]}).body == "2020-01-02 [5] {3} inf 4"
        documents = [endpoint.ask("GET", f"/{name}swagger.json") for name in ("dag/", "flex/")]
        paths = [document.body["paths"]["/score"] for document in documents]
        ours = endpoint.ask("GET", "/openapi.json").body["paths"]
    for path in (*paths, ours["/dag/score"], ours["/flex/score"]):
        asked = path["post"]["requestBody"]["content"]["application/json"]
        assert not asked.get("example")
        found = asked["schema"]["properties"]
        assert {name for name, item in found.items() if "default" in item} - {"pair"} == {"n"}
    assert endpoint.told == []


def test_inputs_that_may_be_nothing_are_described_by_their_types(tmp_path: Path) -> None:
    code = "def ask(n: int = None, words: list = None, d: dict = None, q: str = None, any=None):\n    return 'a'\n"
    code += "def told(n=None):\n    return 'a'\n"
    told = "entry: ask:told\ninputs: {n: {type: double}}\n"
    files = {"code/flow.flex.yaml": "entry: ask:ask\n", "code/ask.py": code}
    with serving(tmp_path, {**files, "file/flow.flex.yaml": told, "file/ask.py": code}, ["."]) as endpoint:
        found = [
            endpoint.ask("GET", f"/{name}/swagger.json").body["paths"]["/score"] for name in ("code", "file")
        ]
    types = [{name: item["type"] for name, item in _asked(path)["properties"].items()} for path in found]
    assert types == [
        {"n": "integer", "words": "array", "d": "object", "q": "string", "any": "object"},
        {"n": "number"},
    ]


def _asked(path: Any) -> Any:
    return path["post"]["requestBody"]["content"]["application/json"]["schema"]


def _answer(paths: Any, path: str) -> Any:
    return paths[path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]


def test_the_document_of_several_flows_is_valid_and_says_what_they_take(tmp_path: Path) -> None:
    files = {
        "dag/flow.dag.yaml": FLOW,
        "dag/g.py": TOOL,
        "dag/samples.json": '[{"q": "an example"}]',
        **{f"flex/{name}": text for name, text in FLEX.items()},
    }
    with serving(tmp_path, files, ["."]) as endpoint:
        document = endpoint.ask("GET", "/openapi.json").body
        assert endpoint.ask("POST", "/flex/score", {"q": "a"}).body == "a"
        models = endpoint.ask("GET", "/v1/models").body
        refused = endpoint.ask("POST", "/v1/chat/completions", {"model": "flex", "messages": []})
    OpenAPIV31SpecValidator(document).validate()
    assert {"/dag/score", "/dag/feedback", "/flex/score", "/readyz"} <= set(document["paths"])
    chat, listed = document["paths"]["/v1/chat/completions"]["post"], document["paths"]["/v1/models"]["get"]
    assert set(models) >= set(listed["responses"]["200"]["content"]["application/json"]["schema"]["required"])
    assert str(refused.status) in chat["responses"]
    assert set(chat["requestBody"]["content"]["application/json"]["schema"]["required"]) == {
        "model",
        "messages",
    }
    score = document["paths"]["/dag/score"]["post"]
    taken = score["requestBody"]["content"]["application/json"]
    assert taken["example"] == {"q": "an example"}
    assert taken["schema"]["required"] == ["q"]
    assert taken["schema"]["properties"]["n"] == {"type": "integer", "default": 2}
    answered = score["responses"]["200"]["content"]
    assert set(answered) == {"application/json", "text/event-stream"}
    assert set(answered["application/json"]["schema"]["properties"]) == {"s"}
    assert "security" not in document
