"""What goes wrong, and how often: refusals, lost connections, slow answers and operations that fail or never end."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.azure.messages import Request


@dataclass(kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        method: Of the requests that it meets; empty for every one.
        path: Regular expression that is looked for in ``host/path``, whatever the case.
        times: How often; ``None`` for always.
        skip: How many requests it lets pass first.
        status: Answered in place of what would have been; ``None`` answers as usual.
        code: Of the error that goes with ``status``.
        headers: That go with ``status``, e.g. ``{"Retry-After": "0"}``.
        drop: ``"before"`` loses the connection instead of the request having any effect, ``"after"`` once it had.
        delay_s: Waits before the answer.
        fail_operation: Code with which the long-running operation that the request starts fails.
        hang_operation: The operation goes on until :meth:`Operations.release`.
        message: Of the error.
        details: Of the error.
    """

    method: str = ""
    path: str = ""
    times: int | None = 1
    skip: int = 0
    status: int | None = None
    code: str = ""
    message: str = ""
    details: tuple[Mapping[str, object], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: str = ""
    delay_s: float = 0.0
    fail_operation: str = ""
    hang_operation: bool = False
    n_met: int = 0

    def meets(self, request: Request) -> bool:
        """Whether it is about that request."""
        if self.method and self.method.upper() != request.method:
            return False
        return re.search(self.path, request.host + request.path, re.IGNORECASE) is not None


CODES: Mapping[int, tuple[str, str]] = {
    400: ("BadRequest", "The request is invalid."),
    403: ("AuthorizationFailed", "The client does not have authorization to perform the action."),
    404: ("ResourceNotFound", "The resource was not found."),
    408: ("RequestTimeout", "The request timed out."),
    409: ("Conflict", "Another operation on this resource is in progress."),
    429: ("TooManyRequests", "The request was throttled."),
    500: ("InternalServerError", "An internal error occurred."),
    502: ("BadGateway", "Bad gateway."),
    503: ("ServiceUnavailable", "The service is unavailable."),
    504: ("GatewayTimeout", "The gateway did not get an answer in time."),
}
"""Status to the code and the message that go with it unless a fault says otherwise."""


class Faults:
    """All that is planned to go wrong; may be added to while requests come in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.planned: list[Fault] = []

    def add(self, **settings: object) -> Fault:
        """Plan one; see :class:`Fault` for the settings."""
        fault = Fault(**settings)  # type: ignore[arg-type]
        with self._lock:
            self.planned.append(fault)
        return fault

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self.planned.clear()

    def meet(self, request: Request) -> Fault | None:
        """The first fault that is about a request and not used up; it is used once more by that."""
        with self._lock:
            for fault in self.planned:
                if not fault.meets(request):
                    continue
                fault.n_met += 1
                n_used = fault.n_met - fault.skip
                if n_used >= 1 and (fault.times is None or n_used <= fault.times):
                    return fault
            return None
