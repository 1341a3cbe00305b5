"""Lines of data and how their columns feed a flow's inputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from headrace.source import Span

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of data: ``number`` counts from 0, ``span`` is its place in the data file."""

    number: int
    columns: Mapping[str, Any]
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """All lines of a data file or folder.

    Attributes:
        path: As the user named it.
        lines: In file order, numbered from 0 without gaps; read from the files each time they are gone through.
        columns: Every column name that occurs, in order of first appearance.
        digest: SHA-256 over the content, hexadecimal.
    """

    path: str
    lines: Collection[Line]
    columns: tuple[str, ...]
    digest: str

    @property
    def first(self) -> Line:
        """The first line; data that was read has one."""
        return next(iter(self.lines))


FACTS = ("duration_ms", "cost_usd", "prompt_tokens", "completion_tokens", "total_tokens", "calls")
"""What ``${run.NAME}`` says of a line of an earlier run, as if every node had been called: milliseconds of wall time,
US dollars (``None`` where a price is not known), tokens, and calls of models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """What a completed line of an earlier run offers to a mapping.

    Attributes:
        inputs, outputs: The columns of run.inputs and of run.outputs.
        facts: Those of run itself, by the names of :data:`FACTS`.
    """

    number: int
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)


class LazyLines(Collection[ItemT]):
    """Lines that are made anew each time they are gone through, so that never all of them are in memory.

    Args:
        make: Starts from the first one.
        count: How many there are.
    """

    __slots__ = ("_count", "_make")

    def __init__(self, make: Callable[[], Iterator[ItemT]], count: int) -> None:
        self._make = make
        self._count = count

    def __iter__(self) -> Iterator[ItemT]:
        return self._make()

    def __len__(self) -> int:
        return self._count

    def __contains__(self, item: object) -> bool:
        return any(item == found for found in self)


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedValue:
    """Where one flow input comes from: ``source`` is data, run.inputs, run.outputs, run or literal."""

    source: str
    column: str | None = None
    literal: Any = None


ColumnMapping = Mapping[str, MappedValue]
"""Flow input name to where its value comes from."""
