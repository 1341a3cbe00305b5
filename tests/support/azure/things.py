"""A provider and a client for resources of no meaning, made by long-running operations: for tests of what goes wrong."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from tests.support.azure.arm import ARM_URL, Call
from tests.support.azure.messages import Response, reply
from tests.support.azure.resources import Resource
from tests.support.azure.stand_in import StandIn

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError, map_error
from azure.core.pipeline.policies import ContentDecodePolicy, RequestIdPolicy, RetryPolicy
from azure.core.polling import LROPoller
from azure.core.rest import HttpRequest
from azure.mgmt.core import ARMPipelineClient
from azure.mgmt.core.exceptions import ARMErrorFormat
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy
from azure.mgmt.core.polling.arm_polling import ARMPolling

_PATH = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Contoso.Things/things/{name}"
_VERSION = "2026-01-01"


def register(azure: StandIn) -> None:
    """Add things."""
    azure.arm.add("PUT", _PATH, (_VERSION,), _put)
    azure.arm.add("GET", _PATH, (_VERSION,), lambda call: reply(call.get().body()))


def _put(call: Call) -> Response:
    made = call.resources.put(Resource(id=call.id, properties=dict(call.json().get("properties") or {})))
    made.provisioning_state = "Creating"

    def end(state: str) -> dict[str, Any]:
        made.provisioning_state = state
        return made.body()

    operation = call.start(
        "/subscriptions/{subscription}/providers/Contoso.Things/operations",
        succeed=lambda: end("Succeeded"),
        fail=lambda _: end("Failed"),
        is_location=made.properties.get("location", False),
    )
    return reply(made.body(), 201, call.accept(operation))


class Things:
    """A client made of what all clients of ``azure-mgmt-…`` are made of.

    Args:
        azure: Where things are.
        credential: Whose tokens are used.
    """

    def __init__(self, azure: StandIn, credential: Any) -> None:
        self._azure = azure
        policies = [
            RequestIdPolicy(),
            ContentDecodePolicy(),
            RetryPolicy(retry_backoff_factor=0),
            ARMChallengeAuthenticationPolicy(credential, f"{ARM_URL}/.default"),
        ]
        self._client: Any = ARMPipelineClient(base_url=ARM_URL, policies=policies)

    def put(self, name: str, *, group: str = "rg", **properties: Any) -> LROPoller[Any]:
        """Begin to make one."""
        first = self._run(HttpRequest("PUT", self._url(name, group), json={"properties": properties}))
        polling = ARMPolling(timeout=1)
        return LROPoller(self._client, first, lambda response: response.http_response.json(), polling)

    def get(self, name: str, *, group: str = "rg") -> Any:
        """Read one."""
        return self._run(HttpRequest("GET", self._url(name, group))).http_response.json()

    def _run(self, request: HttpRequest) -> Any:
        answer = self._client._pipeline.run(request)
        response = answer.http_response
        if response.status_code >= 400:
            known = {404: ResourceNotFoundError, 409: ResourceExistsError}
            map_error(status_code=response.status_code, response=response, error_map=known)
            raise HttpResponseError(response=response, error_format=ARMErrorFormat)
        return answer

    def _url(self, name: str, group: str) -> str:
        path = _PATH.format(subscription=self._azure.subscription, group=group, name=name)
        return f"{ARM_URL}{path}?api-version={_VERSION}"

    def __enter__(self) -> Things:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
