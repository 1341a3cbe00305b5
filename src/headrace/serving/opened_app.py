"""An app that opens its flows itself: for servers that are given only a name, and for code that builds upon it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial, reduce
from typing import Any

import uvicorn
from starlette.middleware.base import BaseHTTPMiddleware, DispatchFunction
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.errors import HeadraceError
from headrace.serving.server import http_protocol

_FLASK_HOST, _FLASK_PORT = "127.0.0.1", 5000


class OpenedApp:
    """An app that is made when its server starts, and closed when that ends.

    Below another app, to which alone servers say when they start and end, it is made by its first request and closed
    with the event loop.

    Args:
        open_app: Makes it; its block is the life of the app. It is given the host that :meth:`run` listens on, or
            ``None`` where that is not known.
    """

    def __init__(self, open_app: Callable[[str | None], AbstractAsyncContextManager[ASGIApp]]) -> None:
        self._open = open_app
        self._host: str | None = None
        self._app: ASGIApp | None = None
        self._layers: list[Callable[[ASGIApp], ASGIApp]] = []
        self._life: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[ASGIApp] | None = None

    def add_middleware(self, middleware: Callable[..., ASGIApp], *args: Any, **kwargs: Any) -> None:
        """Put a layer around the app and the layers that it has, as Starlette and FastAPI do.

        Args:
            middleware: Called with the app when the server starts; returns the app to use in its place.
            args: Further arguments of ``middleware``.
            kwargs: Further arguments of ``middleware``.
        """
        self._layers.append(lambda app: middleware(app, *args, **kwargs))

    def middleware(self, kind: str) -> Callable[[DispatchFunction], DispatchFunction]:
        """Decorate a function that gets every request and calls on, as Starlette and FastAPI do.

        Raises:
            ValueError: ``kind`` is not ``http``.
        """
        if kind != "http":
            what = f"A layer of type {kind!r} cannot be added: only 'http' can."
            raise ValueError(what)

        def add(dispatch: DispatchFunction) -> DispatchFunction:
            self.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
            return dispatch

        return add

    def run(self, host: str | None = None, port: int | None = None, **_: Any) -> None:
        """Serve until the process is asked to stop, as an app of Flask does.

        Args:
            host: Where to listen; default 127.0.0.1.
            port: Default 5000.
            _: Other options of Flask, which mean nothing here.
        """
        self._host = host or _FLASK_HOST
        uvicorn.run(
            self,
            host=self._host,
            port=_FLASK_PORT if port is None else port,
            http=http_protocol(),
            server_header=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through the start and the end of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        app = self._app or await self._open_alone()
        await app(_below(scope), receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self._block():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except HeadraceError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    async def _open_alone(self) -> ASGIApp:
        """Open the app for the rest of the event loop, once, however many requests wait for it."""
        loop = asyncio.get_running_loop()
        if (
            self._opened is None
            or self._life is None
            or self._life.done()
            or self._life.get_loop() is not loop
        ):
            self._opened = loop.create_future()
            self._life = loop.create_task(self._live_alone(self._opened))  # the end of the loop cancels it
            self._life.add_done_callback(partial(_tell, self._opened))
        return await asyncio.shield(self._opened)

    async def _live_alone(self, opened: asyncio.Future[ASGIApp]) -> None:
        async with self._block() as app:
            opened.set_result(app)
            await asyncio.Event().wait()

    @asynccontextmanager
    async def _block(self) -> AsyncIterator[ASGIApp]:
        async with self._open(self._host) as innermost:
            self._app = reduce(lambda app, layer: layer(app), self._layers, innermost)
            try:
                yield self._app
            finally:
                self._app = None


def _tell(opened: asyncio.Future[ASGIApp], life: asyncio.Task[None]) -> None:
    """Raise in those who wait for an app why it could not be opened."""
    if opened.done():
        return
    if life.cancelled():
        opened.cancel()
    elif error := life.exception():
        opened.set_exception(error)


def _below(scope: Scope) -> Scope:
    """A request as the app's own routes know it, without the path that another app or a proxy has put before."""
    root = scope.get("root_path", "")
    if not root or not scope["path"].startswith(f"{root}/"):
        return scope
    below = {**scope, "path": scope["path"].removeprefix(root)}
    if scope.get("raw_path"):
        below["raw_path"] = scope["raw_path"].removeprefix(root.encode())
    return below
