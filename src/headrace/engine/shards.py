"""Shards: the pieces in which the lines of a run are given to whatever runs them.

The contract, which threads, worker processes and Ray keep alike:

- The shards of a run are settled by its lines and the size alone: shard ``i`` has the lines whose numbers divided by
  the size give ``i``, less those that are recorded already. A run is one arm and one repeat over the data, so run and
  line number say everything about a result.
- A runner delivers the result of each line, in any order; nothing else leaves it. It may run a line again after losing
  it and deliver both results: the first counts, so a result is never there twice.
- A line without a result when the runner is cancelled stays unrecorded, and a later run of the same shard has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol

from headrace.domain.dataset import Line
from headrace.domain.run import LineResult
from headrace.errors import Problem

Deliver = Callable[[LineResult, Mapping[str, Any]], None]
"""Takes the result of a line, and the values that it keeps for aggregation nodes; on the event loop's thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLine:
    """A line to run: its flow inputs, or the problem that keeps it from running.

    Attributes:
        unused: Mapped values that the flow has no input for; they are only recorded.
    """

    line: Line
    inputs: Mapping[str, Any]
    unused: Mapping[str, Any] = field(default_factory=dict)
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Some lines of a run, in order of their numbers.

    Attributes:
        index: Counts from 0 over all lines of the run, whether they are left to do or not.
    """

    index: int
    lines: tuple[PendingLine, ...]


class ShardRunner(Protocol):
    """Runs shards; see the contract above."""

    async def run(self, shard: Shard, deliver: Deliver) -> None:
        """Run every line of a shard; a line that fails is a result like any other.

        Raises:
            HeadraceError: When no line can be run any more.
        """
        ...


def make_shards(lines: Iterable[PendingLine], size: int) -> Iterator[Shard]:
    """The shards of lines that come in order of their numbers; one is held at a time."""
    if size == 1:
        for pending in lines:
            yield Shard(index=pending.line.number, lines=(pending,))
        return
    for index, group in groupby(lines, lambda pending: pending.line.number // size):
        yield Shard(index=index, lines=tuple(group))
