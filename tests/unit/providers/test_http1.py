"""The small HTTP client, against a server that sends exactly the bytes it is told, cut where it is told."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.certificate import make_certificate

from headrace.providers.http1 import BrokenConnectionError, HttpAnswer, HttpPool

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\nTrailer: t\r\n\r\n"
HEADERS = {"Host": "127.0.0.1", "X-Test": "1"}


class ByteServer:
    """Answers each request with the next answer, a list of pieces; an empty piece ends the connection."""

    def __init__(self, answers: Sequence[Sequence[bytes]], tls: ssl.SSLContext | None = None) -> None:
        self.answers = iter(answers)
        self.tls = tls
        self.requests: list[bytes] = []
        self.n_connections = 0
        self.arrived = asyncio.Event()
        self.lost = asyncio.Event()

    async def __aenter__(self) -> ByteServer:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        await self.server.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().rpartition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                self.arrived.set()
                for piece in next(self.answers):
                    if not piece:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.lost.set()
        finally:
            writer.close()


def pool(server: ByteServer, tls: ssl.SSLContext | None = None) -> HttpPool:
    return HttpPool("127.0.0.1", server.port, tls=tls, connect_timeout_s=5.0)


def exchange(*answers: Sequence[bytes]) -> list[HttpAnswer]:
    """Send one request after the other."""

    async def session() -> list[HttpAnswer]:
        async with ByteServer(answers) as server:
            client = pool(server)
            found = [await client.post("/p?q=1", HEADERS, b"{}") for _ in answers]
            await client.close()
            return found

    return asyncio.run(session())


def run(answers: Sequence[Sequence[bytes]], work: Callable[[ByteServer, HttpPool], Awaitable[Any]]) -> Any:
    async def session() -> Any:
        async with ByteServer(answers) as server:
            client = pool(server)
            try:
                return await work(server, client)
            finally:
                await client.close()

    return asyncio.run(session())


def pieces(content: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted({cut % len(content) for cut in cuts} - {0}), len(content)]
    return [content[start:stop] for start, stop in pairwise(edges)]


@pytest.mark.parametrize(
    ("raw", "status", "content"),
    [
        (OK + b"Content-Length: 3\r\n\r\nabc", 200, b"abc"),
        (b"HTTP/1.1 404\r\ncontent-length:0\r\n\r\n", 404, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (CHUNKED, 200, b"abcdefg"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + CHUNKED, 200, b"abcdefg"),
    ],
)
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 400), max_size=5))
def test_answer_is_read_whatever_way_it_is_cut(
    raw: bytes, status: int, content: bytes, cuts: list[int]
) -> None:
    (answer,) = exchange(pieces(raw, cuts))
    assert (answer.status, answer.content) == (status, content)


def test_answer_that_ends_with_the_connection() -> None:
    assert exchange([OK + b"\r\nab", b"cd", b""])[0].content == b"abcd"


def test_compressed_answer() -> None:
    packed = gzip.compress(b"x" * 1000)
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    assert exchange([head + packed])[0].content == b"x" * 1000


def test_headers_are_found_in_lower_case() -> None:
    (answer,) = exchange([OK + b"Retry-After:  7 \r\nContent-Length: 0\r\n\r\n"])
    assert answer.headers["retry-after"] == "7"


def test_request_as_it_is_sent() -> None:
    async def work(server: ByteServer, client: HttpPool) -> bytes:
        await client.post("/p?q=1", HEADERS, "é".encode())
        return server.requests[0]

    request = run([[OK + b"Content-Length: 0\r\n\r\n"]], work)
    assert (
        request
        == b"POST /p?q=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Test: 1\r\nContent-Length: 2\r\n\r\n\xc3\xa9"
    )


@pytest.mark.parametrize("name", ["X-A\r\nX-B", "X-A"])
def test_header_cannot_smuggle_another(name: str) -> None:
    async def work(server: ByteServer, client: HttpPool) -> None:
        with pytest.raises(ValueError, match="line break"):
            await client.post("/", {name: "1" if "\n" in name else "1\r\nX-B: 2"}, b"")
        assert server.requests == []

    run([], work)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        OK + b"no header\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 1_0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-4\r\nabcd\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + gzip.compress(b"x" * 99, mtime=0)[:20],
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    ],
)
def test_what_is_not_http_breaks_the_connection(raw: bytes) -> None:
    with pytest.raises(BrokenConnectionError):
        exchange([raw])


@pytest.mark.parametrize(
    "raw", [b"", b"HTTP/1.1 20", OK + b"Content-Length: 9\r\n\r\nabc", CHUNKED[:-5], CHUNKED[:-2]]
)
def test_connection_that_ends_too_early(raw: bytes) -> None:
    with pytest.raises(BrokenConnectionError):
        exchange([*([raw] if raw else []), b""])


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_bytes_end_in_an_answer_or_a_broken_connection(raw: bytes) -> None:
    try:
        (answer,) = exchange([*([OK + raw] if raw else []), b""])
    except BrokenConnectionError:
        return
    assert answer.status == 200


def test_connection_is_used_again() -> None:
    async def work(server: ByteServer, client: HttpPool) -> int:
        for _ in range(3):
            await client.post("/", HEADERS, b"")
        return server.n_connections

    assert run([[CHUNKED]] * 3, work) == 1


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: 0\r\n\r\nleft over",
    ],
)
def test_connection_is_not_used_again_after(raw: bytes) -> None:
    async def work(server: ByteServer, client: HttpPool) -> int:
        await client.post("/", HEADERS, b"")
        await client.post("/", HEADERS, b"")
        return server.n_connections

    assert run([[raw], [CHUNKED]], work) == 2


def test_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    async def work(server: ByteServer, client: HttpPool) -> int:
        await client.post("/", HEADERS, b"")
        while any(connection.is_reusable for connection in client._idle):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        await client.post("/", HEADERS, b"")
        return server.n_connections

    assert run([[CHUNKED, b""], [CHUNKED]], work) == 2


def test_connection_that_was_idle_for_long_is_replaced() -> None:
    async def work(server: ByteServer, client: HttpPool) -> int:
        await client.post("/", HEADERS, b"")
        client._idle[0].used_at -= 100
        await client.post("/", HEADERS, b"")
        return server.n_connections

    assert run([[CHUNKED], [CHUNKED]], work) == 2


def test_cancelled_request_takes_its_connection_with_it() -> None:
    async def work(server: ByteServer, client: HttpPool) -> None:
        task = asyncio.ensure_future(client.post("/", HEADERS, b""))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.lost.wait(), 5)
        assert (await client.post("/", HEADERS, b"")).content == b"abcdefg"
        assert server.n_connections == 2

    run([[OK], [CHUNKED]], work)


def streamed(*answers: Sequence[bytes]) -> tuple[list[list[bytes]], int]:
    """The pieces of each answer, read one after the other, and how many connections that took."""

    async def work(server: ByteServer, client: HttpPool) -> tuple[list[list[bytes]], int]:
        found = []
        for _ in answers:
            async with client.stream("/", HEADERS, b"{}") as answer:
                found.append([piece async for piece in answer.pieces()])
        return found, server.n_connections

    pieces: tuple[list[list[bytes]], int] = run(answers, work)
    return pieces


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_pieces_of_a_streamed_answer_add_up_to_it_and_the_connection_is_used_again(size: int) -> None:
    cut = [CHUNKED[at : at + size] for at in range(0, len(CHUNKED), size)]
    length = [OK + b"Content-Length: 6\r\n\r\nab", b"cd", b"ef"]
    found, n_connections = streamed(cut, length, cut)
    assert [b"".join(pieces) for pieces in found] == [b"abcdefg", b"abcdef", b"abcdefg"]
    assert n_connections == 1


def test_a_piece_is_there_before_the_next_one_is_sent() -> None:
    async def session() -> list[bytes]:
        go_on, found = asyncio.Event(), []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"{}")
            writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            await go_on.wait()
            writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            client = HttpPool("127.0.0.1", port, tls=None, connect_timeout_s=5.0)
            async with client.stream("/", HEADERS, b"{}") as answer:
                async for piece in answer.pieces():
                    found.append(piece)
                    go_on.set()
            await client.close()
        return found

    assert asyncio.run(session()) == [b"one", b"two"]


def test_streamed_answer_that_ends_with_the_connection() -> None:
    (pieces,), _ = streamed([OK + b"\r\nab", b"cd", b""])
    assert b"".join(pieces) == b"abcd"


def test_compressed_pieces() -> None:
    packed = gzip.compress(b"pieces of a text")
    head = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    (pieces,), _ = streamed([head + packed[:20], packed[20:]])
    assert b"".join(pieces) == b"pieces of a text"


def test_streamed_answer_that_breaks_off() -> None:
    with pytest.raises(BrokenConnectionError):
        streamed([OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n", b""])


def test_stream_that_is_left_early_closes_its_connection() -> None:
    async def work(server: ByteServer, client: HttpPool) -> int:
        async with client.stream("/", HEADERS, b"{}") as answer:
            async for _ in answer.pieces():
                break
        await asyncio.wait_for(server.lost.wait(), 5)
        async with client.stream("/", HEADERS, b"{}") as answer:
            assert await answer.read() == b"abcdefg"
        return server.n_connections

    assert run([[CHUNKED[:60]], [CHUNKED]], work) == 2


def test_pieces_that_nobody_reads_stay_in_the_network() -> None:
    size = 30_000_000

    async def work(_: ByteServer, client: HttpPool) -> int:
        async with client.stream("/", HEADERS, b"{}") as answer:
            await asyncio.sleep(0.2)
            (connection,) = client._busy
            assert connection._arrived is not None
            assert connection._arrived._n_bytes < 2_000_000
            return len(await answer.read())

    assert run([[OK + f"Content-Length: {size}\r\n\r\n".encode(), bytes(size)]], work) == size


def test_large_bodies_both_ways() -> None:
    body = b"x" * 3_000_000

    async def work(server: ByteServer, client: HttpPool) -> HttpAnswer:
        answer: HttpAnswer = await client.post("/", HEADERS, body)
        assert server.requests[0].endswith(body)
        return answer

    head = OK + b"Content-Length: %d\r\n\r\n" % len(body)
    assert run([[head + body]], work).content == body


@pytest.mark.parametrize("is_trusted", [True, False])
def test_tls(tmp_path: Path, is_trusted: bool) -> None:
    path = make_certificate(tmp_path)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(path)
    trusted = ssl.create_default_context(cafile=path if is_trusted else None)

    async def session() -> list[bytes]:
        async with ByteServer([[CHUNKED], [OK + b"\r\nend", b""]], server_side) as server:
            client = pool(server, trusted)
            try:
                return [(await client.post("/", HEADERS, b"")).content for _ in range(2)]
            finally:
                await client.close()

    if is_trusted:
        assert asyncio.run(session()) == [b"abcdefg", b"end"]
    else:
        with pytest.raises(ssl.SSLCertVerificationError):
            asyncio.run(session())
