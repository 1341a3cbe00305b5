"""Flows that run elsewhere and answer at an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KEY = "api_key"
"""The secret field that is sent as ``Authorization: Bearer``."""


ANSWER = "answer"
"""Key of the answer, any JSON value, in the body of a response."""

HEADER = "header:"
"""Begins the name of a field of a connection that is a header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFlow:
    """An address that takes the inputs of a line and answers with its outputs, as prompt flow's ``/score`` does.

    Attributes:
        url: Where inputs are posted as a JSON object.
        connection: Name of the connection whose key is sent; ``None`` where none is needed.
        deployment: The deployment of an Azure endpoint that is to answer; ``None`` leaves it to its traffic rules.
        timeout_s: Limit for one answer, seconds; ``None`` for that of model calls.
        headers: Further headers; ``${env:NAME}`` and ``${connection.field}`` in them stand for values kept elsewhere.
        inputs: Names of what is sent.
        outputs: Output to the place of its value in the answer, keys and indices joined by dots; empty for the answer
            as it is.
        is_steady: Whether the user says that the same inputs always get the same answer, so that it may be kept.
    """

    url: str
    connection: str | None = None
    deployment: str | None = None
    timeout_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    is_steady: bool = False
