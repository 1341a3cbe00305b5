"""What every part of Azure has: subscriptions, resource groups, providers, roles, identities, and what is used up."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from tests.support.azure.arm import Call
from tests.support.azure.messages import Refusal, Response, reply
from tests.support.azure.resources import Resource

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

_SUBSCRIPTION = "/subscriptions/{subscription}"
_GROUP = _SUBSCRIPTION + "/resourceGroups/{group}"
_ASSIGNMENTS = "/{scope*}/providers/Microsoft.Authorization/roleAssignments"
_DEFINITIONS = "/{scope*}/providers/Microsoft.Authorization/roleDefinitions"
_IDENTITY = _GROUP + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{identity}"

_ROLES = {
    "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "AzureML Data Scientist": "f6c7c914-8db3-469d-8ca1-694a8f32e121",
    "Cognitive Services OpenAI User": "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
}


def register(azure: StandIn) -> None:
    """Add all of it."""
    add = azure.arm.add
    add("GET", "/subscriptions", (), _list_subscriptions)
    add("GET", _SUBSCRIPTION, (), _get_subscription)
    add("GET", _SUBSCRIPTION + "/locations", (), _list_locations)
    add("GET", _SUBSCRIPTION + "/providers/{namespace}", (), _get_provider)
    add("POST", _SUBSCRIPTION + "/providers/{namespace}/register", (), _get_provider)
    for namespace in ("Microsoft.MachineLearningServices", "Microsoft.Compute", "Microsoft.App"):
        path = f"{_SUBSCRIPTION}/providers/{namespace}/locations/{{location}}/usages"
        add("GET", path, (), _list_usages)
    add("GET", _SUBSCRIPTION + "/resourceGroups", (), _list_groups)
    add("GET", _GROUP, (), _get_group)
    add("HEAD", _GROUP, (), _get_group)
    add("PUT", _GROUP, (), _put_group)
    add("DELETE", _GROUP, (), _delete_group)
    add("GET", _GROUP + "/resources", (), _list_resources)
    add("GET", _ASSIGNMENTS, (), _list_assignments)
    add("GET", _ASSIGNMENTS + "/{assignment}", (), lambda call: reply(call.get().body()))
    add("PUT", _ASSIGNMENTS + "/{assignment}", (), _put_assignment)
    add("GET", _DEFINITIONS, (), _list_definitions)
    add("GET", _IDENTITY, ("2023-01-31", "2024-11-30"), lambda call: reply(call.get().body()))
    add("PUT", _IDENTITY, ("2023-01-31", "2024-11-30"), _put_identity)


def add_identity(azure: StandIn, name: str) -> Resource:
    """A user-assigned identity in the group."""
    resource_id = f"{azure.group_id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
    principal = azure.directory.add(resource_id=resource_id)
    properties = {
        "tenantId": azure.directory.tenant,
        "principalId": principal.object_id,
        "clientId": principal.client_id,
    }
    return azure.resources.put(Resource(id=resource_id, location=azure.location, properties=properties))


def add_usage(azure: StandIn, namespace: str, name: str, used: int, limit: int, location: str = "") -> None:
    """Say how much of a quota is used, e.g. ``standardDSv3Family`` of ``Microsoft.MachineLearningServices``."""
    place = f"{azure.subscription_id}/providers/{namespace}/locations/{location or azure.location}"
    properties = {"currentValue": used, "limit": limit}
    azure.resources.put(Resource(id=f"{place}/usages/{name}", properties=properties))


def assign_role(azure: StandIn, scope: str, role: str, object_id: str) -> Resource:
    """Give somebody a role on something."""
    definition = f"{azure.subscription_id}/providers/Microsoft.Authorization/roleDefinitions/{_ROLES[role]}"
    return azure.resources.put(
        Resource(
            id=f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}",
            properties={"roleDefinitionId": definition, "principalId": object_id, "scope": scope},
        )
    )


def _subscription_body(call: Call, resource: Resource) -> dict[str, object]:
    return {
        "id": resource.id,
        "subscriptionId": resource.name,
        "tenantId": call.azure.directory.tenant,
        "displayName": "Stand-in",
        "state": "Enabled",
    }


def _list_subscriptions(call: Call) -> Response:
    return reply({"value": [_subscription_body(call, call.get(call.azure.subscription_id))]})


def _get_subscription(call: Call) -> Response:
    return reply(_subscription_body(call, call.get()))


def _list_locations(call: Call) -> Response:
    names = {"westeurope": "West Europe", "eastus2": "East US 2", call.azure.location: call.azure.location}
    value = [
        {"id": f"{call.id}/{name}", "name": name, "displayName": shown, "type": "Region"}
        for name, shown in names.items()
    ]
    return reply({"value": value})


def _get_provider(call: Call) -> Response:
    namespace = call.params["namespace"]
    return reply(
        {
            "id": call.id.removesuffix("/register"),
            "namespace": namespace,
            "registrationState": "Registered",
            "resourceTypes": [],
        }
    )


def _list_usages(call: Call) -> Response:
    place = call.id.removesuffix("/usages")
    value = [
        {
            "id": item.id,
            "type": item.type,
            "unit": "Count",
            "name": {"value": item.name, "localizedValue": item.name},
            **item.properties,
        }
        for item in call.resources.within(place, "usages")
    ]
    return reply({"value": value})


def _group_body(resource: Resource) -> dict[str, object]:
    return {**resource.body(), "type": "Microsoft.Resources/resourceGroups"}


def _list_groups(call: Call) -> Response:
    scope = call.id.removesuffix("/resourceGroups")
    return reply({"value": [_group_body(item) for item in call.resources.within(scope, "resourceGroups")]})


def _known_group(call: Call) -> Resource:
    found = call.resources.get(call.id)
    if found is None:
        name = call.params["group"]
        raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
    return found


def _get_group(call: Call) -> Response:
    return reply(_group_body(_known_group(call)), 204 if call.request.method == "HEAD" else 200)


def _put_group(call: Call) -> Response:
    body = call.json()
    is_new = call.resources.get(call.id) is None
    made = Resource(
        id=call.id,
        location=body["location"],
        tags=body.get("tags", {}),
        properties={"provisioningState": "Succeeded"},
    )
    return reply(_group_body(call.resources.put(made)), 201 if is_new else 200)


def _delete_group(call: Call) -> Response:
    _known_group(call)
    operation = call.start(
        "/subscriptions/{subscription}/operationresults",
        is_location=True,
        succeed=lambda: call.resources.delete(call.id) and None,
    )
    return Response(status=202, headers=call.accept(operation))


def _list_resources(call: Call) -> Response:
    prefix = call.id.removesuffix("/resources") + "/providers/"
    wanted = re.search(r"resourceType eq '([^']+)'", call.request.query.get("$filter", ""))
    found = call.resources.of_type(wanted[1], prefix) if wanted else []
    return reply({"value": [{**item.body(), "properties": None} for item in found]})


def _list_assignments(call: Call) -> Response:
    scope = "/" + call.params["scope"].strip("/")
    asked = call.request.query.get("$filter", "")
    wanted = re.search(r"(?:principalId eq|assignedTo\()\s*'([^']+)'", asked)
    found = [
        item.body()
        for item in call.resources.of_type("Microsoft.Authorization/roleAssignments")
        if (scope + "/").lower().startswith(str(item.properties["scope"]).lower() + "/")
        and (wanted is None or item.properties["principalId"] == wanted[1])
    ]
    return reply({"value": found})


def _put_assignment(call: Call) -> Response:
    properties = dict(call.json()["properties"])
    properties["scope"] = "/" + call.params["scope"].strip("/")
    for other in call.resources.of_type("Microsoft.Authorization/roleAssignments"):
        keys = ("roleDefinitionId", "principalId", "scope")
        if other.id.lower() != call.id.lower() and all(
            str(other.properties[key]).lower() == str(properties[key]).lower() for key in keys
        ):
            raise Refusal(409, "RoleAssignmentExists", "The role assignment already exists.")
    return reply(call.resources.put(Resource(id=call.id, properties=properties)).body(), 201)


def _list_definitions(call: Call) -> Response:
    wanted = re.search(r"roleName eq '([^']+)'", call.request.query.get("$filter", ""))
    value = [
        {
            "id": f"{call.azure.subscription_id}/providers/Microsoft.Authorization/roleDefinitions/{guid}",
            "name": guid,
            "type": "Microsoft.Authorization/roleDefinitions",
            "properties": {"roleName": name, "type": "BuiltInRole"},
        }
        for name, guid in _ROLES.items()
        if wanted is None or name == wanted[1]
    ]
    return reply({"value": value})


def _put_identity(call: Call) -> Response:
    body = call.json()
    found = call.resources.get(call.id)
    if found is None:
        found = add_identity(call.azure, call.params["identity"])
    found.tags, found.location = body.get("tags", {}), body["location"]
    return reply(found.body())
