"""Say what differs between two flows: paths, versions, or what runs ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headrace.domain.flow_diff import FlowDiff, FlowParts
from headrace.domain.version import Manifest
from headrace.errors import DefinitionError
from headrace.formats.flow_file import load_flow
from headrace.formats.front_matter import parse_prompty_text
from headrace.formats.paths import exists
from headrace.formats.positions import load_yaml
from headrace.operations.read_version import read_snapshot
from headrace.operations.versions import find_version, read_files
from headrace.operations.workspace import Workspace
from headrace.planning.flow_diff import diff_flows
from headrace.planning.flow_version import even_text, without_secrets


def diff_versions(workspace: Workspace, before: str, after: str) -> FlowDiff:
    """What differs between two flows.

    Args:
        workspace: For its store.
        before: A path, a version (``ask_docs@7``, ``@prod``) or the name of a run.
        after: Likewise.

    Raises:
        DefinitionError: A path is no flow.
        UsageError: S831 or S834 for a version, S801 for what is none of the three.
        StateError: S833 when files of a version are gone.
    """
    return diff_flows(_read_parts(workspace, before), _read_parts(workspace, after))


def _read_parts(workspace: Workspace, text: str) -> FlowParts:
    path = Path(text)
    if exists(path) or exists(path.parent / path.name.partition(":")[0]) or "/" in text:
        snapshot = read_snapshot(load_flow(path))
        kept = {
            file.path: snapshot.contents[file.content] for file in snapshot.manifest.files if file.content
        }
        return _parts(text, snapshot.digest, snapshot.manifest, kept)
    version = find_version(workspace, text)
    return _parts(version.name, version.digest, version.manifest, read_files(workspace, version))


def _parts(name: str, digest: str, manifest: Manifest, kept: dict[str, bytes]) -> FlowParts:
    files = {file.path: (file.kind, file.digest, _text(kept.get(file.path))) for file in manifest.files}
    data, body = _read_graph(manifest.file, files.get(manifest.file, ("", "", None))[2])
    if manifest.entry:
        data = {"entry": manifest.entry}
    return FlowParts(
        name=name, digest=digest, data=without_secrets(data), body=body, file=manifest.file, files=files
    )


def _read_graph(file: str, text: str | None) -> tuple[Any, str]:
    if text is None:
        return None, ""
    if file.endswith(".prompty"):
        parts = parse_prompty_text(text, file)
        return parts.data, parts.body
    try:
        return load_yaml(text, file)[0], ""
    except DefinitionError:  # a key that stands twice: it is told as a text
        return None, text


def _text(data: bytes | None) -> str | None:
    if data is None or b"\0" in data:
        return None
    try:
        return even_text(data).decode("utf-8")
    except UnicodeDecodeError:
        return None
