"""A guarded app behind real HTTP on loopback, and an issuer of tokens."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from headrace.domain.access import AccessRules
from headrace.serving.access import CALLER, guard
from headrace.serving.server import ServerCalls, bind, run_app


@dataclass
class App:
    """Says who asks; holds requests to /slow until it is let go.

    Attributes:
        n_requests: Requests that came through.
        go: Lets the slow requests go.
    """

    n_requests: int = 0
    go: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.n_requests += 1
        if scope["path"] == "/slow":
            await asyncio.to_thread(self.go.wait, 10)
        response = JSONResponse({"caller": scope.get(CALLER)})
        response.headers["cache-control"] = "no-cache"
        await response(scope, receive, send)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Guarded:
    """A running app."""

    port: int
    app: App

    def ask(self, method: str = "POST", path: str = "/score", **headers: str) -> Answer:
        """Send one request; ``_`` in the names of headers stands for ``-``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(
            method, path, b"{}", {name.replace("_", "-"): text for name, text in headers.items()}
        )
        response = connection.getresponse()
        content = response.read()
        connection.close()
        is_json = response.getheader("content-type", "").startswith("application/json")
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, named, json.loads(content) if is_json else content.decode())

    def caller(self, token: str) -> Any:
        """Who the endpoint takes the holder of a key or token for; the status where it takes him for nobody."""
        answer = self.ask(authorization=f"Bearer {token}")
        return answer.body["caller"] if answer.status == 200 else answer.status


@contextmanager
def guarded(rules: AccessRules, host: str = "127.0.0.1") -> Iterator[Guarded]:
    """An app behind ``rules``, in a thread of its own."""
    app = App()
    ready, listener = threading.Event(), bind(host, 0)
    port = listener.getsockname()[1]
    loop = asyncio.new_event_loop()

    app_around = guard(app, rules, open_paths=["/page"])
    task = loop.create_task(run_app(app_around, listener, ServerCalls(on_ready=ready.set)))

    def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.run_until_complete(loop.shutdown_default_executor())

    thread = threading.Thread(target=run, name="guarded")
    thread.start()
    assert ready.wait(10)
    try:
        yield Guarded(port, app)
    finally:
        app.go.set()
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        loop.close()


@dataclass
class Issuer:
    """An issuer of tokens: keys of its own, and a server that tells the public ones.

    Attributes:
        address: Its name, and where it is.
        keys: Private keys by id, of which the server tells the public part.
        n_asked: How often it was asked for its keys.
        is_broken: Whether it answers with status 500.
        moved_to: Where its keys are now, to which it sends whoever asks for them.
    """

    address: str
    keys: dict[str, Any]
    n_asked: int = 0
    is_broken: bool = False
    moved_to: str | None = None
    extra: list[dict[str, Any]] = field(default_factory=list)

    def key_set(self) -> dict[str, Any]:
        """What the server tells."""
        entries = []
        for name, key in self.keys.items():
            kind = jwt.algorithms.ECAlgorithm if hasattr(key, "curve") else jwt.algorithms.RSAAlgorithm
            entries.append({**kind.to_jwk(key.public_key(), as_dict=True), "kid": name, "use": "sig"})
        return {"keys": [*entries, *self.extra]}

    def token(
        self, claims: Mapping[str, Any], *, key: str = "rsa", algorithm: str = "RS256", **headers: Any
    ) -> str:
        """A token that is signed with one of the keys."""
        return jwt.encode(dict(claims), self.keys[key], algorithm=algorithm, headers={"kid": key, **headers})


_RSA, _OTHER_RSA, _EC = (
    rsa.generate_private_key(65537, 2048),
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
)


@contextmanager
def issuer() -> Iterator[Issuer]:
    """An issuer on loopback with the keys ``rsa`` and ``ec``."""
    found = Issuer("", {"rsa": _RSA, "ec": _EC})

    class Told(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_keys = self.path.endswith("/keys")
            found.n_asked += is_keys
            told = {"issuer": found.address, "jwks_uri": f"{found.address}/keys"}
            content = json.dumps(found.key_set() if is_keys else told).encode()
            has_moved = is_keys and found.moved_to is not None
            self.send_response(500 if found.is_broken else 302 if has_moved else 200)
            if has_moved:
                self.send_header("location", str(found.moved_to))
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Told)
    found.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def another_rsa_key() -> Any:
    """A private key that no issuer tells of unless it is given to one."""
    return _OTHER_RSA
