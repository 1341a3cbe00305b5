"""What a schema knows of the objects and values at the paths that a Bicep file uses: the table of the lint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.support.bicep.rules import FREE_KEYS
from tests.support.bicep.syntax import Made, Node, alternatives, elements, entries, literal

_ENVELOPE = frozenset(("apiVersion", "type"))
"""What Bicep writes into the head of a resource."""

_MANY = 400
"""More words than this are no enumeration that is worth keeping."""


def known_of(schema: Mapping[str, Any], made: Made) -> dict[str, Any]:
    """Paths of objects to the keys that may stand there, and paths of values to their words or their type."""
    table: dict[str, dict[str, Any]] = {"objects": {}, "values": {}}
    _collect(_Place(root=schema, schemas=[schema]), made.body, "", table)
    return table


class _Place:
    """All schemas that may hold at one path."""

    def __init__(self, root: Mapping[str, Any], schemas: Iterable[Any]) -> None:
        self._root = root
        self.plain = [plain for schema in schemas for plain in self._expand(schema)]

    def _expand(self, schema: Any) -> Iterator[Mapping[str, Any]]:
        """Itself, and what it refers to or is made of."""
        if not isinstance(schema, dict):
            return
        if "$ref" in schema:
            yield from self._expand(self._root["definitions"].get(schema["$ref"].rpartition("/")[2]))
        yield schema
        for word in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(word, ()):
                yield from self._expand(part)
        yield from self._expand(schema.get("then"))

    @property
    def keys(self) -> list[str] | str:
        """Keys that may stand here; ``any`` where a table of names is kept."""
        found = {key for schema in self.plain for key, item in schema.get("properties", {}).items() if item}
        is_open = any(isinstance(schema.get("additionalProperties"), dict) for schema in self.plain)
        return sorted(found) if found and not is_open else "any"

    def below(self, key: str) -> _Place:
        """The place of a key."""
        named = [schema["properties"][key] for schema in self.plain if key in schema.get("properties", ())]
        others = [schema["additionalProperties"] for schema in self.plain if "additionalProperties" in schema]
        return _Place(self._root, named or others)

    @property
    def items(self) -> _Place:
        """The place of each element."""
        return _Place(self._root, [schema["items"] for schema in self.plain if "items" in schema])

    @property
    def words(self) -> list[Any] | str | None:
        """Words that may stand here, or else the type."""
        enums = [schema["enum"] for schema in self.plain if "enum" in schema]
        words = sorted({str(word) for enum in enums for word in enum})
        if words and len(words) <= _MANY:
            return words
        types = {schema["type"] for schema in self.plain if isinstance(schema.get("type"), str)}
        return types.pop() if len(types) == 1 and types <= {"string", "boolean", "number"} else None


def _collect(place: _Place, node: Node, path: str, table: dict[str, dict[str, Any]]) -> None:
    for found in alternatives(node):
        if found.type == "object":
            keys = place.keys
            table["objects"][path] = keys if path or keys == "any" else sorted(set(keys) - _ENVELOPE)
            for key, (_, value) in entries(found).items():
                if path or key not in FREE_KEYS:
                    below = "*" if keys == "any" else key
                    _collect(place.below(key), value, f"{path}.{below}" if path else below, table)
        elif found.type in ("array", "for_statement"):
            for item in elements(found):
                _collect(place.items, item, f"{path}[]", table)
        elif isinstance(literal(found), str | int) and place.words is not None:
            table["values"][path] = place.words
