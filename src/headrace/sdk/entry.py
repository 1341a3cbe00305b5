"""What code may give for a flow: a path, a loaded flow, or the function, class or object that is to be called."""

from __future__ import annotations

import inspect
import sys
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

from headrace.errors import Problem, UsageError
from headrace.formats.flex import is_entry
from headrace.sdk.flow import Flow
from headrace.sdk.prompty import Prompty
from headrace.tools.given_entry import giving_entry

_SCRIPT = "__main__"


def find_flow(flow: Any) -> tuple[Path, AbstractContextManager[None]]:
    """Where a flow is, and a block inside of which it is loaded.

    Args:
        flow: Flow folder or file, ``module:callable``, a flow or prompty, or something to call.

    Raises:
        UsageError: C507 for anything else.
    """
    if isinstance(flow, (str, PathLike)):
        return Path(flow), nullcontext()
    if isinstance(flow, (Flow, Prompty)):
        return Path(flow.path), nullcontext()
    if callable(flow):
        folder, entry = _place(flow)
        return folder / entry, giving_entry(entry, flow)
    return _refuse(f"A flow cannot be a {type(flow).__name__}.", "Give a path, or a function or class.")


def _place(value: Any) -> tuple[Path, str]:
    """The folder from which the module of a callable is imported, and its entry."""
    named = value if isinstance(value, type) or inspect.isroutine(value) else type(value)
    name, module = getattr(named, "__name__", ""), getattr(named, "__module__", None) or _SCRIPT
    file = getattr(sys.modules.get(module), "__file__", None)
    path = Path(file).resolve() if file else Path.cwd() / f"{module}.py"
    parts = [path.stem] if module == _SCRIPT else module.split(".")
    depth = len(parts) if path.stem == "__init__" else len(parts) - 1
    entry = f"{'.'.join(parts)}:{name}"
    if not is_entry(entry):
        _refuse("The function has no name by which it could be found again.", "Give it a name with def.")
    return path.parents[depth], entry


def _refuse(what: str, fix: str) -> NoReturn:
    raise UsageError(Problem(code="C507", what=what, fix=fix))
