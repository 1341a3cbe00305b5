"""Long-running operations, in both ways that Azure tells of them.

``Azure-AsyncOperation``: a status address that answers ``{"status": "InProgress" | "Succeeded" | "Failed"}`` with 200
always, so that a failed operation is an error in an answer that says 200. ``Location``: an address that answers 202
until the result is there.

An operation goes one step forward each time that anybody asks for its status or for its resource, so that tests need
no clock. It can also depend on something real: ``check`` says whether that is done.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.azure.faults import Fault
from tests.support.azure.messages import Refusal, Response, refuse, reply

RUNNING, SUCCEEDED, FAILED = "InProgress", "Succeeded", "Failed"

Check = Callable[[], bool]
"""Whether what the operation waits for is done; raises :class:`Refusal` when it has failed."""


@dataclass(kw_only=True)
class Operation:
    """One operation.

    Attributes:
        resource_id: What it works on.
        url: Where its status, or its result, is.
        n_steps: Steps left.
        failure: What it ends with instead of success once no steps are left.
        is_hanging: It makes no step.
        is_location: Whether its address is a ``Location``.
        succeed: Run once at the end; its result is the answer of a ``Location``.
        fail: Run once with the error when it fails.
    """

    id: str
    resource_id: str
    url: str
    n_steps: int
    check: Check
    succeed: Callable[[], Any]
    fail: Callable[[dict[str, Any]], object]
    failure: dict[str, Any] | None = None
    is_hanging: bool = False
    is_location: bool = False
    status: str = RUNNING
    error: dict[str, Any] | None = None
    result: Any = None
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def step(self) -> None:
        """Go on by one step, if it can."""
        with self.lock:
            if self.status != RUNNING or self.is_hanging:
                return
            if self.n_steps > 0:
                self.n_steps -= 1
                return
            if self.failure is not None:
                self._end_badly(self.failure)
                return
            try:
                if not self.check():
                    return
                self.result = self.succeed()
            except Refusal as refusal:
                self._end_badly({"code": refusal.code, "message": refusal.message})
                return
            self.status = SUCCEEDED

    def _end_badly(self, error: dict[str, Any]) -> None:
        self.status, self.error = FAILED, error
        self.fail(error)


class Operations:
    """All operations.

    Attributes:
        n_steps: That an operation takes unless it says otherwise.
        retry_after_ms: What clients are told to wait between looks.
    """

    def __init__(self, base_url: str) -> None:
        self.n_steps = 1
        self.retry_after_ms = 5
        self._base_url = base_url
        self._lock = threading.RLock()
        self._by_id: dict[str, Operation] = {}

    def start(
        self,
        resource_id: str,
        status_path: str,
        *,
        fault: Fault | None = None,
        api_version: str = "",
        is_location: bool = False,
        n_steps: int | None = None,
        check: Check = lambda: True,
        succeed: Callable[[], Any] = lambda: None,
        fail: Callable[[dict[str, Any]], object] = lambda _error: None,
    ) -> Operation:
        """Begin one.

        Args:
            resource_id: What it works on.
            status_path: Path that its id is put behind, ``/subscriptions/…/operationStatuses``.
            fault: Makes it fail or hang; that of the request which starts it.
            api_version: Of its address.
            is_location: Whether its address is a ``Location``.
            n_steps: How many looks it takes.
            check: Whether what it waits for is done.
            succeed: See :class:`Operation`.
            fail: See :class:`Operation`.
        """
        operation_id = str(uuid.uuid4())
        query = f"?api-version={api_version}" if api_version else ""
        failure = None
        if fault is not None and fault.fail_operation:
            failure = {
                "code": fault.fail_operation,
                "message": fault.message or f"The operation failed: {fault.fail_operation}.",
                "details": [dict(item) for item in fault.details],
            }
        operation = Operation(
            id=operation_id,
            resource_id=resource_id.lower(),
            url=f"{self._base_url}{status_path}/{operation_id}{query}",
            n_steps=self.n_steps if n_steps is None else n_steps,
            check=check,
            succeed=succeed,
            fail=fail,
            failure=failure,
            is_hanging=fault is not None and fault.hang_operation,
            is_location=is_location,
        )
        with self._lock:
            self._by_id[operation_id] = operation
        return operation

    def headers(self, operation: Operation) -> dict[str, str]:
        """What an answer that starts an operation says of it."""
        name = "Location" if operation.is_location else "Azure-AsyncOperation"
        return {name: operation.url, **self.pace()}

    def pace(self) -> Mapping[str, str]:
        """How long to wait for the next look."""
        return {"retry-after-ms": str(self.retry_after_ms)}

    def find(self, path: str) -> Operation | None:
        """The operation whose address has that path."""
        with self._lock:
            return self._by_id.get(path.rpartition("/")[2])

    def running(self, resource_id: str) -> list[Operation]:
        """Those that work on a resource and are not at their end."""
        with self._lock:
            found = list(self._by_id.values())
        return [item for item in found if item.resource_id == resource_id.lower() and item.status == RUNNING]

    def step_for(self, path: str) -> None:
        """Somebody asked for something: operations on it, or on what it is in, go on."""
        wanted = path.lower().rstrip("/")
        with self._lock:
            found = list(self._by_id.values())
        for operation in found:
            if operation.status == RUNNING and (
                wanted == operation.resource_id or wanted.startswith(operation.resource_id + "/")
            ):
                operation.step()

    def release(self, resource_id: str = "") -> None:
        """Operations that hang, on one resource or on all, go on."""
        with self._lock:
            for operation in self._by_id.values():
                if not resource_id or operation.resource_id == resource_id.lower():
                    operation.is_hanging = False

    def answer(self, operation: Operation) -> Response:
        """What the address of an operation says, which is a step of it."""
        operation.step()
        if operation.is_location:
            return self._answer_location(operation)
        data: dict[str, Any] = {"id": operation.url.partition("?")[0], "name": operation.id}
        data |= {"status": operation.status}
        if operation.error is not None:
            data["error"] = operation.error
        is_running = operation.status == RUNNING
        return reply(data, 200, self.pace() if is_running else None)

    def _answer_location(self, operation: Operation) -> Response:
        if operation.status == RUNNING:
            return Response(status=202, headers={"Location": operation.url, **self.pace()})
        if operation.error is not None:
            return refuse(
                409,
                operation.error["code"],
                operation.error["message"],
                details=operation.error.get("details", ()),
            )
        if operation.result is None:
            return Response(status=204)
        return reply(operation.result)
