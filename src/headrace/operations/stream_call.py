"""A call whose outputs come piece by piece: the caller has them before the line is over, and reads on as it likes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from headrace.domain.run import LineResult
from headrace.errors import Problem

_Item = str | None


class StreamedCall:
    """The two sides of one call: the engine tells, from its event loop; the caller asks, from anywhere.

    Attributes:
        outputs: The outputs that do not stream and the names of those that do, as soon as they are known; the line when
            it is over before.
    """

    def __init__(self) -> None:
        self.outputs: Future[tuple[Mapping[str, Any], tuple[str, ...]] | LineResult] = Future()
        self._end: Future[LineResult] = Future()
        self._pieces: defaultdict[str, SimpleQueue[_Item]] = defaultdict(SimpleQueue)

    def hear_outputs(self, outputs: Mapping[str, Any], streams: tuple[str, ...]) -> None:
        """Take the outputs that do not stream, and the names of those that do."""
        for name in streams:
            self._pieces[name]  # made before anybody asks for it
        if streams:
            self.outputs.set_result((outputs, streams))

    def hear_piece(self, name: str, piece: Any) -> None:
        """Take a piece of an output, as text."""
        self._pieces[name].put(str(piece))

    def finish(self, end: Future[LineResult]) -> None:
        """Take the end of the line: its result, or what kept it from having one."""
        error = end.exception()
        if error is None:
            self._end.set_result(end.result())
        else:
            self._end.set_exception(error)
        if not self.outputs.done():
            if error is not None:
                self.outputs.set_exception(error)
            else:
                self.outputs.set_result(end.result())
        for pieces in self._pieces.values():
            pieces.put(None)

    @property
    def problem(self) -> Problem | None:
        """What made the line fail; known once a stream has ended."""
        is_known = self._end.done() and self._end.exception() is None
        return self._end.result().problem if is_known else None

    def line(self) -> LineResult:
        """The whole line; waits for its end, whoever reads the pieces.

        Raises:
            BaseException: What kept the line from having a result.
        """
        return self._end.result()

    def read(self, name: str) -> Iterator[str]:
        """The pieces of an output as they come."""
        while (piece := self._pieces[name].get()) is not None:
            yield piece

    async def read_async(self, name: str) -> AsyncIterator[str]:
        """The pieces of an output as they come, on an event loop."""
        pieces = self._pieces[name]
        while (piece := await asyncio.to_thread(pieces.get)) is not None:
            yield piece
