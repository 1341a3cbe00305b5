"""Find versions of data by what people call them, look at their files, write them back, and forget them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.version import DataVersion
from headrace.errors import Problem, StateError, UsageError, nearest
from headrace.formats.data_choice import split_choice
from headrace.formats.paths import exists
from headrace.operations.keep_version import data_name
from headrace.operations.kept_data import first_bytes, write_kept
from headrace.operations.workspace import Workspace

_LEAST_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class DataView:
    """A version of data as lists show it.

    Attributes:
        runs: Names of runs that read it, newest first.
    """

    version: DataVersion
    runs: tuple[str, ...]


def list_data(workspace: Workspace, data: str | None = None) -> tuple[DataView, ...]:
    """Versions of a data file or of all data, by name and number.

    Args:
        workspace: For its store.
        data: Path of the data, or what it is called.

    Raises:
        UsageError: S831 when there are none of it.
    """
    name = None if data is None else _known_name(workspace, data)
    runs: dict[tuple[str, str | None], list[str]] = {}
    for run in workspace.store.list_runs():
        spec = run.spec
        if spec.data_path is not None:
            key = (data_name(workspace, Path(spec.data_path)), spec.data_digest)
            runs.setdefault(key, []).append(spec.name)
    return tuple(
        DataView(version=version, runs=tuple(runs.get((version.data, version.digest), ())))
        for version in workspace.store.list_data_versions(name)
    )


def find_data(workspace: Workspace, text: str) -> DataView:
    """The version that a person means: ``data/test.jsonl@2``, a path with the start of a digest, or a run's name.

    Args:
        workspace: For its store.
        text: What it is called.

    Raises:
        UsageError: S831 unknown, S834 when it could be several, S801 when it is neither a version nor a run.
    """
    data, mark, which = text.rpartition("@")
    if not mark:
        return _run_data(workspace, text)
    views = list_data(workspace, data)
    found = [
        view
        for view in views
        if which == str(view.version.number)
        or (len(which) >= _LEAST_DIGITS and view.version.digest.startswith(which))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        what = f"{text} could be {' or '.join(view.version.name for view in found)}."
        raise UsageError(Problem(code="S834", what=what, fix=f"Say which: {found[0].version.name}"))
    names = ", ".join(view.version.name for view in views)
    raise UsageError(
        Problem(code="S831", what=f"There is no version {text}.", fix=f"Versions of it: {names}.")
    )


def read_beginning(workspace: Workspace, version: DataVersion) -> bytes:
    """The beginning of the kept file of a version, of several the first; nothing where none is kept.

    Raises:
        StateError: S833 when it is gone or damaged.
    """
    if version.content is None:
        return b""
    data = first_bytes(workspace.store, version.content)
    if data is None:
        raise lost_data(version)
    return data


def restore_data(workspace: Workspace, text: str, file: Path) -> DataVersion:
    """Write the kept file of a version, or the folder of several, where nothing is yet.

    Raises:
        UsageError: As :func:`find_data`; S836 when none is kept; S806 when there is something.
        StateError: S833 when it is gone or damaged; S808 when it cannot be written.
    """
    version = find_data(workspace, text).version
    if exists(file):
        what = f"{file} exists already."
        raise UsageError(Problem(code="S806", what=what, fix="Name a file that does not exist."))
    if version.content is None:
        what = f"The file of {version.name} is not kept: it is too large, or was deleted."
        fix = f"Bring it back from elsewhere; its digest is {version.digest[:_LEAST_DIGITS]}."
        raise UsageError(Problem(code="S836", what=what, fix=fix))
    if not write_kept(workspace.store, version.content, file):
        raise lost_data(version)
    return version


def lost_data(version: DataVersion) -> StateError:
    """S833 for a version whose file is gone from the store, or damaged there."""
    what = f"The file of {version.name} is gone from the store, or damaged there."
    return StateError(Problem(code="S833", what=what, fix="Bring the store back from a copy."))


def _run_data(workspace: Workspace, text: str) -> DataView:
    spec = workspace.store.read_run(text).spec
    if spec.data_path is not None:
        name = data_name(workspace, Path(spec.data_path))
        for view in list_data(workspace, name):
            if view.version.digest == spec.data_digest:
                return view
    what = f"No version of the data is kept of the run {text!r}."
    raise UsageError(Problem(code="S831", what=what, fix="Name a version, such as data/test.jsonl@2."))


def _known_name(workspace: Workspace, data: str) -> str:
    """What the store calls data that is given by its name, its path, or the end of its path where that is clear.

    Which lines were chosen need not be said where they were chosen in one way.

    Raises:
        UsageError: S831, S834.
    """
    known = list(dict.fromkeys(version.data for version in workspace.store.list_data_versions()))
    for name in (data, data_name(workspace, (workspace.cwd / data).resolve())):
        if name in known:
            return name
    ends = [name for name in known if name.endswith(f"/{data}")] or [
        name for name in known if f"/{split_choice(Path(name))[0].as_posix()}".endswith(f"/{data}")
    ]
    if len(ends) == 1:
        return ends[0]
    if ends:
        what = f"{data} could be {' or '.join(ends)}."
        raise UsageError(Problem(code="S834", what=what, fix=f"Say which: {ends[0]}"))
    raise UsageError(_no_data(data, known))


def _no_data(data: str, known: Sequence[str]) -> Problem:
    near = nearest(data, known) or nearest(data, [name.rpartition("/")[2] for name in known])
    fix = "Versions of data are kept when runs are made: headrace run create --data …"
    if known:
        fix = f'Did you mean "{near}"?' if near else f"Data with versions: {', '.join(known)}."
    return Problem(code="S831", what=f"The store keeps no version of the data {data}.", fix=fix)
