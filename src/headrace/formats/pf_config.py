"""``pf.yaml``, prompt flow's settings of a person and of a project (promptflow-format: 9.11)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.config import Settings, promptflow_folder
from headrace.errors import DefinitionError, Problem
from headrace.formats.positions import dump_yaml, load_yaml, read_text
from headrace.source import file_span

FILE_NAME = "pf.yaml"
FLOW_FOLDER_MACRO = "${flow_directory}"
RUN_OUTPUT_PATH, TRACE_DESTINATION, CONNECTION_PROVIDER = (
    "run.output_path",
    "trace.destination",
    "connection.provider",
)
KEYS: Mapping[str, str | None] = {
    RUN_OUTPUT_PATH: None,
    TRACE_DESTINATION: None,
    CONNECTION_PROVIDER: None,
    "telemetry.enabled": "headrace sends no telemetry at all",
    "service.host": "headrace runs no service of its own",
    "user_agent": "headrace does not change the user agent",
    "enable_internal_features": "nothing of headrace is hidden",
    "cli.installation_id": "headrace counts no installations",
}
"""The keys that prompt flow knows, each with the reason why it has no effect here; ``None`` where it has one."""

_LOCAL = {TRACE_DESTINATION: ("none", "local")}


def read_config(path: Path) -> dict[str, Any]:
    """The settings of a file, nested as they stand there; none where it does not exist.

    Raises:
        DefinitionError: F002, F003 or F011 for what cannot be read, F005 for what is no mapping.
    """
    if not path.is_file():
        return {}
    data, _ = load_yaml(read_text(path), str(path))
    if data is None or isinstance(data, dict):
        return {str(key): value for key, value in (data or {}).items()}
    what = "The file holds no mapping of settings."
    raise DefinitionError(
        Problem(
            code="F005", what=what, span=file_span(str(path)), fix="Write key: value, or delete the file."
        )
    )


def read_settings(settings: Settings, cwd: Path) -> dict[str, Any]:
    """The settings that count in a folder: of the nearest ``pf.yaml`` at or above it, and the person's own, which win.

    Raises:
        DefinitionError: A file cannot be read.
    """
    nearby = next((path for path in _above(cwd) if path.is_file()), None)
    own = promptflow_folder(settings) / FILE_NAME
    return merge(read_config(nearby) if nearby and nearby != own else {}, read_config(own))


def _above(cwd: Path) -> Iterator[Path]:
    yield from (folder / FILE_NAME for folder in (cwd, *cwd.parents))


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of two files; those of ``above`` win, mapping by mapping."""
    merged = dict(below)
    for key, value in above.items():
        before = merged.get(key)
        is_nested = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(before, value) if is_nested else value  # type: ignore[arg-type]
    return merged


def find_value(data: Mapping[str, Any], key: str) -> str | None:
    """The text of a setting such as ``run.output_path``; ``None`` where it is not set."""
    value: Any = data
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return None if value is None or isinstance(value, (Mapping, list)) else str(value)


def render_config(data: Mapping[str, Any], changes: Mapping[str, str]) -> str:
    """The text of the file after some settings were changed; a dot in a key opens a mapping."""
    nested: dict[str, Any] = {}
    for key, text in changes.items():
        *parents, last = key.split(".")
        here = nested
        for part in parents:
            here = here.setdefault(part, {})
        here[last] = text
    return dump_yaml(merge(data, nested))


def why_without_effect(key: str, value: str) -> str | None:
    """Why headrace does not act on a setting; ``None`` where it does.

    Args:
        key: With dots.
        value: What it is set to.
    """
    if key in _LOCAL and value not in _LOCAL[key]:
        return "headrace keeps everything on this machine"
    return KEYS.get(key, "neither prompt flow nor headrace knows it")


def expand_run_folder(setting: str, flow: Path, run: str) -> Path:
    """The folder of a run where the setting ``run.output_path`` says where runs belong.

    Args:
        setting: A folder; :data:`FLOW_FOLDER_MACRO` in it is the flow's folder.
        flow: Flow folder or file.
        run: Name of the run.
    """
    folder = flow if flow.is_dir() else flow.parent
    return Path(setting.replace(FLOW_FOLDER_MACRO, str(folder.resolve()))).expanduser() / run
