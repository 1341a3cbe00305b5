"""OpenModelLLM on loopback: bodies, answers and refusals. Bodies were observed at stock's tool."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from tests.support.web_server import WebServer, web_server

from headrace.compat.exception_families import exception_family
from headrace.compat.exceptions import PromptflowException
from headrace.sdk import open_model
from headrace.sdk.client import PFClient
from headrace.sdk.open_model import OpenModelLLM
from headrace.tools.connection_types import CustomConnection

pytestmark = pytest.mark.usefixtures("served_names")
CHAT = "system:\nBe brief.\nuser:\n{{question}}\n"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "why"}]
TEXT = "system:\nBe brief.\nuser:\nwhy\n"
LIMITS = {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 500}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    (tmp_path / ".headrace").mkdir()
    monkeypatch.setattr(open_model, "DELAYS_S", (0.0, 0.0))
    with web_server() as running, chdir(tmp_path):
        yield running


def keep(url: str, family: str = "LLaMa", **secrets: str) -> None:
    configs = {"endpoint_url": url, "model_family": family}
    given = secrets or {"endpoint_api_key": "KEY"}
    PFClient().connections.create_or_update(CustomConnection(name="mine", configs=configs, secrets=given))


def ask(api: str = "chat", **more: Any) -> str:
    call: Any = OpenModelLLM().call
    answer: str = call(CHAT, api, "localConnection/mine", question="why", **more)
    return answer


@pytest.mark.parametrize(
    ("family", "api", "answer", "body"),
    [
        (
            "LLaMa",
            "chat",
            {"output": "out"},
            {"input_data": {"input_string": MESSAGES, "parameters": {**LIMITS, "do_sample": True}}},
        ),
        (
            "llama",
            "completion",
            [{"0": "out"}],
            {"input_data": {"input_string": [TEXT], "parameters": {**LIMITS, "do_sample": True}}},
        ),
        ("Dolly", "chat", [{"0": "out"}], {"input_data": {"input_string": [TEXT]}, "parameters": LIMITS}),
        (
            "GPT-2",
            "completion",
            [{"0": "out"}],
            {"input_data": {"input_string": [TEXT]}, "parameters": LIMITS},
        ),
        ("FALCON", "chat", [{"0": "out"}], {"input_data": {"input_string": [TEXT]}, "parameters": LIMITS}),
    ],
)
def test_an_online_endpoint(server: WebServer, family: str, api: str, answer: Any, body: Any) -> None:
    keep(server.url + "/score", family)
    server.answers = [(200, json.dumps(answer))]
    assert ask(api) == "out"
    (asked,) = server.asked
    assert (asked.path, asked.headers["authorization"]) == ("/score", "Bearer KEY")
    assert "azureml-model-deployment" not in asked.headers
    assert json.loads(asked.body) == body


@pytest.mark.parametrize(
    ("api", "path", "answer", "body"),
    [
        (
            "chat",
            "/v1/chat/completions",
            {"choices": [{"message": {"content": "out"}}]},
            {"model": "llama-2-7b-hf", "messages": MESSAGES},
        ),
        ("completion", "/v1/completions", {"choices": [{"text": "out"}]}, {"prompt": TEXT}),
    ],
)
@pytest.mark.parametrize("given", ["", "/v1/chat/completions"])
def test_a_serverless_endpoint(
    server: WebServer,
    monkeypatch: pytest.MonkeyPatch,
    api: str,
    path: str,
    answer: Any,
    body: Any,
    given: str,
) -> None:
    monkeypatch.setattr(open_model, "_SERVERLESS_HOST", "127.0.0.1")
    keep(server.url + given)
    server.answers = [(200, json.dumps(answer))]
    limits = {"temperature": 0.5, "top_p": 0.2, "max_new_tokens": 7}
    assert ask(api, **limits, model_kwargs={"k": 1, "temperature": 0.9}, deployment_name="d") == "out"
    (asked,) = server.asked
    assert asked.path == path
    assert asked.headers["azureml-model-deployment"] == "d"
    assert json.loads(asked.body) == {**body, "n": 1, "k": 1, **limits, "max_tokens": 7}


def test_an_endpoint_that_is_busy_is_asked_again(server: WebServer) -> None:
    keep(server.url)
    server.answers = [(424, "x"), (503, "x"), (200, '{"output": "out"}')]
    assert ask(deployment_name="default") == "out"
    assert len(server.asked) == 3


def raised(name: str, words: str) -> Any:
    return pytest.raises(exception_family("promptflow.tools.exception")[name], match=words)


@pytest.mark.parametrize(
    ("answer", "n_asked", "words"),
    [
        ((500, "x"), 3, "HTTP status 500"),
        ((401, "denied"), 1, "HTTP status 401"),
        ((200, "no json"), 1, "Unexpected response format"),
        ((200, '{"other": 1}'), 1, "Unexpected response format"),
    ],
)
def test_an_endpoint_that_gives_no_answer(
    server: WebServer, answer: tuple[int, str], n_asked: int, words: str
) -> None:
    keep(server.url)
    server.answers = [answer]
    with raised("OpenModelLLMOnlineEndpointError", words):
        ask()
    assert len(server.asked) == n_asked


def test_nobody_there(server: WebServer) -> None:
    keep("http://127.0.0.1:9/")
    with raised("OpenModelLLMOnlineEndpointError", "refused"):
        ask()


@pytest.mark.parametrize("prompt", ["no role", "# user:\nx", "user:\n", "system: x\nuser:\ny"])
def test_a_chat_prompt_that_cannot_be_cut(server: WebServer, prompt: str) -> None:
    keep(server.url)
    call: Any = OpenModelLLM().call
    with raised("OpenModelLLMUserError", "chat prompt"):
        call(prompt, "chat", "localConnection/mine")
    assert server.asked == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("onlineEndpoint/x", "localConnection/NAME"),
        ("serverlessEndpoint/x", "management interface"),
        ("connection/x", "management interface"),
        ("nothing", "Invalid endpoint connection type: nothing"),
        ("other/x", "Invalid endpoint connection type: other"),
        ("localConnection/", "Invalid endpoint connection type"),
    ],
)
def test_endpoints_that_are_not_looked_up(server: WebServer, name: str, words: str) -> None:
    call: Any = OpenModelLLM().call
    with raised("OpenModelLLMUserError", words):
        call("x", "completion", name)


def test_connections_that_do_not_lead_to_a_model(server: WebServer) -> None:
    with pytest.raises(exception_family("promptflow._sdk._errors")["ConnectionNotFoundError"]):
        ask()
    keep(server.url, "weird")
    with raised("OpenModelLLMKeyValidationError", "'weird' not recognized"):
        ask()
    keep(server.url, "")
    with raised("OpenModelLLMKeyValidationError", "`model_family` not found"):
        ask()
    keep(server.url, "LLaMa", other="x")
    with raised("OpenModelLLMKeyValidationError", "`endpoint_api_key` not found"):
        ask()
    keep(server.url)
    call: Any = OpenModelLLM().call
    with pytest.raises(PromptflowException):
        call("{{ x", "completion", "localConnection/mine")


def test_an_open_model_as_a_node(server: WebServer, tmp_path: Path) -> None:
    keep(server.url, "Dolly")
    server.answers = [(200, '[{"0": "out"}]')]
    source = {
        "type": "package_with_prompt",
        "tool": "promptflow.tools.open_model_llm.OpenModelLLM.call",
        "path": "p.jinja2",
    }
    inputs = {
        "endpoint_name": "localConnection/mine",
        "api": "completion",
        "max_new_tokens": "5",
        "q": "${inputs.q}",
    }
    flow = {
        "inputs": {"q": {"type": "string"}},
        "outputs": {"a": {"type": "string", "reference": "${ask.output}"}},
        "nodes": [{"name": "ask", "type": "custom_llm", "source": source, "inputs": inputs}],
    }
    (tmp_path / "flow.dag.yaml").write_text(json.dumps(flow), "utf-8")
    (tmp_path / "p.jinja2").write_text("Say {{q}}", "utf-8")
    assert PFClient().test(".", inputs={"q": "so"}) == {"a": "out"}
    body = json.loads(server.asked[0].body)
    assert body["input_data"] == {"input_string": ["Say so"]}
    assert body["parameters"]["max_new_tokens"] == 5
