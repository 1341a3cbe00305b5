"""What a converted file says of each key of the one it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from headrace.formats.shape import Block
from headrace.source import Span, pointer_text

ImportKind: TypeAlias = Literal["taken", "translated", "left out", "to do"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportNote:
    """One key of the old file, and what became of it.

    Attributes:
        kind: ``to do`` is for what somebody has to fill in or decide.
        source: The key, as people write it.
        target: Key of the new file; empty for what is left out.
        why: One sentence; empty where the keys say it. No values of variables are in it.
        span: Where it stands.
    """

    kind: ImportKind
    source: str
    target: str = ""
    why: str = ""
    span: Span | None = None


@dataclass(slots=True)
class ImportNotes:
    """Notes of several files, collected while they are read."""

    found: list[ImportNote] = field(default_factory=list)

    def add(self, kind: ImportKind, block: Block, key: str, target: str = "", why: str = "") -> None:
        """Note what became of a key."""
        pointer = block.at(key)
        span = block.findings.source_map.key_span(pointer)
        self.found.append(
            ImportNote(kind=kind, source=pointer_text(pointer), target=target, why=why, span=span)
        )

    def take(
        self, block: Block, key: str, said: dict[str, Any], target: str, value: Any, why: str = ""
    ) -> None:
        """Put a value into the new file, below a key such as ``scale.min``."""
        place = said
        *parents, last = target.split(".")
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = value
        self.add("translated" if why else "taken", block, key, target, why)

    def leave(self, block: Block, key: str, why: str) -> None:
        """Note that a key is left out."""
        self.add("left out", block, key, why=why)

    def ask(self, block: Block, key: str, why: str, target: str = "") -> None:
        """Note that somebody has to do something about a key."""
        self.add("to do", block, key, target, why)
