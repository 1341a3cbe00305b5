"""The two parts of a ``.prompty`` file: YAML between two lines of dashes, and the text below (promptflow-format: 7.1).

Values of the YAML may stand elsewhere: ``${env:NAME}`` in the environment, ``${file:PATH}`` in a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from headrace.errors import DefinitionError, Problem, at_place
from headrace.formats.positions import load_yaml, read_text, read_yaml
from headrace.formats.shape import WARNING, Findings
from headrace.source import Pointer, Span, file_span

_LINE_OF_DASHES = re.compile(r"-{3,}[ \t]*")
# As prompt flow reads it: at the start of a value, what follows the last brace does not count.
_ELSEWHERE = re.compile(r"\$\{(\w+):(.*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptyText:
    """A ``.prompty`` file in two parts.

    Attributes:
        data: What the front matter holds, its values as they are written.
        findings: Its places, and what is wrong so far.
        body: The text below it, untouched.
        first_line: Line of the file on which the body begins.
    """

    data: Any
    findings: Findings
    body: str
    first_line: int


def read_prompty_text(file: Path) -> PromptyText:
    """Read a ``.prompty`` file.

    The front matter stands between the first two lines that hold nothing but three or more dashes. What stands above
    them is left alone, and so are further lines of dashes in the body.

    Raises:
        DefinitionError: F001 or F011 for the file, F015 when it has no front matter, F002 for its YAML.
    """
    return parse_prompty_text(read_text(file), str(file))


def parse_prompty_text(text: str, file: str) -> PromptyText:
    """Read the text of a ``.prompty`` file whose line ends are newline characters.

    Args:
        text: The whole file.
        file: Its name, for places.

    Raises:
        DefinitionError: F015 when it has no front matter, F002 for its YAML.
    """
    lines = text.split("\n")
    fences = [number for number, line in enumerate(lines) if _LINE_OF_DASHES.fullmatch(line)][:2]
    if len(fences) < 2:
        raise DefinitionError(_no_front_matter(file, lines, fences))
    opening, closing = fences
    # Empty lines stand in for what is above, so that places are those of the file.
    front = "\n" * (opening + 1) + "\n".join(lines[opening + 1 : closing]) + "\n"
    data, source_map, problems = read_yaml(front, file)
    return PromptyText(
        data=data,
        findings=Findings(source_map, list(problems)),
        body="\n".join(lines[closing + 1 :]),
        first_line=closing + 2,
    )


def _no_front_matter(file: str, lines: list[str], fences: list[int]) -> Problem:
    if fences:
        line = fences[0] + 1
        span = Span(
            file=file, line=line, column=1, end_line=line, end_column=len(lines[fences[0]].rstrip()) + 1
        )
        what = "The front matter begins here, but no second line of dashes ends it."
        return Problem(code="F015", what=what, span=span, fix="End it with a line that holds only ---.")
    return Problem(
        code="F015",
        what="The file has no front matter that says which model it asks.",
        span=file_span(file),
        fix="Begin the file with a line ---, the keys model and inputs, and another line ---.",
    )


def fill_values(
    data: Any, folder: Path, environment: Mapping[str, str] | None, findings: Findings, pointer: Pointer = ()
) -> Any:
    """A copy of the front matter with the values that stand elsewhere.

    Args:
        data: The front matter, or a part of it.
        folder: Paths are relative to it.
        environment: Variables; ``None`` leaves every ``${env:NAME}`` as it is written.
        findings: Gets F014 as a warning for a variable that is not set, whose text stays, and F001, F002 or F005 for
            a file.
        pointer: Where ``data`` stands.
    """
    if isinstance(data, dict):
        return {
            key: fill_values(value, folder, environment, findings, (*pointer, str(key)))
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [
            fill_values(value, folder, environment, findings, (*pointer, index))
            for index, value in enumerate(data)
        ]
    found = _ELSEWHERE.match(data) if isinstance(data, str) else None
    if found is None:
        return data
    # Only env and file in small letters are prompt flow's; ${ENV:NAME} is what other runtimes of prompties write.
    kind = found[1].lower()
    if kind == "env" and environment is not None:
        return _variable(data, found[2], environment, findings, pointer)
    return _file_value(data, folder, found[2], findings, pointer) if kind == "file" else data


def _variable(
    text: str, name: str, environment: Mapping[str, str], findings: Findings, pointer: Pointer
) -> str:
    if name in environment:
        return environment[name]
    what = f"The environment variable {name} is not set; the text stays as it is written."
    findings.add("F014", pointer, what, f"Set {name}, or write the value here.", severity=WARNING)
    return text


def _file_value(data: str, folder: Path, name: str, findings: Findings, pointer: Pointer) -> Any:
    place = findings.source_map.span(pointer)
    try:
        return read_value(folder / name, str(PurePath(findings.source_map.file).parent / name))
    except DefinitionError as error:
        findings.problems.extend(at_place(error, place, pointer).problems)
        return data


def read_value(path: Path, shown: str) -> Any:
    """What a file of values holds: JSON, YAML, or the text of any other.

    Raises:
        DefinitionError: F001 or F011 for the file, F002, F003 or F005 for what it holds.
    """
    text = read_text(path, shown)
    if path.suffix in (".yaml", ".yml"):
        return load_yaml(text, shown)[0]
    if path.suffix != ".json":
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line, column = error.lineno, error.colno
        span = Span(file=shown, line=line, column=column, end_line=line, end_column=column + 1)
        what = f"The file is not valid JSON: {error.msg}."
        raise DefinitionError(
            Problem(code="F005", what=what, span=span, fix="Correct the JSON here.")
        ) from error
    except RecursionError as error:
        span = file_span(shown)
        raise DefinitionError(
            Problem(code="F005", what="The JSON is nested too deeply.", span=span, fix="Flatten it.")
        ) from error


def merge_values(data: Mapping[Any, Any], overrides: Mapping[str, Any]) -> dict[Any, Any]:
    """The front matter with values that code gives on top: mappings are merged, anything else takes the place."""
    merged = dict(data)
    for key, value in overrides.items():
        before = merged.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            merged[key] = merge_values(before, value)
        else:
            merged[key] = value
    return merged
