"""What became of the keys of a file that was taken over, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from headrace.formats.import_notes import ImportKind, ImportNote


def render_notes(notes: Sequence[ImportNote]) -> str:
    """The notes under the word for what became of them; what is to do stands last."""
    return "\n".join(_lines(notes))


def _lines(notes: Sequence[ImportNote]) -> Iterator[str]:
    has_several = len({note.span.file for note in notes if note.span}) > 1
    for kind in get_args(ImportKind):
        chosen = [note for note in notes if note.kind == kind]
        if chosen:
            yield f"\n{kind}:"
            yield from (f"  {_line(note, shows_file=has_several)}" for note in chosen)


def _line(note: ImportNote, *, shows_file: bool) -> str:
    file = f"{Path(note.span.file).name}: " if note.span and shows_file else ""
    arrow = file + " → ".join(text for text in (note.source, note.target) if text)
    return f"{arrow}: {note.why}" if note.why else arrow


def notes_to_json(notes: Sequence[ImportNote]) -> list[dict[str, Any]]:
    """The notes as plain data."""
    return [
        {
            "kind": note.kind,
            "from": note.source or None,
            "to": note.target or None,
            "why": note.why or None,
            "place": str(note.span) if note.span else None,
        }
        for note in notes
    ]
