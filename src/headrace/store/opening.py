"""Opening a store by its location. Adapters are named here and imported only when they are asked for."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from headrace.config import STATE_FOLDER
from headrace.errors import Problem, UsageError, nearest
from headrace.store.base import RunStore

STORES: Mapping[str, str] = {
    "sqlite": "headrace.store.sqlite:open_sqlite",
    "postgresql": "headrace.store.postgresql:open_postgresql",
    "memory": "headrace.store.memory:open_memory",
}
"""Scheme to import string of a function that takes what follows ``scheme://`` and returns a store."""

_OTHER_NAMES: Mapping[str, str] = {"postgres": "postgresql"}
_EXTRAS: Mapping[str, str] = {"postgresql": "postgres"}
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)


def open_store(location: str | Path, folder: Path = Path(), *, makes_folder: bool = True) -> RunStore:
    """Open the store at ``location``; nothing is created before the first run is.

    Args:
        location: Path of a SQLite file, ``sqlite:///relative/path``, ``sqlite:////absolute/path``,
            ``postgresql://user:password@host/database`` (``postgres://`` is the same), or ``memory:``.
        folder: Where a relative path begins; the working directory by default, which changes while a flow runs.
        makes_folder: Whether the first run makes the folder of a file where there is none; a person who has named
            the file may have mistyped it. The folder ``.headrace`` is made in any case.

    Raises:
        UsageError: C505 for PostgreSQL without its extra, C506 for a location of any other form, and for a file in a
            folder that does not exist.
    """

    def open_file(path: str | Path) -> RunStore:
        file = folder / path
        if not makes_folder:
            _check_folder(file.parent)
        return _adapter("sqlite")(str(file))

    if isinstance(location, Path):
        return open_file(location)
    if location == "memory:":
        return _adapter("memory")("")
    url = _URL.fullmatch(location)
    if url is None:
        _check_path(location)
        return open_file(location)
    scheme = url["scheme"].lower()
    scheme = _OTHER_NAMES.get(scheme, scheme)
    if scheme not in STORES:
        near = nearest(scheme, tuple(STORES))
        hint = f' Did you mean "{near}"?' if near else ""
        raise UsageError(_bad_location(f'A store cannot be opened by the scheme "{scheme}".{hint}'))
    if scheme != "sqlite":
        return _adapter(scheme)(url["rest"])
    if not url["rest"].removeprefix("/"):
        raise UsageError(_bad_location("The location of the store names no file."))
    return open_file(url["rest"].removeprefix("/"))


def is_store_url(text: str) -> bool:
    """Whether a text is a location in the form of a URL, one line with a scheme that a store can be opened by.

    Anything else counts as the path of a file, which is shown to people and made on the disk.
    """
    url = _URL.fullmatch(text)
    if url is None or len(text.splitlines()) > 1:
        return False
    scheme = url["scheme"].lower()
    return _OTHER_NAMES.get(scheme, scheme) in STORES


def _check_path(location: str) -> None:
    if not location.strip():
        raise UsageError(_bad_location("The location of the store is empty."))
    if location.startswith("${"):
        raise UsageError(
            _bad_location("The location of the store is a reference, which is not followed here.")
        )


def _check_folder(folder: Path) -> None:
    made = folder.parent if folder.name == STATE_FOLDER else folder
    if made.is_dir():
        return
    there = next(parent for parent in made.parents if parent.is_dir() or parent == parent.parent)
    missing = made.relative_to(there).parts[0]
    near = nearest(missing, sorted(path.name for path in there.iterdir() if path.is_dir()))
    hint = f' Did you mean "{near}"?' if near else ""
    what = f'The store lies in a folder that does not exist: there is no folder "{missing}" in {there}.{hint}'
    raise UsageError(Problem(code="C506", what=what, fix="Correct HEADRACE_STORE, or make the folder first."))


def _adapter(scheme: str) -> Callable[[str], RunStore]:
    module, _, function = STORES[scheme].partition(":")
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        extra = _EXTRAS[scheme]
        raise UsageError(
            Problem(
                code="C505",
                what=f"A store in {scheme} needs a package that cannot be imported here.",
                fix=f'Install it with the extra "{extra}": pip install "headrace[{extra}]".',
                detail=(str(error),),
            )
        ) from error
    return cast("Callable[[str], RunStore]", getattr(loaded, function))


def _bad_location(what: str) -> Problem:
    fix = (
        "Give the path of a file, sqlite:///path or postgresql://user:password@host/database (HEADRACE_STORE), or "
        "the secret of Azure Key Vault that holds one of these: https://VAULT.vault.azure.net/secrets/NAME."
    )
    return Problem(code="C506", what=what, fix=fix)
