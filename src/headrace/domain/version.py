"""Versions of flows and of data: what they hold, what they are called, and what points at them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from headrace.domain.values import JsonValue

GRAPH = "graph"
CODE = "code"
PROMPT = "prompt"
REQUIREMENTS = "requirements"
DATA = "data"

_NAME = re.compile(r"(?P<flow>[^@/\\]*)@(?P<rest>[^@/\\]+)")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_DIGEST = re.compile(r"[0-9a-f]{12,64}")
_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFile:
    """One file of a flow version.

    Attributes:
        path: From the folder of the flow, parts separated by ``/``; begins with ``..`` for a file from elsewhere.
        kind: :data:`GRAPH`, :data:`CODE`, :data:`PROMPT`, :data:`REQUIREMENTS` or :data:`DATA`; data is what code or
            inputs name beside these.
        digest: SHA-256 over what counts of it, hexadecimal: without line ends, of a flow file without comments and
            order of keys, and never over keys and passwords.
        content: SHA-256 of the bytes that the store keeps; ``None`` where it keeps none, because the file is too large.
        n_bytes: Size of the file.
    """

    path: str
    kind: str
    digest: str
    content: str | None = None
    n_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFile:
    """A file, or a value in one, that a version leaves out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a flow version is made of.

    Attributes:
        place: Last parts of the path of the flow's folder, as many as files from elsewhere need, at least one; counts
            for nothing, and is where a restored flow lies.
        file: Name of the flow file in that folder; empty for a flow that is only an entry.
        entry: ``module:callable`` of a flow without a file; else empty.
        files: In order of path.
        skipped: What was left out.
    """

    place: str
    file: str
    entry: str = ""
    files: tuple[VersionFile, ...]
    skipped: tuple[SkippedFile, ...] = ()

    def find(self, path: str) -> VersionFile | None:
        """The file of that path, if there is one."""
        return next((file for file in self.files if file.path == path), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowVersion:
    """One version of a flow, as the store keeps it.

    Attributes:
        flow: Name of the flow.
        number: Counts from 1 within the flow, in the order in which versions were seen first.
        digest: SHA-256 over all that can change an answer, hexadecimal.
        created_at: When it was seen first, UTC-aware.
    """

    flow: str
    number: int
    digest: str
    created_at: datetime
    manifest: Manifest

    @property
    def name(self) -> str:
        """``ask_docs@7``."""
        return f"{self.flow}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagMove:
    """A tag that was put on a version; the last move of a tag counts, and the earlier ones are its history.

    Attributes:
        number, digest: Of the version.
        at: When, UTC-aware.
    """

    flow: str
    tag: str
    number: int
    digest: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DataVersion:
    """One version of a data file, as runs have read it.

    Attributes:
        data: Path of the file, from the folder of the workspace where it lies there, else absolute.
        number: Counts from 1 within the file, in the order in which versions were seen first.
        digest: SHA-256 over the content, hexadecimal.
        n_lines: Lines that runs take from it.
        content: SHA-256 of the file that the store keeps, of several files that of their names and SHA-256; ``None``
            where it keeps none, because they are too large or were deleted.
        created_at: When it was seen first, UTC-aware.
        origin: Where it comes from, where headrace itself has written it; else ``None``.
    """

    data: str
    number: int
    digest: str
    n_lines: int
    content: str | None
    created_at: datetime
    origin: Mapping[str, JsonValue] | None = None

    @property
    def name(self) -> str:
        """``data/test.jsonl@2``."""
        return f"{self.data}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPieces:
    """Large data, or data of several files, that the store keeps in pieces.

    Attributes:
        content: As a :class:`DataVersion` has it.
        n_pieces: How many there are.
    """

    content: str
    n_pieces: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedVersion:
    """The version that a name stood for when it was looked up: a tag may move, the digest does not.

    Attributes:
        flow, number, digest: Of the version.
    """

    flow: str
    number: int
    digest: str

    @property
    def name(self) -> str:
        """``ask_docs@7``."""
        return f"{self.flow}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionName:
    """What a person calls a version: ``ask_docs@7``, ``ask_docs@prod``, ``@prod``, or a flow and the start of a digest.

    Attributes:
        flow: Name of the flow; ``None`` where the tag alone says it.
        number, tag, digest: One of them is given.
    """

    text: str
    flow: str | None = None
    number: int | None = None
    tag: str | None = None
    digest: str | None = None


def parse_version_name(text: str) -> VersionName | None:
    """What ``text`` names, ``None`` when it does not have the form of a version's name; paths do not."""
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    flow, rest = match["flow"] or None, match["rest"]
    if _NUMBER.fullmatch(rest):
        return VersionName(text=text, flow=flow, number=int(rest)) if flow else None
    if _DIGEST.fullmatch(rest):
        return VersionName(text=text, flow=flow, digest=rest)
    return VersionName(text=text, flow=flow, tag=rest) if _TAG.fullmatch(rest) else None


def is_tag(text: str) -> bool:
    """Whether a tag may be called so: like a word, and not like a number or a digest."""
    return _TAG.fullmatch(text) is not None and _DIGEST.fullmatch(text) is None
