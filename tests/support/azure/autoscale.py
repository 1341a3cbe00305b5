"""``Microsoft.Insights/autoscalesettings``: how many copies something else has; the worked example of a provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.azure.arm import Call
from tests.support.azure.messages import Refusal, Response, reply
from tests.support.azure.resources import Resource

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

_ALL = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Insights/autoscalesettings"
_ONE = _ALL + "/{name}"
_VERSIONS = ("2015-04-01", "2021-05-01-preview", "2022-10-01")


def register(azure: StandIn) -> None:
    """Add it."""
    azure.arm.add("GET", _ALL, _VERSIONS, _list)
    azure.arm.add("GET", _ONE, _VERSIONS, lambda call: reply(call.get().body()))
    azure.arm.add("PUT", _ONE, _VERSIONS, _put)
    azure.arm.add("DELETE", _ONE, _VERSIONS, _delete)


def _list(call: Call) -> Response:
    scope, _, kind = call.id.rpartition("/")
    return reply({"value": [item.body() for item in call.resources.within(scope, kind)]})


def _put(call: Call) -> Response:
    body = call.json()
    properties = body.get("properties") or {}
    target = properties.get("targetResourceUri", "")
    if call.azure.resources.get(target) is None:
        raise Refusal(404, "ResourceNotFound", f"The resource '{target}' was not found.")
    for profile in _profiles(properties):
        _check_capacity(profile.get("capacity") or {})
    _refuse_second(call, target)
    is_new = call.resources.get(call.id) is None
    made = Resource(
        id=call.id, location=body.get("location", ""), tags=body.get("tags") or {}, properties=properties
    )
    return reply(call.resources.put(made).body(), 201 if is_new else 200)


def _profiles(properties: dict[str, Any]) -> list[dict[str, Any]]:
    profiles: list[dict[str, Any]] = properties.get("profiles") or []
    if not 1 <= len(profiles) <= 20:
        raise Refusal(400, "BadRequest", "An autoscale setting has from 1 to 20 profiles.")
    return profiles


def _check_capacity(capacity: dict[str, Any]) -> None:
    try:
        least, most, usual = (int(capacity[name]) for name in ("minimum", "maximum", "default"))
    except (KeyError, ValueError, TypeError):
        raise Refusal(400, "BadRequest", "A capacity has minimum, maximum and default as texts.") from None
    if not 0 <= least <= usual <= most:
        raise Refusal(400, "BadRequest", "A capacity has minimum <= default <= maximum.")


def _refuse_second(call: Call, target: str) -> None:
    """One thing has one setting."""
    for other in call.resources.of_type("Microsoft.Insights/autoscalesettings"):
        is_same_target = str(other.properties.get("targetResourceUri", "")).lower() == target.lower()
        if is_same_target and other.id.lower() != call.id.lower():
            message = f"The target resource already has the autoscale setting '{other.name}'."
            raise Refusal(409, "AutoscaleSettingAlreadyExists", message)


def _delete(call: Call) -> Response:
    return Response(status=200 if call.resources.delete(call.id) else 204)
