"""What tools are made of, for the fingerprints of their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from headrace.domain.connection import Connection
from headrace.domain.tool import TOOL_MARK
from headrace.formats.code_files import Code, text_digest
from headrace.formats.template import Template
from headrace.planning.fingerprint import Identity
from headrace.tools.base import ConnectionLookup
from headrace.tools.connection_types import ConnectionObject

CACHE_OPTION = "cache"
"""Of the ``tool`` decorator: ``@tool(cache=False)``. Stock promptflow takes options that it does not know."""

CACHE_ATTRIBUTE = "headrace_cache"
"""The same on the entry of a flex flow, which has no decorator: ``entry.headrace_cache = False``."""


def may_be_kept(function: Any) -> bool:
    """Whether a function or class leaves it to us to use its results again."""
    options = getattr(function, TOOL_MARK, {})
    return bool(options.get(CACHE_OPTION, True)) and bool(getattr(function, CACHE_ATTRIBUTE, True))


def function_identity(
    code: Code,
    *,
    fixed: Mapping[str, Any],
    connections: Sequence[ConnectionObject] = (),
    is_remote: bool = False,
) -> Identity:
    """The identity of a Python function or class.

    Args:
        code: What it is made of.
        fixed: Arguments that replace those of the node, connection objects among them.
        connections: Those that it was given, by whatever way.
        is_remote: Whether it may ask somebody else for its result, besides through a connection.
    """
    return Identity(
        code=code.parts,
        left_out=frozenset(fixed),
        given={name: value for name, value in fixed.items() if not isinstance(value, ConnectionObject)},
        connections=tuple(connections),
        variables=code.variables,
        is_steady=code.is_steady and not connections and not is_remote,
    )


def template_parts(template: Template | None) -> Mapping[str, str]:
    """A template as a part of the code of a node; its file is named without its folder, which differs by machine."""
    return {} if template is None else {PurePath(template.file).name: text_digest(template.text)}


def connection_form(connection: Connection) -> Mapping[str, Any]:
    """Where a connection leads, without what it takes to get in and without its name, which is up to each person."""
    return {
        "type": connection.type,
        **{name: str(value) for name, value in sorted(connection.configs.items())},
    }


def connection_forms(wanted: str | Connection, lookup: ConnectionLookup) -> tuple[Mapping[str, Any], ...]:
    """Where the connection of a model node leads."""
    found = lookup.find(wanted) if isinstance(wanted, str) else wanted
    return () if found is None else (connection_form(found),)


ReadCode = Callable[[], Code | None]
"""Tells what the code of a tool is made of, when that is asked for; ``None`` when the tool is not to be kept."""
