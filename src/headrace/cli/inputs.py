"""Values given on the command line or in a file beside it: flow inputs and environment variables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from headrace.cli.options import parse_pairs
from headrace.errors import DefinitionError, Problem
from headrace.formats.env_file import find_env_file, read_env_file
from headrace.formats.positions import read_text
from headrace.source import Span, file_span

_LINES = "headrace.formats.lines"
"""Reached by name: most tests of a flow read no data file."""


def read_inputs(texts: Sequence[str], option: str = "--inputs") -> Mapping[str, Any]:
    """What ``option`` takes: ``key=value`` texts, a ``.json`` file (all of it), or a ``.jsonl`` file (its first line).

    Raises:
        UsageError: C507 for a text that is neither.
        DefinitionError: F001, F011 or D401 when the file cannot be read.
    """
    if len(texts) == 1 and "=" not in texts[0]:
        path = Path(texts[0])
        if path.suffix == ".json":
            return _read_object(path)
        if path.suffix == ".jsonl":
            first: Mapping[str, Any] = import_module(_LINES).read_dataset(path).first.columns
            return first
    return parse_pairs(option, texts)


def _read_object(path: Path) -> Mapping[str, Any]:
    text = read_text(path)
    try:
        data = json.loads(text)
    except ValueError as error:
        line, column = getattr(error, "lineno", 1), getattr(error, "colno", 1)
        span = Span(file=str(path), line=line, column=column, end_line=line, end_column=column + 1)
        raise DefinitionError(
            Problem(
                code="D401",
                what="The file is not valid JSON at this place.",
                span=span,
                fix="Correct the JSON.",
            )
        ) from error
    if not isinstance(data, dict):
        raise DefinitionError(
            Problem(
                code="D401",
                what=f"The file holds a {type(data).__name__}, not an object of input names and values.",
                span=file_span(str(path)),
                fix='Write {"input": value, …}.',
            )
        )
    return data


def read_variables(
    texts: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Environment variables: ``key=value`` texts and ``.env`` files; an empty text is the nearest ``.env``.

    Args:
        texts: As they were given.
        folder: Where the search for the nearest ``.env`` begins.
        environment: What ``${NAME}`` in an ``.env`` file stands for.

    Raises:
        UsageError: C507 for a text that is neither.
        DefinitionError: A ``.env`` file is missing or cannot be read.
    """
    variables: dict[str, str] = {}
    for text in texts:
        if not text:
            nearest = find_env_file(folder)
            variables |= read_env_file(nearest, environment) if nearest else {}
        elif "=" not in text and text.endswith(".env"):
            variables |= read_env_file(Path(text), environment)
        else:
            variables |= parse_pairs("--environment-variables", [text])
    return variables
