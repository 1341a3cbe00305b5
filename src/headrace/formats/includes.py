"""``additional_includes``: files and folders from elsewhere that a flow wants beside it while it runs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.domain.flow import Flow
from headrace.errors import DefinitionError, Problem

_NOT_COPIED = shutil.ignore_patterns(".headrace", ".promptflow", ".git", ".venv", "__pycache__")


@contextmanager
def open_includes(flow: Flow) -> Iterator[Path]:
    """Open the folder to run a flow in.

    Without includes it is the flow's own folder. With includes it is a temporary copy of it, in which
    every included file lies at the root and every included folder under its own name; the copy is removed
    at the end. ``name.zip`` is made from the folder ``name`` where only that exists.

    Raises:
        DefinitionError: F001 at every include that does not exist.
    """
    folder = Path(flow.folder)
    if not flow.additional_includes:
        yield folder
        return
    sources = _find_sources(flow)
    with tempfile.TemporaryDirectory(prefix="headrace-") as name:
        target = Path(name) / folder.name
        shutil.copytree(folder, target, ignore=_NOT_COPIED)
        for source, copy_name in sources:
            _copy(source, target / copy_name)
        yield target


def _find_sources(flow: Flow) -> list[tuple[Path, str]]:
    """What to copy, each with its name in the copy."""
    found: list[tuple[Path, str]] = []
    problems: list[Problem] = []
    for index, text in enumerate(flow.additional_includes):
        source = (Path(flow.folder) / text).resolve()
        unzipped = source.with_suffix("")
        if source.exists() or (source.suffix == ".zip" and unzipped.is_dir()):
            found.append((source, source.name))
            continue
        pointer = ("additional_includes", index)
        what = f"The include {text} does not exist."
        fix = "Correct the path; it is relative to the folder of the flow file."
        span = flow.source_map.span(pointer)
        problems.append(Problem(code="F001", what=what, span=span, pointer=pointer, fix=fix))
    if problems:
        raise DefinitionError(*problems)
    return found


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=_NOT_COPIED, dirs_exist_ok=True)
    elif source.exists():
        shutil.copy2(source, target)
    else:
        folder = source.with_suffix("")
        shutil.make_archive(str(target.with_suffix("")), "zip", root_dir=folder.parent, base_dir=folder.name)
