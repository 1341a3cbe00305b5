"""The JSON schema of a flow behind an address, in experiment and traffic files."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.formats.schema_parts import (
    ABOVE_ZERO,
    NAME,
    TEXT,
    VALUE,
    Schema,
    a_list,
    an_object,
)


def remote_forms(more: Mapping[str, Schema] | None = None) -> tuple[Schema, Schema]:
    """An address, and a deployment file in its place.

    Args:
        more: Further keys of both.
    """
    asked: dict[str, Schema] = {
        "name": TEXT,
        "timeout_s": ABOVE_ZERO,
        "headers": {"type": "object", "additionalProperties": VALUE},
        "inputs": a_list(NAME),
        "outputs": {"type": "object", "additionalProperties": TEXT},
        "cache": {"enum": ["on", "off", True, False]},
        **(more or {}),
    }
    reached: dict[str, Schema] = {
        "url": {"type": "string", "pattern": r"^https?://[^\s/]+"},
        "connection": TEXT,
        "auth": {"const": "entra"},
        "scope": TEXT,
        "deployment": TEXT,
    }
    deployed: dict[str, Schema] = {"deployed": TEXT, "environment": TEXT, "arm": TEXT}
    return (
        an_object({**reached, **asked}, required=("url",)),
        an_object({**deployed, **asked}, required=("deployed",)),
    )
