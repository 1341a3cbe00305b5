"""Connection types and the adapters that serve them. The only way to a model client."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping

from headrace.config import Settings
from headrace.domain.connection import Connection
from headrace.errors import DefinitionError, Problem
from headrace.providers.base import ModelClient
from headrace.providers.endpoint import make_endpoint
from headrace.providers.limits import Jitter, Sleep
from headrace.providers.loading import load_by_name
from headrace.providers.proxies import find_proxy
from headrace.providers.quota import Quota

SecretLookup = Callable[[Connection, str], str | None]
"""Resolves a secret field of a connection now: ``Connections.secret``."""

WIRE = "headrace.providers.openai_wire:OpenAIWireClient"
PACKAGE = "headrace.providers.openai_client:OpenAIPackageClient"
SCORING = "headrace.providers.scoring_client:ScoringClient"
BASELINE = "headrace.providers.baseline_client:BaselineClient"

ADAPTERS: Mapping[str, str] = {
    "open_ai": WIRE,
    "azure_open_ai": WIRE,
    "serverless": WIRE,
    "baseline": BASELINE,
    "endpoint": SCORING,
}
"""Connection type to the import string of its adapter. Nothing of it is imported before the first use."""


def open_client(
    connection: Connection,
    secret: SecretLookup,
    settings: Settings,
    quota: Quota | None = None,
    *,
    sleep: Sleep = asyncio.sleep,
    jitter: Jitter = random.random,
    clock: Callable[[], float] = time.time,
) -> ModelClient:
    """The client for one connection; give it back with ``close``. No request is sent yet.

    Args:
        connection: Where requests go.
        secret: Resolves secrets of the connection, at every request.
        settings: Timeouts, retries, and which adapter serves OpenAI-compatible services.
        quota: Says when requests are sent; without one, the client has budgets of its own.
        sleep: Waits between attempts; tests pass one that does not.
        jitter: Spreads those waits.
        clock: Seconds since the Unix epoch.

    Raises:
        DefinitionError: C502 when the connection is not complete, C504 when it leads to no model service.
    """
    adapter = ADAPTERS.get(connection.type)
    if adapter is None:
        raise DefinitionError(
            Problem(
                code="C504",
                what=f'Connection "{connection.name}" is of type {connection.type}, which is not a model service.',
                fix=f"Use a connection of one of the types {', '.join(sorted(ADAPTERS.keys() - {'endpoint'}))}; "
                f"this one is in {connection.origin}.",
            )
        )
    if adapter == BASELINE:
        client: ModelClient = load_by_name(adapter)()
        return client
    arguments = {"quota": quota or Quota(settings), "sleep": sleep, "jitter": jitter, "clock": clock}
    if adapter == SCORING:
        scoring: ModelClient = load_by_name(adapter)(connection, secret, settings, **arguments)
        return scoring
    if settings.model_client == "openai" or find_proxy(
        make_endpoint(connection).base_url, settings.environment
    ):
        adapter = PACKAGE
    model: ModelClient = load_by_name(adapter)(connection, secret, settings, **arguments)
    return model
