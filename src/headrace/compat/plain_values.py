"""Values as plain data, under the names of promptflow's serializers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any


def serialize(
    value: Any,
    remove_null: bool = False,  # noqa: FBT001, FBT002 - the signature that projects call
    serialization_funcs: Mapping[type, Callable[[Any], Any]] | None = None,
) -> Any:
    """Dataclasses as mappings, enumerations as their values, times as ISO texts; everything else as it is.

    Args:
        value: Any value.
        remove_null: Leave out the fields of dataclasses that are ``None``.
        serialization_funcs: Class to the function for its values; asked first.
    """

    def plain(item: Any) -> Any:
        for kind, convert in (serialization_funcs or {}).items():
            if isinstance(item, kind):
                return convert(item)
        if isinstance(item, datetime):
            return item.isoformat() + "Z"
        if isinstance(item, Enum):
            return item.value
        if isinstance(item, list | tuple):
            return type(item)([plain(part) for part in item]) if type(item) in (list, tuple) else item
        if isinstance(item, Mapping):
            return {name: plain(part) for name, part in item.items()}
        if dataclasses.is_dataclass(item) and not isinstance(item, type):
            parts = {field.name: plain(getattr(item, field.name)) for field in dataclasses.fields(item)}
            return {name: part for name, part in parts.items() if part is not None or not remove_null}
        return item

    return plain(value)


def convert_dataclass_to_dict(value: Any) -> Any:
    """A dataclass as a mapping of its fields; everything else as it is."""
    return (
        dataclasses.asdict(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type)
        else value
    )


def convert_eager_flow_output_to_dict(value: Any) -> Any:
    """What a flex flow returned as outputs: a mapping as it is, a dataclass by its fields, else as ``output``."""
    plain = convert_dataclass_to_dict(value)
    return plain if isinstance(plain, Mapping) else {"output": plain}
