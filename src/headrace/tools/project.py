"""The project whose code is running: its folder is where its modules are imported from.

Python keeps one set of imported modules per process. A flow and its evaluation flow often have a file of the same
name each (``helpers.py``), so the modules of a project are put aside while another project is active.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import ModuleType

_lock = threading.RLock()
_active: list[str] = []  # at most one folder
_put_aside: dict[str, dict[str, ModuleType]] = {}


def activate_project(folder: Path) -> None:
    """Make ``folder`` the first place that modules are imported from, and its modules the imported ones.

    Costs next to nothing while the same project stays active.
    """
    path = str(folder)
    if _active == [path]:
        return
    with _lock:
        if _active == [path]:
            return
        if _active:
            _put_away(_active[0])
        if path in sys.path:
            sys.path.remove(path)
        sys.path.insert(0, path)
        sys.modules.update(_put_aside.pop(path, {}))
        _active[:] = [path]


def _put_away(path: str) -> None:
    """Take a project's folder off the path and its modules out of the imported ones."""
    if path in sys.path:
        sys.path.remove(path)
    own = {name: module for name, module in sys.modules.items() if _is_of(module, path)}
    _put_aside[path] = own
    for name in own:
        del sys.modules[name]


def _is_of(module: ModuleType, path: str) -> bool:
    """Whether a module was imported from the folder itself (and not from packages installed below it)."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not file.startswith(path + os.sep):
        return False
    expected = os.path.join(path, *getattr(module, "__name__", "").split("."))  # noqa: PTH118 - for every module
    return file in (expected + ".py", os.path.join(expected, "__init__.py"))  # noqa: PTH118
