"""Running a user's own program, a script or a module, as ``python`` itself does, with the names served.

What a program can see is what it sees under ``python``: ``sys.argv``, ``sys.path[0]``, ``__main__`` with its
``__file__`` or ``__spec__``, the exit code, and tracebacks without our frames. Python processes that the program
starts get the names as well.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import NoReturn

from headrace.compat.finder import CHILD_PATH, install
from headrace.config import prepend_child_path

USAGE = """\
usage: python -m headrace.compat SCRIPT [ARGUMENT ...]
       python -m headrace.compat -m MODULE [ARGUMENT ...]

Runs a program as python does, with the names of promptflow that it imports served by headrace.
"""
_MAIN = "__main__"
_CANNOT_START = 2


def run_program(arguments: Sequence[str]) -> None:
    """Run the program that the arguments name, in this process and as its ``__main__``.

    Args:
        arguments: A script, or a folder or archive that holds ``__main__.py``, or ``-m`` and a module; then the
            program's own arguments.

    Raises:
        SystemExit: There is no such program, or no arguments; and whatever the program raises.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        (sys.stdout if arguments else sys.stderr).write(USAGE)
        raise SystemExit(0 if arguments else _CANNOT_START)
    sys.excepthook = _excepthook
    first, *rest = arguments
    if first != "-m":
        main, code = _script(first)
        sys.argv = [first, *rest]
    elif rest:
        sys.argv = list(arguments)  # what a package sees that is imported on the way to its module
        main, code = _module(rest[0])
        sys.argv = [str(main.__file__), *rest[1:]]
    else:
        _refuse("Argument expected for the -m option", _CANNOT_START)
    sys.modules[_MAIN] = main
    install()
    # Children inherit the one or the other, depending on how they are started.
    sys.path.insert(1, CHILD_PATH)
    prepend_child_path(CHILD_PATH)
    exec(code, main.__dict__)  # noqa: S102 - running the user's program is what this is for


def _script(given: str) -> tuple[ModuleType, CodeType]:
    path = Path(given).absolute()
    _set_first_place(path.resolve() if path.is_dir() else path.resolve().parent)
    if path.is_dir() or path.suffix in (".zip", ".pyz"):
        _set_first_place(path)
        spec = PathFinder.find_spec(_MAIN, [given])
        if spec is None:
            _refuse(f"can't find '{_MAIN}' module in {str(path)!r}", 1)
        return _made(spec)
    try:
        with io.open_code(str(path)) as file:
            text = file.read()
    except OSError as error:
        message = f"can't open file {str(path)!r}: [Errno {error.errno}] {error.strerror}"
        _refuse(message, _CANNOT_START)
    main = ModuleType(_MAIN)
    main.__file__ = str(path)
    main.__loader__ = SourceFileLoader(_MAIN, str(path))
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    return main, compile(text, str(path), "exec", dont_inherit=True)


def _module(name: str) -> tuple[ModuleType, CodeType]:
    _set_first_place(Path.cwd())
    try:
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = find_spec(f"{name}.{_MAIN}")
            if spec is None:
                message = f"{name!r} is a package and cannot be directly executed"
                _refuse(f"No module named {name}.{_MAIN}; {message}", 1)
    except ModuleNotFoundError as error:
        message = f"Error while finding module specification for {name!r} ({type(error).__name__}: {error})"
        _refuse(message, 1)
    if spec is None:
        _refuse(f"No module named {name}", 1)
    return _made(spec)


def _made(spec: ModuleSpec) -> tuple[ModuleType, CodeType]:
    """A ``__main__`` for a module that the import system found, and its code."""
    code = getattr(spec.loader, "get_code", lambda _: None)(spec.name)
    if code is None:
        _refuse(f"No code object available for {spec.name}", 1)
    main = ModuleType(_MAIN)
    main.__spec__ = spec
    main.__loader__ = spec.loader
    main.__package__ = spec.parent
    main.__file__ = spec.origin
    main.__dict__["__cached__"] = spec.cached
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    return main, code


def _set_first_place(folder: Path) -> None:
    """Where the program's own modules come from: in place of the working directory that ``-m`` has put there."""
    if not sys.flags.safe_path:
        sys.path[0] = str(folder)


def _refuse(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"{sys.executable}: {message}\n")
    raise SystemExit(code)


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show an exception that ended the program, without the frames that started it."""
    own = trace
    while own is not None and own.tb_frame.f_code.co_filename != __file__:
        own = own.tb_next
    while own is not None and own.tb_frame.f_code.co_filename == __file__:
        own = own.tb_next
    sys.__excepthook__(kind, error.with_traceback(own), own)
