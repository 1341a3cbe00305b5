"""How often an asset is uploaded that is in the way of itself, or of others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from tests.support.managed_target import a_deployment

from headrace.deploy.base import Package
from headrace.deploy.managed_assets import AssetMaker
from headrace.deploy.managed_waiting import MOST_CONFLICTS, Waiting


class Occupied:
    """Takes no asset, because a file of it is there."""

    def __init__(self) -> None:
        self.folders: list[str] = []

    def get(self, name: str, version: str) -> Any:
        raise ResourceNotFoundError(f"{name}:{version}")

    def create_or_update(self, made: Any) -> Any:
        self.folders.append(Path(made.path).name)
        raise ResourceExistsError("The specified blob already exists.")


def test_an_upload_that_something_is_always_in_the_way_of_ends_soon(tmp_path: Path) -> None:
    folder, slept, models = tmp_path / "flow", list[float](), Occupied()
    folder.mkdir()
    folder.joinpath("flow.dag.yaml").write_text("inputs: {}\n", "utf-8")
    package = Package(folder=folder, digest="d" * 64)
    setup: Any = SimpleNamespace(pack=lambda *_: package, tell=lambda _: None)
    client, waiting = SimpleNamespace(models=models), Waiting(lambda _: None, sleep=slept.append)

    with pytest.raises(ResourceExistsError):
        AssetMaker(client, "triage", setup, waiting).make(a_deployment("blue"), None)

    assert len(models.folders) == len(set(models.folders)) == MOST_CONFLICTS
    assert slept == [0.5, 1.0, 2.0, 4.0, 8.0]
