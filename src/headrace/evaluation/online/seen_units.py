"""Which units were seen, in some bytes each."""

from __future__ import annotations

from array import array
from typing import Final

_WORD: Final = (1 << 64) - 1
_MIX: Final = 0x9E3779B97F4A7C15
"""Spreads hashes over the table: 2^64 over the golden ratio."""


class SeenUnits:
    """A set of units that takes 16 to 32 bytes for each, of which it keeps a hash of 64 bits.

    Among a million units the chance that any two have the same hash is below one in ten million.
    """

    __slots__ = ("_n", "_shift", "_table")

    def __init__(self) -> None:
        self._shift = 54
        self._table = array("Q", bytes(8 << 10))
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def add(self, unit: str) -> bool:
        """Remember a unit; whether it is new."""
        code = (hash(unit) & _WORD) or 1
        if not self._put(code):
            return False
        self._n += 1
        if 2 * self._n > len(self._table):
            self._grow()
        return True

    def _put(self, code: int) -> bool:
        table = self._table
        last = len(table) - 1
        place = (code * _MIX & _WORD) >> self._shift
        while table[place]:
            if table[place] == code:
                return False
            place = (place + 1) & last
        table[place] = code
        return True

    def _grow(self) -> None:
        before = self._table
        self._table = array("Q", bytes(16 * len(before)))
        self._shift -= 1
        for code in before:
            if code:
                self._put(code)
