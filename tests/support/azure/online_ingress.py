"""The addresses of online endpoints, ``{endpoint}.{region}.inference.ml.azure.com``: who may ask, and who answers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tests.support.azure.forwarding import forward
from tests.support.azure.messages import Refusal, Request, Response, reply
from tests.support.azure.online_containers import Container, read_seconds
from tests.support.azure.resources import Resource

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

SUFFIX = ".inference.ml.azure.com"
AUDIENCE = "https://ml.azure.com"
PIN = "azureml-model-deployment"
_LONGEST_ID = 40


def register(azure: StandIn) -> None:
    """Add it."""
    draws = random.Random(7)  # noqa: S311 -- shares of requests, not secrets
    azure.add_host("*" + SUFFIX, lambda request: _answer(azure, draws, request))


def _answer(azure: StandIn, draws: random.Random, request: Request) -> Response:
    name, _, _ = request.host.partition(".")
    endpoint = azure.resources.get(f"{azure.machine_learning.workspace_id}/onlineEndpoints/{name}")
    if endpoint is None:
        return reply({"error": {"code": "NotFound", "message": "No such endpoint."}}, 404)
    _authorize(azure, endpoint, request)
    if len(request.headers.get("x-ms-client-request-id", "")) > _LONGEST_ID:
        return reply({"message": "x-ms-client-request-id is too long."}, 400)
    deployment = _choose(azure, endpoint, request, draws)
    if deployment is None:
        return reply({"message": "No deployment with traffic is healthy."}, 404)
    if PIN not in request.headers:
        _mirror(azure, endpoint, request, draws)
    azure.machine_learning.count(deployment.name, "answered")
    return _ask(azure, deployment, request)


def _authorize(azure: StandIn, endpoint: Resource, request: Request) -> None:
    if str(endpoint.properties["authMode"]).lower() == "aadtoken":
        azure.access.identify(request, AUDIENCE)
        return
    keys = {endpoint.hidden.get(name) for name in ("primary", "secondary", "token")}
    if not request.bearer or request.bearer not in keys:
        raise Refusal(401, "key_auth_access_denied", "The key is missing or wrong.")


def _choose(azure: StandIn, endpoint: Resource, request: Request, draws: random.Random) -> Resource | None:
    pinned = request.headers.get(PIN)
    if pinned:
        found = azure.resources.get(f"{endpoint.id}/deployments/{pinned}")
        return found if found is not None and _runs(azure, found) else None
    shares: Mapping[str, int] = endpoint.properties.get("traffic") or {}
    names = [name for name, share in shares.items() if share]
    if not names:
        return None
    name = draws.choices(names, [shares[name] for name in names])[0]
    found = azure.resources.get(f"{endpoint.id}/deployments/{name}")
    return found if found is not None and _runs(azure, found) else None


def _runs(azure: StandIn, deployment: Resource) -> bool:
    return deployment.id.lower() in azure.machine_learning.containers


def _mirror(azure: StandIn, endpoint: Resource, request: Request, draws: random.Random) -> None:
    """Copy a share of the requests to a deployment whose answers nobody gets."""
    for name, share in (endpoint.properties.get("mirrorTraffic") or {}).items():
        found = azure.resources.get(f"{endpoint.id}/deployments/{name}")
        if found is not None and share and draws.random() * 100 < share and _runs(azure, found):
            azure.machine_learning.count(found.name, "mirrored")
            thread = threading.Thread(target=_drain, args=(azure, found, request))
            thread.start()
            azure.at_end(thread.join)


def _drain(azure: StandIn, deployment: Resource, request: Request) -> None:
    response = _ask(azure, deployment, request)
    if not isinstance(response.body, bytes):
        for _ in response.body:
            pass


def _ask(azure: StandIn, deployment: Resource, request: Request) -> Response:
    """Let a container answer, with what the gateway makes of its answer."""
    container = azure.machine_learning.containers[deployment.id.lower()]
    settings = deployment.properties.get("requestSettings") or {}
    copies = int(deployment.rest["sku"]["capacity"])
    most = 2 * int(settings.get("maxConcurrentRequestsPerInstance") or 1) * copies
    timeout_s = read_seconds(str(settings.get("requestTimeout") or "PT5S"))
    with container.lock:
        if container.in_flight >= most:
            return reply({"message": "Too many requests in flight."}, 429)
        container.in_flight += 1
    begun = time.monotonic()
    own = frozenset({"authorization", PIN})
    host = {"host": f"127.0.0.1:{container.port}"}  # what a server on loopback calls itself
    response = forward(request, container.url, headers=host, without=own, timeout_s=timeout_s)
    if response.status == 502:
        _leave(container)
        is_late = time.monotonic() - begun >= timeout_s
        return reply(
            {"message": "Timed out." if is_late else "upstream connect error"}, 408 if is_late else 502
        )
    headers = {**response.headers, PIN: deployment.name}
    if isinstance(response.body, bytes):
        _leave(container)
        body: bytes | Iterable[bytes] = response.body
    else:
        body = _until_end(container, response.body)
    if response.status // 100 == 2:
        return Response(status=response.status, headers=headers, body=body)
    said = {
        "ms-azureml-model-error-statuscode": str(response.status),
        "ms-azureml-model-error-reason": "model_error",
    }
    return Response(status=424, headers={**headers, **said}, body=body)


def _until_end(container: Container, pieces: Iterable[bytes]) -> Iterable[bytes]:
    try:
        yield from pieces
    finally:
        _leave(container)


def _leave(container: Container) -> None:
    with container.lock:
        container.in_flight -= 1
