"""A workspace of Azure Machine Learning, as prompt flow's settings name one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureWorkspace:
    """Where in Azure a workspace is."""

    subscription: str
    resource_group: str
    name: str

    @property
    def resource_id(self) -> str:
        """Its id for Azure Resource Manager."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"
        )

    def connection_id(self, name: str) -> str:
        """The id of a connection that the workspace keeps."""
        return f"{self.resource_id}/connections/{name}"
