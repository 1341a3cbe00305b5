"""``PFClient().connections``: connections that are kept by name (promptflow-format: 8, 9.12)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

from headrace.compat.exception_families import exception_family
from headrace.domain.connection import Connection
from headrace.errors import DefinitionError, UsageError
from headrace.formats.connection_file import load_connection as read_connection
from headrace.operations.workspace import Workspace
from headrace.sdk.failures import as_sdk_errors
from headrace.tools.connection_types import (
    CONNECTION_CLASSES,
    ConnectionObject,
    kept_connection,
    make_connection_object,
)

_UNKNOWN = "C501"


class ConnectionOperations:
    """Connections of one workspace. Made by :class:`PFClient`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def create_or_update(self, connection: ConnectionObject, **_: Any) -> ConnectionObject:
        """Keep a connection in the workspace, over one of its name.

        Raises:
            ConnectionNameNotSetError: It has no name.
            UserErrorException: Its name cannot be that of a file, or its fields are wrong.
        """
        if not connection.name:
            message = "Name is required to create or update connection."
            raise exception_family("promptflow._sdk._errors")["ConnectionNameNotSetError"](message)
        with as_sdk_errors():
            self._workspace.connections.create(kept_connection(connection))
        return self.get(connection.name)

    def get(self, name: str, **_: Any) -> ConnectionObject:
        """The connection of this name, with its secrets.

        Raises:
            ConnectionNotFoundError: There is none.
        """
        known = self._workspace.connections
        with as_sdk_errors():
            found = known.find(name)
            if found is None:
                raise UsageError(known.unknown(name))
            return _object(found, known.secret)

    def list(self, max_results: int = 50, all_results: bool = False) -> list[ConnectionObject]:  # noqa: FBT001, FBT002
        """The connections that can be used, by name; those that cannot be read are left out."""
        known = self._workspace.connections
        with as_sdk_errors():
            found, _ = known.list_connections()
            readable = list(_objects(found, known.secret))
        return readable if all_results else readable[:max_results]

    def delete(self, name: str) -> None:
        """Delete the file that keeps a connection; where there is none, nothing happens."""
        with as_sdk_errors():
            try:
                self._workspace.connections.delete(name)
            except UsageError as error:
                if error.problems[0].code != _UNKNOWN:
                    raise


def load_connection(source: str | PathLike[str], **_: Any) -> ConnectionObject:
    """The connection that a file describes; it is not kept, and a secret that names a variable is ``None``.

    Raises:
        UserErrorException: The file is missing or wrong.
    """
    with as_sdk_errors():
        connection = read_connection(Path(source))
        return _object(connection, lambda found, field: found.secrets[field].value)


def _object(connection: Connection, secret: Callable[[Connection, str], str | None]) -> ConnectionObject:
    made: ConnectionObject = make_connection_object(connection, CONNECTION_CLASSES[connection.type], secret)
    return made


def _objects(
    connections: Iterable[Connection], secret: Callable[[Connection, str], str | None]
) -> Iterator[ConnectionObject]:
    for connection in connections:
        if connection.type in CONNECTION_CLASSES:  # the embedded reader has no class
            try:
                yield _object(connection, secret)
            except DefinitionError:
                continue
