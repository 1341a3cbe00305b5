"""Keep the versions that a run is made with: that of its flow with its files, and that of its data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headrace.domain.dataset import Dataset
from headrace.domain.flow import Flow
from headrace.domain.run import RunSpec
from headrace.domain.values import JsonValue
from headrace.domain.version import DATA, DataVersion, FlowVersion, Manifest
from headrace.errors import Problem
from headrace.operations.kept_data import keep_files
from headrace.operations.read_version import FlowSnapshot, read_snapshot
from headrace.operations.workspace import Workspace


def keep_flow_version(workspace: Workspace, flow: Flow, snapshot: FlowSnapshot) -> FlowVersion:
    """The version of a flow in the store, where it is kept unless it is there already; lost files are kept anew.

    Raises:
        StateError: The store failed.
    """
    store = workspace.store
    kept = store.find_flow_version(flow.name, snapshot.digest)
    if kept is not None and not store.missing_files(snapshot.contents):
        return kept
    return store.keep_flow_version(
        flow.name,
        digest=snapshot.digest,
        manifest=snapshot.manifest,
        contents=snapshot.contents,
        at=workspace.now(),
    )


def keep_data_version(
    workspace: Workspace, path: Path, dataset: Dataset, *, origin: Mapping[str, JsonValue] | None = None
) -> DataVersion:
    """The version of data in the store, where its files are kept with it as far as they are not too large.

    Args:
        workspace: For its store.
        path: Absolute path of the data.
        dataset: What was read there.
        origin: Where it comes from, where headrace itself has written it.

    Raises:
        StateError: The store failed.
    """
    name = data_name(workspace, path)
    kept = workspace.store.find_data_version(name, dataset.digest)
    return kept or workspace.store.keep_data_version(
        name,
        digest=dataset.digest,
        n_lines=len(dataset.lines),
        content=keep_files(workspace.store, path, dataset),
        at=workspace.now(),
        origin=origin,
    )


def data_name(workspace: Workspace, path: Path) -> str:
    """What data is called: its path from the workspace's folder where it lies there, else its absolute path."""
    folder = workspace.folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def find_flow_change(workspace: Workspace, spec: RunSpec, flow: Flow) -> str | None:
    """Whether a run can go on with its flow as it is now: ``None``, or what of it has changed, to end a sentence with.

    Files that the flow only names may differ, because it may write them itself; that is the warning S835.

    Raises:
        StateError: The store failed.
    """
    changed = find_named_change(workspace, spec.flow_name, spec.flow_digest, read_snapshot(flow))
    if changed is None:
        return None
    return f"the flow {spec.flow_path}" + (f" ({changed})" if changed else "")


def find_named_change(workspace: Workspace, name: str, digest: str, now: FlowSnapshot) -> str | None:
    """Which files of a version are not what they were: ``None`` for none that count, empty where it is not known.

    Args:
        workspace: For the store, and for the warning S835 of files that the flow only names.
        name: Name of the flow.
        digest: Id of the version that it was.
        now: The flow as it is now.

    Raises:
        StateError: The store failed.
    """
    if now.digest == digest:
        return None
    kept = workspace.store.find_flow_version(name, digest)
    if kept is None:
        return ""
    changed = differing_files(kept.manifest, now.manifest)
    own = [path for path, kind in changed.items() if kind != DATA]
    if own or not changed:
        return ", ".join(own) or "its entry"
    what = f"The flow {name!r} names files that are not what they were: {', '.join(changed)}."
    fix = "Make a new run if they decide about answers."
    workspace.warn([Problem(code="S835", what=what, fix=fix, severity="warning")])
    return None


def differing_files(before: Manifest, after: Manifest) -> Mapping[str, str]:
    """Paths of files that differ between two versions, or that one of them lacks, each with its kind."""
    old = {file.path: file for file in before.files}
    new = {file.path: file for file in after.files}
    found = {}
    for path in sorted({*old, *new}):
        one, other = old.get(path), new.get(path)
        if one is None or other is None or one.digest != other.digest:
            file = other or one
            found[path] = file.kind if file is not None else DATA
    return found
