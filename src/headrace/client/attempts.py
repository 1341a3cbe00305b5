"""When a call is sent again, and what its answer is. No I/O: the clients send and wait, this decides."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import httpx2

from headrace.client.answers import Answer, BodyReader, PieceReader
from headrace.client.failures import answered_status, not_answered, refused
from headrace.client.requests import Outgoing
from headrace.domain.remote import PIN
from headrace.errors import RemoteError
from headrace.providers.limits import Jitter, RetryPolicy, parse_retry_after

_FLOW_VERSION = "x-headrace-flow-version"
_ARM = "x-headrace-arm"
_EXPOSURE_ID = "x-headrace-exposure-id"


class Attempts:
    """The attempts of one call.

    Args:
        outgoing: What is sent.
        host: Host and port of the endpoint.
        policy: How patient the client is.
        timeout_s: How long the endpoint may say nothing.
        jitter: Spreads the waits.
    """

    def __init__(
        self, outgoing: Outgoing, host: str, policy: RetryPolicy, timeout_s: float, jitter: Jitter
    ) -> None:
        self._call = outgoing.call
        self._host = host
        self._policy = policy
        self._timeout_s = timeout_s
        self._jitter = jitter
        self._began = time.monotonic()
        self._retries = 0

    def refuse(self, status: int, headers: Mapping[str, str], content: bytes) -> RemoteError:
        """The error that an answer other than 2xx is."""
        return refused(
            self._host,
            answered_status(status, headers),
            headers,
            content,
            self._call.request_id,
            parse_retry_after(headers, time.time()),
        )

    def break_off(self, error: httpx2.HTTPError, *, has_begun: bool = False) -> RemoteError:
        """The error that a fault of the connection is."""
        return not_answered(self._host, error, self._timeout_s, has_begun=has_begun)

    def delay_s(self, error: RemoteError) -> float | None:
        """Seconds to wait before the next attempt; ``None`` where ``error`` is final."""
        if not error.retryable or self._retries >= self._policy.max_retries:
            return None
        delay_s = self._policy.delay_s(self._retries, error.retry_after_s, self._jitter)
        if time.monotonic() - self._began + delay_s > self._policy.max_total_s:
            return None
        self._retries += 1
        return delay_s

    def body(self) -> BodyReader:
        """Reads a whole answer."""
        return BodyReader(self._host, self._call.request_id)

    def pieces(self, headers: Mapping[str, str]) -> PieceReader:
        """Reads an answer that may come in pieces."""
        return PieceReader(self._host, self._call.request_id, headers.get("content-type", ""))

    def make_answer(self, outputs: Any, headers: Mapping[str, str]) -> Answer:
        """What the last attempt was answered."""
        arm = headers.get(_ARM)
        return Answer(
            outputs=outputs,
            flow_version=headers.get(_FLOW_VERSION),
            deployment=headers.get(PIN),
            request_id=headers.get("x-request-id") or self._call.request_id,
            traceparent=self._call.traceparent,
            retries=self._retries,
            arm=None if arm is None else unquote(arm),
            exposure_id=headers.get(_EXPOSURE_ID),
        )
