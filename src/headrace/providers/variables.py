"""Variables that connections read: of the environment, or files that a container has mounted.

Docker, Kubernetes and Azure Container Apps mount secrets as files of a folder. A file of the folder
``HEADRACE_SECRETS`` stands for the variable that it is called after, whatever its case and with ``-`` or ``.`` for
``_``: ``my-aoai-api-key`` for ``MY_AOAI_API_KEY``. It is read whenever it is needed, so that a key may be changed under
a server that runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from headrace.domain.connection import Connection
from headrace.errors import Problem

_MOST_BYTES = 64 * 1024
_REFERENCE = re.compile(r"@Microsoft\.KeyVault\(.*\)", re.IGNORECASE | re.DOTALL)


class Variables:
    """The variables that connections can read.

    Args:
        environment: The environment, which wins.
        folder: Folder of secret files, which may be missing.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path | None) -> None:
        self._environment = environment
        self._folder = folder

    def find(self, name: str) -> str | None:
        """The value of a variable; ``None`` when nothing holds it. Line breaks at the end of a file do not count."""
        value = self._environment.get(name)
        if value or self._folder is None:
            return value
        try:
            files = sorted(path for path in self._folder.iterdir() if _variable(path.name) == _variable(name))
            for path in files:
                if path.is_file() and path.stat().st_size <= _MOST_BYTES:
                    return path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):  # then it is not set, which is said where it is needed
            return None
        return None


def is_unresolved(value: str) -> bool:
    """Whether a value is a reference to Azure Key Vault that nobody has replaced by the secret."""
    return _REFERENCE.fullmatch(value.strip()) is not None


def unresolved(variable: str, connection: Connection, field_name: str) -> Problem:
    """C503: a variable still holds a reference to Azure Key Vault."""
    return Problem(
        code="C503",
        what=f'The {field_name} of connection "{connection.name}" is taken from the variable '
        f"{variable}, which holds a reference to Azure Key Vault that was not resolved.",
        fix=f"The connection is in {connection.origin}. Let the identity of the app read secrets of the vault, and "
        "check the address of the secret. Only App Service and Functions resolve such references; elsewhere mount the "
        "secret as a file of HEADRACE_SECRETS.",
    )


def _variable(name: str) -> str:
    return re.sub(r"[-. ]", "_", name).upper()
