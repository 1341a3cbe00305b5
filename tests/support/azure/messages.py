"""Requests and responses between the proxy and what answers in Azure's name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it came in.

    Attributes:
        path: Without the query, percent signs resolved.
        target: As it was sent, with the query.
        query: The last of each name; names in small letters.
        headers: Names in small letters.
    """

    method: str
    scheme: str
    host: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> dict[str, str]:
        pairs = parse_qsl(self.target.partition("?")[2], keep_blank_values=True)
        return {name.lower(): value for name, value in pairs}

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}{self.target}"

    @property
    def api_version(self) -> str:
        return self.query.get("api-version", "")

    def json(self) -> Any:
        """The body as JSON; an empty object for none."""
        return json.loads(self.body) if self.body else {}

    @property
    def bearer(self) -> str:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else ""


@dataclass(frozen=True, kw_only=True)
class Response:
    """What is answered; a body that is no bytes is sent piece by piece as it comes."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""


def reply(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(
        status=status, headers={"Content-Type": JSON, **(headers or {})}, body=json.dumps(data).encode()
    )


def refuse(
    status: int,
    code: str,
    message: str,
    *,
    details: Iterable[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error in the form of Azure Resource Manager: ``{"error": {"code", "message", "details"}}``."""
    error: dict[str, Any] = {"code": code, "message": message}
    if listed := list(details):
        error["details"] = listed
    return reply({"error": error}, status, headers)


class Refusal(Exception):  # noqa: N818 -- it is an answer, raised where no function can return one
    """Ends a request with an error answer from wherever it is raised."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.code = code
        self.message = message
        self.response = refuse(status, code, message, **more)


class Drop(Exception):  # noqa: N818 -- likewise
    """Ends the connection without an answer."""
