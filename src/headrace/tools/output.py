"""What tools print: kept per node, and shown on the console as it comes.

One stream stands in for ``sys.stdout`` and one for ``sys.stderr``; a context variable says which node a text belongs
to, so that nodes which run at the same time do not mix.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

KEPT_CHARACTERS = 1_000_000
"""Printed text beyond this length is not kept, per node and stream."""

_capture: ContextVar[_Capture | None] = ContextVar("headrace_capture", default=None)
_is_shown: ContextVar[bool] = ContextVar("headrace_output_shown", default=True)


class _Capture:
    """Collects pieces and moves them to ``logs`` in growing portions: joining at every piece would be quadratic."""

    __slots__ = ("_logs", "_pieces", "_sizes")

    def __init__(self, logs: MutableMapping[str, str]) -> None:
        self._logs = logs
        self._pieces: dict[str, list[str]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, stream: str, text: str) -> None:
        kept = len(self._logs.get(stream, ""))
        if kept >= KEPT_CHARACTERS:
            return
        self._pieces.setdefault(stream, []).append(text)
        self._sizes[stream] = self._sizes.get(stream, 0) + len(text)
        if self._sizes[stream] >= kept:
            self._move(stream)

    def finish(self) -> None:
        for stream in list(self._pieces):
            self._move(stream)

    def _move(self, stream: str) -> None:
        text = self._logs.get(stream, "") + "".join(self._pieces.pop(stream))
        self._sizes[stream] = 0
        is_over = len(text) > KEPT_CHARACTERS
        self._logs[stream] = text[:KEPT_CHARACTERS] + "\n… cut here\n" if is_over else text


class _NodeStream:
    """Stands in for a text stream; everything but writing is the stream's own."""

    def __init__(self, name: str, stream: Any) -> None:
        self._name = name
        self._stream = stream

    def write(self, text: str) -> int:
        capture = _capture.get()
        if capture is not None:
            capture.add(self._name, text)
        if capture is None or _is_shown.get():
            self._console().write(text)
        return len(text)

    def _console(self) -> Any:
        """Where a tool's print is shown: standard error, so that a command's result has standard output to itself."""
        if _capture.get() is None:
            return self._stream
        console = sys.stderr
        return console._stream if isinstance(console, _NodeStream) else console  # noqa: SLF001 - of its own class

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class capture_output:  # noqa: N801 - reads as a verb; a class, because every call of a tool enters one
    """Keep what this task or thread prints during the block.

    Args:
        logs: Receives the text under ``stdout`` and ``stderr``; untouched when nothing is printed.
    """

    __slots__ = ("_kept", "_token")

    def __init__(self, logs: MutableMapping[str, str]) -> None:
        self._kept = _Capture(logs)
        self._token: Token[_Capture | None] | None = None

    def __enter__(self) -> None:
        _stand_in()
        self._token = _capture.set(self._kept)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _capture.reset(self._token)
        self._kept.finish()


@contextmanager
def hidden_output() -> Iterator[None]:
    """Keep what tools print from the console during the block; it is still captured."""
    token = _is_shown.set(False)
    try:
        yield
    finally:
        _is_shown.reset(token)


def _stand_in() -> None:
    # Looked at every time: test runners and shells put their own streams in place.
    if not isinstance(sys.stdout, _NodeStream):
        sys.stdout = _NodeStream("stdout", sys.stdout)
    if not isinstance(sys.stderr, _NodeStream):
        sys.stderr = _NodeStream("stderr", sys.stderr)
