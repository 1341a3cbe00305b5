"""How a server process of this machine begins: ``python -m headrace.deploy.launched MODULE:FUNCTION PATH``.

It goes on only once whoever started it has written down that it is there, which one byte on standard input says. Where
that process was killed in between, the input ends without it, and nothing is left running that nobody knows of.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from headrace.deploy.processes import GO
from headrace.providers.loading import load_by_name

NOBODY_KNOWS = 75
"""Exit code of a process that was not told to go on."""


def main(arguments: list[str]) -> int:
    """Wait for the word to go on, then run a function with a path until it returns.

    Args:
        arguments: Import string of the function, which returns an exit code; and the path.

    Returns:
        That exit code.
    """
    name, path = arguments
    if os.read(0, 1) != GO:
        return NOBODY_KNOWS
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return int(load_by_name(name)(Path(path)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
