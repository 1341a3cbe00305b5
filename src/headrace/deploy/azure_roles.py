"""Which built-in role of Azure allows an action: the least one that does, by what Microsoft's lists of roles say."""

from __future__ import annotations

from fnmatch import fnmatchcase

_ROLES = (
    ("microsoft.machinelearningservices/workspaces/connections/listsecrets/action",
     "Azure Machine Learning Workspace Connection Secrets Reader"),
    ("microsoft.machinelearningservices/workspaces/listkeys/action", "Contributor"),
    ("microsoft.machinelearningservices/workspaces/write", "Contributor"),
    ("microsoft.machinelearningservices/workspaces/delete", "Contributor"),
    ("microsoft.machinelearningservices/workspaces/computes/*", "AzureML Compute Operator"),
    ("microsoft.machinelearningservices/workspaces/*", "AzureML Data Scientist"),
    ("microsoft.app/managedenvironments/*", "Container Apps ManagedEnvironments Contributor"),
    ("microsoft.app/*", "Container Apps Contributor"),
    ("microsoft.containerregistry/registries/pull/read", "AcrPull"),
    ("microsoft.containerregistry/registries/push/write", "AcrPush"),
    ("microsoft.containerregistry/registries/*", "Container Registry Tasks Contributor"),
    ("microsoft.cognitiveservices/accounts/openai/*", "Cognitive Services OpenAI User"),
    ("microsoft.cognitiveservices/*/read", "Cognitive Services User"),
    ("microsoft.cognitiveservices/*", "Cognitive Services Contributor"),
    ("microsoft.keyvault/vaults/secrets/*", "Key Vault Secrets User"),
    ("microsoft.storage/storageaccounts/listkeys/action", "Storage Account Key Operator Service Role"),
    ("microsoft.storage/*/blobs/*", "Storage Blob Data Contributor"),
    ("microsoft.managedidentity/userassignedidentities/assign/action", "Managed Identity Operator"),
    ("microsoft.authorization/roleassignments/write", "Role Based Access Control Administrator"),
    ("microsoft.operationalinsights/*/read", "Log Analytics Reader"),
    ("*/read", "Reader"),
    ("microsoft.insights/autoscalesettings/*", "Web Plan Contributor"),
)  # fmt: skip
"""Patterns of actions in small letters, the first that fits counts."""


def role_for(action: str) -> str:
    """Name of a role that allows an action such as ``Microsoft.App/containerApps/write``."""
    wanted = action.lower()
    return next((role for pattern, role in _ROLES if fnmatchcase(wanted, pattern)), "Contributor")
