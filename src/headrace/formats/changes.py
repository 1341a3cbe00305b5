"""Changes to what a flow file says, made by code that calls the flow: ``nodes.answer.inputs.temperature: 0``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.errors import Problem, UsageError, nearest


def change_data(data: Any, changes: Mapping[str, Any]) -> None:
    """Change plain data in place.

    Args:
        data: The mapping that the file holds.
        changes: Keys joined by dots, to the new value. The items of a list are named by their ``name``. A key that
            is not there yet is added, an item of a list is not.

    Raises:
        UsageError: C507 for a path that leads nowhere.
    """
    for path, value in changes.items():
        *before, last = path.split(".")
        place = data
        for key in before:
            place = _enter(place, key, path)
        if not isinstance(place, dict):
            raise UsageError(_nowhere(path, last, ()))
        place[last] = value


def _enter(place: Any, key: str, path: str) -> Any:
    if isinstance(place, list):
        named = {str(item["name"]): item for item in place if isinstance(item, dict) and "name" in item}
        if key not in named:
            raise UsageError(_nowhere(path, key, tuple(named)))
        return named[key]
    if not isinstance(place, dict):
        raise UsageError(_nowhere(path, key, ()))
    if place.get(key) is None:
        place[key] = {}
    return place[key]


def _nowhere(path: str, key: str, known: tuple[str, ...]) -> Problem:
    near = nearest(key, known)
    fix = (
        f'Did you mean "{near}"?'
        if near
        else "Write keys of the flow file joined by dots: nodes.NODE.inputs.INPUT."
    )
    return Problem(
        code="C507", what=f"The change of {path!r} leads nowhere: there is no {key!r} to change.", fix=fix
    )
