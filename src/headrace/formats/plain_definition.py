"""Experiments and traffic rules as plain data, as they are recorded, and back: whatever their files say later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from headrace.domain.evaluation import Experiment
from headrace.domain.traffic import Traffic

_LEFT_OUT = frozenset({"source_map", "pointer", "span", "listed", "environment_variables"})
"""Where values stand in a file that may be another one by then, and values that may be secret."""

DefinedT = TypeVar("DefinedT")


def definition_as_plain(experiment: Experiment) -> dict[str, Any]:
    """An experiment as plain data, without values of environment variables and places in its file."""
    return dict(_as_plain(experiment))


def read_definition(plain: Mapping[str, Any], environment_variables: Mapping[str, str]) -> Experiment:
    """The experiment that was recorded, with the values of its environment variables.

    Raises:
        TypeError, KeyError: The data are something else.
    """
    return _read_dataclass(Experiment, {**plain, "environment_variables": dict(environment_variables)})


def traffic_as_plain(traffic: Traffic) -> dict[str, Any]:
    """The rules of an online test as plain data, without places in their file; references to secrets stay such."""
    return dict(_as_plain(traffic))


def read_traffic_definition(plain: Mapping[str, Any]) -> Traffic:
    """The rules that were recorded.

    Raises:
        TypeError, KeyError: The data are something else.
    """
    return _read_dataclass(Traffic, plain)


def _as_plain(value: Any) -> Any:
    if is_dataclass(value):
        return {
            item.name: _as_plain(getattr(value, item.name))
            for item in fields(value)
            if item.name not in _LEFT_OUT
        }
    if isinstance(value, Mapping):
        return {str(key): _as_plain(item) for key, item in value.items()}
    if isinstance(value, (frozenset, set)):
        return sorted(value)
    return [_as_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _read_dataclass(kind: type[DefinedT], plain: Mapping[str, Any]) -> DefinedT:
    types = _types(kind)  # type: ignore[arg-type]  # classes are hashable, type variables of them are not
    return kind(**{name: _read(types[name], value) for name, value in plain.items() if name in types})


@cache
def _types(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, value: Any) -> Any:
    """A value of the type that a field declares."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None:
            return None
        kinds = [item for item in inside if item is not NoneType]
        return _read(kinds[0], value) if len(kinds) == 1 else value
    if isinstance(kind, type) and is_dataclass(kind):
        return _read_dataclass(kind, value)
    return _read_many(origin, inside, value) if inside else value


def _read_many(origin: Any, inside: tuple[Any, ...], value: Any) -> Any:
    if origin in (tuple, list):
        return origin(_read(inside[0], item) for item in value)
    if origin is frozenset:
        return frozenset(value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _read(inside[1], item) for key, item in value.items()}
    return value
