"""A line beside the answer that is sent of it."""

from __future__ import annotations

import asyncio

import pytest

from headrace.domain.run import LineResult
from headrace.serving.running_line import RunningLine

RESULT = LineResult(line_number=0, status="Completed", inputs={})


def test_pieces_come_in_their_order_and_the_result_behind_them() -> None:
    async def main() -> list[str | LineResult]:
        line = RunningLine[str]()

        async def run() -> LineResult:
            line.put("a")
            await asyncio.sleep(0)
            line.put("b")
            return RESULT

        line.begin(run())
        found = [await line.next() for _ in range(3)]
        await line.end()
        return found

    assert asyncio.run(main()) == ["a", "b", RESULT]


def test_whoever_waits_for_a_piece_hears_of_a_bug() -> None:
    async def run() -> LineResult:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def main() -> None:
        line = RunningLine[str]()
        line.begin(run())
        try:
            await line.next()
        finally:
            await line.end()

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())


def test_the_end_waits_until_the_line_has_let_go() -> None:
    async def main() -> list[str]:
        said: list[str] = []

        async def run() -> LineResult:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.01)
                said.append("let go")
            return RESULT

        line = RunningLine[str]()
        line.begin(run())
        await asyncio.sleep(0)
        await line.end()
        return said

    assert asyncio.run(main()) == ["let go"]
