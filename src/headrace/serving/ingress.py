"""The process in front of the deployments of an endpoint on this machine: splits requests, pins, copies, passes on.

It does what the endpoints of Azure Machine Learning do, so that the same clients work: requests are drawn by percent,
the header ``azureml-model-deployment`` names a deployment whatever its traffic, and 404 is the answer where nobody has
traffic. The file of the endpoint is looked at for every request, so a change counts from the next one on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import httpx2
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace import __version__
from headrace.config import load_settings
from headrace.domain.access import AccessRules, is_loopback
from headrace.domain.remote import PIN
from headrace.errors import HeadraceError
from headrace.formats.local_endpoint import LocalCopy, LocalEndpoint, read_local_endpoint
from headrace.serving.access import OPEN_PATHS, READY_PATH, guard
from headrace.serving.callers import KEY_HEADERS
from headrace.serving.flow_errors import refusal
from headrace.serving.request_id import ID_HEADERS, REQUEST_ID, RequestIds
from headrace.serving.server import ServerCalls, ServerTimes, bind, run_app, run_in_loop

MOST_COPIES = 32
"""Copied requests at once; what is more is not copied."""

_CONNECT_S = 5.0
_MORE_S = 10.0
"""How much longer than a deployment may take an answer is waited for, seconds."""

_HOST = "127.0.0.1"
_PIN = PIN.encode()
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade".split()
)
_NOT_SENT = _HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"authorization",
    b"origin",
    b"expect",
    _PIN,
    *KEY_HEADERS,
    *ID_HEADERS,
}
_NOT_ANSWERED = _HOP_BY_HOP | {b"date", b"server", _PIN, *ID_HEADERS}

# Which requests go where has to be fair, not secret.
_draws = Random()  # noqa: S311


class _GoneError(Exception):
    """Whoever asked waits no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One request as it is passed on."""

    method: str
    target: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class Ingress:
    """The app.

    Args:
        file: Of the endpoint, see :mod:`headrace.formats.local_endpoint`.
        body_bytes: The largest body that is passed on.

    Raises:
        HeadraceError: The file cannot be read.
    """

    def __init__(self, file: Path, body_bytes: int) -> None:
        self._file = file
        self._body_bytes = body_bytes
        self._stamp: tuple[int, int, int] | None = None
        self._there = LocalEndpoint()
        self._guarded: ASGIApp = self._answer
        self._guarded_by: tuple[str, str] | None = None
        self._client: httpx2.AsyncClient | None = None
        self._copies: asyncio.TaskGroup | None = None
        self._n_copies = 0
        self.is_draining = False
        self._look(is_first=True)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold connections to deployments during the block; copied requests end with it."""
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=30.0)
        async with (
            httpx2.AsyncClient(limits=limits, trust_env=False, follow_redirects=False) as self._client,
            asyncio.TaskGroup() as group,
        ):
            self._copies = group
            until = group.create_task(asyncio.Event().wait())  # the group lasts as long as the block
            try:
                yield
            finally:
                self._copies = None
                until.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self._look()
        await self._guarded(scope, receive, send)

    def _look(self, *, is_first: bool = False) -> None:
        """Take over the file where it has changed; one that cannot be read changes nothing."""
        try:
            status = self._file.stat()
        except OSError:
            return
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp == self._stamp:
            return
        try:
            there = read_local_endpoint(self._file)
            if there is None:
                return
            self._take_rules(there)
        except HeadraceError as error:
            if is_first:
                raise
            _say(str(error))
        else:
            self._there = there
        self._stamp = stamp

    def _take_rules(self, there: LocalEndpoint) -> None:
        host = there.front.host if there.front is not None else _HOST
        if self._guarded_by == (host, there.key_file):
            return
        is_local = is_loopback(host)
        if not is_local and not there.key_file:  # never reached by the target, which refuses it
            return
        rules = AccessRules(is_local=is_local, key_file=Path(there.key_file) if there.key_file else None)
        self._guarded = guard(self._answer, rules, open_paths=("/",))
        self._guarded_by = (host, there.key_file)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of somebody who may ask."""
        there = self._there
        if scope["path"] == READY_PATH:
            is_ready = bool(there.traffic) and not self.is_draining
            status = "Draining" if self.is_draining else "Ready" if is_ready else "NotReady"
            await JSONResponse({"status": status}, 200 if is_ready else 503)(scope, receive, send)
            return
        if scope["path"] in OPEN_PATHS:
            await JSONResponse({"status": "Healthy", "version": __version__})(scope, receive, send)
            return
        headers = dict(scope["headers"])
        pinned = headers.get(_PIN, b"").decode("latin-1")
        name = pinned or _draw(there.traffic)
        item = there.deployments.get(name)
        if item is None or item.copy is None:
            what = f"There is no deployment {pinned}." if pinned else "No deployment has traffic."
            await JSONResponse(refusal(404, what), 404)(scope, receive, send)
            return
        body = await self._read_body(receive)
        if body is None:
            await JSONResponse(refusal(413, "The request is too large."), 413)(scope, receive, send)
            return
        asked = _Asked(method=scope["method"], target=_target(scope), headers=_sent(scope), body=body)
        if not pinned:
            self._copy(there, asked)
        await _unless_gone(receive, _Passage(self._opened_client(), name, item.copy, asked), scope, send)

    def _opened_client(self) -> httpx2.AsyncClient:
        assert self._client is not None  # noqa: S101 - requests come only while it is open
        return self._client

    async def _read_body(self, receive: Receive) -> bytes | None:
        """The body; ``None`` for one that is too large."""
        pieces, size = [], 0
        while True:
            message = await receive()
            piece = message.get("body", b"")
            size += len(piece)
            if size > self._body_bytes:
                return None
            pieces.append(piece)
            if not message.get("more_body"):
                return b"".join(pieces)

    def _copy(self, there: LocalEndpoint, asked: _Asked) -> None:
        """Send copies of a request beside everything else; nobody gets what is answered to them."""
        if asked.method != "POST" or self._copies is None:
            return
        for name, share in there.mirror.items():
            item = there.deployments.get(name)
            is_drawn = _draws.random() * 100 < share
            if item is not None and item.copy is not None and is_drawn and self._n_copies < MOST_COPIES:
                self._n_copies += 1
                self._copies.create_task(self._send_copy(item.copy, asked))

    async def _send_copy(self, copy: LocalCopy, asked: _Asked) -> None:
        try:
            with suppress(httpx2.HTTPError):
                async with _opened_answer(self._opened_client(), copy, asked) as answer:
                    async for _ in answer.aiter_raw():
                        pass
        finally:
            self._n_copies -= 1


@dataclass(frozen=True, slots=True)
class _Passage:
    """One request on its way to a deployment, and the answer on its way back."""

    client: httpx2.AsyncClient
    name: str
    copy: LocalCopy
    asked: _Asked

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the answer as it comes."""
        has_begun = False
        try:
            async with _opened_answer(self.client, self.copy, self.asked) as answer:
                headers = [
                    (name, value) for name, value in answer.headers.raw if name.lower() not in _NOT_ANSWERED
                ]
                headers.append((_PIN, self.name.encode()))
                has_begun = True
                await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
                async for piece in answer.aiter_raw():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except httpx2.HTTPError as error:
            if has_begun:
                return  # the server closes the connection, so that nobody takes half an answer for a whole one
            is_slow = isinstance(error, httpx2.ReadTimeout)
            status = 504 if is_slow else 502
            what = f"The deployment {self.name} {'takes too long' if is_slow else 'does not answer'}."
            response = JSONResponse(refusal(status, what), status, {PIN: self.name})
            await response(scope, receive, send)


async def _unless_gone(receive: Receive, passage: _Passage, scope: Scope, send: Send) -> None:
    """Pass a request on until whoever asked has gone; then what runs for it is cancelled."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        raise _GoneError

    try:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch())
            await passage.run(scope, receive, send)
            watching.cancel()
    except* _GoneError:
        pass


@asynccontextmanager
async def _opened_answer(
    client: httpx2.AsyncClient, copy: LocalCopy, asked: _Asked
) -> AsyncIterator[httpx2.Response]:
    """The answer of a deployment, of which only the head has come."""
    headers = [*asked.headers, (b"authorization", f"Bearer {copy.key}".encode())]
    timeout = httpx2.Timeout(copy.timeout_s + _MORE_S, connect=_CONNECT_S)
    # Not through the client's own methods, which add headers that nobody has sent.
    request = httpx2.Request(
        asked.method,
        f"http://{_HOST}:{copy.port}{asked.target}",
        headers=headers,
        content=asked.body,
        extensions={"timeout": timeout.as_dict()},
    )
    answer = await client.send(request, stream=True)
    try:
        yield answer
    finally:
        await answer.aclose()


def _draw(traffic: Mapping[str, int]) -> str:
    """A deployment by its share; empty where nobody has one."""
    names = [name for name, share in traffic.items() if share > 0]
    return _draws.choices(names, [traffic[name] for name in names])[0] if names else ""


def _target(scope: Scope) -> str:
    """Path and query as they were asked for."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")


def _sent(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The headers that go on to a deployment: who asks stays here, where it was checked."""
    kept = [(name, value) for name, value in scope["headers"] if name not in _NOT_SENT]
    return [*kept, (ID_HEADERS[0], scope[REQUEST_ID].encode())]


def serve_ingress(file: Path) -> int:
    """Serve until the process is asked to stop; requests in flight end first.

    Args:
        file: Of the endpoint; says where to listen.

    Returns:
        The exit code; what went wrong is on standard error by then.
    """
    settings = load_settings()
    try:
        there = read_local_endpoint(file)
        if there is None or there.front is None:
            _say(f"There is no endpoint in {file}.")
            return 1
        ingress = Ingress(file, settings.serving.body_bytes)
        listener = bind(there.front.host, there.front.port)
    except HeadraceError as error:
        _say(str(error))
        return int(error.exit_code)

    def drain() -> None:
        ingress.is_draining = True

    async def serve() -> None:
        async with ingress.opened():
            await run_app(
                RequestIds(ingress),
                listener,
                ServerCalls(on_stop=drain),
                ServerTimes(
                    idle_s=settings.serving.idle_s,
                    grace_s=settings.grace_s,
                    stop_delay_s=settings.serving.stop_delay_s,
                ),
            )

    with suppress(KeyboardInterrupt):
        run_in_loop(serve())
    return 0


def _say(text: Any) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(serve_ingress(Path(sys.argv[1])))
