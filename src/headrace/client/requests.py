"""What is sent: addresses, headers and bodies."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from headrace import __version__
from headrace.domain.remote import PIN
from headrace.errors import Problem, UsageError

UNIT_ID = "x-headrace-unit-id"
"""Header with the id of whoever the answer is for, such as a hashed user id: one unit stays with one arm."""

CONVERSATION_ID = "x-headrace-conversation-id"
"""Header with the id of the conversation that the call is a part of, which traces then show together."""

_AZURE_LONGEST_ID = 40
_JSON = "application/json"
_EVENTS = "text/event-stream, application/json"


def new_traceparent() -> str:
    """A trace that begins with the call."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What goes with one call beside its inputs; for one call only.

    Attributes:
        conversation_id: Id of the conversation that the call is a part of, for traces.
        unit_id: Id of whoever the answer is for; one unit stays with one arm where an endpoint divides its traffic.
        request_id: Id by which logs and traces of the endpoint know the call; a new one unless given.
        traceparent: The span that the call belongs to, as W3C Trace Context writes it; a new trace unless given.
        tracestate: Goes with ``traceparent``.
        deployment: Azure ML deployment that is to answer, in place of that of the client.
    """

    conversation_id: str | None = None
    unit_id: str | None = None
    request_id: str = field(default_factory=lambda: str(uuid4()))
    traceparent: str = field(default_factory=new_traceparent)
    tracestate: str | None = None
    deployment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an answer, or of whoever the answers are for, as an online test counts it.

    Attributes:
        metric: What it is about, such as ``thumbs``, ``rating`` or ``resolved``.
        value: 0 or 1, or another number; ``None`` for a text alone.
        unit_id: Whoever it is about, where it is about no single answer.
        text: What was written.
        id: An endpoint counts an outcome once, however often it is sent; a new id unless given.
    """

    metric: str
    value: float | None = None
    unit_id: str | None = None
    text: str = ""
    id: str = field(default_factory=lambda: str(uuid4()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a flow answers.

    Attributes:
        server: Base URL of the server, which answers the probes.
        flow: Base URL of the flow: that of the server, or below it.
        host: For messages; never holds a password.
    """

    server: str
    flow: str
    host: str


def read_address(url: str, path: str) -> Address:
    """Read a base URL, or the address of a scoring route as Azure ML shows it.

    Raises:
        UsageError: C507 for what is no HTTP address.
    """
    parts = _split(url)
    if parts is None:
        what = "The address of the endpoint is no base URL with http:// or https:// and a host."
        fix = "Write it like http://localhost:8080, and keys as key=…, never in the address."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    host, port = parts
    server = url.rstrip("/").removesuffix("/score")
    below = path.strip("/").removesuffix("score").strip("/")
    return Address(server=server, flow=f"{server}/{below}" if below else server, host=f"{host}{port}")


def _split(url: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    is_base = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
    return None if not is_base or parts.username is not None else (parts.hostname or "", port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One request as it is sent in every attempt; the key is added to each anew."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None = None
    call: Call = field(default_factory=Call)


def score_request(
    address: Address, inputs: Mapping[str, Any], call: Call, deployment: str | None, *, streams: bool
) -> Outgoing:
    """The request for one answer.

    Raises:
        UsageError: C507 for inputs that are no JSON, C506 for a value that no header can have.
    """
    headers = {**_headers(call, deployment), "accept": _EVENTS if streams else _JSON, "content-type": _JSON}
    return _outgoing("POST", f"{address.flow}/score", headers, _as_json(inputs), call)


def feedback_request(
    address: Address, feedback: Any, call: Call, deployment: str | None, *, is_flat: bool
) -> Outgoing:
    """The request that says what somebody thinks of an answer.

    Raises:
        UsageError: As :func:`score_request`.
    """
    is_text = isinstance(feedback, str)
    content = feedback.encode(errors="replace") if is_text else _as_json(feedback)
    headers = {**_headers(call, deployment), "accept": _JSON}
    headers["content-type"] = "text/plain; charset=utf-8" if is_text else _JSON
    url = f"{address.flow}/feedback{'?flatten=true' if is_flat else ''}"
    return _outgoing("POST", url, headers, content, call)


def outcome_body(outcome: Outcome, answer_id: str | None) -> dict[str, Any]:
    """An outcome as ``/feedback`` takes it.

    Args:
        outcome: What is said.
        answer_id: Id of the answer that it is about; ``None`` where it is about a unit.

    Raises:
        UsageError: C507 where neither is named.
    """
    if answer_id is None and outcome.unit_id is None:
        what = "The outcome says neither which answer nor which unit it is about."
        raise UsageError(Problem(code="C507", what=what, fix="Give an answer, or unit_id=… in the outcome."))
    about = {"unit_id": outcome.unit_id} if answer_id is None else {"exposure_id": answer_id}
    said = {"metric": outcome.metric, "value": outcome.value, "text": outcome.text or None, "id": outcome.id}
    return {**about, **{name: value for name, value in said.items() if value is not None}}


def read_request(url: str, deployment: str | None) -> Outgoing:
    """The request for a document."""
    call = Call()
    return _outgoing("GET", url, {**_headers(call, deployment), "accept": _JSON}, None, call)


def _outgoing(
    method: str, url: str, headers: Mapping[str, str], content: bytes | None, call: Call
) -> Outgoing:
    for name, value in headers.items():
        check_header(name, value)
    return Outgoing(method=method, url=url, headers=headers, content=content, call=call)


def check_header(name: str, value: str) -> None:
    """Let only through what a header can have.

    Raises:
        UsageError: C506; the value is not shown.
    """
    # Whoever is a unit has a name in any script; it is sent in UTF-8.
    is_any = name == UNIT_ID
    if not value or not value.isprintable() or not (is_any or value.isascii()):
        what = f"The header {name} would be empty or hold characters that no header has."
        fix = f"Give it printable{'' if is_any else ' ASCII'} characters."
        raise UsageError(Problem(code="C506", what=what, fix=fix))


def _headers(call: Call, deployment: str | None) -> dict[str, str]:
    headers = {
        "user-agent": f"headrace/{__version__}",
        "x-request-id": call.request_id,
        "traceparent": call.traceparent,
    }
    if len(call.request_id) <= _AZURE_LONGEST_ID:
        headers["x-ms-client-request-id"] = call.request_id
    if call.tracestate is not None:
        headers["tracestate"] = call.tracestate
    if call.unit_id is not None:
        headers[UNIT_ID] = call.unit_id
    if call.conversation_id is not None:
        headers[CONVERSATION_ID] = call.conversation_id
    pinned = call.deployment or deployment
    if pinned is not None:
        headers[PIN] = pinned
    return headers


def _as_json(value: Any) -> bytes:
    try:
        return json.dumps(value).encode()
    except (TypeError, ValueError, RecursionError):
        what = "What is sent is no JSON: mappings, lists, texts, numbers, true, false and null."
        fix = 'Send plain data; an image as {"data:image/png;base64": "…"}.'
        raise UsageError(Problem(code="C507", what=what, fix=fix)) from None
