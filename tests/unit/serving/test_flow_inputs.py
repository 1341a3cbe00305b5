"""What a request may bring, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.endpoint import serving
from tests.support.images import RED, write_files

from headrace.errors import UsageError
from headrace.formats.flow_file import load_flow
from headrace.serving.flow_inputs import fit_inputs, read_inputs

DAG_FLOW = """\
inputs: {pic: {type: image}, any: {type: object}, words: {type: string}}
outputs: {r: {type: string, reference: "${inputs.words}"}}
nodes: []
"""
PROMPTY = """\
---
model: {configuration: {type: openai, model: m, api_key: k}, parameters: {max_tokens: 5}}
inputs: {pic: {type: string}, any: {type: object}, words: {type: list}}
---
user:
![image]({{pic}})
"""
FLEX = "entry: ask:ask\ninputs: {pic: {type: string}, any: {type: object}, words: {type: list}}\n"
CODE = "def ask(pic: str, any: dict, words: list):\n    return pic\n"
VALUES = {"pic": "data:image/png;base64,iVBORw0KGgo=", "any": {}, "words": []}


def read(folder: Path, source: str, **given: Any) -> dict[str, Any]:
    write_files(
        folder, {"flow.dag.yaml": DAG_FLOW, "a.prompty": PROMPTY, "ask.py": CODE, "flow.flex.yaml": FLEX}
    )
    write_files(folder, {"secret.png": RED})
    return read_inputs(load_flow(folder / source), json.dumps({**VALUES, **given}).encode())


FILES = {"prompty": "a.prompty", "flex": "flow.flex.yaml", "dag": "flow.dag.yaml"}


@pytest.mark.parametrize("source", FILES.values(), ids=FILES)
@pytest.mark.parametrize(
    "given",
    [
        {"pic": "data:image/png;path: secret.png"},
        {"pic": "data:image/png;path:/etc/passwd"},
        {"any": {"deep": [{"data:image/*;path": "../secret.png"}]}},
        {"any": {"deep": ["data:image/png;path: secret.png"]}},
    ],
)
def test_a_request_names_no_file_of_the_server(tmp_path: Path, source: str, given: Any) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, source, **given)
    assert [problem.code for problem in caught.value.problems] == ["T210"]
    assert "secret" not in str(caught.value)
    assert "passwd" not in str(caught.value)


def test_a_flex_flow_that_is_given_nothing_takes_its_sample(tmp_path: Path) -> None:
    code = "def ask(q: str = 'default', n: int = 1):\n    return f'{q} {n}'\n"
    files = {"flow.flex.yaml": "entry: ask:ask\nsample:\n  inputs: {q: a sample, n: 7}\n", "ask.py": code}
    with serving(tmp_path, files, ["."]) as endpoint:
        given: list[dict[str, Any]] = [{}, {"n": 3}, {"other": 1}]
        answers = [endpoint.ask("POST", "/score", body).body for body in given]
    assert answers == ["a sample 7", "default 3", "default 1"]


@pytest.mark.parametrize("body", [b"", b"plain", b"[]", b"null", b'{"other": 1}'])
def test_a_flow_without_inputs_needs_no_body(tmp_path: Path, body: bytes) -> None:
    files = {"flow.flex.yaml": "entry: ask:ask\n", "ask.py": "def ask():\n    return 'done'\n"}
    with serving(tmp_path, files, ["."]) as endpoint:
        assert endpoint.ask("POST", "/score", body).body == "done"
        score = endpoint.ask("GET", "/openapi.json").body["paths"]["/score"]["post"]
    assert score["requestBody"]["required"] is False


def test_text_stays_text_where_nothing_says_a_type(tmp_path: Path) -> None:
    code = "def ask(plain, anything: object, mapping: dict, number: int, guessed=1):\n    return plain\n"
    files = {"flow.flex.yaml": "entry: ask:ask\n", "ask.py": code}
    given = {"plain": "42", "anything": "null", "mapping": '{"a": 1}', "number": "5", "guessed": "2"}
    with serving(tmp_path, files, ["."]) as endpoint:
        (served,) = endpoint.served.flows.values()
        taken = fit_inputs(served.version.flow.plan.flow, given)
    assert taken == {"plain": "42", "anything": "null", "mapping": {"a": 1}, "number": 5, "guessed": 2}


def test_null_stays_null_where_only_the_code_says_a_type(tmp_path: Path) -> None:
    code = """\
from typing import Optional
def ask(n: Optional[int], s: str, d: Optional[str] = "d", f: float = 1.0):
    return repr([n, s, d, f])
"""
    files = {"flow.flex.yaml": "entry: ask:ask\n", "ask.py": code}
    nothing = {"n": None, "s": None, "d": None, "f": None}
    with serving(tmp_path, files, ["."]) as endpoint:
        assert endpoint.ask("POST", "/score", nothing).body == "[None, None, None, None]"
    files["flow.flex.yaml"] += (
        "inputs: {n: {type: int}, s: {type: string}, d: {type: string}, f: {type: double}}\n"
    )
    with serving(tmp_path, files, ["."]) as endpoint:
        assert endpoint.ask("POST", "/score", nothing).status == 400
        assert endpoint.ask("POST", "/score", {**nothing, "n": 1, "f": 2}).body == "[1, 'None', 'None', 2.0]"


@pytest.mark.parametrize(
    ("body", "kind"), [(b"null", "null"), (b"5", "a number"), (b'"a"', "text"), (b"true", "true or false")]
)
def test_json_that_is_no_object_is_named_in_the_words_of_json(tmp_path: Path, body: bytes, kind: str) -> None:
    write_files(tmp_path, {"flow.dag.yaml": DAG_FLOW})
    with pytest.raises(UsageError, match=f"The request holds {kind}, not an object"):
        read_inputs(load_flow(tmp_path / "flow.dag.yaml"), body)


def test_bytes_that_are_no_text_are_not_taken_for_the_text_of_a_single_input(tmp_path: Path) -> None:
    files = {"flow.flex.yaml": "entry: ask:ask\n", "ask.py": "def ask(q: str):\n    return q\n"}
    with serving(tmp_path, files, ["."]) as endpoint:
        assert endpoint.ask("POST", "/score", "größer".encode()).body == "größer"
        answer = endpoint.ask("POST", "/score", "größer".encode("latin-1"))
    assert (answer.status, answer.body["error"]["problem"]) == (400, "D401")
    assert "UTF-8" in answer.body["error"]["message"]


@pytest.mark.parametrize("source", ["a.prompty", "flow.flex.yaml"])
def test_code_that_decides_itself_is_given_no_file_in_either_format(tmp_path: Path, source: str) -> None:
    with pytest.raises(UsageError):
        read(tmp_path, source, any={"type": "image_file", "image_file": {"path": "secret.png"}})


@pytest.mark.parametrize("source", FILES.values(), ids=FILES)
def test_content_and_addresses_may_be_sent(tmp_path: Path, source: str) -> None:
    sent = {
        "pic": "https://example.org/a.png",
        "any": {"data:image/png;base64": "iVBORw0KGgo=", "x": "a data:image/png;path: b"},
    }
    assert read(tmp_path, source, **sent)["any"] == sent["any"]
