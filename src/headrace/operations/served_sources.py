"""What is to be served, and at which paths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.version import parse_version_name
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.flow_file import find_flow_file
from headrace.formats.paths import exists, is_folder

_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_-]*)=(?P<source>.+)")
_FREE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TAKEN = frozenset(
    {
        "score",
        "feedback",
        "swagger.json",
        "form",
        "openapi.json",
        "health",
        "healthz",
        "readyz",
        "version",
        "v1",
    }
)
"""What the server itself answers at its root. A flow of such a name would make the path one of its page, and open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSource:
    """One flow that is to be served.

    Attributes:
        path: What stands before ``/score``: empty, or ``/name``.
        given: How it was named.
        source: Flow folder or file, not relative, or the name of a stored version such as ``ask_docs@prod``.
    """

    path: str
    given: str
    source: Path


def find_sources(given: Sequence[Path], folder: Path) -> tuple[FlowSource, ...]:
    """The flows that were asked for, by path.

    Each is a flow, or ``NAME=`` and a flow, which then answers at ``/NAME/score``; or a folder of flows, which answer
    by the names of their folders.

    Args:
        given: What was asked for.
        folder: Where relative paths begin.

    Raises:
        UsageError: C507 for a name that stands for two flows or cannot be one.
        DefinitionError: A folder that holds no flow.
    """
    found: dict[str, FlowSource] = {}
    for source in given:
        for item in _read(source, folder):
            if item.path in found:
                where = item.path or "the root"
                what = f"Two flows are to answer at {where}: {found[item.path].given} and {item.given}."
                raise UsageError(Problem(code="C507", what=what, fix="Give one a name: --source NAME=PATH."))
            found[item.path] = item
    return tuple(found.values())


def find_served_file(source: Path) -> Path:
    """The flow file of a folder, which may also be its single prompty, or the file itself."""
    if is_folder(source):
        prompties = sorted(source.glob("*.prompty"))
        try:
            return find_flow_file(source)
        except DefinitionError:
            if len(prompties) == 1:
                return prompties[0]
            raise
    return find_flow_file(source)


def _read(given: Path, folder: Path) -> tuple[FlowSource, ...]:
    named = _NAMED.fullmatch(str(given))
    if named and not exists(folder / given):
        return (_named(named["name"], named["source"], folder),)
    if is_folder(folder / given) and (inside := _flows_in(folder / given)):
        return tuple(_named(name, str(given / name), folder) for name in inside)
    return (FlowSource(path="", given=str(given), source=_place(given, folder)),)


def _named(name: str, given: str, folder: Path) -> FlowSource:
    if name in _TAKEN or not _FREE_NAME.fullmatch(name):
        what = f"No flow can answer at /{name}."
        fix = "Name it otherwise: --source NAME=PATH, with letters, digits, underscores and dashes."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    return FlowSource(path=f"/{name}", given=given, source=_place(Path(given), folder))


def _place(given: Path, folder: Path) -> Path:
    """The path, or the name of a version as it is."""
    is_version = not exists(folder / given) and parse_version_name(str(given)) is not None
    return given if is_version else folder / given


def _flows_in(folder: Path) -> tuple[str, ...]:
    """Names of the flows in the folders of a folder that is no flow itself."""
    if _is_flow(folder):
        return ()
    return tuple(
        inner.name
        for inner in sorted(folder.iterdir())
        if inner.is_dir() and not inner.name.startswith(".") and _is_flow(inner)
    )


def _is_flow(folder: Path) -> bool:
    try:
        find_served_file(folder)
    except DefinitionError:
        return False
    return True
