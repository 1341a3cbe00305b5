"""Connection files on their way into the store: ``--name`` and ``--set`` applied, open secrets asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from headrace.cli.session import fail_usage
from headrace.domain.connection import Connection, Secret
from headrace.errors import DefinitionError, Problem
from headrace.formats.connection_file import NO_CHANGE
from headrace.formats.env_file import read_env_file
from headrace.formats.positions import load_yaml, read_text
from headrace.source import Pointer, SourceMap, file_span, pointer_text

_GROUPS = ("secrets", "configs")

Ask = Callable[[str], str | None]
"""Asks a person for the named secret without showing what is typed; ``None`` where nobody can answer."""


def read_connection_data(
    path: Path, environment: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], SourceMap]:
    """The raw fields of a connection file; every entry of a ``.env`` file is a secret of a custom connection.

    Raises:
        DefinitionError: The file is missing or is not a mapping.
    """
    if path.name.endswith(".env"):
        data: Any = {"type": "custom", "secrets": read_env_file(path, environment)}
        return data, SourceMap(file=str(path), values={}, keys={})
    data, places = load_yaml(read_text(path), str(path))
    if not isinstance(data, dict):
        raise DefinitionError(
            Problem(
                code="C502",
                what="A connection file is a mapping of fields such as name, type and api_key.",
                span=file_span(str(path)),
                fix="Write name: NAME and type: TYPE, then the fields of that type.",
            )
        )
    return data, places


def override_fields(data: dict[str, Any], name: str | None, settings: Mapping[str, str]) -> dict[str, Any]:
    """``data`` with another name and ``--set`` values of ``field``, ``secrets.x`` or ``configs.x``.

    Raises:
        UsageError: C507 for a dotted key that is neither.
    """
    changed = {
        key: dict(value) if key in _GROUPS and isinstance(value, dict) else value
        for key, value in data.items()
    }
    for key, value in settings.items():
        group, dot, inner = key.partition(".")
        if not dot:
            changed[key] = value
        elif group in _GROUPS and inner:
            changed.setdefault(group, {})[inner] = value
        else:
            fail_usage(
                f'--set cannot set "{key}".', "Write FIELD=VALUE, secrets.NAME=VALUE or configs.NAME=VALUE."
            )
    return changed | ({"name": name} if name else {})


def merge_fields(stored: dict[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """``stored`` with the fields of ``data`` on top; ``<no-change>`` and ``******`` leave what is stored.

    Fields of another type of connection replace all that is stored.
    """
    if data.get("type") not in (None, stored["type"]):
        return {**data, "name": stored["name"]}
    merged = dict(stored)
    for key, value in data.items():
        if key in _GROUPS and isinstance(value, Mapping):
            merged[key] = {**merged.get(key, {}), **_changed(value)}
        else:
            merged.update(_changed({key: value}))
    return {**merged, "name": stored["name"]}


def _changed(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in fields.items() if not (isinstance(value, str) and value in NO_CHANGE)
    }


def ask_at_terminal(secret: str) -> str | None:
    """Ask the person at the terminal, if there is one, for a secret."""
    if not sys.stdin.isatty():
        return None
    answer: str = click.prompt(secret, hide_input=True, err=True)
    return answer


def fill_secrets(connection: Connection, places: SourceMap, ask: Ask) -> Connection:
    """``connection`` with every secret that is not set yet replaced by what a person types.

    Raises:
        DefinitionError: C502 for every open secret, where nobody can answer.
    """
    filled = dict(connection.secrets)
    missing: list[Problem] = []
    for name, secret in connection.secrets.items():
        if secret.is_set:
            continue
        answer = ask(name)
        if answer:
            filled[name] = Secret(value=answer)
        else:
            missing.append(
                _missing(name, ("secrets", name) if connection.type == "custom" else (name,), places)
            )
    if missing:
        raise DefinitionError(*missing)
    return replace(connection, secrets=filled)


def _missing(name: str, pointer: Pointer, places: SourceMap) -> Problem:
    return Problem(
        code="C502",
        what=f"The secret {name} has a placeholder, and there is no terminal to ask for its value at.",
        span=places.span(pointer),
        pointer=pointer,
        fix=f"Give it with --set {pointer_text(pointer)}=VALUE, or write ${{env:VARIABLE}} in the file.",
    )
