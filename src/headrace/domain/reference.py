"""References: ``${inputs.question}``, ``${retrieve.output.passages[0]}``.

The grammar is prompt flow's, leniencies included: a value is a reference only when its whole text is ``${…}``;
nothing is trimmed and nothing inside longer text is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(r"(\w+)|(\['.*?'\])|(\[\d+\])")

PathPart = str | int
"""One step into a value: a key or attribute name, or a list index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One ``${…}``.

    Attributes:
        text: The whole text, braces included.
        kind: ``"input"`` for a flow input, ``"node"`` for a node's output.
        name: Name of the input (everything after the first dot) or of the node.
        section: What stands between the node's name and the path; ``"output"`` in a sound reference.
        path: Steps into the node's output; always empty for inputs, which have no property access.
    """

    text: str
    kind: str
    name: str
    section: str = "output"
    path: tuple[PathPart, ...] = ()


class PropertyNotFoundError(LookupError):
    """A step of a path does not exist in the value; ``args[0]`` is the step as text."""


def is_reference(value: object) -> bool:
    """Whether ``value`` is a text of the form ``${…}`` with something inside."""
    return isinstance(value, str) and len(value) > 2 and value.startswith("${") and value.endswith("}")


def parse_reference(text: str) -> Reference:
    """Read a text for which :func:`is_reference` holds; ``${flow.x}`` is the legacy form of ``${inputs.x}``."""
    inner = text[2:-1]
    head, dot, rest = inner.partition(".")
    if dot and head in ("inputs", "flow"):
        return Reference(text=text, kind="input", name=rest)
    if not dot:
        return Reference(text=text, kind="node", name=inner)
    section, _, path = rest.partition(".")
    return Reference(text=text, kind="node", name=head, section=section, path=_parse_path(path))


def _parse_path(text: str) -> tuple[PathPart, ...]:
    parts: list[PathPart] = []
    for word, quoted, index in _TOKEN.findall(text):
        if word:
            parts.append(word)
        elif quoted:
            parts.append(quoted[2:-2])
        else:
            parts.append(int(index[1:-1]))
    return tuple(parts)


def follow_path(value: Any, path: Sequence[PathPart]) -> Any:
    """Walk ``path`` into ``value``: mapping key, list index, else attribute.

    Raises:
        PropertyNotFoundError: A step does not exist.
    """
    for part in path:
        try:
            value = _take_step(value, part)
        except (LookupError, AttributeError, TypeError) as error:
            raise PropertyNotFoundError(str(part)) from error
    return value


def _take_step(value: Any, part: PathPart) -> Any:
    if isinstance(value, Mapping) or isinstance(part, int):
        return value[part]
    return getattr(value, part)
