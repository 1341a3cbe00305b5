"""What the catalogue says of a code."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One code of the catalogue: its kebab name, a title, and what it means for the reader."""

    name: str
    title: str
    explanation: str
