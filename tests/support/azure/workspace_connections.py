"""Workspaces, and connections that they keep, as if somebody had made them; what answers for them is ``machine_learning``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.azure.resources import Resource

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn


def add_workspace(azure: StandIn, name: str = "ws") -> Resource:
    """A workspace, if there is none of that name."""
    resource_id = f"{azure.group_id}/providers/Microsoft.MachineLearningServices/workspaces/{name}"
    made = Resource(id=resource_id, location=azure.location, properties={"provisioningState": "Succeeded"})
    return azure.resources.get(resource_id) or azure.resources.put(made)


def add_connection(
    azure: StandIn,
    name: str,
    category: str,
    *,
    target: str = "",
    auth_type: str = "ApiKey",
    credentials: dict[str, Any] | None = None,
    workspace: str = "ws",
    **metadata: str,
) -> Resource:
    """A connection that a workspace keeps."""
    properties: dict[str, Any] = {
        "authType": auth_type,
        "category": category,
        "target": target,
        "metadata": metadata,
        "isSharedToAll": True,
        "credentials": None,
    }
    return azure.resources.put(
        Resource(
            id=f"{add_workspace(azure, workspace).id}/connections/{name}",
            properties=properties,
            hidden=credentials or {},
        )
    )
