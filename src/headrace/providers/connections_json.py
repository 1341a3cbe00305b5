"""The JSON file that ``PROMPTFLOW_CONNECTIONS`` names: prompt flow's way to hand connections to a process."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.domain.connection import Connection
from headrace.errors import DefinitionError, Problem
from headrace.formats.connection_file import CONNECTION_TYPES, connection_from_mapping
from headrace.formats.positions import read_text
from headrace.source import file_span

ENCODED_CONNECTIONS = "PROMPTFLOW_ENCODED_CONNECTIONS"
_MOST_BYTES = 16 * 1024 * 1024


def read_connections_json(path: Path) -> Mapping[str, Connection]:
    """Read all connections of a file.

    Each is ``{"type": …, "value": {field: …}}`` with prompt flow's class name or type word, or the plain
    mapping that a connection file holds.

    Raises:
        DefinitionError: F001 when the file is missing, C502 with every connection in it that is wrong.
    """
    text = read_text(path)
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise DefinitionError(_problem(path, f"is not valid JSON ({place})")) from error
    return _read_entries(path, entries)


def decode_connections(text: str) -> Mapping[str, Connection]:
    """Read the connections that a variable of the environment holds: the same JSON, packed by gzip, in base64.

    Raises:
        DefinitionError: C502 when it cannot be decoded, or with every connection in it that is wrong.
    """
    try:
        unpacked = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(b64decode(text), _MOST_BYTES)
        entries = json.loads(unpacked)
    except (ValueError, zlib.error) as error:
        raise DefinitionError(
            _problem(ENCODED_CONNECTIONS, "is not JSON, packed by gzip, in base64")
        ) from error
    return _read_entries(ENCODED_CONNECTIONS, entries)


def _read_entries(path: Path | str, entries: Any) -> Mapping[str, Connection]:
    if not isinstance(entries, dict):
        raise DefinitionError(_problem(path, "does not hold an object of connections"))
    found: dict[str, Connection] = {}
    problems: list[Problem] = []
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            problems.append(_problem(path, f'has no object for connection "{name}"'))
            continue
        try:
            connection = connection_from_mapping(_as_file(name, entry))
            found[name] = replace(connection, name=name, origin=str(path))
        except DefinitionError as error:
            problems.extend(error.problems)
    if problems:
        raise DefinitionError(*problems)
    return found


def _as_file(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping that a connection file would hold; prompt flow writes unset fields as null."""
    value = entry.get("value")
    if not isinstance(value, dict):
        return {**entry, "name": name}
    fields = {key: item for key, item in value.items() if item is not None}
    structure = {"name": name, "type": entry.get("type")}
    if entry.get("type") not in ("custom", CONNECTION_TYPES["custom"].class_name):
        return {**structure, **fields}
    secret_names = set(entry.get("secret_keys") or ())
    return {
        **structure,
        "configs": {key: item for key, item in fields.items() if key not in secret_names},
        "secrets": {key: item for key, item in fields.items() if key in secret_names},
    }


def _problem(path: Path | str, what: str) -> Problem:
    is_file = isinstance(path, Path)
    return Problem(
        code="C502",
        what=f"The connections file {what}." if is_file else f"The environment variable {path} {what}.",
        span=file_span(str(path)) if is_file else None,
        fix='Write a JSON object: {"name": {"type": "open_ai", "value": {"api_key": "..."}}}.',
    )
