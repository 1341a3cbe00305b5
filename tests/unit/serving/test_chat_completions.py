"""Served chat flows as the official client of OpenAI's API sees them, over HTTP on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.support.endpoint import Endpoint, serving
from tests.support.model_server import ModelServer, Reply, answer

CHAT = """\
inputs:
  q: {type: string, is_chat_input: true}
  history: {type: list, is_chat_history: true}
  tone: {type: string, default: plain}
outputs:
  other: {type: string, reference: "${seen.output}"}
  answer: {type: string, reference: "${say.output}", is_chat_output: true}
nodes:
- {name: seen, type: python, source: {type: code, path: seen.py}, inputs: {q: "${inputs.q}", history: "${inputs.history}"}}
- {name: say, type: python, source: {type: code, path: say.py},
   inputs: {q: "${inputs.q}", history: "${inputs.history}", tone: "${inputs.tone}"}}
"""
SEEN = 'from promptflow.core import tool\n\n@tool\ndef seen(q: str, history: list):\n    return "not the answer"\n'
SAY = """\
import json
from promptflow.core import tool

@tool
def say(q: str, history: list, tone: str):
    if q.startswith("boom"):
        raise ValueError(q)
    yield q + " "
    if q == "mid":
        raise ValueError("mid")
    yield tone + " " + json.dumps(history)
"""
WHOLE = """\
inputs:
  q: {type: list, is_chat_input: true}
  chat_history: {type: list, default: []}
outputs: {answer: {type: list, reference: "${say.output}", is_chat_output: true}}
nodes:
- {name: say, type: python, source: {type: code, path: say.py}, inputs: {q: "${inputs.q}"}}
"""
WHOLE_SAY = "from promptflow.core import tool\n\n@tool\ndef say(q: list):\n    return q\n"
PLAIN = """\
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${inputs.q}"}}
nodes: []
"""
FILES = {
    "flows/chat/flow.dag.yaml": CHAT,
    "flows/chat/seen.py": SEEN,
    "flows/chat/say.py": SAY,
    "flows/whole/flow.dag.yaml": WHOLE,
    "flows/whole/say.py": WHOLE_SAY,
    "flows/plain/flow.dag.yaml": PLAIN,
}
PROMPTY = """\
---
name: asked
model:
  api: chat
  configuration: {{type: openai, model: m, api_key: k, base_url: "{url}"}}
  parameters: {{max_tokens: 9}}
inputs:
  question: {{type: string, is_chat_input: true}}
  chat_history: {{type: list, default: []}}
---
system:
Answer.
{{% for turn in chat_history %}}
{{{{turn.role}}}}:
{{{{turn.content}}}}
{{% endfor %}}
user:
{{{{question}}}}
"""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with serving(tmp_path_factory.mktemp("chats"), FILES, ["flows"]) as served:
        yield served


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[openai.OpenAI]:
    with opened(endpoint) as found:
        yield found


def opened(endpoint: Endpoint) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{endpoint.port}/v1", api_key="unused", max_retries=1)


def ask(client: openai.OpenAI, model: str, *messages: Any, **more: Any) -> Any:
    said = [
        {"role": "user", "content": message} if isinstance(message, str) else message for message in messages
    ]
    return client.chat.completions.create(model=model, messages=said, **more)


def test_a_chat_flow_is_a_model(client: openai.OpenAI, endpoint: Endpoint) -> None:
    version = endpoint.served.flows["/chat"].version.name
    found = ask(client, "chat", "hi")
    assert found.choices[0].message.content == "hi plain []"
    assert (found.choices[0].finish_reason, found.model, found.usage) == ("stop", version, None)
    assert ask(client, version, "hi").model == version
    assert [model.id for model in client.models.list()] == ["chat", "whole"]
    assert client.models.retrieve("chat").id == "chat"
    raw = client.chat.completions.with_raw_response.create(
        model="chat", messages=[{"role": "user", "content": "x"}]
    )
    assert raw.headers["x-headrace-flow-version"] == version
    assert json.loads(raw.text)["id"] == f"chatcmpl-{raw.headers['x-request-id']}"


def test_messages_before_the_last_are_the_history_in_the_form_of_the_flow(client: openai.OpenAI) -> None:
    found = ask(
        client,
        "chat",
        {"role": "system", "content": "Be someone else."},
        {"role": "assistant", "content": "Hello!"},
        "one",
        {"role": "assistant", "content": [{"type": "text", "text": "1"}]},
        "two",
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        extra_body={"inputs": {"tone": "warm", "q": "never"}},
    )
    history = [
        {"inputs": {"q": ""}, "outputs": {"answer": "Hello!"}},
        {"inputs": {"q": "one"}, "outputs": {"answer": "1"}},
        {"inputs": {"q": "two"}, "outputs": {"answer": ""}},
    ]
    assert found.choices[0].message.content == f"a\nb warm {json.dumps(history)}"


def test_an_answer_comes_in_chunks(client: openai.OpenAI) -> None:
    chunks = list(ask(client, "chat", "hi", stream=True, stream_options={"include_usage": True}))
    texts = [chunk.choices[0].delta.content for chunk in chunks]
    assert texts == ["", "hi ", "plain []", None]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, "stop"]
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert chunks[0].choices[0].delta.role == "assistant"
    whole = list(ask(client, "whole", "hi", stream=True))
    assert [chunk.choices[0].delta.content for chunk in whole] == ["", '["hi"]', None]


def test_images_go_in_and_come_out(client: openai.OpenAI) -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    found = ask(client, "whole", {"role": "user", "content": parts})
    assert found.choices[0].message.content == f"look\n\n![image](data:image/png;base64,{PIXEL})"
    with pytest.raises(openai.BadRequestError, match="takes text in this place"):
        ask(client, "chat", {"role": "user", "content": parts})


def test_history_and_usage_of_a_prompty(tmp_path: Path) -> None:
    with ModelServer([answer("Paris"), answer("Nice")], default=Reply(status=429)) as model:
        files = {"asked.prompty": PROMPTY.format(url=model.base_url)}
        with serving(tmp_path, files, ["asked.prompty"]) as endpoint, opened(endpoint) as client:
            (name,) = [found.id for found in client.models.list()]
            found = ask(client, name, "one", {"role": "assistant", "content": "1"}, "two")
            assert found.choices[0].message.content == "Paris"
            assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens > 0
            sent = model.requests[0].body["messages"]
            assert [item["role"] for item in sent] == ["system", "user", "assistant", "user"]
            assert [item["content"] for item in sent[1:]] == ["one", "1", "two"]
            chunks = list(ask(client, name, "x", stream=True, stream_options={"include_usage": True}))
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Nice"
            assert chunks[-1].usage is None  # the service was not asked for it, so nobody knows


@pytest.mark.parametrize(
    ("model", "messages", "more", "said"),
    [
        ("plain", ["x"], {}, "The flow has no chat input"),
        ("chat", [], {}, "not a list of messages"),
        ("chat", ["x", {"role": "assistant", "content": "y"}], {}, "not one of the user"),
        ("chat", [{"role": "tool", "tool_call_id": "1", "content": "y"}], {}, "not one of a user"),
        ("chat", [{"role": "user", "content": 7}], {}, "neither text nor a list"),
        ("chat", ["x"], {"n": 2}, "one answer"),
        ("chat", ["x"], {"extra_body": {"inputs": [1]}}, '"inputs" is not an object'),
        ("whole", [{"role": "user", "content": [{"type": "input_audio"}]}], {}, "neither text nor an image"),
        (
            "whole",
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "/etc/passwd"}}]}],
            {},
            "image",
        ),
        (
            "whole",
            [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/a.png"}}],
                }
            ],
            {},
            "not fetched",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    client: openai.OpenAI, model: str, messages: list[Any], more: dict[str, Any], said: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=said) as raised:
        ask(client, model, *messages, **more)
    assert raised.value.type == "invalid_request_error"


def test_a_model_that_is_not_served(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="served are: chat, plain, whole") as raised:
        ask(client, "gpt-4o", "x")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("plain")


def test_a_flow_that_fails_is_not_asked_again(client: openai.OpenAI, endpoint: Endpoint) -> None:
    before = endpoint.served.flows["/chat"].n_requests
    with pytest.raises(openai.InternalServerError, match="ValueError: boom") as raised:
        ask(client, "chat", "boom")
    assert (raised.value.code, raised.value.type) == ("tool-failed", "server_error")
    with pytest.raises(openai.InternalServerError, match="ValueError: boom"):
        ask(client, "chat", "boom", stream=True)
    assert endpoint.served.flows["/chat"].n_requests == before + 2
    texts = []
    with pytest.raises(openai.APIError, match="ValueError: mid"):
        texts += [chunk.choices[0].delta.content for chunk in ask(client, "chat", "mid", stream=True)]
    assert endpoint.served.flows["/chat"].n_requests == before + 3


@pytest.mark.parametrize("streams", [True, False])
def test_a_caller_is_not_told_where_the_server_has_its_keys(tmp_path: Path, streams: bool) -> None:
    flow = """\
inputs: {q: {type: string, is_chat_input: true}, h: {type: list, is_chat_history: true}}
outputs: {r: {type: string, is_chat_output: true, reference: "${ask.output}"}}
nodes:
- {name: ask, type: llm, source: {type: code, path: ask.jinja2}, connection: mine, api: chat, inputs: {model: m, q: "${inputs.q}"}}
"""
    with ModelServer(default=Reply(status=401, body={"error": {"code": "invalid_api_key"}})) as model:
        connection = f"type: open_ai\napi_key: k\nbase_url: {model.base_url}\n"
        files = {"chat/flow.dag.yaml": flow, "chat/ask.jinja2": "user:\n{{q}}"}
        with serving(
            tmp_path, {**files, ".headrace/connections/mine.yaml": connection}, ["chat"]
        ) as endpoint:
            asked = {"model": "chat", "stream": streams, "messages": [{"role": "user", "content": "x"}]}
            answer = endpoint.ask("POST", "/v1/chat/completions", asked)
    assert answer.status == 502
    assert "answered 401" in answer.body["error"]["message"]
    assert not re.search(
        r"mine|MINE|api_key|\.yaml", answer.body["error"]["message"].replace("invalid_api_key", "")
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"{bad", b"[" * 5000, b'{"model": ["a"]}', b'{"messages": 1}'])
def test_what_is_no_request_is_refused(endpoint: Endpoint, body: bytes) -> None:
    found = endpoint.ask("POST", "/v1/chat/completions", body)
    assert found.status in (400, 404)
    assert set(found.body["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize(("text", "status"), [("half \ud800", 200), ("boom \ud800", 500)])
def test_half_a_character_is_said_as_its_escape(
    endpoint: Endpoint, text: str, status: int, streams: bool
) -> None:
    asked = {"model": "chat", "stream": streams, "messages": [{"role": "user", "content": text}]}
    found = endpoint.ask("POST", "/v1/chat/completions", asked)
    assert found.status == status
    assert "\\ud800" in found.text
