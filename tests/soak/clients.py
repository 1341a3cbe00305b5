"""Clients of a served flow that know what the right answer is: ordinary ones, slow ones, and such as go away."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field

TIMEOUT_S = 60.0
PATHS = ("/turn/score", "/stored/score", "/ask/score")
EVENTS = "/ask/score"
_FEW_BYTES = 16


@dataclass
class Outcome:
    """What came of all requests.

    Attributes:
        counts: How many of each kind.
        faults: What must not be, the first twenty of them.
        killed_at_s: When a process was killed last; connections that break soon after do so for this reason.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    killed_at_s: float = -1e9

    def fail(self, kind: str, detail: str) -> None:
        """Note what must not be."""
        self.counts[kind] += 1
        if len(self.faults) < 20:
            self.faults.append(f"{kind}: {detail[:300]}")

    def lose(self, detail: str) -> None:
        """Note a connection that broke in the middle of an answer."""
        if time.monotonic() - self.killed_at_s < 3:
            self.counts["broken by a kill"] += 1
        else:
            self.fail("broken", detail)


class Clients:
    """Ask until the time is over.

    Args:
        port: Where.
        outcome: What comes of it.
        end_s: When it is over, on the monotonic clock.
    """

    def __init__(self, port: int, outcome: Outcome, end_s: float) -> None:
        self._port = port
        self._outcome = outcome
        self._end_s = end_s
        self._numbers = itertools.count()

    async def run(self) -> None:
        """All of them at once."""
        async with asyncio.TaskGroup() as group:
            for number in range(24):
                group.create_task(self._repeat(self._ask, PATHS[number % 3]))
            for _ in range(4):
                group.create_task(self._repeat(self._ask_events, EVENTS))
                group.create_task(self._repeat(self._send_slowly, PATHS[0]))
                group.create_task(self._repeat(self._read_slowly, EVENTS))
                group.create_task(self._repeat(self._go_away, EVENTS))

    async def _repeat(self, ask, path: str) -> None:
        while time.monotonic() < self._end_s:
            word = f"w{next(self._numbers)}x"
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                    try:
                        await ask(reader, writer, path, word)
                    finally:
                        writer.close()
            except TimeoutError:
                self._outcome.fail("no answer", f"{path} {word} in {TIMEOUT_S:g} s")
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                self._outcome.lose(f"{ask.__name__} {path} {word}: {error!r}")

    async def _ask(self, reader, writer, path: str, word: str) -> None:
        """Several requests over one connection."""
        for number in range(random.randint(1, 40)):
            if time.monotonic() >= self._end_s:
                return
            one = f"{word}{number}"
            writer.write(request(path, one))
            self._check(path, one, *await read_answer(reader))

    async def _ask_events(self, reader, writer, path: str, word: str) -> None:
        writer.write(request(path, word, "text/event-stream"))
        self._check(path, word, *await read_answer(reader), kind="streamed")

    async def _send_slowly(self, reader, writer, path: str, word: str) -> None:
        whole = request(path, word)
        for at in range(0, len(whole), _FEW_BYTES):
            if writer.transport.is_closing():
                raise ConnectionResetError
            writer.write(whole[at : at + _FEW_BYTES])
            await asyncio.sleep(0.05)
        self._check(path, word, *await read_answer(reader), kind="sent slowly")

    async def _read_slowly(self, reader, writer, path: str, word: str) -> None:
        writer.write(request(path, word, "text/event-stream"))
        await asyncio.sleep(random.uniform(0.2, 2))
        self._check(path, word, *await read_answer(reader), kind="read slowly")

    async def _go_away(self, reader, writer, path: str, word: str) -> None:
        whole = request(path, word, random.choice(("text/event-stream", "application/json")))
        writer.write(whole[: random.choice((len(whole) // 2, len(whole)))])
        await writer.drain()
        await asyncio.sleep(random.uniform(0, 0.1))
        writer.transport.abort()
        self._outcome.counts["gone"] += 1

    def _check(self, path: str, word: str, status: int, body: bytes, *, kind: str = "answered") -> None:
        if status != 200:
            self._outcome.fail(f"status {status}", f"{path} {word}: {body.decode(errors='replace')}")
            return
        said = said_in(body)
        if said.rpartition(" ")[0] != word[::-1] or (path == EVENTS) != said.endswith(" model"):
            self._outcome.fail("wrong answer", f"{path} {word}: {body!r}")
            return
        self._outcome.counts[kind] += 1


def request(path: str, word: str, accept: str = "application/json") -> bytes:
    """The bytes of a request."""
    body = json.dumps({"q": word})
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: {accept}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    _, has_length, rest = head.partition("content-length:")
    if has_length:
        return status, await reader.readexactly(int(rest.partition("\r")[0]))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return status, body


def said_in(body: bytes) -> str:
    """The output ``said`` of an answer, whole or in events."""
    if not body.startswith(b"data:"):
        return str(json.loads(body).get("said"))
    events = [json.loads(line[5:]) for line in body.split(b"\n\n") if line]
    return "".join(event.get("said", "<error>") for event in events)
