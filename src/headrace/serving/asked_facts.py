"""What a request says of itself, as the assignment of an arm asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from uuid import uuid4

from starlette.types import Scope

from headrace.domain.traffic import Traffic, UnitSource
from headrace.errors import HeadraceError
from headrace.serving.flow_inputs import read_json
from headrace.serving.request_id import REQUEST_ID

UNIT_ID: Final = "x-headrace-unit-id"
"""Header with the unit that feedback is about, where its body names none."""

MAX_FACT_CHARS: Final = 1_000
"""Texts that are longer count as absent: every character of a unit is hashed."""

_COOKIE_AGE_S: Final = 365 * 24 * 3600


class AskedFacts:
    """The facts of one request, each looked for when it is asked for.

    Args:
        scope: The request.
        body: Its body: bytes, or the object that was read of them.
        traffic: The rules of the test.

    Attributes:
        request_id: Its id.
        cookie: The ``set-cookie`` field of the answer, for a browser that gets a unit; empty for every other request.
    """

    __slots__ = (
        "_body",
        "_cookies",
        "_fields",
        "_given",
        "_headers",
        "_scope",
        "_traffic",
        "cookie",
        "request_id",
    )

    def __init__(self, scope: Scope, body: Any, traffic: Traffic) -> None:
        self._scope = scope
        self._body = body
        self._traffic = traffic
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._fields: Mapping[str, Any] | None = None
        self._cookies: Mapping[str, str] | None = None
        self._given: tuple[UnitSource, str] | None = None
        self.request_id = str(scope.get(REQUEST_ID) or uuid4())
        self.cookie = ""
        self._give_unit()

    @property
    def forced(self) -> str | None:
        """The arm that a tester asks for; ``None`` where nobody may, or does."""
        return self.header(self._traffic.forced_by) if self._traffic.forced_by else None

    def find(self, source: UnitSource) -> str | None:
        """The text at a place of the request; ``None`` where there is none, or more than anybody would hash."""
        if self._given is not None and source == self._given[0]:
            return self._given[1]
        if source.place == "header":
            found = self.header(source.name)
        elif source.place == "cookie":
            found = self._read_cookies().get(source.name)
        else:
            found = _as_text(self._find_field(source.name))
        return found if found and len(found) <= MAX_FACT_CHARS else None

    def header(self, name: str) -> str | None:
        """The value of a header field; ``None`` where the request has none of the name."""
        wanted = name.lower().encode("latin-1", "replace")
        return next((value.decode("latin-1") for key, value in self._headers if key == wanted), None)

    def _give_unit(self) -> None:
        """Give a browser without a unit one that it brings along from now on, where the test asks for a cookie."""
        units = self._traffic.units
        source = next((unit for unit in units if unit.place == "cookie"), None)
        if source is None or any(self.find(unit) for unit in units):
            return
        unit = str(uuid4())
        self._given = source, unit
        secure = "; Secure" if self._scope.get("scheme") == "https" else ""
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
            try:
                read = SimpleCookie(self.header("cookie") or "")
            except CookieError:
                read = SimpleCookie()
            self._cookies = {name: morsel.value for name, morsel in read.items()}
        return self._cookies


def _read_fields(body: Any) -> Mapping[str, Any]:
    if isinstance(body, Mapping):
        return body
    try:
        fields = read_json(body)
    except (ValueError, RecursionError, HeadraceError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _as_text(value: Any) -> str | None:
    """A value as the text that is hashed or compared; only texts, numbers and flags have one."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | int | float) else None
