"""Keeps what live traffic leaves behind, and counts what could not be kept: an answer never waits for a full disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headrace.domain.evidence import Evidence
from headrace.errors import Problem, StateError
from headrace.telemetry.attributes import TEST
from headrace.telemetry.setup import SpanSink

Tell = Callable[[str, tuple[Problem, ...]], None]
"""Hears what happened, and the problems behind it."""

LOST = "headrace.evidence.lost"
"""Name of the metric."""


class EvidenceLog:
    """Where evidence goes.

    Args:
        append: Keeps a record, so that it outlives this process.
        is_slow: Whether that waits for a disk; then it is done in a thread.
        sink: Counts what is lost.
        tell: Hears once when records are lost, and once when they are kept again.

    Attributes:
        n_lost: Records that could not be kept so far.
    """

    def __init__(
        self, append: Callable[[Evidence], None], *, is_slow: bool, sink: SpanSink, tell: Tell
    ) -> None:
        self._append = append
        self._is_slow = is_slow
        self._sink = sink
        self._tell = tell
        self._is_failing = False
        self.n_lost = 0

    async def keep(self, record: Evidence) -> None:
        """Keep a record.

        Raises:
            StateError: It could not be kept.
        """
        if self._is_slow:
            await asyncio.to_thread(self._append, record)
        else:
            self._append(record)
        if self._is_failing:
            self._recover()

    async def try_keep(self, record: Evidence) -> bool:
        """Keep a record if that is possible; whether it was."""
        try:
            if self._is_slow:
                await asyncio.to_thread(self._append, record)
            else:
                self._append(record)
        except StateError as error:
            self._lose(record, error)
            return False
        if self._is_failing:
            self._recover()
        return True

    def _recover(self) -> None:
        self._is_failing = False
        self._tell("Evidence of live traffic is kept again.", ())

    def _lose(self, record: Evidence, error: StateError) -> None:
        self.n_lost += 1
        self._sink.count(LOST, 1, {TEST: record.test})
        if not self._is_failing:
            self._is_failing = True
            what = "Evidence of live traffic cannot be kept; requests are answered without, and do not count."
            self._tell(what, error.problems)
