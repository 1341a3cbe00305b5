"""The data that a recorded run was made with, as long as it is still what it was."""

from __future__ import annotations

from pathlib import Path

from headrace.domain.dataset import Dataset
from headrace.domain.run import RunSpec
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.lines import read_dataset


def unchanged_dataset(spec: RunSpec) -> Dataset | None:
    """The run's data; ``None`` when it had none, or when the file is gone or holds something else by now."""
    if spec.data_path is None:
        return None
    try:
        dataset = read_dataset(Path(spec.data_path))
    except DefinitionError:  # gone, or changed since into something that cannot be read
        return None
    return dataset if dataset.digest == spec.data_digest else None


def known_dataset(spec: RunSpec) -> Dataset:
    """The run's data, for columns that a comparison reads.

    Raises:
        UsageError: D403 when it is gone or holds something else by now.
    """
    dataset = unchanged_dataset(spec)
    if dataset is None:
        raise UsageError(
            Problem(
                code="D403",
                what=f"The data of run {spec.name!r} has changed or is gone, so its columns cannot be read.",
                fix="Put the data back as it was, or leave cluster, slices and labels away.",
            )
        )
    return dataset
