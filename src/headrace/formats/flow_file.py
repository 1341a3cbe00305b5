"""Finding and reading a flow of any kind: a DAG, a flex flow, a prompty or a flow behind an address.

:func:`read_flow` never raises for findings: it returns what could be read together with all problems.
:func:`load_flow` is for callers that cannot go on with a broken flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from headrace.domain.flow import Flow
from headrace.errors import DefinitionError, Problem, raise_if_errors
from headrace.formats.changes import change_data
from headrace.formats.dag import read_dag
from headrace.formats.flex import entry_flow, is_entry, read_flex
from headrace.formats.paths import exists, is_folder
from headrace.formats.positions import read_text, read_yaml
from headrace.formats.remote import is_remote, read_endpoint
from headrace.formats.shape import Block, Findings, by_place
from headrace.source import file_span

FLOW_FILE_NAMES = (
    *("flow.dag.yaml", "flow.dag.yml", "flow.flex.yaml", "flow.flex.yml"),
    *("flow.endpoint.yaml", "flow.endpoint.yml"),
)
_SUFFIXES = (".yaml", ".yml", ".prompty")
_PROMPTY = "headrace.formats.prompty"
"""Reached by name: it parses templates, which many flows have none of."""


def load_flow(
    path: Path,
    changes: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Flow:
    """Read a flow, given its folder or its file.

    Args:
        path: A flow folder or a flow file.
        changes: Values to read instead of what the file says, as :func:`headrace.formats.changes.change_data` takes
            them.
        environment: Variables that a prompty may take values from; ``None`` leaves ``${env:NAME}`` as it is.
        overrides: Taken for parts of a prompty's front matter.

    Raises:
        DefinitionError: Every problem of the file, warnings included, when at least one is an error.
        UsageError: C507 for a change that leads nowhere.
    """
    flow, problems = read_flow(path, changes, environment=environment, overrides=overrides)
    if flow is None:
        raise DefinitionError(*problems)
    raise_if_errors(problems)
    return flow


def read_flow(
    path: Path,
    changes: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> tuple[Flow | None, tuple[Problem, ...]]:
    """Read as much of a flow as can be read, with everything that is wrong with it.

    Args:
        path: A flow folder or a flow file; or ``module:callable``, with the folder of the module before it.
        changes: As :func:`load_flow` takes them; not for a prompty.
        environment: As :func:`load_flow` takes it.
        overrides: As :func:`load_flow` takes them.

    Returns:
        The flow without its broken parts (``None`` when the file is no flow at all), and all problems.
    """
    if is_entry(path.name) and not exists(path):
        return entry_flow(path.name, path.parent), ()
    try:
        file = find_flow_file(path)
        if file.suffix == ".prompty":
            return _read_prompty(file, environment, overrides)
        data, source_map, problems = read_yaml(read_text(file), str(file))
    except DefinitionError as error:
        return None, error.problems
    if changes:
        change_data(data, changes)
    flow, found = _read_data(data, file, Findings(source_map, list(problems)))
    return flow, tuple(sorted(found, key=by_place))


def _read_prompty(
    file: Path, environment: Mapping[str, str] | None, overrides: Mapping[str, Any] | None
) -> tuple[Flow | None, tuple[Problem, ...]]:
    found: tuple[Flow | None, tuple[Problem, ...]] = import_module(_PROMPTY).read_prompty(
        file, environment, overrides
    )
    return found


def _read_data(data: Any, file: Path, findings: Findings) -> tuple[Flow | None, list[Problem]]:
    if not isinstance(data, dict):
        return None, [*findings.problems, _no_mapping(str(file))]
    root = Block(data, (), findings)
    if "entry" in root:
        return read_flex(root, file), findings.problems
    if is_remote(data):
        return read_endpoint(root, file), findings.problems
    return read_dag(root, file), findings.problems


def _no_mapping(file: str) -> Problem:
    return Problem(
        code="F005",
        what="The file holds no flow: it should be a mapping with the key nodes.",
        span=file_span(file),
        fix="Write at least nodes: with one node; `headrace flow init` makes a flow to start from.",
    )


def find_flow_file(path: Path) -> Path:
    """The flow file that a path means: the file itself, or the only flow file of a folder.

    Raises:
        DefinitionError: F001 when there is nothing at the path, F004 when it holds no flow or more than one.
    """
    if is_folder(path):
        found = [path / name for name in FLOW_FILE_NAMES if (path / name).is_file()]
        if len(found) == 1:
            return found[0]
        raise DefinitionError(_folder_problem(path, found))
    if not exists(path):
        what = f"{path} does not exist."
        fix = "Name a flow folder or a flow file."
        if path.parts[:1] in (("http:",), ("https:",)):
            fix = "Write the address into a file, url: https://…, and name that: flow.endpoint.yaml."
        raise DefinitionError(Problem(code="F001", what=what, fix=fix))
    if path.suffix not in _SUFFIXES:
        what = f"{path} is not a flow file: its name does not end in .yaml, .yml or .prompty."
        raise DefinitionError(Problem(code="F004", what=what, fix="Name a flow folder or its flow.dag.yaml."))
    return path


def _folder_problem(folder: Path, found: list[Path]) -> Problem:
    if found:
        names = " and ".join(file.name for file in found)
        what = f"{folder} holds more than one flow file: {names}."
        fix = "Keep one, or name the file that is meant."
        return Problem(code="F004", what=what, span=file_span(str(found[1])), fix=fix)
    inside = sorted({str(file.parent) for name in FLOW_FILE_NAMES for file in folder.glob(f"*/{name}")})
    prompties = sorted(str(file) for file in folder.glob("*.prompty"))
    fix = "Name a folder with a flow."
    if prompties:
        fix = f"A prompty is named by its file: {', '.join(prompties[:5])}."
    elif inside:
        fix = f"Name one of the folders with a flow: {', '.join(inside[:5])}."
    return Problem(code="F004", what=f"{folder} holds neither flow.dag.yaml nor flow.flex.yaml.", fix=fix)
