"""Running an app on an address: listening, saying when it is ready, letting requests end, ending in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil
from types import FrameType
from typing import Any, TypeVar

import uvicorn
from starlette.types import ASGIApp
from uvicorn.loops.auto import auto_loop_factory

from headrace.errors import Problem, StateError

_BACKLOG = 2048
_COLLECT_AFTER = (10_000, 20, 50)
_TICKS_A_SECOND = 10
_FAST_HTTP = "headrace.serving.fast_http:FastHttp"
_PLAIN_HTTP = "h11"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTimes:
    """How long a server waits for what, seconds.

    Attributes:
        idle_s: A connection without a request is closed after this time.
        grace_s: How long requests in flight may go on after the signal to stop; ``None`` for as long as they take.
        stop_delay_s: How long requests are still accepted after that signal.
    """

    idle_s: float = 60.0
    grace_s: float | None = None
    stop_delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCalls:
    """What a server calls.

    Attributes:
        on_ready: Once requests are accepted.
        on_stop: At the signal to stop, before anything else.
        on_reload: At ``SIGHUP``, in the event loop; without it, the signal means what it means to every process.
    """

    on_ready: Callable[[], None] = lambda: None
    on_stop: Callable[[], None] = lambda: None
    on_reload: Callable[[], None] | None = None


def http_protocol() -> str:
    """What reads HTTP for uvicorn, by its name: the faster of what is installed."""
    return _FAST_HTTP if find_spec("httptools") else _PLAIN_HTTP


def run_in_loop(main: Coroutine[Any, Any, Result]) -> Result:
    """Run what serves to its end, in uvloop's event loop where that is installed, else in asyncio's."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        return runner.run(main)


async def run_app(
    app: ASGIApp,
    listener: socket.socket,
    calls: ServerCalls,
    times: ServerTimes = ServerTimes(),
) -> None:
    """Serve an app until the process is asked to stop, or until the task is cancelled; requests in flight end first.

    After ``SIGTERM`` this returns, so that the process can end with success; after Ctrl-C, ``KeyboardInterrupt`` is
    raised.

    Args:
        app: Answers the requests.
        listener: Has an address, see :func:`bind`; closed at the end.
        calls: What to tell whom.
        times: How long to wait for what.
    """
    with listener:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            interface="asgi3",  # an app may be a plain function that returns an awaitable
            server_header=False,
            lifespan="off",
            ws="none",
            http=http_protocol(),
            backlog=_BACKLOG,
            timeout_keep_alive=ceil(times.idle_s),
            timeout_graceful_shutdown=None if times.grace_s is None else ceil(times.grace_s),
        )
        server = _Server(config, calls, times)
        try:
            with _rare_collections():
                await server.serve(sockets=[listener])
        except asyncio.CancelledError:
            # Stopped by our caller instead of a signal: requests under way still end in order.
            if server.started:
                await server.shutdown(sockets=[listener])
            raise


@contextlib.contextmanager
def _rare_collections() -> Generator[None]:
    """Let the garbage collector look at less, and less often, while requests are answered.

    What was loaded before stays, and need not be looked through again and again; and the objects of dozens of requests
    under way make the collector begin every few requests, although almost all of them go without it.
    """
    before, is_frozen = gc.get_threshold(), gc.get_freeze_count() > 0
    gc.collect()
    gc.freeze()
    if before[0]:  # 0 is for a process that looks for none
        gc.set_threshold(*map(max, before, _COLLECT_AFTER))
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if not is_frozen:  # what others have left alone stays so
            gc.unfreeze()


def bind(host: str, port: int) -> socket.socket:
    """A socket that has an address; port 0 takes a free one. The server listens on it once it can answer.

    Its connections send at once: asyncio says so only for sockets that it opens itself, and the body of an answer would
    wait 40 ms for the client to acknowledge the head.

    Raises:
        StateError: S809 when the address cannot be had.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        # Elsewhere it would take the port from another server; and a free port could be that of somebody who has bound
        # it so and does not listen yet.
        if os.name == "posix" and port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise _not_free(host, port, error) from error
    return bound


def _not_free(host: str, port: int, error: Exception) -> StateError:
    reason = (getattr(error, "strerror", None) or "not an address of this machine").lower()
    what = f"Cannot listen on {host} port {port}: {reason}."
    fix = "Choose another port with --port, or stop the process that has it."
    return StateError(Problem(code="S809", what=what, fix=fix))


def address_of(host: str, listener: socket.socket) -> str:
    """``http://host:port`` of a listening socket."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"


class _Server(uvicorn.Server):
    """A server that says when it accepts requests and when it stops, and closes connections that stand still."""

    def __init__(self, config: uvicorn.Config, calls: ServerCalls, times: ServerTimes) -> None:
        super().__init__(config)
        self._calls = calls
        self._times = times
        self._idle = IdleConnections(times.idle_s)
        self._stop_at_s: float | None = None
        self._was_interrupted = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except OSError as error:  # another server has bound the address as well, and listened first
            host, port = sockets[0].getsockname()[:2] if sockets else ("", 0)
            raise _not_free(host, port, error) from error
        self._calls.on_ready()

    async def on_tick(self, counter: int) -> bool:
        now_s = time.monotonic()
        if counter % _TICKS_A_SECOND == 0:
            self._idle.close_old(self.server_state.connections, now_s)
        if self._stop_at_s is not None and now_s >= self._stop_at_s:
            self.should_exit = True
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop at a signal, and give the signals back afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        caught: dict[int, Any] = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        loop, on_reload = asyncio.get_running_loop(), self._calls.on_reload
        if on_reload is not None and hasattr(signal, "SIGHUP"):
            caught[signal.SIGHUP] = signal.signal(
                signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(on_reload)
            )
        try:
            yield
        finally:
            for number, before in caught.items():
                signal.signal(number, before)
        if self._was_interrupted:
            raise KeyboardInterrupt

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second Ctrl-C does not wait for requests."""
        del frame
        is_first = self._stop_at_s is None
        if is_first:
            self._calls.on_stop()
            self._stop_at_s = time.monotonic() + (self._times.stop_delay_s if sig == signal.SIGTERM else 0)
        elif sig == signal.SIGINT:
            self.should_exit = self.force_exit = True
        self._was_interrupted = self._was_interrupted or sig == signal.SIGINT


class IdleConnections:
    """Closes connections on which nothing happens, whichever of uvicorn's protocols they speak.

    uvicorn closes a connection some time after an answer. This closes those that never sent a whole request, and those
    that are closing but whose peer takes no bytes.

    Args:
        idle_s: How long one may stand still, seconds.
    """

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._since: dict[Any, tuple[object, float]] = {}

    def close_old(self, connections: Iterable[Any], now_s: float) -> None:
        """Look at all open connections; called once a second or so."""
        seen: dict[Any, tuple[object, float]] = {}
        for connection in tuple(connections):
            transport, cycle = connection.transport, getattr(connection, "cycle", None)
            is_closing = transport.is_closing()
            if not is_closing and cycle is not None and not cycle.response_complete:
                continue
            state = (is_closing, cycle)
            before, since_s = self._since.get(connection, (None, now_s))
            if before != state:
                since_s = now_s
            if now_s - since_s > self._idle_s:
                transport.abort()
            else:
                seen[connection] = (state, since_s)
        self._since = seen
