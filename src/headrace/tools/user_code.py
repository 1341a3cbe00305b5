"""Running the user's own code while tools are loaded. The one place of this package that catches everything."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import current_thread, main_thread
from types import CodeType, ModuleType
from typing import TypeVar

from headrace.errors import DefinitionError, HeadraceError, Problem

T = TypeVar("T")

MODULE_NAME = "__pf_main__"
"""Name under which a tool's file is executed; code may test ``__name__`` for it."""


def run_user_code(run: Callable[[], T], describe: Callable[[BaseException], Problem]) -> T:
    """Call code of the user and turn whatever it raises into a problem, also a wish to leave the program.

    Raises:
        DefinitionError: What ``describe`` makes of the exception.
        KeyboardInterrupt: The person wants it to end.
    """
    try:
        return run()
    except HeadraceError:
        raise
    except BaseException as error:  # code of the user may raise anything
        if isinstance(error, KeyboardInterrupt) and _may_be_a_wish():
            raise
        raise DefinitionError(describe(error)) from error


def _may_be_a_wish() -> bool:
    """Whether somebody may have pressed Ctrl-C, which arrives in the main thread, unless it is ignored."""
    return current_thread() is main_thread() and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


class _FreshLoader(SourceFileLoader):
    """Compiles the file as it is now: Python's cache knows a file by its size and by whole seconds only."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def execute_file(path: Path) -> ModuleType:
    """Execute a Python file as a fresh module.

    The module is registered while it is executed, because dataclasses and others look themselves up by name; it is
    not kept, because every node has its own.

    Raises:
        Exception: Whatever the file raises.
    """
    loader = _FreshLoader(MODULE_NAME, str(path))
    spec = spec_from_file_location(MODULE_NAME, path, loader=loader)
    if spec is None or path.suffix != ".py":
        message = f"{path.name} is not a Python file"
        raise ImportError(message)
    module = module_from_spec(spec)
    before = sys.modules.get(MODULE_NAME)
    sys.modules[MODULE_NAME] = module
    try:
        loader.exec_module(module)
    finally:
        if before is None:
            del sys.modules[MODULE_NAME]
        else:
            sys.modules[MODULE_NAME] = before
    return module
