"""Versions and tags as rows and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from headrace.domain.values import JsonValue
from headrace.domain.version import (
    DataVersion,
    FlowVersion,
    KeptPieces,
    Manifest,
    SkippedFile,
    TagMove,
    VersionFile,
)
from headrace.store.records import Row, decode_json, encode_json, encode_time


def flow_version_row(flow: str, digest: str, manifest: Manifest, created_at: datetime) -> dict[str, Any]:
    """Columns of a version of a flow, but for its number."""
    return {
        "flow": flow,
        "digest": digest,
        "created_at": encode_time(created_at),
        "manifest": encode_json(
            {
                "place": manifest.place,
                "file": manifest.file,
                "entry": manifest.entry,
                "files": [
                    [file.path, file.kind, file.digest, file.content, file.n_bytes] for file in manifest.files
                ],
                "skipped": [[item.path, item.reason] for item in manifest.skipped],
            }
        ),
    }


def flow_version_from_row(row: Row) -> FlowVersion:
    """A version of a flow from its columns."""
    data: Mapping[str, Any] = decode_json(row["manifest"])
    return FlowVersion(
        flow=row["flow"],
        number=row["number"],
        digest=row["digest"],
        created_at=datetime.fromisoformat(row["created_at"]),
        manifest=Manifest(
            place=data["place"],
            file=data["file"],
            entry=data["entry"],
            files=tuple(
                VersionFile(path=path, kind=kind, digest=digest, content=content, n_bytes=n_bytes)
                for path, kind, digest, content, n_bytes in data["files"]
            ),
            skipped=tuple(SkippedFile(path=path, reason=reason) for path, reason in data["skipped"]),
        ),
    )


def tag_row(move: TagMove) -> dict[str, Any]:
    """Columns of a move of a tag, but for its place in the order."""
    return {
        "flow": move.flow,
        "tag": move.tag,
        "number": move.number,
        "digest": move.digest,
        "at": encode_time(move.at),
    }


def tag_from_row(row: Row) -> TagMove:
    """A move of a tag from its columns."""
    return TagMove(
        flow=row["flow"],
        tag=row["tag"],
        number=row["number"],
        digest=row["digest"],
        at=datetime.fromisoformat(row["at"]),
    )


def content_name(content: bytes | KeptPieces | None) -> str | None:
    """What the content of a version of data is known by."""
    if isinstance(content, bytes):
        return sha256(content).hexdigest()
    return content.content if content is not None else None


def data_version_row(
    data: str,
    digest: str,
    n_lines: int,
    content: str | None,
    created_at: datetime,
    origin: Mapping[str, JsonValue] | None,
) -> dict[str, Any]:
    """Columns of a version of data, but for its number."""
    return {
        "data": data,
        "digest": digest,
        "n_lines": n_lines,
        "content": content,
        "created_at": encode_time(created_at),
        "origin": None if origin is None else encode_json(origin),
    }


def data_version_from_row(row: Row) -> DataVersion:
    """A version of data from its columns."""
    return DataVersion(
        data=row["data"],
        number=row["number"],
        digest=row["digest"],
        n_lines=row["n_lines"],
        content=row["content"],
        created_at=datetime.fromisoformat(row["created_at"]),
        origin=None if row["origin"] is None else decode_json(row["origin"]),
    )
