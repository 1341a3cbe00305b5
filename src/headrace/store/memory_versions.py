"""Versions of flows and data that last as long as the process."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from threading import Lock
from typing import Any

from headrace.domain.values import JsonValue
from headrace.domain.version import DataVersion, FlowVersion, KeptPieces, Manifest, TagMove
from headrace.store.version_records import (
    content_name,
    data_version_from_row,
    data_version_row,
    flow_version_from_row,
    flow_version_row,
    tag_from_row,
    tag_row,
)


class MemoryVersions:
    """The methods of :class:`~headrace.store.base.RunStore` that keep versions."""

    def __init__(self) -> None:
        self._versions_lock = Lock()
        self._files: dict[str, bytes] = {}
        self._pieces: dict[str, tuple[tuple[str, bytes], ...]] = {}
        self._flow_versions: list[dict[str, Any]] = []
        self._tag_moves: list[dict[str, Any]] = []
        self._data_versions: list[dict[str, Any]] = []

    def keep_flow_version(
        self, flow: str, *, digest: str, manifest: Manifest, contents: Mapping[str, bytes], at: datetime
    ) -> FlowVersion:
        """Keep a version of a flow; see the protocol."""
        row = flow_version_row(flow, digest, manifest, at)
        with self._versions_lock:
            self._files = {**contents, **self._files}
            return flow_version_from_row(_keep(self._flow_versions, row, "flow"))

    def find_flow_version(self, flow: str, digest: str) -> FlowVersion | None:
        """A version by its digest; see the protocol."""
        found = [version for version in self.list_flow_versions(flow) if version.digest == digest]
        return found[0] if found else None

    def list_flow_versions(self, flow: str | None = None) -> tuple[FlowVersion, ...]:
        """Versions in order; see the protocol."""
        with self._versions_lock:
            rows = [row for row in self._flow_versions if flow in (None, row["flow"])]
        return tuple(map(flow_version_from_row, sorted(rows, key=lambda row: (row["flow"], row["number"]))))

    def move_tag(self, move: TagMove, *, n_moves: int) -> bool:
        """Put a tag on a version; see the protocol."""
        with self._versions_lock:
            known = [row for row in self._tag_moves if (row["flow"], row["tag"]) == (move.flow, move.tag)]
            if len(known) != n_moves:
                return False
            self._tag_moves.append(tag_row(move))
            return True

    def list_tag_moves(self, flow: str | None = None) -> tuple[TagMove, ...]:
        """Where tags were put; see the protocol."""
        with self._versions_lock:
            rows = [row for row in self._tag_moves if flow in (None, row["flow"])]
        return tuple(map(tag_from_row, sorted(rows, key=lambda row: str(row["at"]))))

    def keep_data_version(
        self,
        data: str,
        *,
        digest: str,
        n_lines: int,
        content: bytes | KeptPieces | None,
        at: datetime,
        origin: Mapping[str, JsonValue] | None = None,
    ) -> DataVersion:
        """Keep a version of data; see the protocol."""
        name = content_name(content)
        row = data_version_row(data, digest, n_lines, name, at, origin)
        with self._versions_lock:
            if isinstance(content, bytes):
                self._files.setdefault(row["content"], content)
            elif content is not None and content.content not in self._pieces:
                row["content"] = None
            return data_version_from_row(_keep(self._data_versions, row, "data"))

    def find_data_version(self, data: str, digest: str) -> DataVersion | None:
        """A version of data by its digest; see the protocol."""
        found = [version for version in self.list_data_versions(data) if version.digest == digest]
        return found[0] if found else None

    def list_data_versions(self, data: str | None = None) -> tuple[DataVersion, ...]:
        """Versions of data in order; see the protocol."""
        with self._versions_lock:
            rows = [row for row in self._data_versions if data in (None, row["data"])]
        return tuple(map(data_version_from_row, sorted(rows, key=lambda row: (row["data"], row["number"]))))

    def forget_data(self, data: str, number: int) -> bool:
        """Forget a file; see the protocol."""
        with self._versions_lock:
            for row in self._data_versions:
                if (row["data"], row["number"]) == (data, number) and row["content"] is not None:
                    content, row["content"] = row["content"], None
                    others = [other["content"] for other in self._data_versions]
                    if content not in others and all(
                        content not in version["manifest"] for version in self._flow_versions
                    ):
                        self._files.pop(content, None)
                        self._pieces.pop(content, None)
                    return True
        return False

    def keep_pieces(self, content: str, pieces: Iterable[tuple[str, bytes]]) -> KeptPieces:
        """Keep the files of large data; see the protocol."""
        kept = tuple(pieces)
        with self._versions_lock:
            self._pieces[content] = kept
        return KeptPieces(content=content, n_pieces=len(kept))

    def read_pieces(self, content: str) -> Iterator[tuple[str, bytes | None]]:
        """The files of large data; see the protocol."""
        with self._versions_lock:
            kept = self._pieces.get(content, ())
        yield from kept

    def missing_files(self, digests: Collection[str]) -> frozenset[str]:
        """Files that are not kept; see the protocol."""
        with self._versions_lock:
            return frozenset(digests).difference(self._files)

    def read_file(self, digest: str) -> bytes | None:
        """A kept file; see the protocol."""
        with self._versions_lock:
            return self._files.get(digest)


def _keep(rows: list[dict[str, Any]], row: dict[str, Any], owner: str) -> dict[str, Any]:
    """The row of the same digest, else ``row`` under the next number."""
    its = [known for known in rows if known[owner] == row[owner]]
    for known in its:
        if known["digest"] == row["digest"]:
            return known
    rows.append({**row, "number": len(its) + 1})
    return rows[-1]
