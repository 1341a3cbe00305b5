"""What there is in Azure: resources by their id, whatever its case."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class Resource:
    """One resource.

    Attributes:
        id: As whoever made it spelled it.
        rest: Parts beside ``properties``: ``identity``, ``sku``, ``kind``, …
        hidden: What the service knows and never answers: keys, what runs behind it.
    """

    id: str
    location: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)
    hidden: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2]

    @property
    def type(self) -> str:
        """``Microsoft.App/containerApps``; of nested ones all parts: ``…/workspaces/onlineEndpoints``."""
        after = self.id.split("/providers/")[-1].split("/")
        return "/".join([after[0], *after[1::2]])

    def body(self) -> dict[str, Any]:
        """As the resource manager answers it."""
        data: dict[str, Any] = {"id": self.id, "name": self.name, "type": self.type}
        if self.location:
            data["location"] = self.location
        return {**data, "tags": dict(self.tags), **self.rest, "properties": self.properties}

    @property
    def provisioning_state(self) -> str:
        return str(self.properties.get("provisioningState", ""))

    @provisioning_state.setter
    def provisioning_state(self, state: str) -> None:
        self.properties["provisioningState"] = state


class Resources:
    """All resources. Whoever reads and then writes takes :attr:`lock` around both."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._by_id: dict[str, Resource] = {}

    def get(self, resource_id: str) -> Resource | None:
        """The resource of that id."""
        with self.lock:
            return self._by_id.get(_key(resource_id))

    def put(self, resource: Resource) -> Resource:
        """Add or replace one."""
        with self.lock:
            self._by_id[_key(resource.id)] = resource
            return resource

    def delete(self, resource_id: str) -> list[Resource]:
        """Take one away with all that is in it; what was taken, it first."""
        with self.lock:
            key = _key(resource_id)
            taken = [name for name in self._by_id if name == key or name.startswith(key + "/")]
            return [self._by_id.pop(name) for name in sorted(taken)]

    def within(self, resource_id: str, kind: str) -> list[Resource]:
        """Direct children of a kind (last part of their type), in order of name: ``within(workspace, "models")``."""
        prefix = f"{_key(resource_id)}/{kind.lower()}/"
        with self.lock:
            found = [
                item
                for name, item in self._by_id.items()
                if name.startswith(prefix) and "/" not in name[len(prefix) :]
            ]
        return sorted(found, key=lambda item: item.name)

    def all(self) -> list[Resource]:
        """Every resource."""
        with self.lock:
            return list(self._by_id.values())

    def of_type(self, type_name: str, prefix: str = "") -> list[Resource]:
        """All of a type below a scope, in order of id."""
        with self.lock:
            found = [
                item
                for name, item in self._by_id.items()
                if item.type.lower() == type_name.lower() and name.startswith(_key(prefix))
            ]
        return sorted(found, key=lambda item: item.id.lower())


def _key(resource_id: str) -> str:
    return resource_id.rstrip("/").lower()
