"""What every SQL database does the same for large data: pieces, each a content of its own, compressed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from hashlib import sha256

from headrace.domain.version import KeptPieces
from headrace.store.database import Connection, Contents, Database

_FAST = 1
"""Level of compression: text becomes a quarter or less at about a hundred megabytes a second."""


class SqlPieces:
    """The methods of :class:`~headrace.store.base.RunStore` that keep large data."""

    _database: Database
    _contents: Contents

    def keep_pieces(self, content: str, pieces: Iterable[tuple[str, bytes]]) -> KeptPieces:
        """Keep the files of large data piece by piece; see the protocol."""
        n_pieces = 0
        for n_pieces, (file, data) in enumerate(pieces, start=1):
            packed = zlib.compress(data, _FAST)
            self._keep_piece(content, n_pieces, file, packed)
        return KeptPieces(content=content, n_pieces=n_pieces)

    def read_pieces(self, content: str) -> Iterator[tuple[str, bytes | None]]:
        """The files of large data piece by piece; see the protocol."""
        row = {"content": content}
        rows = self._database.read(lambda connection: connection.rows("list_data_pieces", row))
        for item in rows:
            yield item["file"], self._read_piece(item["digest"])

    def _keep_piece(self, content: str, place: int, file: str, packed: bytes) -> None:
        digest = sha256(packed).hexdigest()
        row = {"content": content, "place": place, "file": file, "digest": digest}
        self._contents.prepare({digest: packed})

        def keep(connection: Connection) -> None:
            self._contents.keep(connection, {digest: packed})
            connection.execute("keep_data_piece", row)

        self._database.write(keep, is_repeatable=True, makes=True)

    def _read_piece(self, digest: str) -> bytes | None:
        packed = self._database.read(lambda connection: self._contents.read(connection, digest))
        if packed is None or sha256(packed).hexdigest() != digest:
            return None
        return zlib.decompress(packed)


def has_all(connection: Connection, pieces: KeptPieces) -> bool:
    """Whether all pieces are there, as a version is about to name them: it may have been forgotten meanwhile."""
    return len(connection.rows("list_data_pieces", {"content": pieces.content})) == pieces.n_pieces


def forget_pieces(connection: Connection) -> int:
    """Forget the pieces of data that no version names any more; their contents are collected afterwards."""
    return connection.execute("forget_data_pieces", {})
