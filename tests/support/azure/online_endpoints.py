"""Online endpoints and their deployments, as the resource manager sees them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.support.azure.arm import Call
from tests.support.azure.messages import Refusal, Response, reply
from tests.support.azure.online_containers import Container, prepare, read_seconds
from tests.support.azure.resources import Resource

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

NAMESPACE = "Microsoft.MachineLearningServices"
_ENDPOINTS = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/"
    + NAMESPACE
    + "/workspaces/{workspace}/onlineEndpoints"
)
_ENDPOINT = _ENDPOINTS + "/{endpoint}"
_DEPLOYMENTS = _ENDPOINT + "/deployments"
_DEPLOYMENT = _DEPLOYMENTS + "/{deployment}"
_STATUS = "/subscriptions/{subscription}/providers/" + NAMESPACE + "/locations/westeurope/mfeOperationsStatus"
_ENDPOINT_VERSIONS = ("2022-02-01-preview", "2023-04-01-preview")
_DEPLOYMENT_VERSIONS = ("2023-04-01-preview", "2022-02-01-preview")
_BUSY = ("Creating", "Updating", "Scaling", "Deleting")
_NAME = re.compile(r"[a-zA-Z](?:-?[a-zA-Z0-9])*")
_MOST_MIRRORED = 50
_LONGEST_TIMEOUT_S = 180
_PAGE = 2


def register(azure: StandIn) -> None:
    """Add them."""
    add = azure.arm.add
    add("GET", _ENDPOINTS, _ENDPOINT_VERSIONS, lambda call: reply(_page(call, "onlineEndpoints")))
    add("GET", _ENDPOINT, _ENDPOINT_VERSIONS, lambda call: reply(call.get().body()))
    add("PUT", _ENDPOINT, _ENDPOINT_VERSIONS, _put_endpoint)
    add("DELETE", _ENDPOINT, _ENDPOINT_VERSIONS, _delete)
    add("POST", _ENDPOINT + "/listKeys", _ENDPOINT_VERSIONS, _list_keys)
    add("POST", _ENDPOINT + "/token", _ENDPOINT_VERSIONS, _token)
    add("POST", _ENDPOINT + "/regenerateKeys", _ENDPOINT_VERSIONS, _regenerate)
    add("GET", _DEPLOYMENTS, _DEPLOYMENT_VERSIONS, lambda call: reply(_page(call, "deployments")))
    add("GET", _DEPLOYMENT, _DEPLOYMENT_VERSIONS, lambda call: reply(call.get().body()))
    add("PUT", _DEPLOYMENT, _DEPLOYMENT_VERSIONS, _put_deployment)
    add("DELETE", _DEPLOYMENT, _DEPLOYMENT_VERSIONS, _delete)
    add("POST", _DEPLOYMENT + "/getLogs", _DEPLOYMENT_VERSIONS, _logs)


def system_data() -> dict[str, str]:
    """Who made a resource and when, as every answer says."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    by = {"createdBy": "somebody", "createdByType": "Application"}
    return {
        **by,
        "createdAt": now,
        "lastModifiedBy": "somebody",
        "lastModifiedByType": "Application",
        "lastModifiedAt": now,
    }


def _page(call: Call, kind: str) -> dict[str, Any]:
    """A list in pages of two, so that whoever forgets the next one is found out."""
    found = call.resources.within(call.id.rpartition("/")[0], kind)
    start = int(call.request.query.get("$skip") or 0)
    page: dict[str, Any] = {"value": [item.body() for item in found[start : start + _PAGE]]}
    if start + _PAGE < len(found):
        base = f"https://{call.request.host}{call.request.target.partition('?')[0]}"
        page["nextLink"] = f"{base}?api-version={call.request.api_version}&$skip={start + _PAGE}"
    return page


def _bad(message: str, status: int = 400, code: str = "BadRequest") -> Refusal:
    return Refusal(status, code, message)


def _refuse_busy(*resources: Resource | None) -> None:
    for resource in resources:
        if resource is not None and resource.provisioning_state in _BUSY:
            what = f"{resource.name} is {resource.provisioning_state}"
            raise _bad(f"Already running method on endpoint/deployment: {what}.", 409, "Conflict")


def _check_name(name: str) -> None:
    if not (_NAME.fullmatch(name) and 3 <= len(name) <= 32):
        raise _bad(f"The name '{name}' is invalid: 3 to 32 letters, digits and single dashes, letter first.")


def _check_text(properties: Mapping[str, Any], known: Resource | None) -> None:
    """Properties can be added, but not removed or altered, and are texts."""
    said = properties.get("properties") or {}
    if not all(isinstance(value, str) for value in said.values()):
        raise _bad("Every value of properties has to be a string.")
    for name, value in ((known.properties.get("properties") or {}) if known else {}).items():
        if name.startswith("azureml."):  # the service's own
            continue
        if said.get(name) != value:
            raise _bad(f"The property '{name}' cannot be removed or altered.")


def _put_endpoint(call: Call) -> Response:
    name, body = call.params["endpoint"], call.json()
    _check_name(name)
    known = call.resources.get(call.id)
    _refuse_busy(known, *call.resources.within(call.id, "deployments"))
    properties = dict(body.get("properties") or {})
    if not body.get("location"):
        raise _bad("location is required.")
    if str(properties.get("authMode", "")).lower() not in ("key", "amltoken", "aadtoken"):
        raise _bad("authMode has to be Key, AMLToken or AADToken.")
    if str(properties.get("publicNetworkAccess") or "enabled").lower() not in ("enabled", "disabled"):
        raise _bad("publicNetworkAccess has to be Enabled or Disabled.")
    _check_text(properties, known)
    _check_tags(body)
    identity = dict(body.get("identity") or {"type": "None"})
    _check_identity(identity, known)
    traffic, mirror = _check_traffic(call, properties)
    location = call.azure.location
    properties |= {
        "traffic": traffic,
        "mirrorTraffic": mirror,
        "publicNetworkAccess": str(properties.get("publicNetworkAccess") or "Enabled").capitalize(),
        "properties": {**(properties.get("properties") or {}), "azureml.onlineendpointid": call.id.lower()},
        "scoringUri": f"https://{name}.{location}.inference.ml.azure.com/score",
        "swaggerUri": f"https://{name}.{location}.inference.ml.azure.com/swagger.json",
        "provisioningState": "Updating" if known else "Creating",
    }
    rest = {"kind": "Managed", "identity": identity, "systemData": system_data()}
    hidden = known.hidden if known else {"primary": uuid.uuid4().hex, "secondary": uuid.uuid4().hex}
    before = {"traffic": {}, "mirrorTraffic": {}}
    if known:
        before = {key: known.properties[key] for key in before}
    shown = {**properties, **before}
    made = Resource(
        id=call.id, location=location, tags=body.get("tags") or {}, properties=shown, rest=rest, hidden=hidden
    )
    call.resources.put(made)
    operation = call.start(
        _STATUS,
        succeed=lambda: made.properties.update(
            traffic=traffic, mirrorTraffic=mirror, provisioningState="Succeeded"
        ),
        fail=lambda _: made.properties.update(provisioningState="Failed"),
    )
    return reply(made.body(), 200 if known else 201, call.accept(operation))


def _check_tags(body: Mapping[str, Any]) -> None:
    tags = body.get("tags") or {}
    if len(tags) > 50 or any(not isinstance(value, str) or len(value) > 256 for value in tags.values()):
        raise _bad("At most 50 tags, whose values are texts of at most 256 characters.")


def _check_identity(identity: dict[str, Any], known: Resource | None) -> None:
    kind = str(identity.get("type", "")).replace(" ", "")
    if kind not in ("None", "SystemAssigned", "UserAssigned", "SystemAssigned,UserAssigned"):
        raise _bad(f"The identity type '{kind}' is invalid.")
    assigned = identity.get("userAssignedIdentities") or {}
    if ("UserAssigned" in kind.split(",")) != bool(assigned):
        raise _bad("userAssignedIdentities and the type of the identity do not agree.")
    if known is not None:
        before = {key.lower() for key in (known.rest["identity"].get("userAssignedIdentities") or {})}
        if known.rest["identity"]["type"] != kind or before != {key.lower() for key in assigned}:
            raise _bad("The identity of an endpoint cannot be changed.")
    identity["type"] = kind
    identity["tenantId"], identity["principalId"] = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
    if assigned:
        identity["userAssignedIdentities"] = {
            key: {"clientId": str(uuid.UUID(int=3)), "principalId": str(uuid.UUID(int=4))} for key in assigned
        }


def _check_traffic(call: Call, properties: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    found = {item.name.lower(): item for item in call.resources.within(call.id, "deployments")}
    traffic, mirror = dict(properties.get("traffic") or {}), dict(properties.get("mirrorTraffic") or {})
    for shares in (traffic, mirror):
        for name, share in shares.items():
            if not isinstance(share, int) or isinstance(share, bool) or not 0 <= share <= 100:
                raise _bad(f"The traffic of '{name}' has to be an integer from 0 to 100.")
            deployment = found.get(name.lower())
            if deployment is None:
                raise _bad(f"The traffic names the deployment '{name}', which does not exist.")
            if share and deployment.provisioning_state != "Succeeded":
                raise _bad(f"The deployment '{name}' is not in the state Succeeded.")
    if sum(traffic.values()) not in (0, 100):
        raise _bad("The traffic has to add up to 0 or 100.")
    if sum(mirror.values()) > _MOST_MIRRORED or len([share for share in mirror.values() if share]) > 1:
        raise _bad("Mirror traffic is at most 50 percent, to one deployment.")
    if any(share and traffic.get(name) for name, share in mirror.items()):
        raise _bad("A deployment with live traffic cannot have mirror traffic.")
    return traffic, mirror


def _put_deployment(call: Call) -> Response:
    name, body = call.params["deployment"], call.json()
    _check_name(name)
    endpoint_id = call.id.rsplit("/", 2)[0]
    endpoint, known = call.get(endpoint_id), call.resources.get(call.id)
    _refuse_busy(endpoint, known)
    properties = dict(body.get("properties") or {})
    capacity = _check_deployment(call, body, properties)
    properties["properties"] = {**(properties.get("properties") or {})}
    properties["provisioningState"] = "Updating" if known else "Creating"
    made = Resource(
        id=call.id,
        location=call.azure.location,
        tags=body.get("tags") or {},
        properties=properties,
        rest={
            "kind": "Managed",
            "sku": {"name": "Default", "capacity": capacity},
            "systemData": system_data(),
        },
    )
    call.resources.put(made)
    service = call.azure.machine_learning
    before = service.containers.get(call.id.lower())
    started: list[Container] = []

    def check() -> bool:
        if not started:
            started.append(prepare(call.azure, endpoint, made))
        return started[0].is_ready()

    def succeed() -> None:
        service.containers[call.id.lower()] = started[0]
        if before is not None:
            before.stop()
        made.provisioning_state = "Succeeded"

    def fail(_error: dict[str, Any]) -> None:
        made.provisioning_state = "Failed"
        for container in started:
            container.stop()
            service.containers.setdefault(call.id.lower(), container)

    operation = call.start(_STATUS, check=check, succeed=succeed, fail=fail)
    return reply(made.body(), 200 if known else 201, call.accept(operation))


def _check_deployment(call: Call, body: Mapping[str, Any], properties: dict[str, Any]) -> int:
    if properties.get("endpointComputeType") != "Managed":
        raise _bad("endpointComputeType has to be Managed.")
    for key in ("environmentId", "model"):
        if call.resources.get(str(properties.get(key) or "")) is None:
            raise _bad(f"{key} names nothing that exists: '{properties.get(key)}'.")
    if not properties.get("instanceType"):
        raise _bad("instanceType is required.")
    capacity = (body.get("sku") or {}).get("capacity")
    if not isinstance(capacity, int) or not 1 <= capacity <= 50:
        raise _bad("sku.capacity has to be from 1 to 50.")
    if not all(isinstance(value, str) for value in (properties.get("environmentVariables") or {}).values()):
        raise _bad("Every environment variable has to be a string.")
    seconds = read_seconds((properties.get("requestSettings") or {}).get("requestTimeout") or "PT5S")
    if not 0 < seconds <= _LONGEST_TIMEOUT_S:
        raise _bad("requestTimeout is at most 180 seconds.")
    environment = call.get(str(properties["environmentId"]))
    if "inferenceConfig" not in environment.properties:
        raise _bad("inferenceConfig is required for custom containers.")
    _check_tags(body)
    properties["scaleSettings"] = properties.get("scaleSettings") or {"scaleType": "Default"}
    return capacity


def _delete(call: Call) -> Response:
    found = call.resources.get(call.id)
    if found is None:
        return Response(status=204)
    is_endpoint = "deployment" not in call.params
    if is_endpoint:
        _refuse_busy(found, *call.resources.within(call.id, "deployments"))
    else:
        endpoint = call.get(call.id.rsplit("/", 2)[0])
        _refuse_busy(endpoint, found)
        shares = [endpoint.properties.get(key) or {} for key in ("traffic", "mirrorTraffic")]
        if any(share.get(name) for share in shares for name in share if name.lower() == found.name.lower()):
            raise _bad("The deployment has traffic and cannot be deleted.", 400, "UserError")
    before = found.provisioning_state
    found.provisioning_state = "Deleting"
    service = call.azure.machine_learning

    def succeed() -> None:
        for gone in call.resources.delete(call.id):
            container = service.containers.pop(gone.id.lower(), None)
            if container is not None:
                container.stop()

    def fail(_error: dict[str, Any]) -> None:
        found.provisioning_state = before

    operation = call.start(_STATUS, succeed=succeed, fail=fail)
    headers = call.accept(operation)
    return Response(status=202, headers={**headers, "Location": operation.url})


def _list_keys(call: Call) -> Response:
    endpoint = call.get(call.id.rpartition("/")[0])
    if str(endpoint.properties["authMode"]).lower() != "key":
        raise _bad("The endpoint does not use keys.")
    return reply({"primaryKey": endpoint.hidden["primary"], "secondaryKey": endpoint.hidden["secondary"]})


def _token(call: Call) -> Response:
    endpoint = call.get(call.id.rpartition("/")[0])
    token = endpoint.hidden.setdefault("token", uuid.uuid4().hex)
    return reply(
        {
            "accessToken": token,
            "expiryTimeUtc": 4070908800,
            "refreshAfterTimeUtc": 4070908800,
            "tokenType": "Bearer",
        }
    )


def _regenerate(call: Call) -> Response:
    endpoint = call.get(call.id.rpartition("/")[0])
    kind = str(call.json().get("keyType", "Primary")).lower()
    operation = call.start(_STATUS, succeed=lambda: endpoint.hidden.update({kind: uuid.uuid4().hex}))
    return Response(status=202, headers=call.accept(operation))


def _logs(call: Call) -> Response:
    deployment = call.get(call.id.rpartition("/")[0])
    container = call.azure.machine_learning.containers.get(deployment.id.lower())
    lines = container.log_lines() if container else ["Instance status: no container."]
    return reply({"content": "\n".join(lines[-int(call.json().get("tail") or 100) :])})
