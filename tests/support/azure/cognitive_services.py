"""``Microsoft.CognitiveServices``: accounts, the models of a region, deployments of them, and what is left of quotas.

``azure.cognitive_services`` holds one account, ``ai``; :attr:`CognitiveServices.models` is what the region offers.
Lists come in pages of two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.azure.arm import ARM_URL, Call
from tests.support.azure.messages import Refusal, Response, reply
from tests.support.azure.resources import Resource

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

NAMESPACE = "Microsoft.CognitiveServices"
_OF_SUBSCRIPTION = f"/subscriptions/{{subscription}}/providers/{NAMESPACE}"
_ACCOUNTS = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{NAMESPACE}/accounts"
_ACCOUNT = _ACCOUNTS + "/{account}"
_DEPLOYMENT = _ACCOUNT + "/deployments/{deployment}"
_SERVERLESS = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices"
    "/workspaces/{workspace}/serverlessEndpoints"
)
_STATUS = _OF_SUBSCRIPTION + "/locations/westeurope/operationResults"
_VERSIONS = ("2025-09-01", "2026-05-01")
_PAGE = 2


def model(
    name: str,
    version: str,
    *,
    skus: Iterable[dict[str, Any]] = (),
    kinds: Iterable[str] = ("OpenAI", "AIServices"),
    **more: Any,
) -> list[dict[str, Any]]:
    """A version of a model as the region lists it: once for each kind of account.

    Args:
        name: Of the model.
        version: Of it.
        skus: As :func:`sku` makes them.
        kinds: Of accounts.
        more: ``isDefaultVersion``, ``lifecycleStatus``, ``deprecation``, ``replacementConfig``.
    """
    said = {
        "format": "OpenAI",
        "name": name,
        "version": version,
        "skus": list(skus),
        "maxCapacity": 1000,
        **more,
    }
    return [{"kind": kind, "skuName": "S0", "model": said} for kind in kinds]


def sku(name: str, usage: str, **capacity: Any) -> dict[str, Any]:
    """A way in which a version is offered."""
    limits = {"minimum": 1, "maximum": 1000, "step": 1, "default": 10, **capacity}
    return {
        "name": name,
        "usageName": usage,
        "capacity": limits,
        "rateLimits": [{"key": "token", "renewalPeriod": 60, "count": 1000}],
        "cost": [{"name": "Input", "meterId": "00000000-0000-0000-0000-000000000001", "unit": "1000 tokens"}],
    }


@dataclass(kw_only=True)
class CognitiveServices:
    """The provider's own state.

    Attributes:
        models: What the region offers.
        limits: Name of a quota to its limit.
        policies: Names of content filter policies of every account.
    """

    azure: StandIn
    models: list[dict[str, Any]] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)
    policies: list[str] = field(default_factory=lambda: ["Microsoft.Default", "Microsoft.DefaultV2"])

    def add_account(self, name: str, kind: str = "AIServices") -> Resource:
        """An account in the group."""
        return self.azure.resources.put(
            Resource(
                id=f"{self.azure.group_id}/providers/{NAMESPACE}/accounts/{name}",
                location=self.azure.location,
                properties={
                    "provisioningState": "Succeeded",
                    "endpoint": f"https://{name}.openai.azure.com/",
                },
                rest={"kind": kind, "sku": {"name": "S0"}, "etag": '"1"'},
            )
        )

    def used(self, usage: str) -> float:
        """Units of a quota that deployments have, of all accounts."""
        found = self.azure.resources.of_type(f"{NAMESPACE}/accounts/deployments")
        return sum(item.rest["sku"]["capacity"] for item in found if self._usage(item) == usage)

    def offered(self, said: dict[str, Any], kind: str) -> dict[str, Any] | None:
        """What the region offers of the model of a body."""
        wanted = [said.get(key) for key in ("format", "name", "version")]
        for item in self.models:
            if (
                item["kind"] == kind
                and [item["model"][key] for key in ("format", "name", "version")] == wanted
            ):
                found: dict[str, Any] = item["model"]
                return found
        return None

    def _usage(self, deployment: Resource) -> str:
        account = self.azure.resources.get(deployment.id.rpartition("/deployments/")[0])
        assert account is not None
        offered = self.offered(deployment.properties["model"], account.rest["kind"]) or {"skus": []}
        name = deployment.rest["sku"]["name"]
        return next((item["usageName"] for item in offered["skus"] if item["name"] == name), "")


def register(azure: StandIn) -> None:
    """Add it, with an account and some models."""
    state = azure.cognitive_services = CognitiveServices(azure=azure)
    standard = sku("GlobalStandard", "OpenAI.GlobalStandard.gpt-4o-mini")
    state.models = [
        *model("gpt-4o-mini", "2024-07-18", skus=[standard, sku("GlobalBatch", "OpenAI.GlobalBatch.gpt-4o-mini")], isDefaultVersion=True, lifecycleStatus="GenerallyAvailable"),
        *model("gpt-4o-mini", "2025-01-01", skus=[standard], lifecycleStatus="Preview"),
        *model("gpt-4", "0613", skus=[sku("Standard", "OpenAI.Standard.gpt-4")], lifecycleStatus="Deprecated"),
    ]  # fmt: skip
    state.limits = {
        "OpenAI.GlobalStandard.gpt-4o-mini": 100,
        "OpenAI.GlobalBatch.gpt-4o-mini": 10,
        "OpenAI.Standard.gpt-4": 0,
    }
    state.add_account("ai")
    add = azure.arm.add
    add("GET", _OF_SUBSCRIPTION + "/accounts", _VERSIONS, _list_accounts)
    add("GET", _ACCOUNTS, _VERSIONS, _list_accounts)
    add("GET", _ACCOUNT, _VERSIONS, lambda call: reply(call.get().body()))
    add("GET", _OF_SUBSCRIPTION + "/locations/{location}/models", _VERSIONS, _list_models)
    add("GET", _OF_SUBSCRIPTION + "/locations/{location}/usages", _VERSIONS, _list_usages)
    add("GET", _ACCOUNT + "/raiPolicies", _VERSIONS, _list_policies)
    add("GET", _ACCOUNT + "/deployments", _VERSIONS, _list_deployments)
    add("GET", _DEPLOYMENT, _VERSIONS, lambda call: reply(call.get().body()))
    add("PUT", _DEPLOYMENT, _VERSIONS, _put)
    add("DELETE", _DEPLOYMENT, _VERSIONS, _delete)
    add("GET", _SERVERLESS, ("2024-01-01-preview",), _list_serverless)


def _paged(call: Call, items: list[dict[str, Any]]) -> Response:
    start = int(call.request.query.get("$skiptoken", "0"))
    data: dict[str, Any] = {"value": items[start : start + _PAGE]}
    if start + _PAGE < len(items):
        version = call.request.api_version
        data["nextLink"] = f"{ARM_URL}{call.id}?api-version={version}&$skiptoken={start + _PAGE}"
    return reply(data)


def _list_accounts(call: Call) -> Response:
    scope = call.id.lower().partition("/providers/")[0]
    found = call.resources.of_type(f"{NAMESPACE}/accounts", scope + "/")
    return _paged(call, [item.body() for item in found])


def _list_models(call: Call) -> Response:
    is_here = call.params["location"] == call.azure.location
    return _paged(call, call.azure.cognitive_services.models if is_here else [])


def _list_usages(call: Call) -> Response:
    state = call.azure.cognitive_services
    return _paged(
        call,
        [
            {
                "unit": "Count",
                "name": {"value": name, "localizedValue": _label(name)},
                "currentValue": state.used(name),
                "limit": limit,
            }
            for name, limit in state.limits.items()
        ],
    )


def _label(usage: str) -> str:
    _, _, rest = usage.partition(".")
    sku_name, _, model_name = rest.partition(".")
    return f"Tokens Per Minute (thousands) - {model_name} - {sku_name}"


def _list_policies(call: Call) -> Response:
    account = call.id.rpartition("/")[0]
    call.get(account)
    return _paged(
        call,
        [
            {"id": f"{call.id}/{name}", "name": name, "type": f"{NAMESPACE}/accounts/raiPolicies", "properties": {"mode": "Default"}}
            for name in call.azure.cognitive_services.policies
        ],
    )  # fmt: skip


def _list_deployments(call: Call) -> Response:
    account = call.get(call.id.rpartition("/")[0])
    return _paged(call, [item.body() for item in call.resources.within(account.id, "deployments")])


def _put(call: Call) -> Response:
    account = call.get(call.id.rpartition("/deployments/")[0])
    body = call.json()
    before = call.resources.get(call.id)
    if before is not None and before.provisioning_state not in ("Succeeded", "Failed", "Canceled"):
        message = "Another operation is being performed on the deployment. Please retry after it is complete."
        raise Refusal(409, "RequestConflict", message)
    properties = _checked(call, account, body, before)
    made = Resource(id=call.id, properties=properties, rest={"sku": body["sku"]}, tags=body.get("tags") or {})
    call.resources.put(made)
    made.provisioning_state = "Creating"

    def end(state: str) -> Callable[..., dict[str, Any]]:
        def run(*_: object) -> dict[str, Any]:
            made.provisioning_state = state
            return made.body()

        return run

    operation = call.start(_STATUS, succeed=end("Succeeded"), fail=end("Failed"))
    return reply(made.body(), 201 if before is None else 200, call.accept(operation))


def _checked(call: Call, account: Resource, body: dict[str, Any], before: Resource | None) -> dict[str, Any]:
    state = call.azure.cognitive_services
    properties = dict(body.get("properties") or {})
    wanted = body.get("sku") or {}
    said = properties.get("model") or {}
    offered = state.offered(said, account.rest["kind"])
    if offered is None:
        named = ", ".join(f"{key.capitalize()}:{said.get(key)}" for key in ("format", "name", "version"))
        raise Refusal(
            400, "DeploymentModelNotSupported", f"The model '{named}' of account deployment is not supported."
        )
    if offered.get("lifecycleStatus") == "Deprecated":
        raise Refusal(
            400, "ServiceModelDeprecated", f"The model {said['name']} {said['version']} is deprecated."
        )
    found = next((item for item in offered["skus"] if item["name"] == wanted.get("name")), None)
    if found is None:
        message = f"The specified SKU '{wanted.get('name')}' for model '{said['name']} {said['version']}' is not supported in this region."
        raise Refusal(400, "InvalidResourceProperties", message)
    usage, capacity = found["usageName"], int(wanted.get("capacity", 1))
    had = before.rest["sku"]["capacity"] if before is not None and state._usage(before) == usage else 0
    used, limit = state.used(usage), state.limits.get(usage, 0)
    if used - had + capacity > limit:
        label = _label(usage)
        message = (
            f"This operation require {capacity - had:g} new capacity in quota {label}, which is bigger than the current "
            f"available capacity {limit - used:g}. The current quota usage is {used:g} and the quota limit is {limit:g} "
            f"for quota {label}."
        )
        raise Refusal(400, "InsufficientQuota", message)
    properties["rateLimits"] = [
        {"key": "request", "renewalPeriod": 60, "count": capacity * 10},
        {"key": "token", "renewalPeriod": 60, "count": capacity * 1000},
    ]
    properties.setdefault("versionUpgradeOption", "OnceNewDefaultVersionAvailable")
    properties.setdefault("raiPolicyName", "Microsoft.DefaultV2")
    return properties


def _delete(call: Call) -> Response:
    found = call.resources.get(call.id)
    if found is None:
        return Response(status=204)
    found.provisioning_state = "Deleting"
    operation = call.start(_STATUS, succeed=lambda: call.resources.delete(call.id) and None, is_location=True)
    return reply({}, 202, call.accept(operation))


def add_serverless(azure: StandIn, workspace: str, name: str, model_id: str) -> Resource:
    """A classic serverless API endpoint of a workspace of the group."""
    scope = f"{azure.group_id}/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
    address = f"https://{name}.{azure.location}.models.ai.azure.com"
    properties = {
        "authMode": "Key",
        "provisioningState": "Succeeded",
        "endpointState": "Online",
        "modelSettings": {"modelId": model_id},
        "inferenceEndpoint": {"uri": address, "headers": {}},
    }
    made = Resource(
        id=f"{scope}/serverlessEndpoints/{name}",
        location=azure.location,
        properties=properties,
        rest={"sku": {"name": "Consumption"}},
    )
    return azure.resources.put(made)


def _list_serverless(call: Call) -> Response:
    workspace = call.get(call.id.rpartition("/")[0])
    return reply(
        {"value": [item.body() for item in call.resources.within(workspace.id, "serverlessEndpoints")]}
    )
