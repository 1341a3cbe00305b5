"""``python -m tests.support.bicep FOLDER …``: what is wrong with Bicep files; exit code 1 where something is."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.bicep.folder import lint


def main(folders: list[str]) -> int:
    """Print the findings of some folders."""
    found = [finding for folder in folders or ["infra"] for finding in lint(Path(folder))]
    print("\n".join(map(str, found)) or "nothing found")  # noqa: T201 - a program
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
