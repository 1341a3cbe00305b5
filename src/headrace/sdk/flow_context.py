"""``FlowContext``: what is different from the flow's file when code calls it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.domain.connection import Connection
from headrace.tools.connection_types import ConnectionObject, kept_connection


@dataclass
class FlowContext:
    """Settings of the calls of a flow; changing them changes the next call.

    Attributes:
        connections: Node to ``{"connection": …, "deployment_name": …}``; a connection is given by name or as an object.
        variant: ``${node.variant}``.
        overrides: Keys of the flow file joined by dots, to their value: ``nodes.answer.inputs.temperature``.
        streaming: Whether outputs that a model streams are generators.
    """

    connections: Mapping[str, Mapping[str, Any]] | None = field(default_factory=dict)
    variant: str | None = None
    overrides: Mapping[str, Any] | None = field(default_factory=dict)
    streaming: bool | None = None


def split_connections(
    connections: Mapping[str, Mapping[str, Any]] | None,
) -> tuple[dict[str, str], dict[str, Connection]]:
    """The settings of nodes as texts, and the connections among them that are objects, by name."""
    settings: dict[str, str] = {}
    given: dict[str, Connection] = {}
    for node, values in (connections or {}).items():
        for key, value in values.items():
            if isinstance(value, ConnectionObject):
                name = value.name or f"{node}.{key}"
                given[name] = replace(kept_connection(value), name=name)
                settings[f"{node}.{key}"] = name
            else:
                settings[f"{node}.{key}"] = str(value)
    return settings, given
