"""A software bill of materials in CycloneDX 1.6: what is in a package, for those who have to know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

_VERSION = "1.6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A Python distribution.

    Attributes:
        name: Canonical name: lower case, with dashes.
        version: Its version; empty where it is not known.
        license: Its licence as an SPDX expression; empty where it says none.
        license_names: What it calls its licences where it has no expression.
        requires: Names of the components that it needs itself.
    """

    name: str
    version: str
    license: str = ""
    license_names: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


def render_sbom(subject: Component, digest: str, components: Sequence[Component]) -> str:
    """The bill of materials of a flow, as JSON; the same for the same arguments, without a time.

    Args:
        subject: The flow with its version; ``requires`` are the components that were asked for.
        digest: SHA-256 of the flow, hexadecimal.
        components: Everything that is installed with it, in any order.
    """
    ordered = sorted(components, key=lambda item: item.name)
    known = {item.name: _reference(item) for item in ordered}
    root = f"flow:{subject.name}@{subject.version}"
    data: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": _VERSION,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": subject.name,
                "version": subject.version,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
        },
        "components": [_component(item) for item in ordered],
        "dependencies": [
            _dependency(root, subject, known),
            *(_dependency(known[item.name], item, known) for item in ordered),
        ],
    }
    text = json.dumps(data, sort_keys=True)
    data["serialNumber"] = f"urn:uuid:{UUID(bytes=sha256(text.encode()).digest()[:16], version=4)}"
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _reference(item: Component) -> str:
    return f"pkg:pypi/{item.name}@{item.version}" if item.version else f"pkg:pypi/{item.name}"


def _component(item: Component) -> dict[str, Any]:
    data: dict[str, Any] = {
        "type": "library",
        "bom-ref": _reference(item),
        "name": item.name,
        "purl": _reference(item).replace("+", "%2B"),
    }
    if item.version:
        data["version"] = item.version
    if item.license:
        data["licenses"] = [{"expression": item.license}]
    elif item.license_names:
        data["licenses"] = [{"license": {"name": name}} for name in item.license_names]
    return data


def _dependency(reference: str, item: Component, known: dict[str, str]) -> dict[str, Any]:
    return {"ref": reference, "dependsOn": sorted(known[name] for name in item.requires if name in known)}
