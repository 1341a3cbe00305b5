"""What steps and states at Azure Machine Learning are asked with: the clients of both packages, about one endpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from azure.ai.ml.entities import OnlineDeployment, OnlineEndpoint
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

_NOT_SHOWN = (403, 404, 409)
"""Whoever asks may not see autoscale settings, or the subscription knows nothing of Azure Monitor."""

_OUTER = re.compile(
    r"SubscriptionNotFound|InvalidSubscriptionId|ResourceGroupNotFound|WorkspaceNotFound"
    r"|Parent resource '(?P<parent>[^/']+)' not found"
    r"|Microsoft\.MachineLearningServices/workspaces/(?!onlineEndpoints)[^/'\s]+'",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedClients:
    """Both clients, and which endpoint they are about.

    Attributes:
        ml: ``MLClient`` of the workspace.
        monitor: ``MonitorManagementClient`` of the subscription.
        credential: Of ``azure-identity``.
        name: Of the endpoint.
        resource_group: Of the workspace.
    """

    ml: Any
    monitor: Any
    credential: Any
    name: str
    resource_group: str

    def find_endpoint(self) -> OnlineEndpoint | None:
        """The endpoint; ``None`` where there is none."""
        try:
            found: OnlineEndpoint = self.ml.online_endpoints.get(self.name)
        except ResourceNotFoundError as error:
            if self._lacks_more(error):
                raise
            return None
        return found

    def _lacks_more(self, error: ResourceNotFoundError) -> bool:
        """Whether it is not the endpoint, nor one of its deployments, that is missing, but what they would be in."""
        match = _OUTER.search(f"{getattr(error.error, 'code', '')} {error.message}")
        return match is not None and (match["parent"] or "").lower() != self.name.lower()

    def find_deployment(self, name: str) -> OnlineDeployment | None:
        """One of its deployments; ``None`` where there is none of that name, or no endpoint."""
        try:
            found: OnlineDeployment = self.ml.online_deployments.get(name, self.name)
        except ResourceNotFoundError as error:
            if self._lacks_more(error):
                raise
            return None
        return found

    def list_deployments(self) -> list[OnlineDeployment]:
        """All deployments of the endpoint, in order of name; none of one that is gone by now."""
        try:
            found = list(self.ml.online_deployments.list(self.name))
        except ResourceNotFoundError as error:
            if self._lacks_more(error):
                raise
            return []
        return sorted(found, key=lambda item: str(item.name))

    def autoscale_settings(self) -> list[Any]:
        """All autoscale settings of the resource group; none where whoever asks may not see them."""
        try:
            return list(self.monitor.autoscale_settings.list_by_resource_group(self.resource_group))
        except HttpResponseError as error:
            if error.status_code in _NOT_SHOWN:
                return []
            raise

    def read_logs(self, deployment: str, n_lines: int) -> list[str]:
        """The last lines of the container of a deployment."""
        text = self.ml.online_deployments.get_logs(deployment, self.name, n_lines)
        return str(text or "").splitlines()[-n_lines:]
