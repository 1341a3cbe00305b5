"""Read the version of a flow from its files: the id, what it is made of, and what the store keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from headrace.domain.flow import Flow
from headrace.domain.version import CODE, DATA, GRAPH, Manifest, SkippedFile, VersionFile
from headrace.errors import DefinitionError, Problem
from headrace.formats.flow_files import FlowFiles, find_flow_files
from headrace.planning.flow_version import (
    data_digest,
    even_text,
    hide_secrets,
    secret_values,
    version_digest,
)

MOST_BYTES = 4 * 1024 * 1024
"""The largest file of a flow that is kept; a larger one counts in the id all the same."""

MOST_TOTAL_BYTES = 64 * 1024 * 1024
"""How much is kept of one version."""

_SETTINGS = (".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".prompty")
_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSnapshot:
    """A flow as its files are now.

    Attributes:
        digest: The id of the version, 64 hexadecimal digits.
        contents: What there is to keep, by SHA-256.
    """

    digest: str
    manifest: Manifest
    contents: Mapping[str, bytes]


def flow_digest(flow: Flow) -> str:
    """The id of the version that a flow's files are now: 64 hexadecimal digits; see :func:`read_snapshot`."""
    return read_snapshot(flow).digest


def read_snapshot(flow: Flow) -> FlowSnapshot:
    """The version that a flow's files are now.

    Neither what was chosen for a run counts nor where the flow lies, nor line ends, nor comments and order of keys in
    the flow file, nor the values of keys and passwords, which are kept nowhere.

    Args:
        flow: The flow, as it was loaded or as it runs.

    Raises:
        DefinitionError: A file of it cannot be read; F001.
    """
    found = find_flow_files(flow)
    secrets = secret_values(found.data)
    files: list[VersionFile] = []
    contents: dict[str, bytes] = {}
    skipped = [SkippedFile(path=path, reason="its name says that it holds keys") for path in found.skipped]
    room = MOST_TOTAL_BYTES
    for path, (kind, place) in found.files.items():
        try:
            size = place.stat().st_size
            if size > min(MOST_BYTES, room):
                file = VersionFile(path=path, kind=kind, digest=_digest_of(place), n_bytes=size)
                skipped.append(SkippedFile(path=path, reason=f"{size:,} bytes are too many to be kept"))
            else:
                data = place.read_bytes()
                file, kept = _read_file(found, path, kind, data, secrets)
                contents[file.content or ""] = kept
                room -= size
                if kept != data:
                    skipped.append(SkippedFile(path=path, reason="the keys in it were left out"))
        except OSError as error:
            raise _unreadable(place, error) from error
        files.append(file)
    entry = "" if found.file else flow.entry or ""
    digest = version_digest(files, entry)
    manifest = Manifest(
        place=_place(Path(flow.folder), files),
        file=found.file,
        entry=entry,
        files=tuple(files),
        skipped=tuple(skipped),
    )
    return FlowSnapshot(digest=digest, manifest=manifest, contents=contents)


def _read_file(
    found: FlowFiles, path: str, kind: str, data: bytes, secrets: frozenset[str]
) -> tuple[VersionFile, bytes]:
    """A file of the version, and the bytes to keep."""
    is_settings = kind in (GRAPH, DATA) and path.endswith(_SETTINGS)
    kept = hide_secrets(data, secrets, is_code=kind == CODE, is_settings=is_settings)
    if kind == GRAPH and path == found.file:
        digest = data_digest(found.data, even_text(hide_secrets(found.body.encode())).decode())
    else:
        digest = sha256(even_text(kept)).hexdigest()
    content = sha256(kept).hexdigest()
    return VersionFile(path=path, kind=kind, digest=digest, content=content, n_bytes=len(data)), kept


def _digest_of(file: Path) -> str:
    """SHA-256 of a large file without regard to line ends, unless it is no text, which its first bytes tell."""
    digest = sha256()
    with file.open("rb") as stream:
        first = stream.read(_PIECE)
        is_text = b"\0" not in first
        piece = first
        while piece:
            while is_text and piece.endswith(b"\r") and (more := stream.read(1)):
                piece += more
            digest.update(even_text(piece) if is_text else piece)
            piece = stream.read(_PIECE)
    return digest.hexdigest()


def _place(folder: Path, files: list[VersionFile]) -> str:
    depth = max((file.path.split("/").count("..") for file in files), default=0)
    return "/".join(folder.parts[-max(depth, 1) :])


def _unreadable(file: Path, error: OSError) -> DefinitionError:
    what = (
        f"{file} belongs to the flow and cannot be read: {(error.strerror or type(error).__name__).lower()}."
    )
    return DefinitionError(Problem(code="F001", what=what, fix="Make it readable, or remove what names it."))
