"""What every SQL database does the same for versions of flows and data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from headrace.domain.values import JsonValue
from headrace.domain.version import DataVersion, FlowVersion, KeptPieces, Manifest, TagMove
from headrace.store.database import Connection, Contents, Database
from headrace.store.failures import DAMAGED, store_failure
from headrace.store.records import Row
from headrace.store.sql_pieces import forget_pieces, has_all
from headrace.store.version_records import (
    content_name,
    data_version_from_row,
    data_version_row,
    flow_version_from_row,
    flow_version_row,
    tag_from_row,
    tag_row,
)

ValueT = TypeVar("ValueT")


class SqlVersions:
    """The methods of :class:`~headrace.store.base.RunStore` that keep versions."""

    def __init__(self, database: Database, contents: Contents) -> None:
        self._database = database
        self._contents = contents

    def keep_flow_version(
        self, flow: str, *, digest: str, manifest: Manifest, contents: Mapping[str, bytes], at: datetime
    ) -> FlowVersion:
        """Keep a version of a flow; see the protocol."""
        row = flow_version_row(flow, digest, manifest, at)
        files = [{"digest": name, "data": contents[name]} for name in sorted(contents)]

        def keep(connection: Connection) -> Row:
            if files:
                connection.execute_many("keep_file", files)
            while True:  # of two writers that take the same number, one takes the next
                connection.execute("keep_flow_version", row)
                found = connection.rows("find_flow_version", row)
                if found:
                    return found[0]

        kept = self._database.write(keep, is_repeatable=True, makes=True)
        return self._decoded(flow_version_from_row, kept)

    def find_flow_version(self, flow: str, digest: str) -> FlowVersion | None:
        """A version by its digest; see the protocol."""
        row = {"flow": flow, "digest": digest}
        rows = self._database.read(lambda connection: connection.rows("find_flow_version", row))
        return self._decoded(flow_version_from_row, rows[0]) if rows else None

    def list_flow_versions(self, flow: str | None = None) -> tuple[FlowVersion, ...]:
        """Versions in order; see the protocol."""
        return self._listed("list_flow_versions", {"flow": flow}, flow_version_from_row)

    def move_tag(self, move: TagMove, *, n_moves: int) -> bool:
        """Put a tag on a version; see the protocol."""
        row = {**tag_row(move), "move": n_moves + 1}
        return self._database.write(
            lambda connection: connection.execute("move_tag", row) == 1, is_repeatable=False, makes=True
        )

    def list_tag_moves(self, flow: str | None = None) -> tuple[TagMove, ...]:
        """Where tags were put; see the protocol."""
        return self._listed("list_tag_moves", {"flow": flow}, tag_from_row)

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
        known = data_version_row(data, digest, n_lines, name, at, origin)

        def keep(connection: Connection) -> Row:
            row = known
            if isinstance(content, bytes):
                connection.execute("keep_file", {"digest": name, "data": content})
            elif content is not None and not has_all(connection, content):
                row = {**known, "content": None}
            while True:
                connection.execute("keep_data_version", row)
                found = connection.rows("find_data_version", row)
                if found:
                    return found[0]

        kept = self._database.write(keep, is_repeatable=True, makes=True)
        return self._decoded(data_version_from_row, kept)

    def find_data_version(self, data: str, digest: str) -> DataVersion | None:
        """A version of data by its digest; see the protocol."""
        row = {"data": data, "digest": digest}
        rows = self._database.read(lambda connection: connection.rows("find_data_version", row))
        return self._decoded(data_version_from_row, rows[0]) if rows else None

    def list_data_versions(self, data: str | None = None) -> tuple[DataVersion, ...]:
        """Versions of data in order; see the protocol."""
        return self._listed("list_data_versions", {"data": data}, data_version_from_row)

    def forget_data(self, data: str, number: int) -> bool:
        """Forget a file; see the protocol."""

        def forget(connection: Connection) -> bool:
            row = {"data": data, "number": number}
            found = connection.rows("find_data_file", row)
            if not found:
                return False
            connection.execute("forget_data", row)
            content = found[0]["content"]
            connection.execute("forget_file", {"digest": content, "pattern": f"%{content}%"})
            forget_pieces(connection)
            return True

        is_forgotten = self._database.write(forget, is_repeatable=True)
        if is_forgotten:
            self._contents.collect(self._database)
        return is_forgotten

    def missing_files(self, digests: Collection[str]) -> frozenset[str]:
        """Files that are not kept; see the protocol."""

        def missing(connection: Connection) -> frozenset[str]:
            return frozenset(
                digest for digest in digests if not connection.rows("find_file", {"digest": digest})
            )

        return self._database.read(missing)

    def read_file(self, digest: str) -> bytes | None:
        """A kept file; see the protocol."""
        rows = self._database.read(lambda connection: connection.rows("read_file", {"digest": digest}))
        return bytes(rows[0]["data"]) if rows else None

    def _listed(
        self, query: str, row: Mapping[str, object], decode: Callable[[Row], ValueT]
    ) -> tuple[ValueT, ...]:
        rows: Sequence[Row] = self._database.read(lambda connection: connection.rows(query, row))
        return tuple(self._decoded(decode, item) for item in rows)

    def _decoded(self, decode: Callable[[Row], ValueT], row: Row) -> ValueT:
        try:
            return decode(row)
        except (ValueError, KeyError, TypeError) as error:
            what = f"a row does not hold what it should: {type(error).__name__}"
            raise store_failure(self._database.place, DAMAGED, what) from error
