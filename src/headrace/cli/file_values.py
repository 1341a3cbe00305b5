"""The values that problems are about, for programs; people see them in the excerpt."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from headrace.cli.render import MASK, SENSITIVE_NAME
from headrace.errors import DefinitionError, Problem
from headrace.formats.positions import read_text, read_yaml


class FileValues:
    """The values of one YAML file by the pointers of problems: scalars alone, secrets masked."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._data: Any = read_yaml(read_text(file), str(file))[0]
        except DefinitionError:
            self._data = None

    def at(self, problem: Problem) -> Any:
        """The value that a problem is about; ``None`` for a list, a mapping, or another file."""
        if problem.span is None or problem.span.file != str(self._file) or not problem.pointer:
            return None
        value: Any = self._data
        for part in problem.pointer:
            try:
                value = value[part]
            except (LookupError, TypeError):
                return None
        if not isinstance(value, (str, int, float)):
            return None
        return MASK if re.search(SENSITIVE_NAME, str(problem.pointer[-1])) else value
