"""Pages that are made anew for every request, on this machine only: the page of ``headrace ab watch``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.domain.access import LOOPBACK_NAMES
from headrace.errors import StateError
from headrace.serving.server import ServerCalls, address_of, bind, run_app

RenderPage = Callable[[str], str | None]
"""Gives the HTML at a path; ``None`` where there is no page."""

_HOST = "127.0.0.1"
_FIX = "Choose another port with --page, or stop the process that has it."
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def build_page_app(render: RenderPage) -> ASGIApp:
    """The app that shows pages. Other hosts than this machine's are refused, so that no foreign name leads here."""
    return TrustedHostMiddleware(_PageApp(render), allowed_hosts=LOOPBACK_NAMES)


def run_pages(render: RenderPage, port: int, on_ready: Callable[[str], None]) -> None:
    """Show pages on loopback until the process is asked to stop.

    Args:
        render: Makes a page; called in a thread.
        port: 0 takes a free one.
        on_ready: Hears the address.

    Raises:
        StateError: S809 when the port cannot be had.
    """
    try:
        listener = bind(_HOST, port)
        address = address_of(_HOST, listener)
        asyncio.run(
            run_app(build_page_app(render), listener, ServerCalls(on_ready=lambda: on_ready(address)))
        )
    except StateError as error:
        raise StateError(*(replace(problem, fix=_FIX) for problem in error.problems)) from error


class _PageApp:
    """Answers GET with pages.

    Args:
        render: Makes a page; called in a thread.
    """

    def __init__(self, render: RenderPage) -> None:
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("Method not allowed", 405, headers={"Allow": "GET, HEAD"})
        page = await asyncio.to_thread(self._render, request.url.path)
        if page is None:
            return PlainTextResponse("Not found", 404)
        return HTMLResponse(page, headers=_HEADERS)
