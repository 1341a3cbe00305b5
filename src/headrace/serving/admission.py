"""How much is taken on at once: requests in flight, requests that wait, sizes, times.

A request takes a place only when its whole body is there, and gives it back when its answer is sent, when it has taken
too long, when its reader has stopped reading or when its client has gone: whichever comes first. The line behind it is
cancelled then, and with it the model calls that it waits for. Only requests that run something count; probes, pages and
schemas are always answered.

Most requests are short, so nothing watches one until it has lasted :data:`_WATCH_AFTER_S`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Mapping
from math import ceil
from typing import Any, Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.config import ServingLimits
from headrace.engine.alarms import running_alarms
from headrace.serving.flow_errors import refusal, timed_out
from headrace.serving.flow_stream import write_event
from headrace.serving.load import Load
from headrace.serving.observed import note_cut, note_wait
from headrace.serving.routes import HAS_STARTED

ENDED = "headrace.ended"
"""Key of the scope of a request that was ended before its answer was whole: :data:`SLOW`, or another word."""

SLOW: Final = "slow"
"""It took too long, or has said nothing for too long; every other word means that nobody waited for it any more."""

_WATCH_AFTER_S = 0.05
_MOST_RETRY_AFTER_S = 60
_WHOLE_BODIES = 8
"""How many bodies of the largest size may be on their way at once, all of them together."""

_AS_IT_IS = (b"", b"identity")
"""Content codings that change nothing; no other is taken, so that a small request cannot become a large one."""

_GONE: Final = "gone"
_SLOW_BODY: Final = "slow body"
_STUCK: Final = "stuck"
_STOPPING: Final = "server-stopping"
_WAITED: Final = "waited"


class Admission:
    """Middleware around what runs flows.

    Args:
        app: Answers the requests that are taken on.
        limits: See :class:`~headrace.config.ServingLimits`.
        load: Kept up to date.
    """

    def __init__(self, app: ASGIApp, limits: ServingLimits, load: Load) -> None:
        self.app = app
        self.limits = limits
        self.load = load
        self.n_bytes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return self.app(scope, receive, send)
        return _Passage(self, scope, receive, send).run()

    def take_free_place(self) -> bool:
        """Take a place if there is one."""
        if self.load.n_running >= self.limits.max_requests:
            return False
        self.load.n_running += 1
        return True

    async def wait_for_place(self) -> bool:
        """Wait for a place; false when too many wait already."""
        load = self.load
        if load.n_waiting >= self.limits.max_waiting:
            return False
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        load.n_waiting += 1
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it was given the place that it no longer wants
                self._pass_place_on()
            else:
                self._waiting.remove(place)
            raise
        finally:
            load.n_waiting -= 1
        return True

    def give_place(self, took_s: float) -> None:
        """Give a place back, after a request that took some time, seconds."""
        self.load.mean_s += 0.1 * (took_s - self.load.mean_s)
        self._pass_place_on()

    def _pass_place_on(self) -> None:
        """Give a place to the one who has waited longest."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.load.n_running -= 1

    def retry_after_s(self) -> int:
        """When there will probably be room."""
        load = self.load
        wait_s = load.mean_s * (load.n_waiting + 1) / self.limits.max_requests
        return max(1, min(_MOST_RETRY_AFTER_S, ceil(wait_s)))


class _Passage:
    """One request on its way: its body, its wait, its run. Each has a limit, and all end when the client goes."""

    __slots__ = ("_admission", "_alarms", "_began_s", "_body", "_gone", "_is_events", "_is_sending", "_is_whole",
                 "_limits", "_loop", "_n_held", "_receive", "_scope", "_send", "_since_s", "_task",
                 "_watcher", "_why", "_within")  # fmt: skip

    def __init__(self, admission: Admission, scope: Scope, receive: Receive, send: Send) -> None:
        self._admission = admission
        self._limits = admission.limits
        self._scope = scope
        self._receive = receive
        self._send = send
        self._alarms = running_alarms()
        self._loop = self._alarms.loop
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._body: bytes | None = None
        self._n_held = 0
        self._is_sending = self._is_events = self._is_whole = False
        self._why: str | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._gone: asyncio.Future[Message] | None = None
        self._within = _SLOW_BODY
        self._began_s = self._since_s = self._loop.time()
        self._alarms.set(self, self._began_s + _WATCH_AFTER_S)

    async def run(self) -> None:
        """Answer the request."""
        admission = self._admission
        try:
            if not await self._read_body():
                return
            self._within, self._since_s = _WAITED, self._loop.time()
            if not admission.take_free_place() and not await admission.wait_for_place():
                await self._refuse_for_now("Too many requests are waiting already.")
                return
            note_wait(self._since_s, self._loop.time())
            self._within, self._since_s = SLOW, self._loop.time()
            try:
                await admission.app(self._scope, self._give_body, self._pass_on)
            finally:
                admission.give_place(self._loop.time() - self._began_s)
        except asyncio.CancelledError:
            if self._why is None or self._task is None or self._task.uncancel():
                # Not raised: this is the end of the task, and no fault that a log should show.
                await self._say_stop()
            else:
                await self._say_why(self._why)
        finally:
            self._alarms.clear(self)
            watcher, self._watcher = self._watcher, None  # which would hold on to itself by its traceback
            if watcher is not None:
                watcher.cancel()
            admission.n_bytes -= self._n_held

    async def _read_body(self) -> bool:
        """Read the body; false when the request was answered, or has gone."""
        most = self._limits.body_bytes
        for name, value in self._scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > most:
                return await self._refuse_size()
            if name == b"content-encoding" and value.strip().lower() not in _AS_IT_IS:
                what = "The body of the request is compressed, which is not taken."
                headers = {"connection": "close", "accept-encoding": "identity"}
                await self._answer(JSONResponse(refusal(415, what), 415, headers))
                return False
        message = await self._receive()
        body = message.get("body", b"")
        if message.get("more_body", False):
            parts = bytearray(body)
            while message.get("more_body", False):
                if len(parts) > most:
                    return await self._refuse_size()
                if not self._hold(len(body)):
                    await self._refuse_for_now("Too many large requests are on their way already.")
                    return False
                message = await self._receive()
                self._since_s = self._loop.time()
                body = message.get("body", b"")
                parts += body
            body = bytes(parts)
        if message["type"] == "http.disconnect":
            self._admission.load.n_gone += 1
            return False
        if len(body) > most:
            return await self._refuse_size()
        self._body = body
        return True

    def _hold(self, n_bytes: int) -> bool:
        self._n_held += n_bytes
        self._admission.n_bytes += n_bytes
        return self._admission.n_bytes <= _WHOLE_BODIES * self._limits.body_bytes

    async def _give_body(self) -> Message:
        """What the app receives: the whole body, and then nothing until the client goes."""
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        if self._gone is None:
            self._gone = self._loop.create_future()
        return await asyncio.shield(self._gone)

    async def _pass_on(self, message: Message) -> None:
        """What the app sends."""
        if message["type"] == "http.response.start":
            self._within = _STUCK
            self._is_events = (b"content-type", b"text/event-stream; charset=utf-8") in message["headers"]
        self._is_sending = True
        self._since_s = self._loop.time()
        await self._send(message)
        self._is_sending = False
        self._is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        self._since_s = self._loop.time()

    def ring(self) -> None:
        """Watch a request that lasts, and end it when its time is over."""
        if self._watcher is None and self._within != _SLOW_BODY:
            self._watcher = self._loop.create_task(self._watch())
        limits = self._limits
        limit_s = {_WAITED: limits.wait_s, SLOW: limits.request_s}.get(self._within, limits.idle_s)
        left_s = self._since_s + limit_s - self._loop.time()
        if self._within == _SLOW_BODY:  # pieces that keep coming slowly do not make it endless
            left_s = min(left_s, self._began_s + limits.request_s - self._loop.time())
        if left_s <= 0:
            self._cancel(self._within)
            return
        if self._watcher is None:
            left_s = min(left_s, _WATCH_AFTER_S)
        self._alarms.set(self, self._loop.time() + min(left_s, 1.0))

    async def _watch(self) -> None:
        """End the request when its client goes, unless it has its whole answer: servers say then that it has gone."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                break
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(message)
        if not self._is_whole:
            self._cancel(_GONE)

    def _cancel(self, why: str) -> None:
        if self._why is None and self._task is not None:
            self._why = why
            is_silent = why == _STUCK and not self._is_sending
            self._scope[ENDED] = SLOW if is_silent else why
            self._task.cancel()

    async def _say_why(self, why: str) -> None:
        """Answer a request that was ended, as far as it still can be."""
        load, limits = self._admission.load, self._limits
        if why == _GONE:
            load.n_gone += 1
            return
        if why == _WAITED:
            await self._refuse_for_now(f"There was no place for the request within {limits.wait_s:g} s.")
            return
        load.n_cut += 1
        if why == _SLOW_BODY:
            what = f"The body of the request did not arrive: nothing came for {limits.idle_s:g} s, or it took too long."
            await self._answer(JSONResponse(refusal(408, what), 408, {"connection": "close"}))
        elif why == SLOW:
            body = timed_out(f"The flow took longer than {limits.request_s:g} s.")
            await self._answer(JSONResponse(body, 504))
        else:
            note_cut(why)
            await self._end_stream(timed_out(f"The flow said nothing more for {limits.idle_s:g} s."))

    async def _say_stop(self) -> None:
        """Answer a request for which the server waits no longer, as far as it still can be."""
        body = refusal(503, "The server is stopping.")
        if HAS_STARTED not in self._scope:
            await self._answer(JSONResponse(body, 503, {"connection": "close"}))
        else:
            self._admission.load.n_cut += 1
            note_cut(_STOPPING)
            await self._end_stream(body)

    async def _end_stream(self, body: Mapping[str, Any]) -> None:
        """Say why an answer that has begun ends here, where another event can be sent."""
        if self._is_events and not self._is_sending:
            await self._send({"type": "http.response.body", "body": write_event(body), "more_body": False})

    async def _refuse_size(self) -> bool:
        what = f"The request is larger than {self._limits.body_bytes:,} bytes."
        await self._answer(JSONResponse(refusal(413, what), 413, {"connection": "close"}))
        return False

    async def _refuse_for_now(self, what: str) -> None:
        self._admission.load.n_refused += 1
        headers = {"retry-after": str(self._admission.retry_after_s())}
        await self._answer(JSONResponse(refusal(429, what), 429, headers))

    async def _answer(self, response: JSONResponse) -> None:
        await response(self._scope, self._receive, self._send)
