"""What the rules are told: ``agreed.yaml``, and the keys that Azure knows: ``properties.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
PROPERTIES = HERE / "properties.json"


@dataclass(frozen=True, kw_only=True)
class Agreed:
    """The tables of ``agreed.yaml``."""

    versions: dict[str, str]
    roles: dict[str, str]
    group_roles: frozenset[str]
    outputs: frozenset[str]
    must: dict[str, dict[str, Any]]
    needs: dict[str, list[str]]
    answers: dict[str, Any]
    decorators: frozenset[str]
    functions: frozenset[str]


@cache
def agreed() -> Agreed:
    """Read the tables."""
    said = yaml.safe_load((HERE / "agreed.yaml").read_text("utf-8"))
    return Agreed(
        versions={kind: str(version) for kind, version in said["versions"].items()},
        roles={role.lower(): name for role, name in said["roles"].items()},
        group_roles=frozenset(said["group_roles"]),
        outputs=frozenset(said["outputs"]),
        must=said["must"],
        needs=said["needs"],
        answers=said["answers"],
        decorators=frozenset(said["decorators"]),
        functions=frozenset(name for line in said["functions"] for name in line),
    )


@cache
def properties() -> dict[str, dict[str, Any]]:
    """Types with their versions to what is known of their objects and values, by path; from schemas and by hand."""
    said = json.loads(PROPERTIES.read_text("utf-8"))
    return {**said["from_schemas"], **said["by_hand"]}
