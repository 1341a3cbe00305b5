"""Several flows in one process, their probes, and what every answer says of itself."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.support.endpoint import serving, write

from headrace.config import ServingLimits
from headrace.domain.access import AccessRules, known_key
from headrace.errors import HeadraceError
from headrace.formats.flow_file import load_flow
from headrace.formats.flow_identity import IDENTITY, FlowIdentity
from headrace.operations.read_version import flow_digest
from headrace.operations.served_sources import find_sources
from headrace.serving import chat_completions, chat_page, flow_endpoint, openapi, probes
from headrace.serving.app import build_app
from headrace.serving.served import ServedFlow, ServedVersion
from headrace.telemetry.attributes import FLOW


def flow_of(text: str) -> dict[str, str]:
    return {
        "flow.dag.yaml": """\
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${a.output}"}}
nodes:
- {name: a, type: python, source: {type: code, path: a.py}, inputs: {q: "${inputs.q}"}}
""",
        "a.py": "import where\nfrom promptflow.core import tool\n\n@tool\ndef a(q: str):\n    return where.HERE + q\n",
        "where.py": f"HERE = {text!r}\n",
    }


def in_folder(name: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{name}/{file}": text for file, text in files.items()}


CHAT = {
    "chat/flow.dag.yaml": """\
inputs: {q: {type: string, is_chat_input: true}, past: {type: list, is_chat_history: true, default: []}}
outputs: {r: {type: string, is_chat_output: true, reference: "${ask.output}"}}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: model
  api: chat
  inputs: {model: m, q: "${inputs.q}"}
""",
    "chat/ask.jinja2": "user:\n{{q}}",
}
USABLE = "type: open_ai\napi_key: k\nbase_url: http://127.0.0.1:9\n"
"""A connection that CHAT can use, as long as nobody calls."""

TWO = {**in_folder("one", flow_of("1")), **in_folder("two", flow_of("2"))}


def test_a_folder_of_flows_answers_by_their_names_each_with_its_own_code(tmp_path: Path) -> None:
    with serving(tmp_path, TWO, ["."]) as endpoint:
        for _ in range(3):  # modules of the same name are those of the flow that runs
            assert endpoint.ask("POST", "/one/score", {"q": "a"}).body == {"r": "1a"}
            assert endpoint.ask("POST", "/two/score", {"q": "a"}).body == {"r": "2a"}
        assert endpoint.ask("GET", "/one/swagger.json").body["info"]["x-flow-name"] == "one"
        assert endpoint.ask("POST", "/score", {"q": "a"}).status == 404
        ready = endpoint.ask("GET", "/readyz")
    assert (ready.status, list(ready.body["flows"])) == (200, ["/one", "/two"])


def test_a_packed_flow_has_the_name_that_it_was_packed_under(tmp_path: Path) -> None:
    files = in_folder("flow", flow_of("1"))
    chat = "inputs: {q: {type: string, is_chat_input: true}, h: {type: list, is_chat_history: true}}\n"
    lines = files["flow/flow.dag.yaml"].replace(
        "type: string, ref", "type: string, is_chat_output: true, ref"
    )
    files["flow/flow.dag.yaml"] = chat + lines.partition("\n")[2]
    write(tmp_path, files)
    digest = flow_digest(load_flow(tmp_path / "flow"))
    packed = FlowIdentity(flow="triage", digest="ab" * 32, packed_digest=digest)
    identity = {IDENTITY: json.dumps(packed.to_json())}
    with serving(tmp_path, identity, ["flow"]) as endpoint:
        assert endpoint.ask("GET", "/swagger.json").body["info"]["x-flow-name"] == "triage"
        assert endpoint.ask("GET", "/v1/models").body["data"][0]["id"] == "triage"
        asked = {"model": "triage", "messages": [{"role": "user", "content": "a"}]}
        assert endpoint.ask("POST", "/v1/chat/completions", asked).body["model"] == "triage@abababababab"
        (served,) = endpoint.served.flows.values()
        assert served.version.flow.scope.common[FLOW] == "triage"
    with serving(tmp_path, {"flow/where.py": "HERE = 2\n"}, ["flow"]) as endpoint:
        assert endpoint.ask("GET", "/swagger.json").body["info"]["x-flow-name"] == "flow"


CHANGING = {
    "flow/flow.dag.yaml": """\
inputs: {q: {type: string}, h: {type: list, default: []}, o: {type: object, default: {a: [0]}}}
outputs: {r: {type: list, reference: "${change.output}"}}
nodes:
- {name: change, type: python, source: {type: code, path: change.py},
   inputs: {q: "${inputs.q}", h: "${inputs.h}", o: "${inputs.o}", literal: [1]}}
""",
    "flow/change.py": """\
from promptflow.core import tool

@tool
def change(q: str, h: list, o: dict, literal: list):
    for place in (h, o["a"], literal):
        place.append(q)
    return [h, o, literal]
""",
}


def test_a_tool_that_changes_what_it_is_given_changes_it_for_no_other_request(tmp_path: Path) -> None:
    with serving(tmp_path, CHANGING, ["flow"]) as endpoint:
        given: list[dict[str, Any]] = [{"q": "a"}, {"q": "b"}, {"q": "c", "h": ["given"]}]
        answers = [endpoint.ask("POST", "/score", body).body["r"] for body in given]
    assert answers == [
        [["a"], {"a": [0, "a"]}, [1, "a"]],
        [["b"], {"a": [0, "b"]}, [1, "b"]],
        [["given", "c"], {"a": [0, "c"]}, [1, "c"]],
    ]


def test_every_answer_names_the_version_and_the_request(tmp_path: Path) -> None:
    with serving(tmp_path, in_folder("one", flow_of("1")), ["one"]) as endpoint:
        name = f"one@{flow_digest(load_flow(tmp_path / 'one'))[:12]}"
        good = endpoint.ask("POST", "/score", {"q": "a"}, {"x-request-id": "my-1"})
        bad = endpoint.ask("POST", "/score", {}, {"x-ms-client-request-id": "my-2"})
        odd = endpoint.ask("POST", "/score", {"q": "a"}, {"x-request-id": "a b<script>"})
        lost = endpoint.ask("GET", "/nowhere")
        assert endpoint.ask("GET", "/readyz").body["flows"]["/"]["version"] == name
    assert good.headers["x-headrace-flow-version"] == bad.headers["x-headrace-flow-version"] == name
    assert good.headers["x-request-id"] == "my-1"
    assert bad.headers["x-request-id"] == bad.headers["x-ms-client-request-id"] == "my-2"
    assert len(odd.headers["x-request-id"]) == len(lost.headers["x-request-id"]) == 36


def test_a_process_is_ready_only_with_its_connections_and_says_what_is_missing(tmp_path: Path) -> None:
    flow = """\
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${ask.output}"}}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: model
  api: chat
  inputs: {model: m, q: "${inputs.q}"}
"""
    files = {
        "flow.dag.yaml": flow,
        "ask.jinja2": "user:\n{{q}}",
        ".headrace/connections/model.yaml": "type: open_ai\napi_key: ${env:MODEL_KEY}\nbase_url: http://127.0.0.1:9\n",
    }
    with serving(tmp_path, files, ["."]) as endpoint:
        missing = endpoint.ask("GET", "/readyz")
        assert endpoint.ask("GET", "/healthz").status == 200
        asked = endpoint.ask("POST", "/score", {"q": "a"})
    assert (asked.status, asked.body["error"]["code"]) == (503, "SystemError")
    assert "MODEL_KEY" in asked.body["error"]["message"]
    assert (missing.status, missing.body["status"]) == (503, "NotReady")
    (said,) = missing.body["flows"]["/"]["missing"]
    assert said.startswith("C503 ")
    assert "MODEL_KEY" in said
    with serving(tmp_path, files, ["."], environment={"MODEL_KEY": "s3cret"}) as endpoint:
        ready = endpoint.ask("GET", "/readyz")
        assert (ready.status, "s3cret" in ready.text) == (200, False)
        endpoint.served.is_draining = True
        assert endpoint.ask("GET", "/readyz").status == 503


@pytest.mark.parametrize(
    "fields",
    [
        "type: open_ai\napi_key: ${env:NOT_SET}",
        "type: open_ai\napi_key: k\nbase_url: ${env:NOT_SET}",
        "type: open_ai\napi_key: ${env:UNRESOLVED}",
        "type: open_ai\napi_key: kü",
        "type: open_ai\napi_key: k\nbase_url: ftp://a.example",
        "type: cognitive_search\napi_key: k\napi_base: https://a.example",
        "type: [open_ai",
    ],
)
def test_a_connection_that_cannot_be_used_is_no_fault_of_the_caller_who_is_told_no_path(
    tmp_path: Path, fields: str
) -> None:
    connection = tmp_path / ".headrace" / "connections" / "model.yaml"
    files = {**CHAT, ".headrace/connections/model.yaml": USABLE}
    environment = {"UNRESOLVED": "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s)"}
    with serving(tmp_path, files, ["chat"], environment=environment) as endpoint:
        connection.write_text(fields, "utf-8")
        asked = endpoint.ask("POST", "/score", {"q": "a"})
        chat = {"model": "chat", "messages": [{"role": "user", "content": "a"}]}
        completed = endpoint.ask("POST", "/v1/chat/completions", chat)
    assert [answer.status for answer in (asked, completed)] == [503, 503]
    assert asked.body["error"]["code"] == "SystemError"
    for answer in (asked, completed):
        assert "model.yaml" not in answer.text
        assert tmp_path.name not in answer.text


def test_a_folder_of_connections_that_is_away_is_no_fault_of_the_caller(tmp_path: Path) -> None:
    files = {**CHAT, "mounted/model.yaml": USABLE}
    environment = {"HEADRACE_CONNECTIONS": str(tmp_path / "mounted")}
    with serving(tmp_path, files, ["chat"], environment=environment) as endpoint:
        (tmp_path / "mounted").rename(tmp_path / "away")
        asked = endpoint.ask("POST", "/score", {"q": "a"})
        streamed = endpoint.ask("POST", "/score", {"q": "a"}, {"accept": "text/event-stream"})
        chat = {"model": "chat", "messages": [{"role": "user", "content": "a"}]}
        completed = endpoint.ask("POST", "/v1/chat/completions", chat)
        ready = endpoint.ask("GET", "/readyz")
        (tmp_path / "away").rename(tmp_path / "mounted")
        assert endpoint.ask("GET", "/readyz").status == 200
    assert [answer.status for answer in (asked, streamed, completed, ready)] == [503] * 4
    assert asked.body["error"]["code"] == "SystemError"
    for answer in (asked, streamed, completed):
        assert 'no connection "model"' in answer.text.replace("\\", "")
    assert ready.body["flows"]["/"]["missing"] == ['C501 There is no connection "model".']


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["one", "two"], "Two flows are to answer at the root"),
        (["a=one", "a=two"], "Two flows are to answer at /a"),
        (["score=one"], "No flow can answer at /score"),
        (["form=one"], "No flow can answer at /form"),
    ],
)
def test_sources_that_do_not_fit_together_are_refused(tmp_path: Path, given: list[str], said: str) -> None:
    write(tmp_path, TWO)
    with pytest.raises(HeadraceError, match=said):
        find_sources([Path(item) for item in given], tmp_path)


def test_no_flow_may_be_called_as_what_the_server_itself_answers(tmp_path: Path) -> None:
    """Its page would be open, and with it what the server answers there."""
    with serving(
        tmp_path, {"one/flow.flex.yaml": "entry: m:f\n", "one/m.py": "def f(): return 1\n"}, ["one"]
    ) as endpoint:
        served = replace(endpoint.served, access=AccessRules(keys=(known_key("k" * 20, "k"),)))
        paths = {*chat_page.routes(served), *probes.routes(served), *openapi.routes(served)}
        paths |= {*flow_endpoint.routes(served.flows[""]), *chat_completions.routes(served)}
    for name in {path.split("/")[1] for path in paths} - {""}:
        (tmp_path / name).mkdir()
        (tmp_path / name / "flow.flex.yaml").write_text("entry: m:f\n")
        with pytest.raises(HeadraceError, match=f"No flow can answer at /{name}"):
            find_sources([tmp_path], tmp_path)
        shutil.rmtree(tmp_path / name)


def test_slashes_in_front_of_a_path_open_no_door(tmp_path: Path) -> None:
    with serving(
        tmp_path, {"one/flow.flex.yaml": "entry: m:f\n", "one/m.py": "def f(): return 1\n"}, ["one"]
    ) as endpoint:
        served = replace(
            endpoint.served, access=AccessRules(is_local=False, keys=(known_key("k" * 20, "k"),))
        )
        client = TestClient(build_app(served, ServingLimits()))
        asked = {
            path: client.post(path, json={}).status_code for path in ("/score", "//score", "///feedback")
        }
    assert asked == dict.fromkeys(asked, 401)


def version(name: str) -> ServedVersion:
    flow: Any = None
    return ServedVersion(flow=flow, name=name)


def test_requests_end_on_the_version_they_began_with() -> None:
    asyncio.run(_take_over_while_a_request_runs())


async def _take_over_while_a_request_runs() -> None:
    flow = ServedFlow("", version("f@1"))
    with flow.use() as first:
        taking = asyncio.create_task(flow.take_over(version("f@2")))
        await asyncio.sleep(0)
        with flow.use() as second:
            assert (first.name, second.name) == ("f@1", "f@2")
        assert not taking.done()
    await asyncio.wait_for(taking, 1)
    assert (flow.version.name, flow.n_requests) == ("f@2", 2)


LEAVING = {
    "flow.dag.yaml": """\
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${a.output}"}, s: {type: string, reference: "${b.output}"}}
nodes:
- {name: a, type: python, source: {type: code, path: a.py}, inputs: {q: "${inputs.q}"}}
- {name: b, type: python, source: {type: code, path: b.py}, inputs: {q: "${inputs.q}"}}
""",
    "a.py": """\
from promptflow.core import tool

@tool
def a(q: str):
    raise (KeyboardInterrupt if q == "interrupt" else SystemExit)
""",
    "b.py": """\
from promptflow.core import tool

@tool
def b(q: str):
    yield "b"
""",
}


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("word", ["def", "async def"])
def test_a_tool_that_wants_to_leave_the_program_fails_its_request_only(
    tmp_path: Path, word: str, accept: str
) -> None:
    files = {**LEAVING, "a.py": LEAVING["a.py"].replace("def", word)}
    with serving(tmp_path, files, ["."]) as endpoint:
        for kind in ("interrupt", "exit", "interrupt"):
            answer = endpoint.ask("POST", "/score", {"q": kind}, {"accept": accept})
            assert (answer.status, answer.body["error"]["problem"]) == (400, "E601")


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURES = {
    "flow.dag.yaml": """\
inputs: {picture: {type: image}}
outputs: {back: {type: image, reference: "${turn.output}"}}
nodes:
- {name: turn, type: python, source: {type: code, path: turn.py}, inputs: {picture: "${inputs.picture}"}}
""",
    "turn.py": """\
from promptflow.contracts.multimedia import Image
from promptflow.core import tool

@tool
def turn(picture: Image) -> Image:
    return Image(bytes(picture), mime_type="image/png")
""",
}


@pytest.mark.parametrize("picture", [{"data:image/png;base64": PIXEL}, f"data:image/png;base64,{PIXEL}"])
def test_images_go_in_and_come_out_in_base64(tmp_path: Path, picture: Any) -> None:
    with serving(tmp_path, PICTURES, ["."]) as endpoint:
        answer = endpoint.ask("POST", "/score", {"picture": picture})
    assert (answer.status, answer.body) == (200, {"back": {"data:image/png;base64": PIXEL}})
