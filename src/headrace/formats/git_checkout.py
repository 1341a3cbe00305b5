"""The branch and the commit that a folder is checked out at, read from the files of git; git itself is not run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BRANCH = "ref: refs/heads/"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """What is checked out; changes that were not committed do not show in it.

    Attributes:
        branch: Name of the branch; ``None`` where a commit was checked out, as build servers do.
        commit: Its id; ``None`` before the first commit, or where it cannot be read.
    """

    branch: str | None
    commit: str | None


def read_checkout(folder: Path) -> Checkout | None:
    """What a folder is checked out at; ``None`` outside of a repository, or where its files cannot be read.

    Only ``HEAD`` and what it refers to are read: neither settings nor names of people or servers.
    """
    try:
        place = next((above for above in (folder, *folder.parents) if (above / ".git").exists()), None)
        return None if place is None else _read(_git_folder(place / ".git"))
    except (OSError, UnicodeDecodeError):
        return None


def _git_folder(place: Path) -> Path:
    """The folder itself, or the one that a file names, as in further worktrees and in submodules."""
    if place.is_dir():
        return place
    _, _, named = place.read_text(encoding="utf-8").partition("gitdir:")
    return (place.parent / named.strip()).resolve()


def _read(git: Path) -> Checkout:
    head = (git / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith(_BRANCH):
        return Checkout(branch=None, commit=head if _COMMIT.fullmatch(head) else None)
    branch = head.removeprefix(_BRANCH)
    shared = git / "commondir"
    common = (git / shared.read_text(encoding="utf-8").strip()) if shared.is_file() else git
    return Checkout(branch=branch, commit=_commit_of(common, f"refs/heads/{branch}"))


def _commit_of(common: Path, ref: str) -> str | None:
    loose = common / ref
    found = ""
    if loose.is_file():
        found = loose.read_text(encoding="utf-8").strip()
    elif (common / "packed-refs").is_file():
        for line in (common / "packed-refs").read_text(encoding="utf-8").splitlines():
            commit, _, name = line.partition(" ")
            if name == ref:
                found = commit
    return found if _COMMIT.fullmatch(found) else None
