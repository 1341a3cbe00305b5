"""A fake model service that speaks real HTTP: OpenAI's and Azure's wire format on loopback.

Everything that a client can meet is a :class:`Reply`: an answer, an error with headers, a delay, a hang, a
connection that breaks, something that is not JSON. Replies of a script are used up in order; after that every
request gets what ``default`` says. Requests are recorded.

    with ModelServer([error(429, "rate_limit_exceeded", retry_after_s=1), answer("Paris")]) as server:
        ...  # point a client at server.base_url
        assert server.requests[0].headers["authorization"] == "Bearer key"

As a process, for benchmarks: ``python -m tests.support.model_server --port 0 --delay-ms 200 --seconds 60``.
It writes one line with its address, and stops by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

HANG = "hang"
CLOSE = "close"
CUT = "cut"

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it arrived; header names are in lower case, ``body`` is parsed where it is JSON."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any

    @property
    def operation(self) -> str:
        """chat, completion, embeddings, models or health; empty for any other path."""
        for ending, operation in _OPERATIONS.items():
            if self.path.endswith(ending):
                return operation
        return ""


_OPERATIONS = {
    "/chat/completions": "chat",
    "/completions": "completion",
    "/embeddings": "embeddings",
    "/models": "models",
    "/health": "health",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the service does with one request.

    Attributes:
        text: The answer of a chat or completion; streamed word by word when the request asks for it.
        message: Further fields of the chat message, e.g. ``tool_calls``.
        finish_reason: Of the only choice.
        vector: The embedding of every input.
        usage: ``(prompt tokens, completion tokens)``; ``None`` counts words.
        status: HTTP status.
        headers: Further response headers.
        body: Sent instead of an answer: bytes as they are, anything else as JSON.
        delay_s: Wait before the first byte, seconds.
        piece_delay_s: Wait before each streamed piece, seconds.
        fault: ``hang`` never answers, ``close`` breaks the connection before the first byte, ``cut`` in the
            middle of the body (of a stream: after two pieces).
    """

    text: str = "ok"
    message: Mapping[str, Any] = field(default_factory=dict)
    finish_reason: str = "stop"
    vector: tuple[float, ...] = (0.25, -0.5, 1.0)
    usage: tuple[int, int] | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    delay_s: float = 0.0
    piece_delay_s: float = 0.0
    fault: str | None = None


def answer(text: str, **fields: Any) -> Reply:
    """A chat or completion answer."""
    return Reply(text=text, **fields)


def tool_call(name: str, arguments: Mapping[str, Any], call_id: str = "call_1") -> Reply:
    """A chat answer that asks for one tool call."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    calls = [{"id": call_id, "type": "function", "function": function}]
    return Reply(message={"content": None, "tool_calls": calls}, finish_reason="tool_calls")


def error(
    status: int,
    code: str | None = None,
    *,
    message: str = "the service says no",
    retry_after_s: float | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Reply:
    """An error answer in OpenAI's form; ``detail`` adds fields to the error object."""
    headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
    problem = {"message": message, "type": code, "code": code, "param": None, **(detail or {})}
    return Reply(status=status, headers=headers, body={"error": problem})


def hang() -> Reply:
    """Read the request and never answer."""
    return Reply(fault=HANG)


def broken() -> Reply:
    """Break the connection before the first byte of an answer."""
    return Reply(fault=CLOSE)


def not_json() -> Reply:
    """A page where JSON is expected, as proxies send it."""
    return Reply(headers={"Content-Type": "text/html"}, body=b"<html>please sign in</html>")


class ModelServer:
    """The fake service in a thread of its own. A context manager.

    Args:
        script: Replies to the first requests, in order.
        default: Reply to every further request, or a function that makes it.
        delay_s: Wait before every answer, added to the reply's own, seconds.
        port: 0 takes a free one.
        is_recording: Keep the requests; benchmarks switch it off.
        tls: Speak HTTPS with this certificate.

    Attributes:
        requests: What arrived so far, in order.
        n_connections: Connections that were opened so far.
    """

    def __init__(
        self,
        script: Iterable[Reply] = (),
        *,
        default: Reply | Callable[[Request], Reply] | None = None,
        delay_s: float = 0.0,
        port: int = 0,
        is_recording: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.script = deque(script)
        self.default = default or Reply()
        self.delay_s = delay_s
        self.port = port
        self.is_recording = is_recording
        self.tls = tls
        self.requests: list[Request] = []
        self.n_connections = 0
        self._loop = asyncio.new_event_loop()
        self._is_ready = threading.Event()
        self._has_request = threading.Event()
        self._thread: threading.Thread | None = None
        self._connections: set[_Connection] = set()

    @property
    def url(self) -> str:
        """Address without a path; Azure's ``api_base``."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """Address of the OpenAI-style API."""
        return f"{self.url}/v1"

    @property
    def n_open(self) -> int:
        """Connections that are open now."""
        return len(self._connections)

    def __enter__(self) -> ModelServer:
        self._thread = threading.Thread(target=self.run, name="model-server", daemon=True)
        self._thread.start()
        if not self._is_ready.wait(10):
            raise RuntimeError("the fake model server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join(10)

    def run(self, seconds: float | None = None, on_ready: Callable[[], None] | None = None) -> None:
        """Serve in the current thread until stopped, or for ``seconds``."""
        loop = self._loop
        server = loop.run_until_complete(
            loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, backlog=1024, ssl=self.tls)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._is_ready.set()
        if on_ready is not None:
            on_ready()
        if seconds is not None:
            loop.call_later(seconds, loop.stop)
        try:
            loop.run_forever()
        finally:
            server.close()
            for connection in tuple(self._connections):
                connection.abort()
            loop.run_until_complete(server.wait_closed())
            loop.close()

    def wait_for_request(self, timeout_s: float = 10.0) -> None:
        """Block until the first request has arrived."""
        if not self._has_request.wait(timeout_s):
            raise TimeoutError

    def reply_to(self, request: Request) -> Reply:
        """The next reply of the script, else the default."""
        if self.is_recording:
            self.requests.append(request)
            self._has_request.set()
        if self.script:
            return self.script.popleft()
        return self.default(request) if callable(self.default) else self.default


class _Connection(asyncio.Protocol):
    """One client connection: requests one after the other, as HTTP/1.1 clients send them."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.transport: asyncio.Transport | None = None
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"a stream transport is needed, not {type(transport).__name__}")
        self.transport = transport
        self.server.n_connections += 1
        self.server._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.server._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.received[:1].isalpha():
            # Not HTTP but TLS, to which plain HTTP servers answer like this.
            self.write(_head(400, {"Connection": "close", "Content-Length": "0"}))
            self.finish()
            return
        head, separator, rest = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self.received = rest[length:]
        self.answer(_make_request(first, headers, rest[:length]))

    def answer(self, request: Request) -> None:
        """Send the reply, after its delay."""
        reply = self.server.reply_to(request)
        if reply.fault == HANG:
            return
        delay_s = reply.delay_s + self.server.delay_s
        if delay_s:
            self.server._loop.call_later(delay_s, self.send, request, reply)
        else:
            self.send(request, reply)

    def send(self, request: Request, reply: Reply) -> None:
        """Write the reply now."""
        if reply.fault == CLOSE:
            self.abort()
        elif _is_streamed(request, reply):
            self.start_stream(request, reply)
        else:
            content, payload = _content(request, reply)
            status = 404 if reply.status == 200 and not request.operation else reply.status
            head = _head(
                status, {"Content-Type": content, "Content-Length": str(len(payload)), **reply.headers}
            )
            self.write(head + (payload[: len(payload) // 2] if reply.fault == CUT else payload))
            if reply.fault == CUT:
                self.finish()

    def start_stream(self, request: Request, reply: Reply) -> None:
        """Write the head of an event stream, then its events one by one."""
        headers = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", **reply.headers}
        self.write(_head(reply.status, headers))
        events = deque(_events(request, reply))
        if reply.fault == CUT:
            events = deque(list(events)[:2])
        self.send_event(events, reply)

    def send_event(self, events: deque[bytes], reply: Reply) -> None:
        """Write the next event and come back for the one after it."""
        while events:
            event = events.popleft()
            self.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            if reply.piece_delay_s:
                self.server._loop.call_later(reply.piece_delay_s, self.send_event, events, reply)
                return
        if reply.fault == CUT:
            self.finish()
        else:
            self.write(b"0\r\n\r\n")

    def write(self, data: bytes) -> None:
        """Write unless the client has gone."""
        if self.transport is not None:
            self.transport.write(data)

    def finish(self) -> None:
        """Close after what was written."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()


def _make_request(first: str, headers: Mapping[str, str], payload: bytes) -> Request:
    method, target, _ = first.split(" ", 2)
    # Alone, a path that begins with // would be read as a host; proxies are given whole addresses.
    parts = urlsplit(f"http://host{target}" if target.startswith("/") else target)
    try:
        body = json.loads(payload) if payload else None
    except ValueError:
        body = payload
    return Request(
        method=method,
        path=unquote(parts.path),
        query=dict(parse_qsl(parts.query)),
        headers=headers,
        body=body,
    )


def _is_streamed(request: Request, reply: Reply) -> bool:
    wants_stream = isinstance(request.body, dict) and bool(request.body.get("stream"))
    return wants_stream and reply.body is None and reply.status == 200


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _content(request: Request, reply: Reply) -> tuple[str, bytes]:
    """Content type and bytes of an answer that is sent in one piece."""
    if isinstance(reply.body, bytes):
        return reply.headers.get("Content-Type", "application/octet-stream"), reply.body
    body = _answer_body(request, reply) if reply.body is None else reply.body
    return "application/json", json.dumps(body, ensure_ascii=False).encode()


def _answer_body(request: Request, reply: Reply) -> Any:
    model = request.body.get("model") if isinstance(request.body, dict) else None
    if request.operation == "chat":
        message = {"role": "assistant", "content": reply.text, **reply.message}
        choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason, "logprobs": None}
        return {**_envelope("chat.completion", model), "choices": [choice], "usage": _usage(request, reply)}
    if request.operation == "completion":
        text = {"index": 0, "text": reply.text, "finish_reason": reply.finish_reason, "logprobs": None}
        return {**_envelope("text_completion", model), "choices": [text], "usage": _usage(request, reply)}
    if request.operation == "embeddings":
        given = request.body["input"]
        count = 1 if isinstance(given, str) else len(given)
        vector: Any = list(reply.vector)
        if request.body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data = [{"object": "embedding", "index": i, "embedding": vector} for i in range(count)]
        usage = _usage(request, reply)
        del usage["completion_tokens"]
        return {"object": "list", "model": model, "data": data, "usage": usage}
    if request.operation == "models":
        return {"object": "list", "data": [{"id": "fake-model", "object": "model", "owned_by": "tests"}]}
    if request.operation == "health":
        return {"status": "ok"}
    return {"error": {"message": f"no route {request.path}", "type": "invalid_request_error", "code": None}}


def _envelope(kind: str, model: str | None) -> dict[str, Any]:
    return {"id": "fake-1", "object": kind, "created": 1_700_000_000, "model": model}


def _usage(request: Request, reply: Reply) -> dict[str, int]:
    prompt_tokens, completion_tokens = reply.usage or (_count_words(request.body), len(reply.text.split()))
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def _count_words(body: Any) -> int:
    given = body.get("messages") or body.get("prompt") or body.get("input") or ""
    texts = [given] if isinstance(given, str) else given
    return sum(len(str(item.get("content") if isinstance(item, dict) else item).split()) for item in texts)


def _events(request: Request, reply: Reply) -> list[bytes]:
    """The events of a streamed chat or completion, each with its ending blank line."""
    is_chat = request.operation == "chat"
    kind = "chat.completion.chunk" if is_chat else "text_completion"
    envelope = _envelope(kind, request.body.get("model"))
    deltas: list[dict[str, Any]] = (
        [{"role": "assistant", "content": ""}, dict(reply.message)] if is_chat else []
    )
    deltas += [{"content": piece} for piece in _pieces(reply.text)]
    chunks = [{**envelope, "choices": [_stream_choice(delta, None, is_chat)]} for delta in deltas if delta]
    chunks.append({**envelope, "choices": [_stream_choice({}, reply.finish_reason, is_chat)]})
    if (request.body.get("stream_options") or {}).get("include_usage"):
        chunks.append({**envelope, "choices": [], "usage": _usage(request, reply)})
    events = [b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n" for chunk in chunks]
    return [*events, b"data: [DONE]\n\n"]


def _stream_choice(delta: Mapping[str, Any], finish_reason: str | None, is_chat: bool) -> dict[str, Any]:
    if is_chat:
        return {"index": 0, "delta": dict(delta), "finish_reason": finish_reason}
    return {"index": 0, "text": delta.get("content", ""), "finish_reason": finish_reason}


def _pieces(text: str) -> list[str]:
    words = text.split(" ")
    return [word if position == 0 else f" {word}" for position, word in enumerate(words)]


def main() -> None:
    """Serve as a process of its own."""
    parser = argparse.ArgumentParser(description="A fake OpenAI-compatible model service on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--piece-delay-ms", type=float, default=0.0)
    parser.add_argument("--text", default="ok")
    parser.add_argument("--seconds", type=float, default=60.0, help="stop by itself after this time")
    options = parser.parse_args()
    server = ModelServer(
        default=Reply(text=options.text, piece_delay_s=options.piece_delay_ms / 1000),
        delay_s=options.delay_ms / 1000,
        port=options.port,
        is_recording=False,
    )
    server.run(options.seconds, on_ready=lambda: print(server.base_url, flush=True))  # noqa: T201


if __name__ == "__main__":
    main()
