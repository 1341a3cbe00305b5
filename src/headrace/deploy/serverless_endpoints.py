"""Classic serverless API endpoints of a workspace, to look at, through the package ``azure-ai-ml``.

Microsoft keeps them for workspaces of the classic portal only; models are deployed in accounts of Foundry now.
"""

from __future__ import annotations

import logging

from azure.ai.ml import MLClient

from headrace.deploy.azure_answers import PlainAnswers
from headrace.deploy.azure_failures import azure_failures
from headrace.domain.deployment import Endpoint
from headrace.domain.model_deployment import ServerlessEndpoint
from headrace.providers.azure_credential import AzureCredential


def list_serverless(subscription: str, group: str, workspace: str) -> tuple[ServerlessEndpoint, ...]:
    """All of a workspace, in order of name.

    Raises:
        AccessDeniedError, RemoteError: They cannot be read.
    """
    endpoint = Endpoint(name=workspace, target="azureml", deployments=())
    credential = AzureCredential()
    # The package says with every call that these methods are experimental; they are only read from here.
    logging.getLogger("azure.ai.ml._utils._experimental").setLevel(logging.ERROR)
    try:
        with azure_failures(f"the workspace {workspace}", endpoint):
            client = MLClient(
                credential,
                subscription,
                group,
                workspace,
                enable_telemetry=False,
                per_call_policies=[PlainAnswers()],
            )
            found = [
                ServerlessEndpoint(
                    name=str(item.name),
                    model=str(item.model_id or ""),
                    address=str(item.scoring_uri or ""),
                    state=str(getattr(item.provisioning_state, "value", item.provisioning_state) or ""),
                    authentication=str(item.auth_mode or ""),
                )
                for item in client.serverless_endpoints.list()
            ]
    finally:
        credential.close()
    return tuple(sorted(found, key=lambda item: item.name))
