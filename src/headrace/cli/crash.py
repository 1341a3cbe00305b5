"""What is left behind when headrace itself is at fault: a report file for the people who can mend it."""

from __future__ import annotations

import platform
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from headrace import __version__
from headrace.cli.tree import TREE, Branch, Place

_PACKAGES = ("click", "rich", "openai", "httpx2", "opentelemetry-sdk", "pyyaml", "jinja2")


def render_crash(error: BaseException, arguments: Sequence[str]) -> str:
    """Versions, the shape of the command and the traceback.

    Of the arguments only option names and command words are kept: values may be secrets. Tracebacks hold
    code, not values.
    """
    words = _command_words(arguments)
    for argument in arguments[len(words) :]:
        words.append(argument.partition("=")[0] if argument.startswith("-") else "…")
    lines = [
        f"headrace {__version__}",
        f"Python {platform.python_version()} on {platform.platform()}",
        *(f"{name} {_version(name)}" for name in _PACKAGES),
        f"command: headrace {' '.join(words)}",
        "",
        render_traceback(error),
    ]
    return "\n".join(lines)


def _command_words(arguments: Sequence[str]) -> list[str]:
    """The leading words that name a command."""
    words: list[str] = []
    branch: Mapping[str, Branch | Place] = TREE
    for argument in arguments:
        found = branch.get(argument)
        if found is None:
            break
        words.append(argument)
        branch = found.commands if isinstance(found, Branch) else {}
    return words


def render_traceback(error: BaseException) -> str:
    """The traceback of ``error`` and of its causes, without a final line end."""
    return "".join(traceback.format_exception(error)).rstrip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def write_crash(error: BaseException, arguments: Sequence[str]) -> Path | None:
    """Write the report to the folder for temporary files; ``None`` where even that fails."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="headrace-crash-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(render_crash(error, arguments))
            return Path(file.name)
    except OSError:
        traceback.print_exception(error, file=sys.stderr)
        return None
