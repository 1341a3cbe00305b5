"""Who may ask.

On loopback, web pages of other sites must not reach a flow through a browser: requests have to name this machine, and
to come from no page or from one of this machine.
"""

from __future__ import annotations

import re
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.serving.flow_errors import refusal
from headrace.serving.server import LOOPBACK_NAMES

_LOCAL_PAGE = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"


def guard(app: ASGIApp, *, is_local: bool) -> ASGIApp:
    """An app that lets only those through who may ask.

    Args:
        app: What is guarded.
        is_local: Only programs and pages of this machine may ask.
    """
    pages: dict[str, Any] = {"allow_origin_regex": _LOCAL_PAGE} if is_local else {"allow_origins": ["*"]}
    guarded = CORSMiddleware(
        _LocalPages(app) if is_local else app, allow_methods=["*"], allow_headers=["*"], **pages
    )
    return TrustedHostMiddleware(guarded, allowed_hosts=list(LOOPBACK_NAMES) if is_local else ["*"])


class _LocalPages:
    """Refuses what a page of another site sends: its browser would hide the answer, but the flow would run."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] == "POST":
            origin = Headers(scope=scope).get("origin")
            if origin and not re.fullmatch(_LOCAL_PAGE, origin):
                what = "Pages of other sites may not call a flow that is served on this machine."
                await JSONResponse(refusal(403, what), 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)
