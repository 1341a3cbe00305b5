"""What an HTTP request says of itself, as the assignment of an arm asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from uuid import uuid4

from headrace.domain.evidence import in_header
from headrace.domain.traffic import Traffic, UnitSource

MAX_FACT_CHARS: Final = 1_000
"""Texts that are longer count as absent: every character of a unit is hashed."""

_COOKIE_AGE_S: Final = 365 * 24 * 3600


class AskedFacts:
    """The facts of one request, each looked for when it is asked for.

    Args:
        scope: The request, as ASGI has it.
        body: Its body: bytes, or the object that was read of them.
        traffic: The rules of the test.
        request_id: Its id.

    Attributes:
        request_id: See above.
        cookie: The ``set-cookie`` field of the answer, for a browser that gets a unit; empty for every other request.
    """

    __slots__ = (
        "_body",
        "_cookies",
        "_fields",
        "_given",
        "_headers",
        "_is_secure",
        "_traffic",
        "cookie",
        "request_id",
    )

    def __init__(self, scope: Mapping[str, Any], body: Any, traffic: Traffic, request_id: str) -> None:
        # The first one of a name counts.
        self._headers: Mapping[bytes, bytes] = dict(reversed([*scope["headers"]]))
        self._is_secure = scope.get("scheme") == "https"
        self._body = body
        self._traffic = traffic
        self._fields: Mapping[str, Any] | None = None
        self._cookies: Mapping[str, str] | None = None
        self._given: tuple[UnitSource, str] | None = None
        self.request_id = request_id
        self.cookie = ""
        for unit in traffic.units:
            if unit.place == "cookie":
                self._give_unit(unit)
                break

    @property
    def forced(self) -> str | None:
        """The arm that a tester asks for; ``None`` where nobody may, or does."""
        name = self._traffic.forced_by
        found = self._header(name) if name else None
        if not found:  # a proxy may send it empty with every request
            return None
        # Testers copy what the header of an answer said.
        return next((arm.name for arm in self._traffic.answering if in_header(arm.name) == found), found)

    def find(self, source: UnitSource) -> str | None:
        """The text at a place of the request; ``None`` where there is none, or more than anybody would hash."""
        if self._given is not None and source == self._given[0]:
            return self._given[1]
        if source.place == "header":
            found = self._header(source.name)
        elif source.place == "cookie":
            found = self._read_cookies().get(source.name)
        else:
            found = as_text(self._find_field(source.name))
        return found if found and len(found) <= MAX_FACT_CHARS else None

    def _header(self, name: str) -> str | None:
        value = self._headers.get(_header_key(name))
        return None if value is None else header_text(value)

    def _give_unit(self, source: UnitSource) -> None:
        """Give a browser without a unit one that it brings along from now on."""
        if any(self.find(unit) for unit in self._traffic.units):
            return
        unit = str(uuid4())
        self._given = source, unit
        secure = "; Secure" if self._is_secure else ""
        self.cookie = f"{source.name}={unit}; Path=/; Max-Age={_COOKIE_AGE_S}; HttpOnly; SameSite=Lax{secure}"

    def _find_field(self, name: str) -> Any:
        """A field of the body, or of the inputs in it, as chat clients send them."""
        if self._fields is None:
            self._fields = _read_fields(self._body)
        if name in self._fields:
            return self._fields[name]
        inputs = self._fields.get("inputs")
        return inputs.get(name) if isinstance(inputs, dict) else None

    def _read_cookies(self) -> Mapping[str, str]:
        if self._cookies is None:
            # Not SimpleCookie, which drops all cookies where one has a value such as {"a": 1}, as browsers send them.
            pairs = [part.partition("=") for part in (self._header("cookie") or "").split(";")]
            self._cookies = {name.strip(): value.strip().strip('"') for name, _, value in pairs}
        return self._cookies


def header_text(value: bytes) -> str:
    """The text of a header: UTF-8, as bodies are, and where it is none Latin-1, in which everything is something."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def needs_body(traffic: Traffic) -> bool:
    """Whether the rules look into bodies of requests."""
    sources = [*traffic.units, *(condition.attribute for condition in traffic.target)]
    return any(source.place in ("field", "session") for source in sources)


@lru_cache(maxsize=64)
def _header_key(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")


def _read_fields(body: Any) -> Mapping[str, Any]:
    if isinstance(body, Mapping):
        return body
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def as_text(value: Any) -> str | None:
    """A value as the text that is hashed or compared; only texts, numbers and flags have one."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | int | float) else None
