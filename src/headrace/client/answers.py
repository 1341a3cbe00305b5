"""What comes back: answers, and the pieces of one that streams. No I/O: the clients feed what they receive."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.client.failures import failed_midway, unreadable

_OURS = ("UserError", "SystemError")
_LARGEST_BYTES = 64 * 1024 * 1024
_EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a flow answered.

    Attributes:
        outputs: Outputs by name; of a flow that returns one value without a name, that value.
        flow_version: The version that made it, such as ``ask_docs@3f9a1c0b2d4e``; ``None`` where the endpoint does not
            say.
        deployment: The Azure ML deployment that made it, likewise.
        request_id: Id by which logs and traces of the endpoint know the call.
        traceparent: The span that was sent with it; feedback names it.
        retries: Attempts before the one that was answered.
        arm: Where an online test splits the requests, the arm that this one was given; else ``None``.
        exposure_id: Id by which that was recorded, which feedback names; ``None`` where it was not.
    """

    outputs: Any = field(repr=False)
    flow_version: str | None = None
    deployment: str | None = None
    request_id: str = ""
    traceparent: str = ""
    retries: int = 0
    arm: str | None = None
    exposure_id: str | None = None


class BodyReader:
    """Puts the parts of a body together.

    Args:
        host: Host and port of the endpoint.
        request_id: Id of the call.
    """

    def __init__(self, host: str, request_id: str) -> None:
        self._host = host
        self._request_id = request_id
        self._content = bytearray()

    @property
    def content(self) -> bytes:
        """What has come so far."""
        return bytes(self._content)

    def add(self, part: bytes) -> None:
        """Keep a part.

        Raises:
            RemoteRequestError: P707 when the body is larger than anybody would want to hold.
        """
        self._content += part
        if len(self._content) > _LARGEST_BYTES:
            raise unreadable(self._host, self._request_id)

    def read_json(self) -> Any:
        """The value that the whole body is.

        Raises:
            RemoteRequestError: P707 for a body that is no JSON.
        """
        try:
            return json.loads(self._content)
        except (ValueError, RecursionError) as error:
            raise unreadable(self._host, self._request_id) from error


class PieceReader:
    """Reads the pieces of an answer; one in JSON is a single piece.

    Args:
        host: Host and port of the endpoint.
        request_id: Id of the call.
        content_type: Of the answer.
    """

    def __init__(self, host: str, request_id: str, content_type: str) -> None:
        self._host = host
        self._request_id = request_id
        self._has_events = content_type.lower().startswith(_EVENTS)
        self._body = BodyReader(host, request_id)
        self._rest = bytearray()

    def feed(self, part: bytes) -> Iterator[Mapping[str, Any]]:
        """The pieces that are whole after ``part``.

        Raises:
            RemoteRequestError: P707 for something that is no event with a JSON object.
            RemoteError: The event that says that the flow failed.
        """
        if not self._has_events:
            self._body.add(part)
            return
        self._rest += part.replace(b"\r", b"")
        while (place := self._rest.find(b"\n\n")) >= 0:
            event = bytes(self._rest[:place])
            del self._rest[: place + 2]
            yield from self._read_event(event)
        if len(self._rest) > _LARGEST_BYTES:
            raise unreadable(self._host, self._request_id)

    def end(self) -> Iterator[Mapping[str, Any]]:
        """The pieces that the end of the body leaves.

        Raises:
            RemoteRequestError: P707 for a body that ends in the middle of an event, or is no JSON.
        """
        if self._has_events:
            if self._rest.strip():
                raise unreadable(self._host, self._request_id)
            return
        value = self._body.read_json()
        yield value if isinstance(value, dict) else {"output": value}

    def _read_event(self, event: bytes) -> Iterator[Mapping[str, Any]]:
        lines = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
        if not lines or lines == [b"[DONE]"]:
            return
        try:
            piece = json.loads(b"\n".join(lines))
        except (ValueError, RecursionError) as error:
            raise unreadable(self._host, self._request_id) from error
        if not isinstance(piece, dict):
            raise unreadable(self._host, self._request_id)
        said = _error_in(piece)
        if said is not None:
            raise failed_midway(self._host, said, self._request_id)
        yield piece


def _error_in(piece: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The error that an event says, ``None`` for a piece of an answer: its status was sent before."""
    error = piece.get("error") if len(piece) == 1 else None
    is_error = (
        isinstance(error, dict) and error.get("code") in _OURS and isinstance(error.get("message"), str)
    )
    return error if is_error else None
