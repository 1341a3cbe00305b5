"""``Microsoft.App``: environments, apps and revisions, which really run what is deployed.

``add_environment(azure, "cae")`` makes an environment. Bodies are looked at as strictly as Azure does where it is known
how; while an operation is under way, a change is refused with 409.
"""

from __future__ import annotations

import copy
import hashlib
import json
from typing import TYPE_CHECKING, Any

from tests.support.azure.arm import Call
from tests.support.azure.container_bodies import (
    bad,
    check_app_name,
    check_configuration,
    check_template,
    merge_patch,
)
from tests.support.azure.container_runs import App, Apps, Revision, now
from tests.support.azure.messages import Refusal, Response, reply
from tests.support.azure.resources import Resource

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.App"
_ENVIRONMENT = _GROUP + "/managedEnvironments/{environment}"
_APP = _GROUP + "/containerApps/{app}"
_REVISION = _APP + "/revisions/{revision}"
_VERSIONS = ("2026-01-01",)
_LOCATION = "/subscriptions/{subscription}/providers/Microsoft.App/locations/westeurope"
_STATUSES, _RESULTS = (
    f"{_LOCATION}/containerappOperationStatuses",
    f"{_LOCATION}/containerappOperationResults",
)
_ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
_PAGE = 2


def register(azure: StandIn) -> None:
    """Add it."""
    azure.apps = Apps(azure)
    azure.at_end(azure.apps.close)
    add = azure.arm.add
    add("GET", _ENVIRONMENT, _VERSIONS, lambda call: reply(call.get().body()))
    add("GET", _GROUP + "/managedEnvironments", _VERSIONS, _list_environments)
    add("GET", _APP, _VERSIONS, lambda call: reply(_body(_app(call))))
    add("PUT", _APP, _VERSIONS, _put)
    add("PATCH", _APP, _VERSIONS, _patch)
    add("DELETE", _APP, _VERSIONS, _delete)
    add("POST", _APP + "/listSecrets", _VERSIONS, _list_secrets)
    add("POST", _APP + "/getAuthToken", _VERSIONS, _get_token)
    add("GET", _APP + "/revisions", _VERSIONS, _list_revisions)
    add("GET", _REVISION, _VERSIONS, lambda call: reply(_revision_body(call, *_revision(call))))
    add("POST", _REVISION + "/activate", _VERSIONS, lambda call: _set_active(call, is_active=True))
    add("POST", _REVISION + "/deactivate", _VERSIONS, lambda call: _set_active(call, is_active=False))
    add("POST", _REVISION + "/restart", _VERSIONS, _restart)
    add("GET", _REVISION + "/replicas", _VERSIONS, _list_replicas)
    azure.add_host("*.azurecontainerapps.io", azure.apps.answer)
    azure.add_host("*.azurecontainerapps.dev", azure.apps.answer)


def add_environment(azure: StandIn, name: str, group_id: str = "") -> Resource:
    """An environment."""
    resource_id = f"{group_id or azure.group_id}/providers/Microsoft.App/managedEnvironments/{name}"
    word = hashlib.sha256(resource_id.encode()).hexdigest()[:8]
    properties = {
        "provisioningState": "Succeeded",
        "defaultDomain": f"happyhill-{word}.{azure.location}.azurecontainerapps.io",
    }
    return azure.resources.put(Resource(id=resource_id, location=azure.location, properties=properties))


def _list_environments(call: Call) -> Response:
    scope = call.id.rpartition("/")[0]
    return reply({"value": [item.body() for item in call.resources.within(scope, "managedEnvironments")]})


def _app(call: Call) -> App:
    end = call.id.lower().index("/containerapps/")
    resource_id = f"{call.id[:end]}/containerApps/{call.params['app']}"
    call.get(resource_id)
    return call.azure.apps.by_id[resource_id.lower()]


def _body(app: App) -> dict[str, Any]:
    body = copy.deepcopy(app.resource.body())
    configuration = body["properties"]["configuration"]
    configuration["secrets"] = [
        {name: item[name] for name in ("name", "keyVaultUrl", "identity") if item.get(name)}
        for item in app.resource.hidden["secrets"]
    ]
    return body


def _put(call: Call) -> Response:
    body = call.json()
    check_app_name(call.params["app"])
    found = call.azure.apps.by_id.get(call.id.lower())
    if found is not None:
        _refuse_busy(call, found)
    if not body.get("location"):
        raise bad("LocationRequired", "The location property is required for this definition.")
    properties = body.get("properties") or {}
    environment = call.azure.resources.get(
        properties.get("environmentId") or properties.get("managedEnvironmentId") or ""
    )
    if environment is None:
        raise bad("ManagedEnvironmentNotFound", "The environment of the app was not found.")
    is_new = found is None
    app = found or App(resource=Resource(id=call.id, location=body["location"]))
    wanted = {
        "tags": body.get("tags") or {},
        "identity": body.get("identity") or {"type": "None"},
        "configuration": properties.get("configuration") or {},
        "template": properties.get("template") or {},
        "environment": environment,
    }
    _write(call, app, wanted)
    operation = call.start(_STATUSES, **_life(call, app))
    status = call.azure.apps.statuses["PUT"] or (201 if is_new else 200)
    return reply(_body(app), status, call.accept(operation))


def _patch(call: Call) -> Response:
    app = _app(call)
    _refuse_busy(call, app)
    patch = call.json()
    resource = app.resource
    there = copy.deepcopy(resource.properties["configuration"])
    there["secrets"] = copy.deepcopy(resource.hidden["secrets"])
    properties = patch.get("properties") or {}
    wanted = {
        "tags": merge_patch(resource.tags, patch.get("tags") or {}),
        "identity": merge_patch(resource.rest["identity"], patch.get("identity") or {}),
        "configuration": merge_patch(there, properties.get("configuration") or {}),
        "template": merge_patch(resource.properties["template"], properties.get("template") or {}),
        "environment": call.get(resource.properties["environmentId"]),
    }
    _write(call, app, wanted)
    operation = call.start(_RESULTS, is_location=True, **{**_life(call, app), "succeed": lambda: _done(app)})
    if call.azure.apps.statuses["PATCH"] == 200:  # without an address: whoever waits looks at the app
        return reply(_body(app), 200)
    return Response(status=202, headers=call.accept(operation))


def _refuse_busy(call: Call, app: App) -> None:
    if app.resource.provisioning_state in ("InProgress", "Deleting"):
        message = (
            f"Cannot modify a container app because there is another operation in progress: '{app.name}'."
        )
        raise Refusal(409, "ContainerAppOperationInProgress", message)


def _write(call: Call, app: App, wanted: dict[str, Any]) -> None:
    """Take over what is wanted, if all of it is well; make a revision where the template is another one."""
    resource, configuration = app.resource, wanted["configuration"]
    secrets = configuration.pop("secrets", None) or []
    identities = {name.lower() for name in wanted["identity"].get("userAssignedIdentities") or {}}
    if "SystemAssigned" in str(wanted["identity"].get("type")):
        identities.add("system")
    template = wanted["template"]
    name = _new_revision(app, template)
    check_template(app.name, template, {item.get("name") for item in secrets})
    check_configuration({**configuration, "secrets": secrets}, [*app.revisions], identities)
    if configuration.get("ingress"):
        is_external = bool(configuration["ingress"].get("external"))
        domain = wanted["environment"].properties["defaultDomain"]
        configuration["ingress"]["fqdn"] = f"{app.name}.{'' if is_external else 'internal.'}{domain}"
    resource.tags = wanted["tags"]
    resource.rest["identity"] = wanted["identity"]
    resource.hidden["secrets"] = secrets
    latest = {"latestRevisionName": name} if name else {}
    resource.properties |= {
        "environmentId": wanted["environment"].id,
        "managedEnvironmentId": wanted["environment"].id,
        "configuration": configuration,
        "template": template,
        "provisioningState": "InProgress",
        "runningStatus": "Running",
        **latest,
    }
    call.resources.put(resource)
    call.azure.apps.by_id[resource.id.lower()] = app
    if name:
        call.resources.put(Resource(id=f"{resource.id}/revisions/{name}"))
        app.revisions[name] = Revision(name=name, template=copy.deepcopy(template), created=now())
        if configuration.get("activeRevisionsMode", "Single") == "Single":
            for other in app.revisions.values():
                other.is_active = other.name == name


def _new_revision(app: App, template: dict[str, Any]) -> str:
    """The name of the revision that a template makes; empty where it is that of the last one."""
    latest = app.resource.properties.get("latestRevisionName", "")
    if latest and app.revisions[latest].template == template:
        return ""
    suffix = template.get("revisionSuffix") or hashlib.sha256(json.dumps(template).encode()).hexdigest()[:7]
    name = f"{app.name}--{suffix}"
    if name in app.revisions:
        message = f"The revision with suffix '{suffix}' already exists."
        raise bad("ContainerAppRevisionSuffixInUse", message)
    return name


def _life(call: Call, app: App) -> dict[str, Any]:
    """What an operation does at its end: the image is pulled, or not."""
    name = app.resource.properties.get("latestRevisionName", "")
    revision = app.revisions.get(name)

    def check() -> bool:
        if revision is not None and not revision.n_starts and not revision.was_healthy:
            _pull(call, app, revision)
        return True

    def succeed() -> dict[str, Any]:
        return _done(app)

    def fail(error: dict[str, Any]) -> None:
        app.resource.provisioning_state = "Failed"
        if revision is not None and not revision.was_healthy and not revision.n_starts:
            revision.failure = error["message"]

    return {"check": check, "succeed": succeed, "fail": fail}


def _done(app: App) -> dict[str, Any]:
    app.resource.provisioning_state = "Succeeded"
    return _body(app)


def _pull(call: Call, app: App, revision: Revision) -> None:
    """Look whether the image may be had, and every secret read.

    Raises:
        Refusal: As Azure puts it.
    """
    reference = revision.template["containers"][0]["image"]
    server = reference.partition("/")[0]
    field = "Field 'template.containers.flow.image' is invalid with details: 'Invalid value: "
    if call.azure.registries.find_image(reference) is None:
        raise bad(
            "InvalidParameterValueInContainerTemplate",
            f'{field}"{reference}": GET https:: MANIFEST_UNKNOWN\';',
        )
    identity = next(
        (
            item.get("identity")
            for item in app.configuration.get("registries") or ()
            if item["server"] == server
        ),
        None,
    )
    if not _may_pull(call, identity, server):
        message = f'{field}"{reference}": GET https:: UNAUTHORIZED: authentication required\';'
        raise bad("InvalidParameterValueInContainerTemplate", message)
    used = {item.get("secretRef") for item in revision.template["containers"][0].get("env") or ()}
    for secret in app.resource.hidden["secrets"]:
        if secret["name"] in used and secret.get("keyVaultUrl"):
            try:
                call.azure.apps.secret_value(secret)
            except Refusal as refusal:
                message = f"Unable to get value using Managed identity for secret {secret['name']}: {refusal.message}"
                raise bad("ContainerAppSecretKeyVaultUnavailable", message) from refusal


def _may_pull(call: Call, identity: str | None, server: str) -> bool:
    found = call.azure.resources.get(identity) if identity and identity != "system" else None
    if found is None:
        return False
    principal = found.properties["principalId"]
    return any(
        item.properties["principalId"] == principal
        and str(item.properties["roleDefinitionId"]).endswith(_ACR_PULL)
        and str(item.properties["scope"]).lower().endswith(f"/registries/{server.partition('.')[0]}")
        for item in call.azure.resources.of_type("Microsoft.Authorization/roleAssignments")
    )


def _delete(call: Call) -> Response:
    found = call.azure.apps.by_id.get(call.id.lower())
    if found is None or call.resources.get(call.id) is None:
        return Response(status=204)
    _refuse_busy(call, found)
    found.resource.provisioning_state = "Deleting"

    def succeed() -> None:
        for revision in found.revisions.values():
            call.azure.apps.stop(revision)
        call.azure.apps.by_id.pop(call.id.lower(), None)
        call.resources.delete(call.id)

    def fail(_: dict[str, Any]) -> None:
        found.resource.provisioning_state = "Succeeded"

    operation = call.start(_RESULTS, is_location=True, succeed=succeed, fail=fail)
    return Response(status=202, headers=call.accept(operation))


def _list_secrets(call: Call) -> Response:
    return reply({"value": _app(call).resource.hidden["secrets"]})


def _get_token(call: Call) -> Response:
    app = _app(call)
    body = {**app.resource.body(), "properties": {"token": app.token, "expires": "2099-01-01T00:00:00Z"}}
    return reply(body)


def _list_revisions(call: Call) -> Response:
    app = _app(call)
    found = [*app.revisions.values()]
    at = int(call.request.query.get("skip", "0"))
    data: dict[str, Any] = {"value": [_revision_body(call, app, item) for item in found[at : at + _PAGE]]}
    if at + _PAGE < len(found):
        link = (
            f"https://management.azure.com{call.id}?api-version={call.request.api_version}&skip={at + _PAGE}"
        )
        data["nextLink"] = link
    return reply(data)


def _revision(call: Call) -> tuple[App, Revision]:
    app = _app(call)
    for name, revision in app.revisions.items():
        if name.lower() == call.params["revision"].lower():
            return app, revision
    raise Refusal(404, "RevisionNotFound", f"The revision '{call.params['revision']}' was not found.")


def _revision_body(call: Call, app: App, revision: Revision) -> dict[str, Any]:
    is_made = (
        app.resource.provisioning_state != "InProgress"
        or revision.name != app.resource.properties["latestRevisionName"]
    )
    waiting = {
        "provisioningState": "Provisioning",
        "runningState": "Processing",
        "healthState": "None",
        "replicas": 0,
    }
    state = call.azure.apps.look(app, revision) if is_made else waiting
    fqdn = str((app.configuration.get("ingress") or {}).get("fqdn") or "")
    return {
        "id": f"{app.resource.id}/revisions/{revision.name}",
        "name": revision.name,
        "type": "Microsoft.App/containerapps/revisions",
        "properties": {
            "createdTime": revision.created.isoformat(),
            "fqdn": f"{revision.name}.{fqdn.partition('.')[2]}" if fqdn else "",
            "template": revision.template,
            "active": revision.is_active,
            "trafficWeight": app.weight(revision.name),
            **state,
        },
    }


def _set_active(call: Call, *, is_active: bool) -> Response:
    app, revision = _revision(call)
    if not is_active and app.weight(revision.name):
        raise bad("ContainerAppRevisionHasTraffic", f"The revision '{revision.name}' gets traffic.")
    revision.is_active = is_active
    if not is_active:
        call.azure.apps.stop(revision)
    revision.n_starts = 0
    return Response(status=200)


def _restart(call: Call) -> Response:
    _, revision = _revision(call)
    call.azure.apps.stop(revision)
    revision.n_starts = 0
    return reply("ok")


def _list_replicas(call: Call) -> Response:
    app, revision = _revision(call)
    if revision.container is None:
        return reply({"value": []})
    host = f"https://{call.azure.location}.azurecontainerapps.dev"
    path = f"/subscriptions/{call.params['subscription']}/resourceGroups/{call.params['group']}/containerApps/{app.name}"
    end = f"/revisions/{revision.name}/replicas/{revision.replica}/containers/flow/logstream"
    container = {
        "name": "flow",
        "ready": True,
        "restartCount": revision.n_starts - 1,
        "logStreamEndpoint": f"{host}{path}{end}",
    }
    return reply(
        {
            "value": [
                {
                    "id": f"{app.resource.id}/revisions/{revision.name}/replicas/{revision.replica}",
                    "name": revision.replica,
                    "type": "Microsoft.App/containerapps/revisions/replicas",
                    "properties": {"runningState": "Running", "containers": [container]},
                }
            ]
        }
    )
