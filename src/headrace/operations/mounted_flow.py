"""Finds a packed flow that a platform has mounted beside where it was said to be."""

from __future__ import annotations

from pathlib import Path

from headrace.formats.flow_identity import IDENTITY

_MOST_FOLDERS = 3


def find_mounted(source: Path) -> Path:
    """Where a packed flow really lies.

    What is mounted into a container of Azure Machine Learning lies below folders with the name and the version of the
    asset, and mostly one with the name of the folder that was uploaded; Microsoft's page on custom containers
    contradicts itself there. So where nothing is at the place that was said, the one packed flow nearby is meant.

    Args:
        source: Where it was said to be.

    Returns:
        The folder of the one packed flow in, or up to three folders above, the nearest folder that is there; ``source``
        where it exists, or nothing else can be meant.
    """
    if source.exists():
        return source
    near = next((folder for folder in source.parents[:_MOST_FOLDERS] if folder.is_dir()), None)
    if near is None:
        return source
    found = [file.parent for depth in range(_MOST_FOLDERS + 1) for file in near.glob("*/" * depth + IDENTITY)]
    return found[0] if len(found) == 1 else source
