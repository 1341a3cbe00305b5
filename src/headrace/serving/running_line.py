"""A line that runs while its answer is sent: its pieces as they come, and its result behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Generic, TypeVar

from headrace.domain.run import LineResult

PieceT = TypeVar("PieceT")


class RunningLine(Generic[PieceT]):
    """A line in a task of its own, from :meth:`begin` to :meth:`end`, and what it has said so far.

    A ``TaskGroup`` would do the same, but leaves the whole request to the garbage collector when a client goes away.
    """

    __slots__ = ("_pieces", "_task")

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[PieceT | LineResult | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def begin(self, line: Awaitable[LineResult]) -> None:
        """Run a line, which calls :meth:`put` with each piece."""
        self._task = asyncio.get_running_loop().create_task(self._run(line))

    async def end(self) -> None:
        """End the line if it still runs, and wait until it has let go of everything; called whatever happens."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    def put(self, piece: PieceT) -> None:
        """Take a piece, in the event loop's thread."""
        self._pieces.put_nowait(piece)

    async def next(self) -> PieceT | LineResult:
        """The next piece, or the result when there are no more.

        Raises:
            BaseException: What running the line raised, which is a bug: what goes wrong in a line is its result.
        """
        piece = await self._pieces.get()
        if piece is None and self._task is not None:
            await self._task
        assert piece is not None  # noqa: S101 - the task has raised
        return piece

    async def _run(self, line: Awaitable[LineResult]) -> None:
        result: LineResult | None = None
        try:
            result = await line
        finally:
            self._pieces.put_nowait(result)
