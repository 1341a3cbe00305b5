"""``additional_includes``: files and folders from elsewhere that a flow wants beside it while it runs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from headrace.domain.flow import Flow
from headrace.errors import DefinitionError, Problem
from headrace.formats.paths import exists, is_folder

_NOT_COPIED = shutil.ignore_patterns(".headrace", ".promptflow", ".git", ".venv", "__pycache__")


@contextmanager
def open_includes(flow: Flow, copy: Path | None = None) -> Iterator[Path]:
    """Open the folder to run a flow in.

    Without includes it is the flow's own folder. With includes it is a temporary copy of it, in which
    every included file lies at the root and every included folder under its own name; the copy is removed
    at the end. ``name.zip`` is made from the folder ``name`` where only that exists.

    Args:
        flow: The flow.
        copy: A copy that somebody else has made and removes.

    Raises:
        DefinitionError: F001 at every include that does not exist.
    """
    folder = Path(flow.folder)
    if not flow.additional_includes:
        yield folder
        return
    if copy is not None:
        yield copy
        return
    with tempfile.TemporaryDirectory(prefix="headrace-") as name:
        target = Path(name) / folder.name
        copy_merged(flow, target)
        yield target


def code_folder(flow: Flow, folder: Path) -> Path:
    """Where a flow's modules are imported from and its code runs: the folder itself, but for a flex flow with ``code``.

    Args:
        flow: The flow.
        folder: Where its files are while it runs, see :func:`open_includes`.
    """
    place = (Path(flow.folder) / flow.code).resolve()
    return folder / place.relative_to(flow.folder) if place.is_relative_to(flow.folder) else place


def copy_merged(flow: Flow, target: Path) -> None:
    """Copy a flow's folder with its includes to ``target``, which does not exist.

    Raises:
        DefinitionError: F001 at every include that does not exist.
    """
    sources, problems = _find_sources(flow)
    if problems:
        raise DefinitionError(*problems)
    shutil.copytree(flow.folder, target, ignore=_NOT_COPIED)
    for source, copy_name in sources:
        _copy(source, target / copy_name)


def check_includes(flow: Flow) -> tuple[Flow, tuple[Problem, ...]]:
    """The flow with those includes alone that exist, and the problems of all.

    Returns:
        The flow, the errors F001, and a warning F021 for every include that takes the place of another file.
    """
    sources, missing = _find_sources(flow)
    lost = {problem.pointer[-1] for problem in missing}
    found = tuple(text for index, text in enumerate(flow.additional_includes) if index not in lost)
    return replace(flow, additional_includes=found), (*missing, *_find_clashes(flow, sources))


def without_includes(text: str, flow: Flow) -> str:
    """The text of the flow file without its includes, for a copy of the folder that has them in it."""
    pointer = ("additional_includes",)
    key, value = flow.source_map.key_span(pointer), flow.source_map.span(pointer)
    last = value.end_line - 1 if value.end_column == 1 else value.end_line
    lines = text.splitlines(keepends=True)
    return "".join(lines[: key.line - 1] + lines[max(last, key.line) :])


def _find_sources(flow: Flow) -> tuple[list[tuple[Path, str]], list[Problem]]:
    """What to copy, each with its name in the copy, and what is missing."""
    found: list[tuple[Path, str]] = []
    problems: list[Problem] = []
    for index, text in enumerate(flow.additional_includes):
        source = (Path(flow.folder) / text).resolve()
        unzipped = source.with_suffix("")
        if exists(source) or (source.suffix == ".zip" and is_folder(unzipped)):
            found.append((source, source.name))
            continue
        pointer = ("additional_includes", index)
        what = f"The include {text} does not exist."
        fix = "Correct the path; it is relative to the folder of the flow file."
        span = flow.source_map.span(pointer)
        problems.append(Problem(code="F001", what=what, span=span, pointer=pointer, fix=fix))
    return found, problems


def _find_clashes(flow: Flow, sources: list[tuple[Path, str]]) -> Iterator[Problem]:
    """F021 for every include whose name is taken by a file of the flow or by an earlier include."""
    folder = Path(flow.folder)
    taken = {path.name: path.name for path in folder.iterdir() if path.is_file()}
    places = {(folder / text).resolve(): (index, text) for index, text in enumerate(flow.additional_includes)}
    for source, name in sources:
        index, text = places[source]
        if name in taken and source.is_file() and source.parent != folder:
            pointer = ("additional_includes", index)
            yield Problem(
                code="F021",
                what=f"The include {text} takes the place of {taken[name]}.",
                span=flow.source_map.span(pointer),
                pointer=pointer,
                fix="Rename one of the two files, or remove the one that is not meant.",
                severity="warning",
            )
        taken[name] = text


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=_NOT_COPIED, dirs_exist_ok=True)
    elif source.exists():
        shutil.copy2(source, target)
    else:
        folder = source.with_suffix("")
        shutil.make_archive(str(target.with_suffix("")), "zip", root_dir=folder.parent, base_dir=folder.name)
