"""Write a new project: a flow with its data and experiments, its deployment, its infrastructure and its pipeline."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from pathlib import Path

from headrace.errors import Problem, UsageError
from headrace.operations.init_flow import STARTERS, starter_name
from headrace.operations.new_files import write_files

TEMPLATE = STARTERS / "project"
"""A working project, called :data:`PROJECT` with the flow :data:`FLOW`."""

PROJECT, FLOW = "my_project", "my_flow"

PARTS = {"infra": ("infra", "azure.yaml"), "workflows": (".github",)}
"""What a project can do without, and the first names of its paths."""

SHORTEST, LONGEST = 3, 32
"""Lengths of a name, as an endpoint of Azure Machine Learning may be called."""

LONGEST_FLOW = LONGEST - len("-staging")
"""The endpoint of a flow has a second one beside it, where versions are tried, whose name is longer."""

_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")


def init_project(
    folder: Path, name: str, flow: str = FLOW, *, without: Collection[str] = (), is_replacing: bool = False
) -> tuple[Path, ...]:
    """Write a project into ``folder``, which may exist.

    Args:
        folder: Where it goes; made when it is missing.
        name: What the project is called.
        flow: What its flow is called, and the endpoint that serves it.
        without: Keys of :data:`PARTS` that are left out.
        is_replacing: Overwrite files of the same names.

    Returns:
        The files that were written.

    Raises:
        UsageError: C507 for a name that is none, S806 when a file is in the way; then nothing was written.
        StateError: S808 when the folder cannot be written.
    """
    files = render_project(name, flow, without=without)
    return write_files({folder / path: data for path, data in files.items()}, is_replacing=is_replacing)


def render_project(name: str, flow: str = FLOW, *, without: Collection[str] = ()) -> dict[str, bytes]:
    """The files of a project: paths below its folder, with ``/``, to contents.

    Nothing but the two names changes. Where a name cannot hold an underscore, as that of an endpoint, the template
    writes it with a dash, and so do the files.

    Raises:
        UsageError: C507 for a name that is none.
    """
    _check_name(name, "project", LONGEST)
    _check_name(flow, "flow", LONGEST_FLOW)
    words = {PROJECT: name, FLOW: flow}
    words |= {word.replace("_", "-"): instead.replace("_", "-") for word, instead in words.items()}
    left_out = {first for part in without for first in PARTS[part]}
    files = {}
    for path in sorted(TEMPLATE.rglob("*")):
        relative = path.relative_to(TEMPLATE)
        if path.is_file() and "__pycache__" not in relative.parts and relative.parts[0] not in left_out:
            files[_replace(starter_name(relative).as_posix(), words)] = _render(path.read_bytes(), words)
    return files


def offered_name(text: str, longest: int = LONGEST) -> str | None:
    """The nearest name to a text, such as that of a folder, that a project or a flow can have; ``None`` without one."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode("ascii")
    name = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:longest].strip("-_")
    return name if _is_name(name, longest) else None


def _is_name(text: str, longest: int) -> bool:
    return SHORTEST <= len(text) <= longest and bool(_NAME.fullmatch(text))


def _check_name(name: str, of: str, longest: int) -> None:
    if _is_name(name, longest):
        return
    what = f"A {of} cannot be called {name!r}."
    fix = f"Use {SHORTEST} to {longest} small letters, digits and single - or _, a letter first"
    instead = offered_name(name, longest)
    raise UsageError(Problem(code="C507", what=what, fix=f"{fix}: {instead}" if instead else f"{fix}."))


def _render(data: bytes, words: Mapping[str, str]) -> bytes:
    """What is no text, such as a picture, stays as it is."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return data
    return _replace(text, words).encode("utf-8")


def _replace(text: str, words: Mapping[str, str]) -> str:
    """All words at once, so that a name which holds the other word stays as it was given."""
    return re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], text)
