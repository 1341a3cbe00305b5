"""Write the file of a flex flow around a function or class that exists: ``flow save`` (promptflow-format: 6)."""

from __future__ import annotations

import dataclasses
import inspect
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_type_hints, is_typeddict

from headrace import compat
from headrace.domain.flow import NO_DEFAULT
from headrace.domain.values import ANY
from headrace.errors import Problem, UsageError
from headrace.formats.flex import entry_flow, is_entry
from headrace.formats.positions import dump_yaml, read_text
from headrace.operations.new_files import cannot_write, write_files
from headrace.tools.flex import read_entry
from headrace.tools.flex_signature import EntryParameter
from headrace.tools.project import project_in_use

FILE_NAME = "flow.flex.yaml"
_TYPES = {str: "string", int: "int", float: "double", bool: "bool", list: "list", dict: "object"}
_NOT_COPIED = shutil.ignore_patterns(".headrace", ".promptflow", ".git", ".venv", "__pycache__")


def save_flow(entry: str, code: Path, path: Path | None = None, *, file: str | None = None) -> Path:
    """Write ``flow.flex.yaml`` for an entry, with the inputs, outputs and constructor arguments that its code has.

    Args:
        entry: ``module:name``; its module is imported.
        code: Folder that the module is imported from; or the Python file itself, of which ``entry`` may name the
            function or class alone.
        path: Folder for the flow, new or empty, which gets a copy of the code; default: beside the code.
        file: The only file of ``code`` to copy; default: all of them.

    Returns:
        The file that was written.

    Raises:
        DefinitionError: F001 for code that does not exist, T211 and T213 for an entry that cannot be one.
        UsageError: C507 for an entry that cannot be read, S806 when ``path`` holds something.
        StateError: S808 when it cannot be written.
    """
    if code.suffix == ".py":
        read_text(code)  # F001 where it is not there
        entry = entry if ":" in entry else f"{code.stem}:{entry}"
        code, file = code.parent, file or code.name
    if not is_entry(entry):
        fix = "Write it as module:function or module:Class."
        raise UsageError(Problem(code="C507", what=f"{entry!r} is no entry of a flow.", fix=fix))
    if path is not None and path.exists() and (path.is_file() or any(path.iterdir())):
        fix = "Name a folder that is empty or does not exist."
        raise UsageError(Problem(code="S806", what=f"{path} holds something already.", fix=fix))
    text = dump_yaml(_describe(entry, code))
    if path is None:
        return write_files({code / FILE_NAME: text}, is_replacing=True)[0]
    _copy(code, path, file)
    return write_files({path / FILE_NAME: text}, is_replacing=True)[0]


def save_function(function: Callable[..., Any], path: Path | None = None) -> Path:
    """The same for a function or class that code has at hand; only its own file is copied.

    Raises:
        UsageError: C507 when it stands in no file of its own, and as :func:`save_flow`.
    """
    target: Any = inspect.unwrap(function)
    try:
        source = Path(inspect.getfile(target))
    except TypeError:
        source = Path()
    if source.suffix != ".py" or "." in getattr(target, "__qualname__", "."):
        what = "Only a function or class at the top of a Python file can become a flow."
        raise UsageError(Problem(code="C507", what=what, fix="Define it in a file, and pass it by its name."))
    return save_flow(f"{source.stem}:{target.__name__}", source.parent, path, file=source.name)


def _copy(code: Path, path: Path, file: str | None) -> None:
    try:
        if file is not None:
            path.mkdir(parents=True, exist_ok=True)
            shutil.copy2(code / file, path / file)
        else:
            inside = code.resolve()
            skips = {path.resolve()}

            def ignore(folder: str, names: list[str]) -> set[str]:
                own = {name for name in names if (Path(folder) / name).resolve() in skips}
                return own | set(_NOT_COPIED(folder, names))

            shutil.copytree(inside, path, ignore=ignore, dirs_exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def _describe(entry: str, code: Path) -> dict[str, Any]:
    """The content of the file."""
    compat.install()
    flow = entry_flow(entry, code)
    with project_in_use(code.resolve()):
        found, signature = read_entry(flow, code.resolve())
    sections = {
        "inputs": {name: _parameter(item) for name, item in signature.inputs.items()},
        "outputs": {name: {"type": kind} for name, kind in _outputs(found, signature.outputs).items()},
        "init": {name: _parameter(item) for name, item in signature.init.items()},
    }
    return {**{name: section for name, section in sections.items() if section}, "entry": entry}


def _parameter(item: EntryParameter) -> dict[str, Any]:
    # A default that is None says nothing of a type; the file knows no word for that.
    word = item.object_class.__name__ if item.object_class else item.type_name
    described: dict[str, Any] = {"type": "object" if word == ANY else word}
    if isinstance(item.default, (bool, int, float, str, list, dict)) and item.default is not NO_DEFAULT:
        described["default"] = item.default
    return described


def _outputs(entry: Any, names: tuple[str, ...] | None) -> Mapping[str, str]:
    """The fields of what the entry returns, with the types that can be told."""
    function = entry.__call__ if isinstance(entry, type) else entry
    returned = get_type_hints(function).get("return") if names else None
    has_fields = dataclasses.is_dataclass(returned) or is_typeddict(returned)
    hints = get_type_hints(returned) if has_fields and isinstance(returned, type) else {}
    return {name: _TYPES.get(hints.get(name, object), "object") for name in names or () if has_fields}
