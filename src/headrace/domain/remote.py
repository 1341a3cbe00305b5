"""Flows that run elsewhere and answer at an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from headrace.domain.access import is_loopback

KEY = "api_key"
"""The secret field that is sent as ``Authorization: Bearer``."""


ANSWER = "answer"
"""Key of the answer, any JSON value, in the body of a response."""

AUTH = "auth"
"""The field of a connection that says how requests are let in; without it by a key."""

ENTRA = "entra"
"""How requests are let in by a Microsoft Entra ID token."""

SCOPE = "scope"
"""The field of a connection that says what such a token is for."""

DEPLOYED = "deployed"
"""The field of a connection that says, as JSON, which deployment file leads to address and key: see
:class:`DeployedPlace`."""

HEADER = "header:"
"""Begins the name of a field of a connection that is a header."""


PIN = "azureml-model-deployment"
"""Header of a request to one deployment of an endpoint, whatever its traffic, and of every answer of one."""

SCORING_SCOPE = "https://ml.azure.com/.default"
"""What a Microsoft Entra ID token for an endpoint of Azure Machine Learning is for."""

_SCORING_HOSTS = ".inference.ml.azure.com"


def scope_of(url: str) -> str | None:
    """What a Microsoft Entra ID token for an address is for; ``None`` where its host does not say.

    Managed online endpoints and those on Kubernetes answer at ``*.inference.ml.azure.com``.
    """
    host = urlsplit(url).hostname or ""
    return SCORING_SCOPE if host.endswith(_SCORING_HOSTS) else None


def is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent there: by TLS, or because it does not leave this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedPlace:
    """An endpoint that a deployment file is about, or one deployment of it.

    Attributes:
        file: The deployment file.
        environment: Name of the overlay that is laid over it; ``None`` for none.
        arm: The deployment, by its name or its arm's; ``None`` leaves it to the traffic.
    """

    file: str
    environment: str | None = None
    arm: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFlow:
    """An address that takes the inputs of a line and answers with its outputs, as prompt flow's ``/score`` does.

    Attributes:
        url: Where inputs are posted as a JSON object; empty for what is deployed, until its target was asked.
        deployed: The deployment that is meant, whose target says address and key; ``None`` for an address.
        version: Of the flow that was deployed there when its target was asked; empty where nobody knows.
        connection: Name of the connection whose key is sent; ``None`` where none is needed.
        auth: :data:`ENTRA` for a token of whoever asks, in place of a key; ``None`` for none.
        scope: What the token is for; ``None`` for what the address needs.
        deployment: The deployment of an Azure endpoint that is to answer; ``None`` leaves it to its traffic rules.
        timeout_s: Limit for one answer, seconds; ``None`` for that of model calls.
        headers: Further headers; ``${env:NAME}`` and ``${connection.field}`` in them stand for values kept elsewhere.
        inputs: Names of what is sent.
        outputs: Output to the place of its value in the answer, keys and indices joined by dots; empty for the answer
            as it is.
        is_steady: Whether the user says that the same inputs always get the same answer, so that it may be kept.
    """

    url: str
    deployed: DeployedPlace | None = None
    version: str = ""
    connection: str | None = None
    auth: str | None = None
    scope: str | None = None
    deployment: str | None = None
    timeout_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    is_steady: bool = False
