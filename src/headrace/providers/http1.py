"""A small HTTP/1.1 client for requests with a JSON body: direct connections, kept and used again.

It does what calls of a model service need and nothing else: no redirects, no cookies, no proxies. A request costs
about a third of what general clients cost, and importing it costs nothing; see docs/decisions/0005.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address

from headrace.providers.http1_answer import END_OF_HEAD, Body, NotHttpError, decompressed, parse_head
from headrace.providers.reach import reach

IDLE_S = 15.0
"""How long a kept connection may be idle, seconds; services and load balancers close sooner or later."""

KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
)
"""Options that let the system find out, within a minute, that whoever should answer is gone."""

_MAX_HEAD_BYTES = 65_536
_MAX_UNREAD_BYTES = 262_144
_END_WITHIN_S = 0.02


class BrokenConnectionError(ConnectionError):
    """The connection ended, or spoke something else than HTTP, before the answer was complete."""


class ConnectTimeoutError(TimeoutError):
    """No connection was made in time."""


class IdleTimeoutError(TimeoutError):
    """An answer had begun, and nothing more of it came for too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """An answer.

    Attributes:
        status: HTTP status.
        headers: By name in lower case; of a repeated one the last.
        content: The body, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


class HttpStream:
    """An answer whose body is read while it arrives.

    Attributes:
        status: HTTP status.
        headers: By name in lower case; of a repeated one the last.
    """

    def __init__(self, status: int, headers: Mapping[str, str], connection: _Connection) -> None:
        self.status = status
        self.headers = headers
        self._connection = connection
        is_packed = headers.get("content-encoding", "").lower() == "gzip"
        self._unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16) if is_packed else None

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, decompressed, in the pieces in which it comes.

        Raises:
            BrokenConnectionError: The connection broke, or what came is no body.
        """
        try:
            while (piece := await self._connection.next_piece()) is not None:
                content = self._unpacker.decompress(piece) if self._unpacker else piece
                if content:
                    yield content
        except zlib.error as error:
            raise BrokenConnectionError from error

    async def expect_end(self) -> None:
        """Nothing is to be read any more: wait a moment for the end, so that the connection can be used again."""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(_END_WITHIN_S):
                while await self._connection.next_piece() is not None:
                    pass

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self.pieces()])


class HttpPool:
    """Connections to one address. Safe for concurrent use within one event loop.

    Args:
        host: Name or IP address.
        port: Port number.
        tls: Certificates to trust; ``None`` for plain HTTP.
        connect_timeout_s: Limit for making one connection, seconds.
        idle_timeout_s: Limit for the wait between two pieces of an answer, seconds.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        connect_timeout_s: float,
        idle_timeout_s: float = 60.0,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._connect_timeout_s = connect_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._is_number = _is_number(host)
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()

    async def post(self, target: str, headers: Mapping[str, str], content: bytes) -> HttpAnswer:
        """Send one request and read its answer.

        Args:
            target: Path and query, percent-encoded.
            headers: Everything but the length of the body.
            content: The body.

        Raises:
            ConnectTimeoutError: No connection in time.
            OSError: No connection: the name is not known, nobody listens, the certificate is not trusted.
            BrokenConnectionError: The connection broke, or what came back is not HTTP.
            IdleTimeoutError: The answer stalled.
        """
        connection = self._take() or await self._connect()
        self._busy.add(connection)
        try:
            answer = await connection.exchange(_request_bytes(target, headers, content))
        finally:
            self._busy.discard(connection)
            # A request that was cancelled or failed leaves its connection in the middle of an answer.
            if connection.is_reusable:
                self._idle.append(connection)
            else:
                connection.abort()
        return answer

    @asynccontextmanager
    async def stream(
        self, target: str, headers: Mapping[str, str], content: bytes
    ) -> AsyncIterator[HttpStream]:
        """Send one request and read its answer while it arrives; see :meth:`post` for arguments and errors.

        Whoever leaves the block before the end of the body closes the connection. It is up to the reader how long he
        waits for a piece.
        """
        connection = self._take() or await self._connect()
        self._busy.add(connection)
        try:
            yield await connection.begin(_request_bytes(target, headers, content))
        finally:
            self._busy.discard(connection)
            connection.end_stream()
            if connection.is_reusable:
                self._idle.append(connection)
            else:
                connection.abort()

    async def close(self) -> None:
        """Close all connections."""
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()
        # The event loop closes the sockets in its next round, which must still come.
        await asyncio.sleep(0)

    def _take(self) -> _Connection | None:
        """The connection that was used last, because it is the least likely to be closed by now."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_reusable and now - connection.used_at < IDLE_S:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()

        def make() -> _Connection:
            return _Connection(loop, self._idle_timeout_s)

        try:
            async with asyncio.timeout(self._connect_timeout_s):
                if self._is_number:
                    _, connection = await loop.create_connection(make, self._host, self._port, ssl=self._tls)
                else:
                    reached = await reach(self._host, self._port)
                    name = self._host if self._tls else None
                    _, connection = await loop.create_connection(
                        make, sock=reached, ssl=self._tls, server_hostname=name
                    )
        except TimeoutError as error:
            raise ConnectTimeoutError from error
        return connection


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _request_bytes(target: str, headers: Mapping[str, str], content: bytes) -> bytes:
    lines = [f"POST {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(content)}\r\n\r\n")
    head = "\r\n".join(lines)
    if head.count("\r\n") != len(headers) + 3:
        msg = "a header with a line break"
        raise ValueError(msg)
    return head.encode("latin-1") + content


class _Arrived:
    """The pieces of a body that nobody has read yet; while they are many, no more are taken from the network."""

    __slots__ = ("_is_paused", "_loop", "_n_bytes", "_pieces", "_transport", "_waiter", "error", "has_ended")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._pieces: deque[bytes] = deque()
        self._n_bytes = 0
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self.has_ended = False
        self.error: BrokenConnectionError | None = None

    def add(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._pieces.append(piece)
            self._n_bytes += len(piece)
        if self._n_bytes > _MAX_UNREAD_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def end(self, error: BrokenConnectionError | None = None) -> None:
        if not self.has_ended and self.error is None:
            self.has_ended, self.error = error is None, error
            self._wake()

    async def take(self) -> bytes | None:
        while not self._pieces:
            if self.error is not None:
                raise self.error
            if self.has_ended:
                return None
            self._waiter = self._loop.create_future()
            await self._waiter
        piece = self._pieces.popleft()
        self._n_bytes -= len(piece)
        if self._is_paused and not self._pieces and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()
        return piece

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    __slots__ = (
        "_answer", "_arrived", "_body", "_buffer", "_heard_at", "_idle_s", "_loop", "_opening", "_timer",
        "_transport", "is_reusable", "used_at",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, idle_s: float) -> None:
        self._loop = loop
        self._idle_s = idle_s
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self._opening: asyncio.Future[HttpStream] | None = None
        self._arrived: _Arrived | None = None
        self._buffer = bytearray()
        self._body: Body | None = None
        self.is_reusable = False
        self.used_at = 0.0

    async def exchange(self, request: bytes) -> HttpAnswer:
        """Send a request and wait for the whole answer."""
        if self._transport is None:
            raise BrokenConnectionError
        self.is_reusable = False
        self._answer = self._loop.create_future()
        self._transport.write(request)
        return await self._answer

    async def begin(self, request: bytes) -> HttpStream:
        """Send a request and wait for the head of the answer."""
        if self._transport is None:
            raise BrokenConnectionError
        self.is_reusable = False
        self._arrived = _Arrived(self._loop, self._transport)
        self._opening = self._loop.create_future()
        self._transport.write(request)
        return await self._opening

    async def next_piece(self) -> bytes | None:
        """The next piece of the body; ``None`` at its end."""
        return None if self._arrived is None else await self._arrived.take()

    def end_stream(self) -> None:
        """Nobody reads on: the connection can be used again if the answer has ended."""
        arrived, self._arrived, self._opening = self._arrived, None, None
        body, self._body = self._body, None
        if arrived is None or body is None or not arrived.has_ended:
            return
        self.is_reusable = body.keeps_connection and not self._buffer and self._transport is not None
        self.used_at = self._loop.time()

    def abort(self) -> None:
        """Close at once."""
        self._forget_timer()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # create_connection makes stream transports
        opened: socket.socket | None = transport.get_extra_info("socket")
        if opened is not None:
            for option in KEEP_ALIVE:
                opened.setsockopt(*option)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            self._read()
        except (NotHttpError, zlib.error):
            self._fail()
        if self._answer is not None:
            self._heard_at = self._loop.time()
            if self._timer is None:  # most answers come whole
                self._timer = self._loop.call_later(self._idle_s, self._check_idle)

    def _check_idle(self) -> None:
        self._timer = None
        left_s = self._heard_at + self._idle_s - self._loop.time()
        if self._answer is None:
            return
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._check_idle)
        else:
            self._fail(IdleTimeoutError())

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def eof_received(self) -> None:
        if self._body is None or not self._body.ends_with_connection:
            return
        if self._arrived is not None:
            self._arrived.end()
            return
        try:
            self._finish(self._body, bytes(self._buffer))
        except (NotHttpError, zlib.error):
            self._fail()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.is_reusable = False
        self._fail()

    def _read(self) -> None:
        """Use what has arrived so far."""
        while self._body is None:
            end = self._buffer.find(END_OF_HEAD)
            if end < 0:
                if len(self._buffer) > _MAX_HEAD_BYTES:
                    raise NotHttpError
                return
            body = parse_head(self._buffer[:end].decode("latin-1"))
            del self._buffer[: end + len(END_OF_HEAD)]
            # 100 Continue and 103 Early Hints come before the answer itself.
            self._body = body if body.status >= 200 else None
        if self._arrived is not None:
            self._read_piece(self._body, self._arrived)
            return
        content = self._body.take(self._buffer)
        if content is not None:
            self._finish(self._body, content)

    def _read_piece(self, body: Body, arrived: _Arrived) -> None:
        if self._opening is not None and not self._opening.done():
            self._opening.set_result(HttpStream(body.status, body.headers, self))
        pieces, is_over = body.take_arrived(self._buffer)
        arrived.add(pieces)
        if is_over:
            arrived.end()

    def _finish(self, body: Body, content: bytes) -> None:
        content = decompressed(body.headers, content)
        self._forget_timer()
        answer, self._answer, self._body = self._answer, None, None
        if answer is None or answer.done():
            self.abort()  # an answer that nobody asked for, or waits for
            return
        self.is_reusable = body.keeps_connection and not self._buffer
        self.used_at = self._loop.time()
        answer.set_result(HttpAnswer(status=body.status, headers=body.headers, content=content))

    def _fail(self, error: OSError | None = None) -> None:
        self._forget_timer()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error or BrokenConnectionError())
        if self._opening is not None and not self._opening.done():
            self._opening.set_exception(BrokenConnectionError())
        elif self._arrived is not None:
            self._arrived.end(BrokenConnectionError())
        self.abort()
