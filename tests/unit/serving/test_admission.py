"""How much an endpoint takes on: places, a queue, sizes, times, and clients that go or are slow."""

from __future__ import annotations

import gc
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.endpoint import Answer, Endpoint, serving
from tests.support.model_server import ModelServer, Reply, hang

from headrace.serving.flow_stream import FlowStream
from headrace.serving.served import FlowCall

WAITING = {
    "flow.dag.yaml": """\
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${a.output}"}}
nodes:
- {name: a, type: python, source: {type: code, path: a.py}, inputs: {q: "${inputs.q}"}}
""",
    "a.py": """\
import asyncio
from promptflow.core import tool

@tool
async def a(q: str):
    await asyncio.sleep(float(q))
    return q
""",
}
PIECES = {
    "flow.dag.yaml": WAITING["flow.dag.yaml"],
    "a.py": """\
import asyncio
from promptflow.core import tool

@tool
async def a(q: str):
    yield "first"
    if q == "stuck":
        await asyncio.sleep(60)
    while q == "endless":
        await asyncio.sleep(0)
        yield "x" * 100_000
""",
}
LATE = """\
import asyncio
from promptflow.core import tool

@tool
async def a(q: str):
    yield "first"
    await asyncio.sleep(0.2)
    yield "last"
"""
ASKING = {
    "flow.dag.yaml": """\
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${ask.output}"}}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: model
  api: chat
  inputs: {model: m, q: "${inputs.q}"}
""",
    "ask.jinja2": "user:\n{{q}}",
}
SSE = {"accept": "text/event-stream"}


def ask(endpoint: Endpoint, q: str) -> Answer:
    return endpoint.ask("POST", "/score", {"q": q})


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def send_raw(endpoint: Endpoint, text: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", endpoint.port), timeout=5)
    connection.sendall(text.encode())
    return connection


def request_of(q: str, more: str = "") -> str:
    body = json.dumps({"q": q})
    return f"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{more}\r\n{body}"


def test_more_than_there_is_room_for_is_sent_away_and_the_rest_is_answered(tmp_path: Path) -> None:
    limits = {"HEADRACE_SERVE_REQUESTS": "2", "HEADRACE_SERVE_WAITING": "2"}
    with serving(tmp_path, WAITING, ["."], environment=limits) as endpoint, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(endpoint, "0.3"), range(8)))
        assert ask(endpoint, "0").status == 200
        load = endpoint.served.load
        until(lambda: load.n_running == 0)
        assert (load.n_waiting, load.n_refused) == (0, 4)
    assert sorted(answer.status for answer in answers) == [200] * 4 + [429] * 4
    refused = next(answer for answer in answers if answer.status == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.body["error"]["code"] == "UserError"


def test_probes_are_answered_while_everything_is_taken(tmp_path: Path) -> None:
    limits = {"HEADRACE_SERVE_REQUESTS": "1", "HEADRACE_SERVE_WAITING": "0"}
    with serving(tmp_path, WAITING, ["."], environment=limits) as endpoint:
        busy = send_raw(endpoint, request_of("30"))
        until(lambda: endpoint.served.load.n_running == 1)
        assert endpoint.ask("GET", "/healthz").status == 200
        assert ask(endpoint, "0").status == 429
        busy.close()
        until(lambda: endpoint.served.load.n_running == 0)
        assert ask(endpoint, "0").status == 200


def test_who_waits_too_long_for_a_place_is_sent_away_and_who_goes_leaves_the_queue(tmp_path: Path) -> None:
    limits = {"HEADRACE_SERVE_REQUESTS": "1", "HEADRACE_SERVE_WAIT_S": "0.2"}
    with serving(tmp_path, WAITING, ["."], environment=limits) as endpoint:
        load = endpoint.served.load
        busy = send_raw(endpoint, request_of("30"))
        until(lambda: load.n_running == 1)
        assert ask(endpoint, "0").status == 429
        waiting = send_raw(endpoint, request_of("0"))
        until(lambda: load.n_waiting == 1)
        waiting.close()
        until(lambda: load.n_waiting == 0)
        busy.close()
        until(lambda: load.n_running == 0)
        assert ask(endpoint, "0").status == 200


def test_a_request_may_not_be_endless(tmp_path: Path) -> None:
    with serving(tmp_path, WAITING, ["."], environment={"HEADRACE_SERVE_BODY_BYTES": "20"}) as endpoint:
        assert ask(endpoint, "0" * 30).status == 413
        chunked = "POST /score HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection = send_raw(endpoint, chunked + "".join(f"a\r\n{'0' * 10}\r\n" for _ in range(3)))
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
        connection.close()
        assert ask(endpoint, "0").status == 200


def test_a_compressed_body_is_not_taken_for_a_text(tmp_path: Path) -> None:
    with serving(tmp_path, WAITING, ["."]) as endpoint:
        answer = endpoint.ask("POST", "/score", gzip.compress(b'{"q": "0"}'), {"Content-Encoding": "gzip"})
        assert answer.status == 415
        assert answer.headers["accept-encoding"] == "identity"
        assert endpoint.ask("POST", "/score", {"q": "0"}, {"Content-Encoding": "Identity"}).status == 200


def test_a_line_that_takes_too_long_is_cut_and_said(tmp_path: Path) -> None:
    with serving(tmp_path, WAITING, ["."], environment={"HEADRACE_SERVE_TIMEOUT_S": "0.2"}) as endpoint:
        answer = ask(endpoint, "30")
        until(lambda: endpoint.served.load.n_running == 0)
    assert (answer.status, answer.body["error"]["code"], answer.body["error"]["problem"]) == (
        504,
        "SystemError",
        "E603",
    )


def test_a_body_that_does_not_come_is_given_up_without_ever_holding_a_place(tmp_path: Path) -> None:
    limits = {"HEADRACE_SERVE_REQUESTS": "1", "HEADRACE_SERVE_WAITING": "0", "HEADRACE_SERVE_IDLE_S": "0.3"}
    with serving(tmp_path, WAITING, ["."], environment=limits) as endpoint:
        slow = send_raw(endpoint, request_of("0")[:-3])
        assert ask(endpoint, "0").status == 200
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
        slow.close()


def test_a_client_that_goes_ends_the_line_and_the_call_of_the_model(tmp_path: Path) -> None:
    with ModelServer(default=hang()) as model:
        connection = f"type: open_ai\napi_key: k\nbase_url: {model.base_url}\n"
        files = {**ASKING, ".headrace/connections/model.yaml": connection}
        with serving(tmp_path, files, ["."]) as endpoint:
            for more in ("", "Accept: text/event-stream\r\n"):
                client = send_raw(endpoint, request_of("hi", more))
                until(lambda: model.n_open == 1)
                client.close()
                until(lambda: model.n_open == 0)
                until(lambda: endpoint.served.load.n_running == 0)
            assert endpoint.served.load.n_gone == 2


def test_a_client_that_has_its_whole_answer_and_closes_has_not_gone(tmp_path: Path) -> None:
    """However long the request was watched: a server says after the answer that its client has gone."""
    with serving(tmp_path, {**PIECES, "a.py": LATE}, ["."]) as endpoint:
        for more in ("", "Accept: text/event-stream\r\n"):
            with send_raw(endpoint, request_of("hi", f"Connection: close\r\n{more}")) as client:
                while client.recv(1000):
                    pass
        until(lambda: endpoint.served.load.n_running == 0)
        assert (endpoint.served.load.n_gone, endpoint.served.load.n_cut) == (0, 0)


def test_a_request_that_is_over_waits_for_no_garbage_collector(tmp_path: Path) -> None:
    """Where requests are served it runs seldom, and memory would grow until then."""
    gc.collect()
    gc.disable()
    try:
        with serving(tmp_path, {**PIECES, "a.py": LATE}, ["."]) as endpoint:
            for more in ("", "Accept: text/event-stream\r\n"):
                with send_raw(endpoint, request_of("hi", f"Connection: close\r\n{more}")) as client:
                    while client.recv(1000):
                        pass
                with send_raw(endpoint, request_of("hi", more)):
                    time.sleep(0.1)  # long enough to be watched, and not long enough for the answer
            until(lambda: endpoint.served.load.n_running == 0)
            until(lambda: not [item for item in gc.get_objects() if isinstance(item, (FlowStream, FlowCall))])
    finally:
        gc.enable()


def test_a_stream_that_stands_still_ends_and_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, PIECES, ["."], environment={"HEADRACE_SERVE_IDLE_S": "0.3"}) as endpoint:
        answer = endpoint.ask("POST", "/score", {"q": "stuck"}, SSE)
        until(lambda: endpoint.served.load.n_running == 0)
        assert endpoint.served.load.n_cut == 1
    first, last = (json.loads(item.removeprefix("data: ")) for item in answer.text.split("\n\n") if item)
    assert (first, last["error"]["problem"]) == ({"r": "first"}, "E603")


def test_a_reader_that_stops_reading_does_not_hold_its_place(tmp_path: Path) -> None:
    limits = {"HEADRACE_SERVE_REQUESTS": "1", "HEADRACE_SERVE_WAITING": "0", "HEADRACE_SERVE_IDLE_S": "0.3"}
    with serving(tmp_path, PIECES, ["."], environment=limits) as endpoint:
        reader = send_raw(endpoint, request_of("endless", "Accept: text/event-stream\r\n"))
        assert reader.recv(10)
        until(lambda: endpoint.served.load.n_cut == 1)
        until(lambda: endpoint.served.load.n_running == 0)
        assert endpoint.ask("POST", "/score", {"q": "one"}, SSE).status == 200
        reader.close()


def test_a_thread_of_a_tool_is_given_up_with_its_request(tmp_path: Path) -> None:
    tool = "import time\nfrom promptflow.core import tool\n\n@tool\ndef a(q: str):\n    time.sleep(float(q))\n    return q\n"
    with serving(tmp_path, {**WAITING, "a.py": tool}, ["."]) as endpoint:
        clients = [send_raw(endpoint, request_of("2")) for _ in range(20)]
        until(lambda: endpoint.served.load.n_running == 20)
        for client in clients:
            client.close()
        until(lambda: endpoint.served.load.n_running == 0)
        assert ask(endpoint, "0").status == 200
    assert threading.active_count() < 60


def test_answers_of_a_model_stream_through(tmp_path: Path) -> None:
    with ModelServer(default=Reply(text="one two three", piece_delay_s=0.05)) as model:
        connection = f"type: open_ai\napi_key: k\nbase_url: {model.base_url}\n"
        files = {**ASKING, ".headrace/connections/model.yaml": connection}
        with serving(tmp_path, files, ["."]) as endpoint:
            answer = endpoint.ask("POST", "/score", {"q": "hi"}, SSE)
    assert answer.status == 200
    assert answer.headers["x-headrace-flow-version"].startswith(f"{tmp_path.name}@")
    pieces = [json.loads(item.removeprefix("data: "))["r"] for item in answer.text.split("\n\n") if item]
    assert "".join(pieces) == "one two three"
