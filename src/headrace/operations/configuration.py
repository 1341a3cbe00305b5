"""Prompt flow's settings, read and changed in the files where ``pf`` keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.config import Settings, promptflow_folder
from headrace.errors import Problem, UsageError, nearest
from headrace.formats.pf_config import (
    FILE_NAME,
    FLOW_FOLDER_MACRO,
    KEYS,
    RUN_OUTPUT_PATH,
    find_value,
    read_config,
    read_settings,
    render_config,
    why_without_effect,
)
from headrace.operations.new_files import write_files


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedSettings:
    """What was changed: in which file, and which settings headrace does not act on."""

    file: Path
    notes: tuple[str, ...]


def runs_folder(settings: Settings, cwd: Path, given: Mapping[str, Any] | None = None) -> str | None:
    """Where every run is also written to, as :attr:`RunRequest.runs_folder` takes it; ``None`` for nowhere.

    Settings that code has ``given``, by keys with dots, win over those of the files.
    """
    text = (given or {}).get(RUN_OUTPUT_PATH) or find_value(read_settings(settings, cwd), RUN_OUTPUT_PATH)
    if not text or text.startswith(FLOW_FOLDER_MACRO):
        return text or None
    return str(Path(text).expanduser().absolute())


def change_settings(settings: Settings, changes: Mapping[str, str], folder: Path | None) -> ChangedSettings:
    """Write settings.

    Args:
        settings: For the home folder.
        changes: Keys with dots to texts.
        folder: The folder whose ``pf.yaml`` is written; default: the person's own.

    Raises:
        UsageError: C506 for a value that cannot be meant.
        DefinitionError: The file that is there cannot be read.
        StateError: S808 when it cannot be written.
    """
    if changes.get(RUN_OUTPUT_PATH) == FLOW_FOLDER_MACRO:
        what = f"{RUN_OUTPUT_PATH} cannot be the folder of the flow itself."
        fix = f"Name a folder in it: {RUN_OUTPUT_PATH}={FLOW_FOLDER_MACRO}/.runs"
        raise UsageError(Problem(code="C506", what=what, fix=fix))
    file = (folder or promptflow_folder(settings)) / FILE_NAME
    write_files({file: render_config(read_config(file), changes)}, is_replacing=True)
    return ChangedSettings(file=file, notes=tuple(_notes(changes)))


def _notes(changes: Mapping[str, str]) -> Iterator[str]:
    for key, value in changes.items():
        why = why_without_effect(key, value)
        if why is not None:
            near = nearest(key, list(KEYS)) if key not in KEYS else None
            hint = f" Did you mean {near}?" if near else ""
            yield f"{key} is kept and has no effect here: {why}.{hint}"
