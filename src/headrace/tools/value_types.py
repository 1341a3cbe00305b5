"""Types that a Python tool names in its annotations to say more about a parameter than ``str`` does.

Projects import them as ``promptflow.contracts.types``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class Secret(str):
    """A text that is a secret."""

    __slots__ = ()


class PromptTemplate(str):
    """A text that is a template."""

    __slots__ = ()


class FilePath(str):
    """A text that is a path."""

    __slots__ = ()


@dataclass
class AssistantDefinition:
    """What an assistant is told and which tools it has."""

    model: str = ""
    instructions: str = ""
    tools: list[dict[str, Any]] = field(default_factory=list)
