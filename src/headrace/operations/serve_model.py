"""Offer a model as an OpenAI-compatible endpoint on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headrace.formats.arms import parse_model
from headrace.operations.workspace import Workspace
from headrace.providers.loading import load_optional

_SERVER = "headrace.serving.model_endpoint:run_model_server"


def serve_model(
    workspace: Workspace, model: str, host: str, port: int, on_ready: Callable[[str], None]
) -> None:
    """Serve until interrupted.

    Args:
        workspace: For connections and settings.
        model: ``connection/model``, or ``baseline``.
        host: Address to listen on; beyond loopback only with ``HEADRACE_MODEL_API_KEY`` set.
        port: 0 takes a free one.
        on_ready: Hears the base URL, which ends in ``/v1``, once requests are answered.

    Raises:
        DefinitionError: The connection is unknown or not a model service.
        UsageError: C505 when the extra ``serve`` is not installed, C507 for an open address without a key.
        StateError: S809 when the address cannot be listened on.
    """
    run_server = load_optional(_SERVER, extra="serve")
    spec = parse_model(model)
    api_key = workspace.settings.environment.get("HEADRACE_MODEL_API_KEY") or None

    async def serve() -> None:
        client = workspace.open_client(spec.connection)
        await run_server(client, spec.model, host, port, on_ready, api_key=api_key)

    asyncio.run(serve())
