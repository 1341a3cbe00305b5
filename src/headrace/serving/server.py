"""Running an app on an address: listening, saying when it is ready, ending in order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from headrace.errors import Problem, StateError


async def run_app(app: ASGIApp, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve an app until the process is asked to stop.

    Args:
        app: Answers the requests.
        host: Address to listen on.
        port: Port; 0 takes a free one.
        on_ready: Called with the address, ``http://host:port``, once requests are accepted.

    Raises:
        StateError: S809 when the address cannot be listened on.
    """
    with _listen(host, port) as listener:
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
        server = _AnnouncedServer(config, lambda: on_ready(_address(host, listener)))
        try:
            await server.serve(sockets=[listener])
        except asyncio.CancelledError:
            # Stopped by our caller instead of a signal: requests under way still end in order.
            if server.started:
                await server.shutdown(sockets=[listener])
            raise


class _AnnouncedServer(uvicorn.Server):
    """A server that says when it accepts requests."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or "not an address of this machine").lower()
        raise StateError(
            Problem(
                code="S809",
                what=f"Cannot listen on {host} port {port}: {reason}.",
                fix="Choose another port with --port, or stop the process that has it.",
            )
        ) from error


def _address(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
