"""What a client was made with, read and checked once for both kinds of client."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from headrace.client.answers import Answer
from headrace.client.attempts import Attempts
from headrace.client.requests import (
    Address,
    Call,
    Outcome,
    Outgoing,
    check_header,
    feedback_request,
    outcome_body,
    read_address,
    read_request,
    score_request,
)
from headrace.config import load_settings
from headrace.errors import Problem, UsageError
from headrace.providers.limits import RetryPolicy
from headrace.providers.proxies import find_proxy
from headrace.providers.tls import trusted_certificates


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How calls are made.

    Attributes:
        address: Where the flow answers.
        deployment: Azure ML deployment that is to answer.
        timeout_s: How long the endpoint may say nothing, seconds.
        connect_timeout_s: How long a connection may take to be made, seconds.
        policy: How patient the client is.
    """

    address: Address
    deployment: str | None
    timeout_s: float
    connect_timeout_s: float
    policy: RetryPolicy

    def attempts(self, outgoing: Outgoing) -> Attempts:
        """The attempts of one call."""
        return Attempts(outgoing, self.address.host, self.policy, self.timeout_s, random.random)

    def score(self, inputs: Mapping[str, Any], call: Call | None, *, streams: bool) -> Outgoing:
        """The request for one answer."""
        return score_request(self.address, inputs, call or Call(), self.deployment, streams=streams)

    def feedback(self, feedback: Any, answer: Answer | None, *, is_flat: bool) -> Outgoing:
        """The request that says what somebody thinks of an answer."""
        call = Call() if answer is None else Call(traceparent=answer.traceparent)
        return feedback_request(self.address, feedback, call, self.deployment, is_flat=is_flat)

    def report(self, outcome: Outcome, answer: Answer | None) -> Outgoing:
        """The request that says what became of an answer or a unit."""
        answer_id = None if answer is None else answer.exposure_id or answer.request_id
        return self.feedback(outcome_body(outcome, answer_id), answer, is_flat=False)

    def health(self) -> Outgoing:
        """The request for the state of the server."""
        return read_request(f"{self.address.server}/health", self.deployment)

    def openapi(self) -> tuple[Outgoing, Outgoing]:
        """The requests for the description of the flow: the second where there is none for the first."""
        urls = (f"{self.address.server}/openapi.json", f"{self.address.flow}/swagger.json")
        first, second = (read_request(url, self.deployment) for url in urls)
        return first, second

    def client_arguments(self) -> dict[str, Any]:
        """Arguments that ``httpx2.Client`` and ``httpx2.AsyncClient`` are made with.

        Redirects are not followed, so that a key goes where the user said and nowhere else.

        Raises:
            UsageError: C506 when a variable names something else than an HTTP proxy.
        """
        certificates = trusted_certificates(self.address.server)
        return {
            "proxy": find_proxy(self.address.server, load_settings().environment),
            "trust_env": False,
            "follow_redirects": False,
            "timeout": httpx2.Timeout(self.timeout_s, connect=self.connect_timeout_s),
            "limits": httpx2.Limits(
                max_connections=None, max_keepalive_connections=100, keepalive_expiry=20.0
            ),
            **({} if certificates is None else {"verify": certificates}),
        }


def read_options(
    base_url: str,
    path: str,
    deployment: str | None,
    *,
    timeout_s: float,
    connect_timeout_s: float,
    max_retries: int,
) -> Options:
    """Check what a client is made with.

    Raises:
        UsageError: C507 for an address that is none or a number out of range.
    """
    if timeout_s <= 0 or connect_timeout_s <= 0 or max_retries < 0:
        what = "timeout_s and connect_timeout_s are more than 0, and max_retries is at least 0."
        raise UsageError(Problem(code="C507", what=what, fix="Correct the arguments of the client."))
    return Options(
        address=read_address(base_url, path),
        deployment=deployment,
        timeout_s=timeout_s,
        connect_timeout_s=connect_timeout_s,
        policy=RetryPolicy(max_retries=max_retries),
    )


def check_key_arguments(key: str | None, token_provider: object | None, credential: object | None) -> None:
    """Let a client have one way to say who it is.

    Raises:
        UsageError: C507 for two, C506 for a key that no header can have.
    """
    if sum(item is not None for item in (key, token_provider, credential)) > 1:
        what = "A client has one of key, token_provider and credential."
        raise UsageError(Problem(code="C507", what=what, fix="Leave the others out."))
    if key is not None:
        check_header("authorization", key)


def authorized(headers: Mapping[str, str], key: str | None) -> list[tuple[bytes, bytes]]:
    """``headers`` in UTF-8, as they are sent, with the key, fresh for each attempt.

    Raises:
        UsageError: C506 for a token that no header can have.
    """
    sent = dict(headers)
    if key is not None:
        check_header("authorization", key)
        sent["authorization"] = f"Bearer {key}"
    return [(name.encode(), value.encode()) for name, value in sent.items()]
