"""Images among the inputs of a prompty: texts such as ``data:image/png;path: cat.png`` (promptflow-format: 7.3)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from headrace.config import Settings, load_settings
from headrace.domain.flow import Flow
from headrace.errors import NodeError
from headrace.formats.multimedia import image_problem, read_prompt_images
from headrace.providers.loading import load_by_name

_FETCH_IMAGE = "headrace.providers.image_fetch:fetch_image"
_BEGINNING = "data:image/"


def has_images(values: Mapping[str, Any]) -> bool:
    """Whether a value may stand for an image, so that :func:`read_images` has something to do."""
    return any(isinstance(value, str) and value.startswith(_BEGINNING) for value in values.values())


def read_images(flow: Flow, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with their images read; files and addresses block.

    Raises:
        NodeError: T210 or C509 for every value that cannot be read as an image.
    """
    fetch = partial(_fetch, load_settings())
    read, failed = read_prompt_images(values, Path(flow.folder), fetch)
    problems = []
    for name, error in failed:
        pointer = ("inputs", name)
        span = flow.source_map.key_span(pointer)
        problems.append(image_problem(error, f"The input {name!r}", span, pointer))
    if problems:
        raise NodeError(*problems)
    return read


def _fetch(settings: Settings, url: str) -> bytes:
    content: bytes = load_by_name(_FETCH_IMAGE)(url, settings)
    return content
