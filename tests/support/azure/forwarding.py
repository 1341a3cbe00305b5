"""Passes requests on to a server on loopback that really runs."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from tests.support.azure.messages import Request, Response, refuse

_HOP = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def forward(
    request: Request,
    base_url: str,
    *,
    headers: Mapping[str, str] | None = None,
    without: frozenset[str] = frozenset(),
    timeout_s: float = 60.0,
) -> Response:
    """Ask another server the same.

    Args:
        request: What is asked; its path stays.
        base_url: ``http://127.0.0.1:8080``.
        headers: Added ones.
        without: Names of headers, in small letters, that are not passed on.
        timeout_s: For each piece of the answer.
    """
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)
    sent = {
        name: value
        for name, value in request.headers.items()
        if name not in _HOP and name not in without and name != "host"
    }
    sent |= {"host": request.host, **(headers or {})}
    try:
        connection.request(request.method, request.target, body=request.body or None, headers=sent)
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException):
        connection.close()
        return refuse(502, "BadGateway", "The server behind the endpoint does not answer.")
    kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
    if answer.length is not None:
        with answer:
            body = answer.read()
        connection.close()
        return Response(status=answer.status, headers=kept, body=body)
    return Response(status=answer.status, headers=kept, body=_pieces(connection, answer))


def _pieces(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while piece := answer.read1(65536):
            yield piece
    finally:
        answer.close()
        connection.close()
