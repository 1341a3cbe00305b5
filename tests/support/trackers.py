"""Experiment trackers as far as tests read them: the real packages where they are installed, else what records calls.

The recording modules have the calls that ``track_mlflow`` and ``track_wandb`` make, with the names and the forms of the
real ones, and refuse what those refuse.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

MLFLOW_NAME = re.compile(r"[\w\-./ :]{1,250}")


def is_installed(package: str) -> bool:
    return find_spec(package) is not None


def module(name: str, **members: Any) -> ModuleType:
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, loader=None)
    vars(made).update(members)
    return made


class FakeMlflow:
    """Runs by id, as the real client takes them."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def entity(*fields: str) -> Any:
            return lambda *values: SimpleNamespace(**dict(zip(fields, values, strict=True)))

        entities = module(
            "mlflow.entities",
            Metric=entity("key", "value", "timestamp", "step"),
            Param=entity("key", "value"),
            RunTag=entity("key", "value"),
        )
        variables = module(
            "mlflow.environment_variables", MLFLOW_EXPERIMENT_NAME=SimpleNamespace(get=lambda: None)
        )
        for name, made in (
            ("mlflow", module("mlflow", MlflowClient=lambda: self)),
            ("mlflow.entities", entities),
            ("mlflow.environment_variables", variables),
        ):
            monkeypatch.setitem(sys.modules, name, made)

    def get_experiment_by_name(self, name: str) -> Any:
        found = self.experiments.get(name)
        return None if found is None else SimpleNamespace(experiment_id=found)

    def create_experiment(self, name: str) -> str:
        assert name not in self.experiments
        self.experiments[name] = str(len(self.experiments) + 1)
        return self.experiments[name]

    def create_run(self, experiment_id: str, *, run_name: str) -> Any:
        assert experiment_id in self.experiments.values()
        run = f"run{len(self.runs)}"
        self.runs[run] = {
            "name": run_name,
            "params": {},
            "metrics": {},
            "tags": {},
            "files": [],
            "status": "RUNNING",
        }
        return SimpleNamespace(info=SimpleNamespace(run_id=run))

    def log_batch(self, run_id: str, *, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        kinds = {"metrics": metrics, "params": params, "tags": tags}
        for kind, items in kinds.items():
            for item in items:
                assert MLFLOW_NAME.fullmatch(item.key)
                assert isinstance(item.value, float if kind == "metrics" else str)
                self.runs[run_id][kind][item.key] = item.value

    def log_artifacts(self, run_id: str, local_dir: str) -> None:
        self.runs[run_id]["files"] = sorted(path.name for path in Path(local_dir).iterdir())

    def set_terminated(self, run_id: str) -> None:
        self.runs[run_id]["status"] = "FINISHED"


def mlflow_runs(fake: FakeMlflow | None) -> dict[str, dict[str, Any]]:
    """Every run by its name: params, metrics, tags, files, status; ``id`` is its own."""
    if fake is not None:
        return {run["name"]: {**run, "id": key} for key, run in fake.runs.items()}
    from mlflow import MlflowClient  # type: ignore[import-not-found]  # noqa: PLC0415 - only where it is installed

    client = MlflowClient()
    return {
        run.info.run_name: {
            "id": run.info.run_id,
            "params": run.data.params,
            "metrics": run.data.metrics,
            "tags": run.data.tags,
            "files": sorted(item.path for item in client.list_artifacts(run.info.run_id)),
            "status": run.info.status,
        }
        for experiment in client.search_experiments()
        for run in client.search_runs([experiment.experiment_id])
    }


class FakeWandb:
    """Runs in order, as the real ``init`` makes them."""

    def __init__(self) -> None:
        self.runs: list[SimpleNamespace] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = module("wandb", init=self.init, Artifact=FakeArtifact, Table=FakeTable, Settings=FakeSettings)
        monkeypatch.setitem(sys.modules, "wandb", made)

    @contextmanager
    def init(self, *, settings: Any, reinit: str, **arguments: Any) -> Iterator[SimpleNamespace]:
        assert settings.silent
        assert reinit == "finish_previous"
        run = SimpleNamespace(**arguments, summary={}, logged={}, artifacts=[], is_finished=False)
        run.log = run.logged.update
        run.log_artifact = run.artifacts.append
        self.runs.append(run)
        yield run
        run.is_finished = True


class FakeSettings:
    def __init__(self, *, silent: bool = False, console: str = "auto") -> None:
        self.silent, self.console = silent, console
        self.project = None


class FakeTable:
    def __init__(self, *, columns: list[str], data: list[list[Any]]) -> None:
        assert all(len(row) == len(columns) for row in data)
        self.columns, self.data = columns, data


class FakeArtifact:
    def __init__(self, name: str, *, type: str) -> None:  # noqa: A002 - as the real one is called
        assert re.fullmatch(r"[\w\-.]{1,128}", name)
        self.name, self.type = name, type
        self.files: dict[str, str] = {}

    @contextmanager
    def new_file(self, name: str, *, mode: str, encoding: str) -> Iterator[io.StringIO]:
        assert (mode, encoding) == ("w", "utf-8")
        text = io.StringIO()
        yield text
        self.files[name] = text.getvalue()
