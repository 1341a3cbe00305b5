"""Connections that workspaces of Azure Machine Learning keep, looked up by name when they are needed.

What a connection is comes from ``GET …/connections/NAME``, which tells no secret; its secrets come from ``POST
…/connections/NAME/listsecrets`` when they are asked for, and are kept in memory only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import quote

from headrace.domain.azure_workspace import AzureWorkspace
from headrace.domain.connection import Connection
from headrace.errors import (
    AccessDeniedError,
    DefinitionError,
    Problem,
    RemoteError,
    RemoteRequestError,
    RemoteUnavailableError,
)
from headrace.formats.connection_file import ELSEWHERE
from headrace.formats.workspace_connection import connection_from_workspace, workspace_secrets
from headrace.providers.azure_credential import AzureCredential
from headrace.providers.azure_network import connection_fault
from headrace.providers.loading import load_optional

_URL = "https://management.azure.com"
_SCOPE = f"{_URL}/.default"
_VERSION = "2024-04-01-preview"
_KEPT_S = 600.0
_ROLE = "Azure Machine Learning Workspace Connection Secrets Reader"


class WorkspaceConnections:
    """Asks workspaces; may be used from many threads.

    Args:
        credential: Opens our identity; called once, at the first request.
        clock: Seconds that only grow.
    """

    def __init__(
        self, credential: Callable[[], AzureCredential], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._credential = credential
        self._clock = clock
        self._lock = threading.RLock()
        self._client: Any = None
        self._found: dict[str, Connection | None] = {}
        self._secrets: dict[str, tuple[Mapping[str, str], float]] = {}

    def find(self, workspace: AzureWorkspace, name: str) -> Connection | None:
        """The connection of a name; ``None`` when the workspace has none.

        Raises:
            UsageError: C505 when the extra ``azure`` is not installed.
            DefinitionError: C515 for one that no flow can use.
            RemoteError: P713 when the workspace cannot be read; AccessDeniedError X201 without a token.
        """
        resource_id = workspace.connection_id(quote(name, safe=""))
        with self._lock:
            if resource_id not in self._found:
                self._found[resource_id] = self._fetch(workspace, resource_id)
            return self._found[resource_id]

    def list_all(self, workspace: AzureWorkspace) -> tuple[tuple[Connection, ...], tuple[Problem, ...]]:
        """Every connection of a workspace, and a problem for each that no flow can use.

        Raises:
            UsageError, RemoteError: See :meth:`find`.
        """
        found: list[Connection] = []
        problems: list[Problem] = []
        for body in self._pages(f"{workspace.resource_id}/connections", workspace):
            try:
                found.append(connection_from_workspace(body, _origin(workspace)))
            except DefinitionError as error:
                problems.extend(error.problems)
        return tuple(found), tuple(problems)

    def secret(self, resource_id: str, field_name: str) -> str | None:
        """A secret value of a connection; ``None`` where the workspace has none for that field.

        Raises:
            RemoteError: P713 when it cannot be read.
        """
        with self._lock:
            values, read_at = self._secrets.get(resource_id, ({}, 0.0))
            if resource_id not in self._secrets or self._clock() - read_at >= _KEPT_S:
                body = self._ask("POST", f"{resource_id}/listsecrets", resource_id.split("/connections/")[0])
                values = workspace_secrets(body or {})
                self._secrets[resource_id] = (values, self._clock())
            return values.get(field_name)

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None
            self._found.clear()
            self._secrets.clear()

    def _fetch(self, workspace: AzureWorkspace, resource_id: str) -> Connection | None:
        body = self._ask("GET", resource_id, workspace.resource_id)
        if body is None:
            return None
        if str((body.get("properties") or {}).get("category")).lower() == "customkeys":
            # Only the answer with the secrets says what they are called.
            secrets = self._ask("POST", f"{resource_id}/listsecrets", workspace.resource_id) or {}
            self._secrets[str(body["id"])] = (workspace_secrets(secrets), self._clock())
            body = {**secrets, "id": body["id"], "name": body["name"]}
        return connection_from_workspace(body, _origin(workspace))

    def _pages(self, path: str, workspace: AzureWorkspace) -> Iterator[Mapping[str, Any]]:
        wanted: str | None = path
        while wanted is not None:
            body = self._ask("GET", wanted, workspace.resource_id) or {}
            yield from body.get("value") or ()
            following = body.get("nextLink")
            wanted = following if following and str(following).startswith(_URL) else None

    def _ask(self, method: str, path: str, workspace_id: str) -> Mapping[str, Any] | None:
        """The answer to a request; ``None`` for a connection that does not exist."""
        url = path if path.startswith(_URL) else f"{_URL}{path}?api-version={_VERSION}"
        with self._lock:
            if self._client is None:
                self._client = self._open()
        errors = import_module("azure.core.exceptions")
        request_class = load_optional("azure.core.rest:HttpRequest", extra="azure")
        try:
            response = self._client.send_request(request_class(method, url))
        except errors.AzureError as error:
            fault = connection_fault(str(error))
            what = f"The workspace {_name(workspace_id)}, which keeps the connections, cannot be reached"
            what += f": {fault[0]}." if fault else "."
            fix = fault[1] if fault else "Check the network, HTTPS_PROXY and REQUESTS_CA_BUNDLE."
            raise RemoteUnavailableError(Problem(code="P713", what=what, fix=fix)) from error
        if response.status_code == 200:
            answer: Mapping[str, Any] = response.json()
            return answer
        code = _code(response)
        if response.status_code == 404 and code not in _NO_WORKSPACE and "/connections/" in path:
            return None
        raise _refused(response.status_code, code, method, workspace_id)

    def _open(self) -> Any:
        client_class = load_optional("azure.core:PipelineClient", extra="azure")
        policies = import_module("azure.core.pipeline.policies")
        return client_class(
            _URL,
            policies=[
                policies.RequestIdPolicy(),
                policies.UserAgentPolicy("headrace"),
                policies.RetryPolicy(),
                policies.BearerTokenCredentialPolicy(self._credential(), _SCOPE),
            ],
        )


_NO_WORKSPACE = frozenset(
    ("SubscriptionNotFound", "ResourceGroupNotFound", "ParentResourceNotFound", "InvalidSubscriptionId")
)


def _origin(workspace: AzureWorkspace) -> str:
    return f"{ELSEWHERE}{workspace.name}"


def _name(workspace_id: str) -> str:
    return workspace_id.rpartition("/")[2]


def _code(response: Any) -> str:
    try:
        return str(response.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _refused(status: int, code: str, method: str, workspace_id: str) -> RemoteError:
    said = f"{status} {code}".strip()
    what = f"The workspace {_name(workspace_id)}, which keeps the connections, answered {said}."
    if status in (401, 403):
        role = _ROLE if method == "POST" else "Reader"
        fix = (
            f"Give our identity the role '{role}' on {workspace_id}; it takes effect after some minutes. Where it "
            "is of another tenant, set AZURE_TENANT_ID or sign in with az login --tenant TENANT."
        )
        return AccessDeniedError(Problem(code="P713", what=what, fix=fix))
    if status == 404:
        fix = f"Check the setting connection.provider, or config.json: {workspace_id} is not there, or not to be seen."
        return RemoteRequestError(Problem(code="P713", what=what, fix=fix))
    kind = RemoteUnavailableError if status >= 500 or status == 429 else RemoteRequestError
    fix = "Try again later, or keep the connection in a file: headrace connection create --file FILE"
    return kind(Problem(code="P713", what=what, fix=fix))
