"""``Microsoft.MachineLearningServices``: workspaces, what deployments are made from, and online endpoints.

``azure.machine_learning`` holds one workspace, ``ws``, with its blob store. Endpoints and deployments are in
``online_endpoints.py``; a deployment really runs, see ``online_containers.py``, and answers at the address of its
endpoint, see ``online_ingress.py``.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.azure import online_endpoints, online_ingress
from tests.support.azure.arm import Call
from tests.support.azure.messages import Refusal, Response, reply
from tests.support.azure.online_containers import Container
from tests.support.azure.resources import Resource

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

NAMESPACE = "Microsoft.MachineLearningServices"
_WORKSPACES = "/subscriptions/{subscription}/resourceGroups/{group}/providers/" + NAMESPACE + "/workspaces"
WORKSPACE = _WORKSPACES + "/{workspace}"
_STORE = WORKSPACE + "/datastores/{name}"
_CONNECTION = WORKSPACE + "/connections/{name}"
ASSETS: Mapping[str, tuple[str, ...]] = {
    "models": ("2023-08-01-preview", "2023-04-01-preview", "2024-01-01-preview"),
    "environments": ("2023-04-01-preview", "2022-05-01"),
    "data": ("2023-04-01-preview", "2022-10-01", "2022-02-01-preview"),
    "codes": ("2023-04-01", "2022-05-01"),
}
_MOST_PAGE = 2


@dataclass(kw_only=True)
class MachineLearning:
    """The provider's own state.

    Attributes:
        account: Of the blob store.
        container: Of it.
        images: Image to the command that runs it, for images that are not built.
        speed: How many seconds of probes pass in one.
        keeps_folder: Whether the folder of a model keeps its name below the mount, as it does in Azure.
        containers: Deployment id, small letters, to what runs.
        counts: Requests that deployments got: ``(name, "answered" | "mirrored")``.
    """

    azure: StandIn
    account: str = "wsstorage"
    container: str = "azureml-blobstore"
    images: dict[str, list[str]] = field(default_factory=dict)
    speed: float = 50.0
    keeps_folder: bool = True
    containers: dict[str, Container] = field(default_factory=dict)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def workspace_id(self) -> str:
        return f"{self.azure.group_id}/providers/{NAMESPACE}/workspaces/ws"

    def count(self, name: str, kind: str) -> None:
        with self.lock:
            self.counts[name, kind] = self.counts.get((name, kind), 0) + 1

    def files_of(self, prefix: str, target: Path, container: str = "") -> None:
        """Write the blobs below a prefix into a folder."""
        blobs, container = self.azure.blobs, container or self.container
        for name in blobs.names(self.account, container):
            if not prefix or name == prefix or name.startswith(prefix.rstrip("/") + "/"):
                path = target / name[len(prefix.rstrip("/")) :].lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(blobs.read(self.account, container, name))

    def stop(self) -> None:
        for running in list(self.containers.values()):
            running.stop()


def register(azure: StandIn) -> None:
    """Add it, as ``azure.machine_learning``."""
    service = azure.machine_learning = MachineLearning(azure=azure)
    azure.at_end(service.stop)
    azure.blobs.add_container(service.account, service.container)
    azure.resources.put(
        Resource(
            id=service.workspace_id,
            location=azure.location,
            properties={
                "friendlyName": "ws",
                "workspaceId": str(uuid.uuid4()),
                "provisioningState": "Succeeded",
                "discoveryUrl": f"https://{azure.location}.api.azureml.ms/discovery",
                "mlFlowTrackingUri": f"azureml://{azure.location}.api.azureml.ms/mlflow/v1.0{service.workspace_id}",
            },
            rest={
                "kind": "Default",
                "identity": {"type": "SystemAssigned", "principalId": str(uuid.uuid4())},
                "sku": {"name": "Basic", "tier": "Basic"},
            },
        )
    )
    add = azure.arm.add
    add("GET", WORKSPACE, (), lambda call: reply(call.get().body()))
    add("GET", WORKSPACE + "/datastores", ("2024-10-01-preview",), _list_stores)
    add("GET", _STORE, ("2024-10-01-preview",), lambda call: reply(_store(call)))
    add("POST", _STORE + "/listSecrets", ("2024-10-01-preview",), _store_secrets)
    for kind, versions in ASSETS.items():
        path = f"{WORKSPACE}/{kind}/{{name}}"
        add("GET", path, versions, _get_container, is_kept=False)
        add("GET", path + "/versions", versions, lambda call: reply({"value": _list(call, "versions")}))
        add("GET", path + "/versions/{version}", versions, lambda call: reply(call.get().body()))
        add("PUT", path + "/versions/{version}", versions, _put_asset)
    connections = ("2024-04-01-preview", "2024-07-01-preview", "2024-10-01-preview", "2025-01-01-preview")
    add("PUT", _CONNECTION, connections, _put_connection)
    add("GET", _CONNECTION, connections, lambda call: reply(call.get().body()))
    add("GET", WORKSPACE + "/connections", connections, _list_connections)
    add("DELETE", _CONNECTION, connections, _delete_connection)
    add("POST", _CONNECTION + "/listsecrets", connections, _connection_secrets)
    online_endpoints.register(azure)
    online_ingress.register(azure)


def _list(call: Call, kind: str) -> list[dict[str, Any]]:
    scope, _, _ = call.id.rpartition("/")
    return [item.body() for item in call.resources.within(scope, kind)]


def _store(call: Call) -> dict[str, Any]:
    service = call.azure.machine_learning
    name = call.params.get("name", "workspaceblobstore")
    if name != "workspaceblobstore":
        raise Refusal(404, "UserError", f"The datastore '{name}' was not found.")
    return {
        "id": f"{service.workspace_id}/datastores/{name}",
        "name": name,
        "type": f"{NAMESPACE}/workspaces/datastores",
        "properties": {
            "datastoreType": "AzureBlob",
            "isDefault": True,
            "credentials": {"credentialsType": "AccountKey"},
            "accountName": service.account,
            "containerName": service.container,
            "endpoint": "core.windows.net",
            "protocol": "https",
            "serviceDataAccessAuthIdentity": "None",
            "tags": {},
            "properties": {},
        },
        "systemData": online_endpoints.system_data(),
    }


def _list_stores(call: Call) -> Response:
    return reply({"value": [_store(call)]})


def _store_secrets(call: Call) -> Response:
    service = call.azure.machine_learning
    token = call.azure.blobs.sign(service.account, service.container)
    return reply({"secretsType": "Sas", "sasToken": token})


def _get_container(call: Call) -> Response:
    """A model or an environment without a version: there as soon as one version is."""
    versions = call.resources.within(call.id, "versions")
    if not versions:
        raise Refusal(404, "UserError", f"Not found: {call.params['name']}.")
    properties = {"latestVersion": versions[-1].name, "tags": {}, "properties": {}, "isArchived": False}
    made = Resource(id=call.id, properties=properties, rest={"systemData": online_endpoints.system_data()})
    return reply(made.body())


def _put_asset(call: Call) -> Response:
    body = call.json()
    properties = dict(body.get("properties") or {})
    kind = call.id.split("/")[-4].lower()
    version = call.params["version"]
    if kind == "models" and not (version.isascii() and version.isdigit() and int(version) > 0):
        raise Refusal(400, "UserError", "The version of a model has to be a positive integer.")
    known = call.resources.get(call.id)
    for name in ("modelUri", "image", "build", "dataUri", "codeUri", "inferenceConfig"):
        if known is not None and known.properties.get(name) != properties.get(name):
            message = f"The asset {call.params['name']} with version {version} exists; {name} is immutable."
            raise Refusal(409, "UserError", message)
    _check_asset(kind, properties)
    properties.setdefault("properties", {})
    properties.setdefault("tags", {})
    properties |= {"isArchived": False, "isAnonymous": False, "provisioningState": "Succeeded"}
    if kind == "models":
        properties.setdefault("flavors", {})
    made = Resource(id=call.id, properties=properties, rest={"systemData": online_endpoints.system_data()})
    return reply(call.resources.put(made).body(), 200 if known else 201)


def _check_asset(kind: str, properties: Mapping[str, Any]) -> None:
    if kind == "models" and not properties.get("modelUri"):
        raise Refusal(400, "UserError", "A model has a modelUri.")
    if kind != "environments":
        return
    if not properties.get("image") and not (properties.get("build") or {}).get("contextUri"):
        raise Refusal(400, "UserError", "An environment has an image or a build context.")
    if "inferenceConfig" in properties:
        for name in ("livenessRoute", "readinessRoute", "scoringRoute"):
            route = (properties["inferenceConfig"] or {}).get(name) or {}
            if not isinstance(route.get("port"), int) or not str(route.get("path", "")).startswith("/"):
                raise Refusal(400, "UserError", f"inferenceConfig.{name} needs a port and a path.")


def _put_connection(call: Call) -> Response:
    name = call.params["name"]
    if not 3 <= len(name) <= 33:
        raise Refusal(400, "ValidationError", "The name of a connection has from 3 to 33 characters.")
    properties = dict(call.json().get("properties") or {})
    for key in ("category", "authType", "target"):
        if not properties.get(key):
            raise Refusal(400, "ValidationError", f"{key} is required.")
    secrets = properties.pop("credentials", None) or {}
    made = Resource(id=call.id, properties={**properties, "credentials": None}, hidden=secrets)
    made.rest["systemData"] = online_endpoints.system_data()
    return reply(call.resources.put(made).body(), 200)


def _list_connections(call: Call) -> Response:
    """In pages, as Azure does where there are many."""
    found = call.resources.within(call.id.rpartition("/")[0], "connections")
    start = int(call.request.query.get("$skip") or 0)
    page: dict[str, Any] = {"value": [item.body() for item in found[start : start + _MOST_PAGE]]}
    if start + _MOST_PAGE < len(found):
        base = f"https://{call.request.host}{call.request.target.partition('?')[0]}"
        page["nextLink"] = f"{base}?api-version={call.request.api_version}&$skip={start + _MOST_PAGE}"
    return reply(page)


def _delete_connection(call: Call) -> Response:
    return Response(status=200 if call.resources.delete(call.id) else 204)


def _connection_secrets(call: Call) -> Response:
    found = call.get(call.id.rpartition("/")[0])
    body = found.body()
    return reply({**body, "properties": {**found.properties, "credentials": found.hidden}})
