"""What an HTTP request says of itself, as the assignment of an arm asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from uuid import uuid4

from headrace.domain.traffic import Traffic, UnitSource

_LONGEST_CHARS = 1_000
_COOKIE_AGE_S = 365 * 24 * 3600
_IDS = (b"x-request-id", b"x-ms-client-request-id")


def needs_body(traffic: Traffic) -> bool:
    """Whether the rules look into bodies of requests."""
    sources = [*traffic.units, *(condition.attribute for condition in traffic.target)]
    return any(source.place in ("field", "session") for source in sources)


class Asked:
    """The facts of one request.

    Args:
        scope: The request, of ASGI.
        body: Its body, where the rules look into it.
        traffic: The rules.

    Attributes:
        request_id: As the request says, else a new one.
        forced: The arm that a tester asks for.
        cookie: The ``set-cookie`` field for a browser that gets a unit; empty for every other request.
    """

    def __init__(self, scope: Mapping[str, Any], body: bytes, traffic: Traffic) -> None:
        self._headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        self._fields = _read_fields(body)
        self._cookies = _read_cookies(self._header("cookie") or "")
        ids = [value.decode("latin-1") for name in _IDS for key, value in self._headers if key == name]
        self.request_id = ids[0][:_LONGEST_CHARS] if ids and ids[0] else str(uuid4())
        self.forced = self._header(traffic.forced_by) if traffic.forced_by else None
        self.cookie = self._give_unit(traffic, is_secure=scope.get("scheme") == "https")

    def find(self, source: UnitSource) -> str | None:
        """The text at a place of the request; ``None`` where there is none, or more than anybody would hash."""
        if source.place == "header":
            found = self._header(source.name)
        elif source.place == "cookie":
            found = self._cookies.get(source.name)
        else:
            found = _text(self._fields.get(source.name))
        return found if found and len(found) <= _LONGEST_CHARS else None

    def _header(self, name: str) -> str | None:
        wanted = name.lower().encode("latin-1", "replace")
        return next((value.decode("latin-1") for key, value in self._headers if key == wanted), None)

    def _give_unit(self, traffic: Traffic, *, is_secure: bool) -> str:
        """Give a browser without a unit one that it brings along from now on, where the rules look for a cookie."""
        source = next((unit for unit in traffic.units if unit.place == "cookie"), None)
        if source is None or any(self.find(unit) for unit in traffic.units):
            return ""
        self._cookies[source.name] = str(uuid4())
        secure = "; Secure" if is_secure else ""
        unit = self._cookies[source.name]
        return f"{source.name}={unit}; Path=/; Max-Age={_COOKIE_AGE_S}; HttpOnly; SameSite=Lax{secure}"


def _read_cookies(text: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(text).items()}
    except CookieError:
        return {}


def _read_fields(body: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _text(value: Any) -> str | None:
    """A value as the text that is hashed or compared; only texts, numbers and flags have one."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | int | float) else None
