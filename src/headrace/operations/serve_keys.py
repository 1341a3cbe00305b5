"""The keys of a served flow: make, list and revoke them in their file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from headrace.domain.access import RateLimit, ServeKey, is_key_name, make_key
from headrace.errors import Problem, UsageError
from headrace.formats.folder_lock import locked_folder
from headrace.formats.key_file import read_key_file, write_key_file
from headrace.operations.new_files import cannot_write


def create_key(file: Path, name: str, *, now: datetime, expires: datetime | None, rate: RateLimit) -> str:
    """Add a key to a file, which is made if there is none, and return it: it is nowhere kept.

    Raises:
        DefinitionError: Something is wrong in the file.
        UsageError: C507 for a name that is none, or that is taken.
        StateError: S808 when the file cannot be written.
    """
    if not is_key_name(name):
        what = f"{name!r} is no name for a key."
        fix = "Use lower case letters, digits, dots and dashes, at most 64."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    with _changing(file):
        keys = read_key_file(file) if file.exists() else ()
        if any(key.name == name for key in keys):
            what = f"There is a key {name} already."
            fix = f"Name the new one otherwise, such as {name}-2, and revoke {name} when its holder has changed over."
            raise UsageError(Problem(code="C507", what=what, fix=fix))
        token, key = make_key(name, created=now, expires=expires, rate=rate)
        write_key_file(file, (*keys, key))
    return token


def list_keys(file: Path) -> tuple[ServeKey, ...]:
    """The keys of a file.

    Raises:
        DefinitionError: There is no such file, or something is wrong in it.
    """
    return read_key_file(file)


def revoke_key(file: Path, name: str) -> None:
    """Take a key out of a file.

    Raises:
        DefinitionError: There is no such file, or something is wrong in it.
        UsageError: C507 when it has no key of the name.
        StateError: S808 when the file cannot be written.
    """
    read_key_file(file)  # where there is none, no folder is made for it
    with _changing(file):
        keys = read_key_file(file)
        left = tuple(key for key in keys if key.name != name)
        if len(left) == len(keys):
            known = ", ".join(key.name for key in keys) or "none"
            raise UsageError(
                Problem(code="C507", what=f"There is no key {name}.", fix=f"Known keys: {known}.")
            )
        write_key_file(file, left)


@contextmanager
def _changing(file: Path) -> Iterator[None]:
    """Keep others from changing the file between reading and writing it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked_folder(file.resolve().parent):
            yield
    except OSError as error:
        raise cannot_write(file, error) from error
