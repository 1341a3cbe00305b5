"""The project whose code is running: its folder is where its modules are imported from.

Python keeps one set of imported modules per process. A flow and its evaluation flow often have a file of the same
name each (``helpers.py``), so the modules of a project are put aside while another project is active.

A flow may call another flow, also from several threads. Then the code of both runs at the same time, so of a project
in use only those modules are put aside that the other project has a file for, and its folder stays on the path behind.
The same goes for a folder that was on the path before it was a project: that of the program itself, which imports from
it at any time, or that of installed packages, where a flow may be a class of one.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType

_LONGEST_LOAD_S = 60.0

_lock = threading.RLock()
_loads = threading.Lock()
_is_loading: ContextVar[bool] = ContextVar("headrace_is_loading", default=False)
_active: list[str] = []  # at most one folder
_in_use: Counter[str] = Counter()
_added: set[str] = set()  # folders that are on the path because they are projects
_noted: dict[str, tuple[int, int]] = {}  # file to the time of its last change and its size
_put_aside: dict[str, dict[str, ModuleType]] = {}
_stays: list[_Stay] = []  # in order of entering
_own_folder: ContextVar[str | None] = ContextVar("headrace_own_folder", default=None)


def activate_project(folder: Path) -> None:
    """Make ``folder`` the first place that modules are imported from, and its modules the imported ones.

    Costs next to nothing while the same project stays active.
    """
    path = str(folder)
    if _is_active(path):
        return
    with _lock:
        if _is_active(path):
            return
        if _active and _active != [path]:
            _put_away(_active[0], path)
        if path in sys.path:
            sys.path.remove(path)
        else:
            _added.add(path)
        sys.path.insert(0, path)
        sys.modules.update(_put_aside.pop(path, {}))
        _active[:] = [path]


def _is_active(path: str) -> bool:
    # Code of the user may have taken the folder off the path since.
    return _active == [path] and path in sys.path


def forget_changed_modules(folder: Path) -> None:
    """Forget the imported modules of a project when a file of one has changed since it was noted.

    A process that lives on, such as a notebook, would go on with the code that it read first.
    """
    own = _modules_of(folder)
    changed = [file for file in own.values() if file in _noted and _noted[file] != _state_of(file)]
    if changed:
        for file in changed:  # Python would find that a file is as compiled when it changed within a second
            with suppress(OSError, NotImplementedError):
                os.unlink(cache_from_source(file))  # noqa: PTH108 - as the file is given
        for name, file in own.items():
            sys.modules.pop(name, None)
            _noted.pop(file, None)


def note_modules(folder: Path) -> None:
    """Note the files of the imported modules of a project as they are now."""
    _noted.update((file, _state_of(file)) for file in _modules_of(folder).values())


def _modules_of(folder: Path) -> dict[str, str]:
    """Imported modules of a project by name, with their files."""
    path = str(folder)
    modules = sys.modules.copy().items()
    return {name: module.__file__ or "" for name, module in modules if _is_of(module, path)}


def _state_of(file: str) -> tuple[int, int]:
    try:
        state = os.stat(file)  # noqa: PTH116 - for every module
    except OSError:
        return 0, 0
    return state.st_mtime_ns, state.st_size


@contextmanager
def loading_turn() -> Iterator[None]:
    """Load one flow at a time: imports look at state of the process, such as its path and its working directory.

    Code that a load runs may load further flows, on this thread or in tools that it waits for. For a thread of its
    own that it waits for as well, the wait ends some time: then both load at once, rather than never.
    """
    if _is_loading.get():
        yield
        return
    is_mine = _loads.acquire(timeout=_LONGEST_LOAD_S)
    token = _is_loading.set(True)
    try:
        yield
    finally:
        _is_loading.reset(token)
        if is_mine:
            _loads.release()


@contextmanager
def project_in_use(folder: Path) -> Iterator[None]:
    """Say that code of a project runs during the block, and make the project active again that was so before."""
    path = str(folder)
    with _lock:
        before = list(_active)
        _in_use[path] += 1
    try:
        yield
    finally:
        with _lock:
            _in_use[path] -= 1
        if before and _in_use[before[0]]:
            activate_project(Path(before[0]))


@dataclass(slots=True, kw_only=True, eq=False)
class _Stay:
    """One block in a working directory.

    Attributes:
        before: The working directory to go back to.
        is_brief: Whether only a flow is loaded, so that threads beside it should not notice.
    """

    before: str
    is_brief: bool


@contextmanager
def working_folder(folder: Path, *, is_brief: bool = False) -> Iterator[None]:
    """Change the working directory for a block; threads may be in several such blocks at the same time.

    The process has one working directory. Whoever leaves while another block has been entered since lets that one
    go back to where this one came from.
    """
    with _lock:
        stay = _Stay(before=str(Path.cwd()), is_brief=is_brief)
        os.chdir(folder)  # raises when the folder has gone, and nothing has changed then
        _stays.append(stay)
    token = _own_folder.set(str(folder)) if is_brief else None
    try:
        yield
    finally:
        if token is not None:
            _own_folder.reset(token)
        with _lock:
            place = _stays.index(stay)
            del _stays[place]
            if place == len(_stays):
                os.chdir(stay.before)
            else:
                _stays[place].before = stay.before


def caller_folder() -> Path:
    """The working directory that code means which runs now: not one that another thread loads a flow in."""
    own = _own_folder.get()
    if own is not None:
        return Path(own)
    with _lock:
        folder = str(Path.cwd())
        for stay in reversed(_stays):
            if not stay.is_brief:
                break
            folder = stay.before
    return Path(folder)


def _put_away(path: str, other: str) -> None:
    """Make room for the modules of the project ``other``.

    A project's folder is taken off the path and its modules out of the imported ones; of a project in use, or one
    whose folder was on the path before, only the modules that ``other`` has as well.
    """
    own = {name: module for name, module in sys.modules.copy().items() if _is_of(module, path)}
    if _in_use[path] or path not in _added:
        own = {name: module for name, module in own.items() if _has_module(other, name.partition(".")[0])}
    elif path in sys.path:
        sys.path.remove(path)
        _added.remove(path)
    _put_aside[path] = own
    for name in own:
        sys.modules.pop(name, None)


def _has_module(path: str, name: str) -> bool:
    place = Path(path, name)
    return place.is_dir() or place.with_suffix(".py").is_file()


def _is_of(module: ModuleType, path: str) -> bool:
    """Whether a module was imported from the folder itself (and not from packages installed below it)."""
    file = getattr(module, "__file__", None)
    if file is None:
        return _has_part_in(module, path)
    if not isinstance(file, str) or not file.startswith(path + os.sep):
        return False
    expected = os.path.join(path, *getattr(module, "__name__", "").split("."))  # noqa: PTH118 - for every module
    return file in (expected + ".py", os.path.join(expected, "__init__.py"))  # noqa: PTH118


def _has_part_in(module: ModuleType, path: str) -> bool:
    """Whether a package without ``__init__.py`` is, or begins, in the folder."""
    places = getattr(module, "__path__", None)
    if places is None:
        return False
    expected = os.path.join(path, *module.__name__.split("."))  # noqa: PTH118 - for every module
    try:
        return expected in list(places)
    except (KeyError, TypeError):  # it looks its parent package up, which may have been put aside
        return False
