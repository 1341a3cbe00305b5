"""The part of headrace that serves, as a wheel: no command line, no statistics, no reports.

It holds the modules that serving reaches, by imports and by name, but for those that need what is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import headrace
from headrace import __version__
from headrace.compat.served_names import SERVED
from headrace.errors import Problem, UsageError
from headrace.formats.archives import wheel_bytes, wheel_name
from headrace.operations.installed_packages import own_requirements

LEFT_OUT = ("headrace.cli", "headrace.evaluation", "headrace.deploy")
"""Packages that no image holds, and neither any module that imports from them."""

START = "headrace.operations.served_app"
"""The module that an image starts with."""

JOB = "headrace.operations.work_shard"
"""The module that a job starts with, in the same image."""

VERSION = f"{__version__}+serving"
"""Tells it apart from the whole headrace, and is that version where a requirement asks for it."""

WHEEL = wheel_name("headrace", VERSION)

_IMPORT = re.compile(
    r"^\s*(?:from (headrace[\w.]*) import (\([^)]*\)|[^\n]*)|import (headrace[\w.]*))", re.MULTILINE
)
_NAMED = re.compile(r"""["'](headrace(?:\.\w+)+)(?::\w+)?["']""")
_WORD = re.compile(r"\w+")
_DATA = ("py.typed", "compat/child_path/**/*.py", "store/**/*.sql")
_NO_MODULES = ("operations/starters/", "compat/child_path/")


def serving_wheel(extras: Iterable[str]) -> bytes:
    """The wheel; the same bytes for the same headrace.

    Args:
        extras: Extras of headrace whose packages it asks for, besides those of ``serve``.

    Raises:
        UsageError: C505 when headrace is only importable and not installed.
    """
    root = _root()
    try:
        needs = own_requirements(("serve", *extras))
    except PackageNotFoundError as error:
        what = "headrace is not installed here, so nobody knows which packages it needs."
        fix = "Install it from its folder: pip install --editable ."
        raise UsageError(Problem(code="C505", what=what, fix=fix)) from error
    files = {f"headrace/{path}": (root / path).read_bytes() for path in serving_files()}
    metadata = {
        "Summary": "The part of headrace that serves flows.",
        "License-Expression": "MIT",
        "Requires-Python": ">=3.11",
        "Requires-Dist": list(needs),
    }
    return wheel_bytes("headrace", VERSION, files, metadata)


def serving_files() -> tuple[str, ...]:
    """Paths below the folder of headrace that the wheel holds, sorted."""
    root = _root()
    kept = {*serving_modules(root).values(), *(path for pattern in _DATA for path in root.glob(pattern))}
    return tuple(sorted(path.relative_to(root).as_posix() for path in kept))


def serving_modules(root: Path) -> dict[str, Path]:
    """The modules that serving reaches, by name.

    Args:
        root: Folder of the package ``headrace``.
    """
    files = {
        _module_name(root, path): path
        for path in root.rglob("*.py")
        if not path.relative_to(root).as_posix().startswith(_NO_MODULES)
    }
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    imported = {name: frozenset(_imports(text, files)) for name, text in texts.items()}
    out_of_bounds = _needing_what_is_left_out(imported)
    roots = [START, JOB, *(name for name in files if name.startswith("headrace.serving"))]
    roots += [target.partition(":")[0] for names in SERVED.values() for target in names.values()]
    found: set[str] = set()
    while roots:
        name = roots.pop()
        if name in found or name in out_of_bounds or name not in files:
            continue
        found.add(name)
        roots += imported[name]
        roots += (part for match in _NAMED.finditer(texts[name]) for part in _with_packages(match[1]))
    return {name: files[name] for name in sorted(found)}


def _needing_what_is_left_out(imported: Mapping[str, frozenset[str]]) -> set[str]:
    """The packages that are left out, and what imports from them, however far away."""
    found = {name for name in imported if name.startswith(LEFT_OUT)}
    while more := {name for name, needs in imported.items() if name not in found and needs & found}:
        found |= more
    return found


def _imports(text: str, known: Mapping[str, Path]) -> Iterable[str]:
    for match in _IMPORT.finditer(text):
        module, names, plain = match.groups()
        yield from _with_packages(module or plain)
        for name in _WORD.findall(names or ""):
            if f"{module}.{name}" in known:
                yield f"{module}.{name}"


def _with_packages(module: str) -> Iterable[str]:
    """A module and the packages around it."""
    words = module.split(".")
    return [".".join(words[:count]) for count in range(1, len(words) + 1)]


def _module_name(root: Path, path: Path) -> str:
    words = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def _root() -> Path:
    return Path(headrace.__file__).parent
