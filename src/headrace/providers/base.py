"""What the engine needs of a model service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from headrace.domain.run import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request to a model service.

    Attributes:
        operation: chat, completion or embeddings.
        model: Model name; the deployment name on Azure.
        body: The JSON body: ``messages``/``prompt``/``input`` and parameters, exactly as they reach the service;
            without ``model``, unless that is to be sent otherwise.
        headers: Further HTTP headers.
    """

    operation: str
    model: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResponse:
    """One answer of a model service.

    Attributes:
        body: The service's JSON answer, unchanged.
        usage: Tokens; the cost is left to the caller, who knows the price.
        model: Model that answered, as the service names it.
        response_id: The service's id of the answer.
        finish_reasons: One per choice.
        retries: Attempts that were refused before this answer.
        waited_s: How long the request waited for a quota, seconds.
    """

    body: Mapping[str, Any]
    usage: Usage
    model: str | None = None
    response_id: str | None = None
    finish_reasons: tuple[str, ...] = ()
    retries: int = 0
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChunk:
    """A piece of a streamed chat answer: text, and usage on the last chunk where the service sends it.

    The first chunk carries the ``retries`` and ``waited_s`` of the request; see :class:`ModelResponse`.
    """

    text: str = ""
    usage: Usage | None = None
    finish_reason: str | None = None
    retries: int = 0
    waited_s: float = 0.0


class ModelClient(Protocol):
    """A client for one connection. Safe for concurrent use within one event loop.

    ``system`` is OpenTelemetry's provider name (``azure.ai.openai``, ``openai``, ``headrace.baseline``);
    ``address`` and ``port`` say where requests go (``None`` in process).
    """

    system: str
    address: str | None
    port: int | None

    async def send(self, request: ModelRequest) -> ModelResponse:
        """Send one request, retrying what is retryable.

        Raises:
            RemoteError: One of its subclasses, when the service does not give a usable answer.
        """
        ...

    def stream(self, request: ModelRequest) -> AsyncIterator[StreamChunk]:
        """Send one chat request and yield its answer piece by piece; retried only before the first piece.

        Raises:
            RemoteError: As for :meth:`send`.
        """
        ...

    async def close(self) -> None:
        """Give back connections and threads."""
        ...
