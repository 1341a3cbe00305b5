"""Connections as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Ink
from headrace.domain.connection import Connection

_ADDRESS_FIELDS = ("api_base", "base_url", "endpoint", "url")
_BUILT_IN_ADDRESS = "in this process"


def render_connections(connections: Sequence[Connection], *, ink: Ink, width: int | None) -> str:
    """One row per connection: name, type, address, where it was found."""
    columns = [
        Column(title="name", least=12),
        Column(title="type"),
        Column(title="address", least=16),
        Column(title="found in", least=12),
    ]
    rows = [
        [Cell(item.name), Cell(item.type), Cell(address_of(item)), Cell(item.origin, ("dim",))]
        for item in connections
    ]
    return render_table(columns, rows, ink=ink, width=width)


def address_of(connection: Connection) -> str:
    """Where the connection leads."""
    found = next((connection.configs[name] for name in _ADDRESS_FIELDS if connection.configs.get(name)), "")
    return found or (_BUILT_IN_ADDRESS if connection.type == "baseline" else "")
