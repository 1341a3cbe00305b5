"""Where the connections of a project are kept: prompt flow's setting ``connection.provider`` (promptflow-format: 8.4).

``local`` means here; ``azureml`` the workspace that the nearest ``.azureml/config.json`` or ``config.json`` names;
``azureml://subscriptions/…/workspaces/NAME`` that workspace. In a flow, a connection may be named by its whole address.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from headrace.domain.azure_workspace import AzureWorkspace
from headrace.errors import DefinitionError, Problem
from headrace.formats.positions import read_text
from headrace.source import file_span

LOCAL, NEAREST_WORKSPACE = "local", "azureml"
CONFIG_FILES = (Path(".azureml") / "config.json", Path("config.json"))

_WORKSPACE = (
    r"(?:azureml:/?)?/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"(?:/providers/Microsoft\.MachineLearningServices)?/workspaces/(?P<name>[^/]+)"
)
_PROVIDER = re.compile(_WORKSPACE + "/?", re.IGNORECASE)
_CONNECTION = re.compile(_WORKSPACE + r"/connections/(?P<connection>[^/]+)/?", re.IGNORECASE)
_KEYS = ("subscription_id", "resource_group", "workspace_name")
_FORM = (
    "Write local, azureml, or azureml://subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/"
    "Microsoft.MachineLearningServices/workspaces/WORKSPACE."
)


def read_provider(setting: str, folder: Path) -> AzureWorkspace | None:
    """The workspace that a setting names; ``None`` for ``local``.

    Args:
        setting: As it is written.
        folder: Where the search for ``config.json`` begins; it goes up from there.

    Raises:
        DefinitionError: C514 for a setting that names nothing, and for a ``config.json`` that is missing or wrong.
    """
    word = setting.strip()
    if word.lower() in ("", LOCAL):
        return None
    if word.lower() == NEAREST_WORKSPACE:
        return _read_nearest(folder)
    match = _PROVIDER.fullmatch(word)
    if match is None:
        what = "The setting connection.provider names no place where connections can be kept."
        raise DefinitionError(Problem(code="C514", what=what, fix=_FORM))
    return _workspace(match)


def read_connection_address(text: str) -> tuple[AzureWorkspace, str] | None:
    """Workspace and name of a connection that is named by its address; ``None`` for a plain name."""
    match = _CONNECTION.fullmatch(text.strip())
    return (_workspace(match), match["connection"]) if match else None


def _workspace(match: re.Match[str]) -> AzureWorkspace:
    return AzureWorkspace(
        subscription=match["subscription"], resource_group=match["group"], name=match["name"]
    )


def _read_nearest(folder: Path) -> AzureWorkspace:
    for above in (folder, *folder.parents):
        for name in CONFIG_FILES:
            path = above / name
            if path.is_file():
                return _read_config(path)
    what = f"The setting connection.provider is azureml, and no config.json is in {folder} or above it."
    fix = f"Download config.json from the workspace's page into .azureml, or name the workspace. {_FORM}"
    raise DefinitionError(Problem(code="C514", what=what, fix=fix))


def _read_config(path: Path) -> AzureWorkspace:
    try:
        data = json.loads(read_text(path))
        values = [data[key] for key in _KEYS]
    except (ValueError, KeyError, TypeError):
        values = []
    if not values or not all(isinstance(value, str) and value for value in values):
        what = f"The file {path} does not name a workspace."
        fix = f"Give it the texts {', '.join(_KEYS)}; the workspace's page has it for download."
        raise DefinitionError(Problem(code="C514", what=what, fix=fix, span=file_span(str(path))))
    return AzureWorkspace(subscription=values[0], resource_group=values[1], name=values[2])
