"""Messages between a run and its worker processes: pickles, each behind its length, over two pipes of their own.

Both ends are the same program of the same person, started by one another: nobody else can write into the pipes.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.domain.cache import CacheChanges
from headrace.domain.run import LineResult
from headrace.engine.flights import Landing
from headrace.errors import Problem
from headrace.providers.quota import BudgetUse
from headrace.source import Span

_LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LineWanted:
    """A line that a worker is to run, as the parameters of :func:`~headrace.engine.line.run_line`."""

    line_number: int
    inputs: Mapping[str, Any]
    place: Span | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReady:
    """The worker has loaded the flow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRefused:
    """The worker cannot load the flow: what is wrong."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerAlive:
    """The worker's event loop turns; said now and then, because lines may wait for a quota beyond their limit.

    Attributes:
        uses: What it did with each budget.
    """

    uses: tuple[BudgetUse, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStuck:
    """A tool in the worker goes on although its time is over; the worker should get no further line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDone:
    """The result of a line.

    Attributes:
        kept: Pickle of what it keeps for aggregation nodes; ``None`` when that cannot leave the process.
        revealed: Secrets that the worker's connections have given out for the first time.
        changes: What the cache of the worker has learnt.
    """

    result: LineResult
    kept: bytes | None
    revealed: frozenset[str] = field(default=frozenset(), repr=False)
    changes: CacheChanges | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAsked:
    """The worker is about to call a node, unless somebody else does so or has done so.

    Attributes:
        number: Of the question; counted by the worker.
        key: Of the call's fingerprint.
    """

    number: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswered:
    """What became of such a call elsewhere; ``None`` when the worker is to make it."""

    number: int
    landing: Landing | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLanded:
    """What a call came to that the worker was to make, or had been waiting for."""

    number: int
    key: str
    landing: Landing


def pack(message: object) -> bytes:
    """A message as bytes, with its length before it.

    Raises:
        Exception: Whatever the pickling of a value of the user's own type raises.
    """
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class Inbox:
    """Takes bytes as they come out of a pipe, and gives the messages that are complete."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, piece: bytes) -> list[Any]:
        """The messages that end with this piece, which may be none."""
        self._bytes += piece
        messages = []
        start = 0
        while len(self._bytes) >= start + _LENGTH_BYTES:
            body = start + _LENGTH_BYTES
            end = body + int.from_bytes(self._bytes[start:body], "big")
            if len(self._bytes) < end:
                break
            messages.append(pickle.loads(self._bytes[body:end]))  # noqa: S301 - see above
            start = end
        del self._bytes[:start]
        return messages


class Outbox:
    """Gathers what is sent in one turn of the event loop and writes it at once: every write wakes the other process.

    Args:
        write: Writes to the pipe.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._waiting: list[bytes] = []

    def send(self, message: bytes) -> None:
        """Send a packed message."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(message)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._write(b"".join(waiting))


def pack_kept(values: Mapping[str, Any]) -> bytes | None:
    """What a line keeps for aggregation nodes, as bytes; ``None`` when it cannot leave the process."""
    try:
        return pickle.dumps(values, pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - whatever the values' own code raises
        return None


def unpack_kept(kept: bytes | None) -> Mapping[str, Any] | None:
    """What a line keeps for aggregation nodes; ``None`` when it has not left the process, or cannot be had here."""
    if kept is None:
        return None
    try:
        values: Mapping[str, Any] = pickle.loads(kept)  # noqa: S301 - see above
    except Exception:  # noqa: BLE001 - whatever the values' own code raises
        return None
    return values
