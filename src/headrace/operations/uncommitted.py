"""Which files of a folder have changes that git has not committed, as git itself says."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

_TIMEOUT_S = 10.0
_GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.quotepath=false")


def find_uncommitted(folder: Path, files: Sequence[str]) -> tuple[str, ...]:
    """Those of the files that are changed or not known to git; none outside of a repository, or without git.

    Args:
        folder: Where they lie.
        files: Their paths from there.
    """
    if not files:
        return ()
    command = [*_GIT, "-C", str(folder), "status", "--porcelain", "-z", "--no-renames", "--", *files]
    try:
        done = subprocess.run(  # noqa: S603 - git, by its name on the path
            command, capture_output=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if done.returncode != 0:
        return ()
    entries = done.stdout.decode("utf-8", errors="replace").split("\0")
    return tuple(sorted({entry[3:] for entry in entries if len(entry) > 3}))
