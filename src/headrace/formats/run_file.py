"""Run files: what ``headrace run create --file run.yaml`` reads, and ``--set`` on top of it.

::

    flow: ../my_flow
    data: data.jsonl
    column_mapping: {question: "${data.query}"}
    environment_variables: {REGION: eu}         # or the path of a .env file
    connections: {answer: {connection: my_aoai}}
    tags: {team: search}

The keys are prompt flow's. ``runtime``, ``resources`` and ``identity`` mean something to its service only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace.errors import DefinitionError, Problem, UsageError, nearest, raise_if_errors
from headrace.formats.env_file import read_env_file
from headrace.formats.paths import exists
from headrace.formats.positions import load_yaml, read_text
from headrace.source import SourceMap, file_span

_TEXT_KEYS = ("name", "flow", "data", "run", "variant", "display_name", "description", "resume_from")
_MAPPING_KEYS = ("column_mapping", "connections", "tags", "environment_variables", "properties", "init")
_IGNORED_KEYS = ("$schema", "runtime", "resources", "identity")
RUN_FILE_KEYS = (*_TEXT_KEYS, *_MAPPING_KEYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """What a run file says.

    Attributes:
        texts: Values of the keys that hold one text; absent keys are absent.
        mappings: Values of the keys that hold a mapping; absent keys are empty.
        folder: Paths in the file are relative to it.
        warnings: Keys that mean nothing here.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    mappings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folder: Path = Path()
    warnings: tuple[Problem, ...] = ()

    def path(self, text: str) -> Path:
        """``text`` relative to the file, or as it is where only that exists."""
        beside = self.folder / text
        return beside if exists(beside) or not exists(Path(text)) else Path(text)


def read_run_file(path: Path, environment: Mapping[str, str] | None = None) -> RunFile:
    """Read a run file.

    Args:
        path: The file.
        environment: What ``${NAME}`` in an ``.env`` file stands for.

    Raises:
        DefinitionError: The file is missing, is not YAML, or has values of the wrong shape.
    """
    data, places = load_yaml(read_text(path), str(path))
    if not isinstance(data, dict):
        raise DefinitionError(
            Problem(
                code="F005",
                what="A run file is a mapping of keys such as flow and data.",
                span=file_span(str(path)),
                fix="Write flow: PATH and data: PATH.",
            )
        )
    problems = [problem for key in data if (problem := _check_key(str(key), data[key], places))]
    raise_if_errors(problems)
    mappings = {
        key: {
            str(name): value for name, value in data[key].items()
        }  # YAML reads a name such as 1 as a number
        for key in _MAPPING_KEYS
        if isinstance(data.get(key), dict)
    }
    variables = data.get("environment_variables")
    if isinstance(variables, str):
        mappings["environment_variables"] = read_env_file(path.parent / variables, environment)
    return RunFile(
        texts={key: str(data[key]) for key in _TEXT_KEYS if data.get(key) is not None},
        mappings=mappings,
        folder=path.parent,
        warnings=tuple(problems),
    )


def _check_key(key: str, value: Any, places: SourceMap) -> Problem | None:
    if key in _IGNORED_KEYS:
        return None
    if key not in RUN_FILE_KEYS:
        close = nearest(key, RUN_FILE_KEYS)
        return Problem(
            code="F012",
            what=f'A run file has no key "{key}"; it is ignored.',
            span=places.key_span((key,)),
            pointer=(key,),
            severity="warning",
            fix=f'Did you mean "{close}"?' if close else None,
        )
    is_fine = value is None or (
        isinstance(value, dict) if key in _MAPPING_KEYS else not isinstance(value, (dict, list))
    )
    if is_fine or (key == "environment_variables" and isinstance(value, str)):
        return None
    wanted = "a mapping of names to values" if key in _MAPPING_KEYS else "one text"
    return Problem(code="F005", what=f"{key} must be {wanted}.", span=places.span((key,)), pointer=(key,))


def apply_settings(file: RunFile, settings: Mapping[str, str]) -> RunFile:
    """``file`` with ``--set`` values on top: ``key=value``, or ``mapping.key=value``.

    Raises:
        UsageError: C507 for a key that a run does not have.
    """
    texts = dict(file.texts)
    mappings = {key: dict(value) for key, value in file.mappings.items()}
    for name, value in settings.items():
        key, _, inner = name.partition(".")
        if key in _MAPPING_KEYS and inner:
            mappings.setdefault(key, {})[inner] = value
        elif key in _TEXT_KEYS and not inner:
            texts[key] = value
        else:
            raise UsageError(_unknown_setting(name))
    return replace(file, texts=texts, mappings=mappings)


def _unknown_setting(name: str) -> Problem:
    close = nearest(name, RUN_FILE_KEYS)
    return Problem(
        code="C507",
        what=f'--set cannot set "{name}": a run has no such property.',
        fix=f'Did you mean "{close}"?' if close else f"Properties are: {', '.join(RUN_FILE_KEYS)}.",
    )
