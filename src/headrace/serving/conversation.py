"""The conversation that a request is a part of, where the caller names one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.types import Scope

from headrace.telemetry.attributes import CONVERSATION

_HEADER = b"x-headrace-conversation-id"
_FORM = re.compile(rb"[A-Za-z0-9_.:/+=@-]{1,128}")


def conversation_attributes(scope: Scope) -> Mapping[str, str]:
    """What the span of the flow says of the conversation of a request; nothing of an id that logs cannot bear."""
    for name, value in scope["headers"]:
        if name == _HEADER and _FORM.fullmatch(value):
            return {CONVERSATION: value.decode("ascii")}
    return {}
