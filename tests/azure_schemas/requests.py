"""The requests that stand-ins were asked, as they recorded them (:data:`RECORD_VARIABLE`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.azure.resources import Resource

_WRITES = ("PUT", "PATCH")


@dataclass(frozen=True, kw_only=True)
class Written:
    """A request that makes or changes a resource."""

    method: str
    kind: str
    version: str
    name: str
    body: Mapping[str, Any]


def read_requests(folder: Path) -> list[Written]:
    """What was written to the resource manager and taken, each body once, in order."""
    found: dict[str, Written] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            for written in _read(json.loads(line)):
                key = json.dumps(
                    [written.method, written.kind, written.version, written.body], sort_keys=True
                )
                found.setdefault(key, written)
    return list(found.values())


def _read(data: Mapping[str, Any]) -> Iterator[Written]:
    is_kept = data["host"] == "management.azure.com" and data["method"] in _WRITES
    # What was refused is a test of the refusal.
    if not is_kept or not isinstance(data["body"], dict) or not 200 <= data["status"] < 300:
        return
    resource = Resource(id=data["path"].rstrip("/"))
    if "/providers/" in resource.id and not resource.type.startswith("Contoso"):
        yield Written(
            method=data["method"],
            kind=resource.type,
            version=data["query"].get("api-version", ""),
            name=resource.name,
            body=data["body"],
        )
