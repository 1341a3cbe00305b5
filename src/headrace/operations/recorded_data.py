"""The data that a recorded run was made with: the file while it is what it was, else what the store kept of it."""

from __future__ import annotations

from pathlib import Path

from headrace.domain.dataset import Dataset
from headrace.domain.run import RunSpec
from headrace.errors import Problem, UsageError
from headrace.operations.data_versions import lost_data
from headrace.operations.kept_data import place_data, read_unchanged
from headrace.operations.workspace import Workspace


def unchanged_dataset(spec: RunSpec) -> Dataset | None:
    """The run's data; ``None`` when it had none, or when the file is gone or holds something else by now."""
    return read_unchanged(Path(spec.data_path), spec.data_digest) if spec.data_path is not None else None


def known_dataset(workspace: Workspace, spec: RunSpec, use: str, otherwise: str = "") -> Dataset:
    """The run's data, for columns that a comparison reads; where its file is not what it was, as the store kept it.

    Args:
        workspace: For the store.
        spec: Of the run.
        use: What cannot be read without it, to end a sentence with.
        otherwise: What helps besides, to end a sentence with.

    Raises:
        UsageError: D403 when it is gone or holds something else by now, and is not kept.
        StateError: S833 when what is kept is gone or damaged.
    """
    dataset = unchanged_dataset(spec) or _kept_dataset(workspace, spec)
    if dataset is None:
        what = (
            f"The data of run {spec.name!r} has changed or is gone, so {use} cannot be read; no copy is kept."
        )
        fix = f"Put {spec.data_path or 'it'} back as it was{otherwise}."
        raise UsageError(Problem(code="D403", what=what, fix=fix))
    return dataset


def _kept_dataset(workspace: Workspace, spec: RunSpec) -> Dataset | None:
    """The run's data as the store kept it; places of lines are those of the file that was.

    Versions are found by digest alone: the folder of the workspace may lie elsewhere by now.
    """
    versions = workspace.store.list_data_versions() if spec.data_digest else ()
    version = next((item for item in versions if item.digest == spec.data_digest and item.content), None)
    if version is None:
        return None
    path = Path(version.data)
    dataset = place_data(workspace, version.content or "", path, version.digest, spec.data_path)
    if dataset is None:
        raise lost_data(version)
    return dataset
