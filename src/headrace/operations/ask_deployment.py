"""Ask a deployed flow, by our own client: never by an SDK, some of which keep the deployment of an earlier call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from headrace.deploy.base import Address
from headrace.domain.remote import PIN
from headrace.errors import Problem, RemoteError, RemoteUnavailableError, UsageError
from headrace.operations.open_deployment import OpenDeployment
from headrace.providers.loading import load_by_name

_CLIENT = "headrace.client:Client"
"""Reached by name: it stands above the operations, and programs that ask flows have no use for these."""

_BEARER = "Bearer "
_MORE_S = 10.0
"""How much longer than the server may take an answer is waited for, seconds."""

PATIENCE_S = 90.0
"""How long the address of a copy that has just been made may lead nowhere, seconds."""

_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a deployment has answered.

    Attributes:
        deployment: Who answered, where the endpoint says.
        version: Of the flow, likewise.
        request_id: By which logs and traces know the request.
    """

    outputs: Any
    deployment: str | None
    version: str | None
    request_id: str


def ask_deployment(opened: OpenDeployment, name: str | None, inputs: Mapping[str, Any]) -> Answered:
    """Ask an endpoint, or one deployment of it whatever its traffic.

    Raises:
        UsageError: There is no such deployment.
        RemoteError: It refuses, fails, or cannot be reached.
    """
    with _client(opened, name) as client:
        return _answered(client.score(inputs), name)


@contextmanager
def stream_deployment(
    opened: OpenDeployment, name: str | None, inputs: Mapping[str, Any]
) -> Iterator[tuple[Answered, Iterator[Mapping[str, Any]]]]:
    """The same, piece by piece: what is known of the answer before, and its pieces.

    Raises:
        UsageError: There is no such deployment.
        RemoteError: It refuses, fails, or cannot be reached.
    """
    with _client(opened, name) as client, client.stream(inputs) as stream:
        yield _answered(stream.answer, name), iter(stream)


def try_deployment(
    opened: OpenDeployment,
    name: str,
    inputs: Mapping[str, Any],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Answered:
    """Ask a deployment that may just have been made: its address may lead nowhere for a while.

    Args:
        opened: Where.
        name: The deployment.
        inputs: What it is tried with.
        sleep: Waits.
        clock: Seconds, for the end of patience.

    Raises:
        RemoteError: It refuses, fails, or cannot be reached for :data:`PATIENCE_S`.
    """
    ends_at = clock() + PATIENCE_S
    for pause_s in _pauses():
        try:
            return ask_deployment(opened, name, inputs)
        except RemoteError as error:
            if not _may_come(error) or clock() + pause_s > ends_at:
                raise
        sleep(pause_s)
    raise AssertionError  # pauses never end


def _pauses() -> Iterator[float]:
    yield from _PAUSES_S
    while True:
        yield _PAUSES_S[-1]


def _may_come(error: RemoteError) -> bool:
    """Whether nobody was there yet, as far as one can tell."""
    if error.refusal is not None:
        return error.refusal.status in (404, 502, 503, 504)
    return isinstance(error, RemoteUnavailableError)


@contextmanager
def _client(opened: OpenDeployment, name: str | None) -> Iterator[Any]:
    address = opened.target.address(name)
    timeout_s = max((item.limits.timeout_s for item in opened.endpoint.deployments), default=60.0)
    with load_by_name(_CLIENT)(
        address.url, **_who_asks(address), timeout_s=timeout_s + _MORE_S, max_retries=3
    ) as client:
        yield client


def _who_asks(address: Address) -> dict[str, str | None]:
    """Key and pinned deployment of an address.

    Raises:
        UsageError: C507 for headers that the client does not send.
    """
    headers = {name.lower(): value for name, value in address.headers.items()}
    authorization, pin = headers.pop("authorization", ""), headers.pop(PIN, None)
    if headers or (authorization and not authorization.startswith(_BEARER)):
        what = (
            f"The address wants headers that cannot be sent: {', '.join(sorted(headers)) or 'authorization'}."
        )
        raise UsageError(Problem(code="C507", what=what))
    return {"key": authorization.removeprefix(_BEARER) or None, "deployment": pin}


def _answered(answer: Any, name: str | None) -> Answered:
    return Answered(
        outputs=answer.outputs,
        deployment=answer.deployment or answer.arm or name,
        version=answer.flow_version,
        request_id=answer.request_id,
    )
