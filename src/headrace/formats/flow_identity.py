"""The file beside a packed flow, or in it, that says which version it is: what is served is what was evaluated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IDENTITY = "headrace-version.json"
"""Name of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowIdentity:
    """Which version a packed flow is.

    Packing settles variants and includes, so the files that are packed have an id of their own.

    Attributes:
        flow: Name of the flow.
        digest: Id of the version that was packed, hexadecimal.
        packed_digest: Id of the packed files, hexadecimal: it shows whether they are still what was packed.
        variants: Variants that were settled, by node.
    """

    flow: str
    digest: str
    packed_digest: str
    variants: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Name of the version: the flow, and the first 12 digits of its id."""
        return f"{self.flow}@{self.digest[:12]}"

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {
            "flow": self.flow,
            "version": self.version,
            "digest": self.digest,
            "variants": dict(sorted(self.variants.items())),
            "packed_digest": self.packed_digest,
        }


def served_identity(folder: Path, flow: str, digest: str) -> FlowIdentity:
    """Which version lies in a folder: the one that was packed, where it is packed and nobody has changed it since.

    Args:
        folder: Where the flow lies.
        flow: Its name.
        digest: Its id as it lies there.
    """
    for place in (folder.parent, folder):
        try:
            data = json.loads((place / IDENTITY).read_text(encoding="utf-8"))
            packed = FlowIdentity(
                flow=data["flow"], digest=data["digest"], packed_digest=data["packed_digest"]
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if packed.packed_digest == digest:
            return packed
    return FlowIdentity(flow=flow, digest=digest, packed_digest=digest)
