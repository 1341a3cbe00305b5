"""Serves the modules of ``served_names`` to ``import``, and everything else of promptflow from the real package.

Code of the real package itself always gets the real package: its parts know each other's insides, so a mixture would
break in ways that nobody could read. Served modules therefore look at who asks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, cast

from headrace.compat.refused_names import refusal
from headrace.compat.served_names import SERVED
from headrace.errors import Problem, nearest
from headrace.source import Span
from headrace.tools.failure import UnservedNameError

_ROOT = "promptflow"
_IMPORT_SYSTEM = "<frozen importlib"
_PROBES = "<frozen importlib.util>"

CHILD_PATH = str(Path(__file__).with_name("child_path"))
"""Place in ``sys.path`` where processes that a served program starts find the names; never the real package."""

_real_modules: dict[str, ModuleType] = {}


def install() -> None:
    """Serve the names from now on; a second call does nothing.

    Modules of the real package that stand in for served ones already are forgotten.
    """
    if any(type(finder) is ServedFinder for finder in sys.meta_path):
        return
    for name in SERVED:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, ServedFinder())


def uninstall() -> None:
    """Stop serving; modules that were handed out keep working for those who have them."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder) is not ServedFinder]
    for name, module in sys.modules.copy().items():
        if isinstance(module, ServedModule):
            del sys.modules[name]
    _real_modules.clear()


class ServedFinder:
    """Python's import system asks this first."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """How to load ``name``; ``None`` for names that are none of ours.

        Raises:
            UnservedNameError: T209 for a name of promptflow that is neither served nor installed.
        """
        del target
        if name in SERVED:
            # Not a subclass of importlib.abc.Loader: importing that costs more than all the rest here.
            spec = ModuleSpec(name, cast("Any", _ServedLoader()), origin="headrace", is_package=True)
            spec.submodule_search_locations = _real_folders(name)
            return spec
        if not name.startswith(_ROOT + "."):
            return None
        real = PathFinder.find_spec(name, path)
        if real is not None:
            return real
        requester, is_probe = _requester()
        if is_probe:
            return None
        parent, _, last = name.rpartition(".")
        raise UnservedNameError(_unserved(parent, last, requester))


class _ServedLoader:
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = ServedModule(spec.name)
        # Python asks the module for its path before it sets it, and code of the real package would be given the
        # real module's: then the served one had none.
        module.__path__ = spec.submodule_search_locations or []
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__all__"] = [name for name in SERVED[module.__name__] if not name.startswith("_")]


class ServedModule(ModuleType):
    """A module whose names are looked up when somebody asks, because the answer depends on who asks."""

    def __getattr__(self, name: str) -> Any:
        requester, _ = _requester()
        module = self.__name__
        if requester is not None and _is_real(requester.f_code.co_filename):
            return getattr(_load_real(module), name)
        target = SERVED[module].get(name)
        if target is not None:
            source, _, attribute = target.partition(":")
            return getattr(import_module(source), attribute)
        if f"{module}.{name}" in SERVED:
            return import_module(f"{module}.{name}")
        if name.startswith("__"):
            message = f"module {module!r} has no attribute {name!r}"
            raise AttributeError(message)
        real = _load_real(module)
        if real is not None and hasattr(real, name):
            return getattr(real, name)
        problem = _unserved(module, name, requester)
        message = f"{problem.what} {problem.fix}"
        raise AttributeError(message)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *SERVED[self.__name__]})


def _load_real(name: str) -> ModuleType | None:
    """The real package's module of this name, kept apart from ``sys.modules``; ``None`` when it is not installed."""
    if name in _real_modules:
        return _real_modules[name]
    parent = name.rpartition(".")[0]
    spec = PathFinder.find_spec(name, _real_folders(parent) if parent else _places())
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    _real_modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del _real_modules[name]
        raise
    return module


def _real_folders(name: str) -> list[str]:
    """Folders of the real package for a module, whether or not it is installed in one place."""
    parent, _, last = name.rpartition(".")
    places = _real_folders(parent) if parent else _places()
    folders = [Path(place, last) for place in places]
    return [str(folder) for folder in folders if folder.is_dir()]


def _places() -> list[str]:
    return [place for place in sys.path if place != CHILD_PATH]


def _is_real(file: str) -> bool:
    return any(file.startswith(folder + os.sep) for folder in _real_folders(_ROOT))


def _requester() -> tuple[FrameType | None, bool]:
    """The frame that asks for a name, and whether it only wants to know whether there is such a module."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the documented way to the caller
    is_probe = False
    while frame is not None and frame.f_code.co_filename.startswith(_IMPORT_SYSTEM):
        is_probe = is_probe or frame.f_code.co_filename == _PROBES
        frame = frame.f_back
    return frame, is_probe


def _unserved(module: str, name: str, requester: FrameType | None) -> Problem:
    span = None
    if requester is not None:
        file, line = requester.f_code.co_filename, requester.f_lineno
        span = Span(file=file, line=line, column=1, end_line=line, end_column=2)
    asked_by = f" ({span.file}:{span.line})" if span else ""
    near = nearest(name, [*SERVED.get(module, ())])
    meant = f'Did you mean "{near}"? ' if near else ""
    reason, instead = refusal(module, name) or ("", "")
    if _real_folders(_ROOT):
        what = f"Neither headrace nor the installed promptflow has {module}.{name}{asked_by}."
        fix = f"{meant}{instead or 'Check the name, or remove the import.'}"
    else:
        what = f"headrace has no counterpart for {module}.{name}, and promptflow is not installed{asked_by}."
        install = 'install promptflow as well: pip install "headrace[promptflow]".'
        fix = f"{meant}{instead} Or {install}" if instead else f"{meant}Remove the import, or {install}"
    return Problem(code="T209", what=f"{what} {reason}".rstrip(), span=span, fix=fix)
