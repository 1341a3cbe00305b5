"""Write the file of a flex flow around a function or class that exists: ``flow save`` (promptflow-format: 6)."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from headrace import compat
from headrace.domain.flow import NO_DEFAULT
from headrace.domain.values import ANY
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.flex import entry_flow, is_entry
from headrace.formats.paths import is_folder
from headrace.formats.positions import dump_yaml, read_text
from headrace.operations.new_files import cannot_write, write_files
from headrace.tools.flex import load_signature
from headrace.tools.flex_signature import RESULT, EntryParameter
from headrace.tools.given_entry import giving_entry
from headrace.tools.project import loading_turn, project_in_use, working_folder

FILE_NAME = "flow.flex.yaml"
_SIGNATURE = ("inputs", "outputs", "init")
_TEXT_RESULT = {RESULT: "string"}
_NOT_COPIED = shutil.ignore_patterns(".headrace", ".promptflow", ".git", ".venv", "__pycache__")


def save_flow(
    entry: str,
    code: Path,
    path: Path | None = None,
    *,
    file: str | None = None,
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write ``flow.flex.yaml`` for an entry, with the inputs, outputs and constructor arguments that its code has.

    Args:
        entry: ``module:name``; its module is imported.
        code: Folder that the module is imported from; or the Python file itself, of which ``entry`` may name the
            function or class alone.
        path: Folder for the flow, new or empty, which gets a copy of the code; default: beside the code.
        file: The only file of ``code`` to copy; default: all of them.
        more: Further sections of the file, and more about the parameters and outputs in ``inputs``, ``outputs`` and
            ``init``, such as descriptions.

    Returns:
        The file that was written.

    Raises:
        DefinitionError: F001 for code that does not exist, T211 and T213 for an entry that cannot be one, T212 for
            ``more`` about what it does not have.
        UsageError: C507 for an entry that cannot be read, S806 when ``path`` holds something.
        StateError: S808 when it cannot be written.
    """
    if code.suffix == ".py":
        read_text(code)  # F001 where it is not there
        entry = entry if ":" in entry else f"{code.stem}:{entry}"
        code, file = code.parent, file or code.name
    elif not is_folder(code):
        fix = "Name the folder that the module is imported from."
        raise DefinitionError(Problem(code="F001", what=f"There is no folder {code}.", fix=fix))
    if not is_entry(entry):
        fix = "Write it as module:function or module:Class."
        raise UsageError(Problem(code="C507", what=f"{entry!r} is no entry of a flow.", fix=fix))
    if path is not None and path.exists() and (path.is_file() or any(path.iterdir())):
        fix = "Name a folder that is empty or does not exist."
        raise UsageError(Problem(code="S806", what=f"{path} holds something already.", fix=fix))
    text = dump_yaml({**_merged(describe_entry(entry, code), more or {}), "entry": entry})
    if path is None:
        return write_files({code / FILE_NAME: text}, is_replacing=True)[0]
    _copy(code, path, file)
    return write_files({path / FILE_NAME: text}, is_replacing=True)[0]


def save_function(
    function: Callable[..., Any],
    path: Path | None = None,
    *,
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """The same for a function or class that code has at hand, with the folder of its file.

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
    entry = f"{source.stem}:{target.__name__}"
    with giving_entry(entry, function):
        return save_flow(entry, source.parent, path, more=more)


def describe_entry(entry: str, code: Path) -> dict[str, dict[str, Any]]:
    """The sections ``inputs``, ``outputs`` and ``init`` of a flow file; those that are empty are left out.

    Args:
        entry: ``module:name``.
        code: Folder that its module is imported from.

    Raises:
        DefinitionError: T211 and T213 for an entry that cannot be one.
    """
    compat.install()
    folder = code.resolve()
    with loading_turn(), working_folder(folder, is_brief=True), project_in_use(folder):
        signature = load_signature(entry_flow(entry, folder), folder)
    outputs = signature.outputs or {}
    sections = {
        "inputs": {name: _parameter(item) for name, item in signature.inputs.items()},
        "outputs": {name: {"type": word} for name, word in outputs.items() if outputs != _TEXT_RESULT},
        "init": {name: _parameter(item) for name, item in signature.init.items()},
    }
    return {name: section for name, section in sections.items() if section}


def _merged(described: Mapping[str, Any], more: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    merged = dict(described)
    for name, section in more.items():
        own = described.get(name, {})
        if name not in _SIGNATURE:
            merged[name] = dict(section)
        elif section and set(section) != set(own):
            names, has = ", ".join(sorted(section)), ", ".join(sorted(own)) or "none"
            what = f"The signature of {name} names {names}, but the entry has {has}."
            raise DefinitionError(Problem(code="T212", what=what, fix="Name exactly what the entry has."))
        else:
            merged[name] = {key: {**value, **section.get(key, {})} for key, value in own.items()}
    return {name: section for name, section in merged.items() if section}


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


def _parameter(item: EntryParameter) -> dict[str, Any]:
    # A default that is None says nothing of a type; the file knows no word for that.
    word = item.object_class.__name__ if item.object_class else item.type_name
    described: dict[str, Any] = {"type": "object" if word == ANY else word}
    if isinstance(item.default, (bool, int, float, str, list, dict)) and item.default is not NO_DEFAULT:
        described["default"] = item.default
    return described
