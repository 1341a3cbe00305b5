"""A file laid over another one: ``experiment.dev.yaml`` over ``experiment.yaml``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.errors import Problem, UsageError, nearest
from headrace.formats.paths import is_file
from headrace.source import Pointer, SourceMap, Span

_ENVIRONMENT = re.compile(r"[A-Za-z0-9_-]+")


def overlay_file(file: Path, environment: str) -> Path:
    """The overlay of an environment: beside the file, with the name of the environment before its suffix.

    Raises:
        UsageError: C507 for a name with other signs than letters, digits, ``_`` and ``-``; F001 when there is no
            such file.
    """
    if not _ENVIRONMENT.fullmatch(environment):
        what = f"{environment!r} is no name of an environment."
        raise UsageError(Problem(code="C507", what=what, fix="Write letters, digits, _ and - only."))
    overlay = file.with_name(f"{file.stem}.{environment}{file.suffix}")
    if is_file(overlay):
        return overlay
    names = [
        item.stem.removeprefix(f"{file.stem}.") for item in file.parent.glob(f"{file.stem}.*{file.suffix}")
    ]
    near = nearest(environment, names)
    fix = f'Did you mean "{near}"?' if near else f"Environments: {', '.join(sorted(names)) or 'none'}."
    what = f"There is no {overlay.name} beside {file.name}."
    raise UsageError(Problem(code="F001", what=what, fix=fix))


def lay_over(base: Any, base_map: SourceMap, over: Any, over_map: SourceMap) -> tuple[Any, SourceMap]:
    """Mappings are merged key by key; anything else replaces what was there, and null removes it.

    Returns:
        The merged data, and where each of its values stands: in the overlay what comes from it.
    """
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return (base, base_map) if over is None else (over, over_map)
    values, keys = dict(base_map.values), dict(base_map.keys)
    merged = _merge(base, over, (), values, keys, over_map)
    return merged, SourceMap(file=base_map.file, values=values, keys=keys)


def _merge(
    base: Mapping[Any, Any],
    over: Mapping[Any, Any],
    pointer: Pointer,
    values: dict[Pointer, Span],
    keys: dict[Pointer, Span],
    over_map: SourceMap,
) -> dict[Any, Any]:
    merged = dict(base)
    for key, value in over.items():
        place = (*pointer, key)
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value, place, values, keys, over_map)
            continue
        for known in (values, keys):
            for stale in [item for item in known if item[: len(place)] == place]:
                del known[stale]
        if value is None:
            merged.pop(key, None)
            continue
        merged[key] = value
        values.update(_below(over_map.values, place))
        keys.update(_below(over_map.keys, place))
    return merged


def _below(spans: Mapping[Pointer, Span], place: Pointer) -> Iterator[tuple[Pointer, Span]]:
    return ((pointer, span) for pointer, span in spans.items() if pointer[: len(place)] == place)
