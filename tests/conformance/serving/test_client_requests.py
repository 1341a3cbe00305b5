"""Requests as clients of prompt flow's endpoints send them, byte for byte: curl and PowerShell as its documentation has
them, ``requests``, ``httpx``, ``urllib`` in the code that Azure ML's studio shows, ``az ml online-endpoint invoke``, browsers
with ``fetch``, and chat apps that send the history along. They go over a socket as they are.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.endpoint import Endpoint, serving

FILES = {
    "flows/text/flow.dag.yaml": """\
inputs: {text: {type: string, default: Hello World!}}
outputs: {output: {type: string, reference: "${say.output}"}}
nodes:
- {name: say, type: python, source: {type: code, path: say.py}, inputs: {text: "${inputs.text}"}}
""",
    "flows/text/say.py": """\
from promptflow import tool

@tool
def say(text: str) -> str:
    return text.upper()
""",
    "flows/chat/flow.dag.yaml": """\
inputs:
  chat_history: {type: list, default: [], is_chat_history: true}
  question: {type: string, is_chat_input: true}
outputs:
  answer: {type: string, reference: "${say.output}", is_chat_output: true}
  url: {type: list, reference: "${search.output}"}
nodes:
- {name: search, type: python, source: {type: code, path: search.py}, inputs: {question: "${inputs.question}"}}
- name: say
  type: python
  source: {type: code, path: say.py}
  inputs: {question: "${inputs.question}", history: "${inputs.chat_history}"}
""",
    "flows/chat/search.py": """\
from promptflow import tool

@tool
def search(question: str) -> list:
    return [f"https://example.com/{question}"]
""",
    "flows/chat/say.py": """\
from promptflow import tool

@tool
def say(question: str, history: list) -> str:
    yield "Echo: "
    yield question
    for turn in history:
        yield f" after {turn['outputs']['answer']}"
""",
}


@dataclass(frozen=True)
class Case:
    """A request and what comes back; ``<port>`` and ``<length>`` in the head are filled in."""

    name: str
    head: str
    body: str
    says: Any
    status: int = 200
    is_stream: bool = False


HISTORY = [{"inputs": {"question": "Hello"}, "outputs": {"answer": "Hi!", "url": []}}]
ASKED = json.dumps({"question": "wheel", "chat_history": HISTORY})
WHOLE = {"answer": "Echo: wheel after Hi!", "url": ["https://example.com/wheel"]}
PIECES = [
    {"url": ["https://example.com/wheel"]},
    {"answer": "Echo: "},
    {"answer": "wheel"},
    {"answer": " after Hi!"},
]

CASES = [
    Case(
        "curl, the documentation of the development server",
        "POST /text/score HTTP/1.1|Host: localhost:<port>|User-Agent: curl/7.81.0|Accept: */*"
        "|Content-Type: application/json|Content-Length: <length>",
        '{"text":"Hello world!"}',
        {"output": "HELLO WORLD!"},
    ),
    Case(
        "curl --data without a content type",
        "POST /text/score HTTP/1.1|Host: localhost:<port>|User-Agent: curl/8.5.0|Accept: */*|Content-Length: <length>"
        "|Content-Type: application/x-www-form-urlencoded",
        '{"text": "Hello"}',
        {"output": "HELLO"},
    ),
    Case(
        "curl, text that is no JSON, for a flow of one input",
        "POST /text/score HTTP/1.1|Host: 127.0.0.1:<port>|User-Agent: curl/8.5.0|Accept: */*|Content-Length: <length>"
        "|Content-Type: application/x-www-form-urlencoded",
        "Hello world",
        {"output": "HELLO WORLD"},
    ),
    Case(
        "curl of a large body, which waits to be told to go on",
        "POST /text/score HTTP/1.1|Host: localhost:<port>|User-Agent: curl/7.81.0|Accept: */*|Content-Length: <length>"
        "|Content-Type: application/json|Expect: 100-continue",
        json.dumps({"text": "ab" * 2_000}),
        {"output": "AB" * 2_000},
    ),
    Case(
        "Invoke-WebRequest of PowerShell",
        "POST /text/score HTTP/1.1|User-Agent: Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1"
        "|Content-Type: application/json|Host: localhost:<port>|Content-Length: <length>|Connection: Keep-Alive",
        '{"text":"Hello world!"}',
        {"output": "HELLO WORLD!"},
    ),
    Case(
        "requests.post(url, json=body, headers=headers)",
        "POST /chat/score HTTP/1.1|Host: localhost:<port>|User-Agent: python-requests/2.32.3"
        "|Accept-Encoding: gzip, deflate|Accept: */*|Connection: keep-alive|Authorization: Bearer a-key"
        "|Content-Length: <length>|Content-Type: application/json",
        ASKED,
        WHOLE,
    ),
    Case(
        "requests of a string in UTF-8, its letters not escaped",
        "POST /chat/score HTTP/1.1|Host: localhost:<port>|User-Agent: python-requests/2.32.3"
        "|Accept-Encoding: gzip, deflate|Accept: */*|Connection: keep-alive|Content-Type: application/json"
        "|Authorization: Bearer a-key|Content-Length: <length>",
        '{"chat_history": [], "question": "물레방아"}',
        {"answer": "Echo: 물레방아", "url": ["https://example.com/물레방아"]},
    ),
    Case(
        "the code for Python that the studio shows: urllib, with the deployment to go to",
        "POST /chat/score HTTP/1.1|Accept-Encoding: identity|Content-Length: <length>|Host: localhost:<port>"
        "|User-Agent: Python-urllib/3.11|Content-Type: application/json|Accept: application/json"
        "|Authorization: Bearer a-key|Azureml-model-deployment: blue|Connection: close",
        ASKED,
        WHOLE,
    ),
    Case(
        "az ml online-endpoint invoke",
        "POST /chat/score HTTP/1.1|Host: localhost:<port>|Content-Type: application/json|Accept: application/json"
        "|x-ms-client-request-id: 5d1f3ab0-7c1e-11ef-9f0a-0242ac120002|Authorization: Bearer a-key"
        "|azureml-model-deployment: green|User-Agent: azure-ai-ml/1.20.0 azsdk-python-core/1.31.0|Content-Length: <length>",
        ASKED,
        WHOLE,
    ),
    Case(
        "a chat app with httpx, which does not stream",
        "POST /chat/score HTTP/1.1|Host: localhost:<port>|Accept: */*|Accept-Encoding: gzip, deflate"
        "|Connection: keep-alive|User-Agent: python-httpx/0.27.0|Content-Type: application/json"
        "|Authorization: Bearer a-key|Content-Length: <length>",
        json.dumps({"question": "wheel", "chat_history": HISTORY, "id": "a field that the flow does not have"}),
        WHOLE,
    ),
    Case(
        "the documentation of streaming: events asked for",
        "POST /chat/score HTTP/1.1|Host: localhost:<port>|Content-Type: application/json|Authorization: Bearer a-key"
        "|Accept: text/event-stream|Content-Length: <length>",
        ASKED,
        PIECES,
        is_stream=True,
    ),
    Case(
        "events or JSON, from a flow that streams",
        "POST /chat/score HTTP/1.1|Host: localhost:<port>|Accept: text/event-stream, application/json"
        "|Content-Type: application/json|Content-Length: <length>",
        ASKED,
        PIECES,
        is_stream=True,
    ),
    Case(
        "events or JSON, from a flow that does not stream",
        "POST /text/score HTTP/1.1|Host: localhost:<port>|Accept: text/event-stream, application/json"
        "|Content-Type: application/json|Content-Length: <length>",
        '{"text": "Hello"}',
        {"output": "HELLO"},
    ),
    Case(
        "fetch of a page on this machine",
        "POST /chat/score HTTP/1.1|Host: localhost:<port>|Connection: keep-alive|Content-Length: <length>"
        "|Accept: application/json, text/plain, */*|Content-Type: application/json;charset=UTF-8"
        "|Origin: http://localhost:3000|Referer: http://localhost:3000/|Sec-Fetch-Mode: cors|Sec-Fetch-Site: same-site",
        ASKED,
        WHOLE,
    ),
    Case(
        "an empty Accept, which accepts everything",
        "POST /text/score HTTP/1.1|Host: localhost:<port>|Accept: |Content-Type: application/json|Content-Length: <length>",
        '{"text": "Hello"}',
        {"output": "HELLO"},
    ),
    Case(
        "events alone, from a flow that does not stream",
        "POST /text/score HTTP/1.1|Host: localhost:<port>|Accept: text/event-stream|Content-Type: application/json"
        "|Content-Length: <length>",
        '{"text": "Hello"}',
        {"error": {"code": "UserError", "message": "Media type text/event-stream in Accept header is not acceptable."
                   " Supported media type(s) - application/json"}},
        status=406,
    ),
    Case(
        "feedback on an answer, below its trace",
        "POST /chat/feedback?flatten=true HTTP/1.1|Host: localhost:<port>|Accept: */*|Content-Type: application/json"
        "|traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01|baggage: userId=alice|Content-Length: <length>",
        '{"thumb": "up", "score": 5}',
        {"status": "Feedback received."},
    ),
    Case(
        "the probe of Azure ML",
        "GET /health HTTP/1.1|Host: localhost:<port>|User-Agent: kube-probe/1.27|Accept: */*|Connection: close",
        "",
        None,
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with serving(tmp_path_factory.mktemp("clients"), FILES, ["flows"]) as running:
        yield running


def exchange(port: int, head: str, body: bytes) -> tuple[int, str, bytes]:
    """Send the bytes; returns status, content type and body."""
    filled = head.replace("<port>", str(port)).replace("<length>", str(len(body))).replace("|", "\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        file = connection.makefile("rwb")
        file.write(f"{filled}\r\n\r\n".encode())
        file.flush()
        if "100-continue" in head:
            assert file.readline().startswith(b"HTTP/1.1 100")
            assert file.readline() == b"\r\n"
        file.write(body)
        file.flush()
        status = int(file.readline().split()[1])
        headers = {}
        while line := file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        if "content-length" in headers:
            return status, headers["content-type"], file.read(int(headers["content-length"]))
        assert headers["transfer-encoding"] == "chunked"
        parts = b""
        while size := int(file.readline(), 16):
            parts += file.read(size)
            file.readline()
        return status, headers["content-type"], parts


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_request_of_a_known_client(endpoint: Endpoint, case: Case) -> None:
    status, kind, body = exchange(endpoint.port, case.head, case.body.encode())
    assert status == case.status, body
    if case.is_stream:
        assert kind == "text/event-stream; charset=utf-8"
        lines = [line for line in body.decode().split("\n\n") if line]
        assert [json.loads(line.removeprefix("data: ")) for line in lines] == case.says
        return
    assert kind.partition(";")[0] == "application/json"
    found = json.loads(body)
    if case.says is None:
        assert found["status"] == "Healthy"
    elif case.status == 200:
        assert found == case.says
    else:
        assert {name: found["error"][name] for name in ("code", "message")} == case.says["error"]
