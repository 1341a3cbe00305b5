"""A comparison in MLflow: a run with the report, and one below it for each arm. Needs the extra ``mlflow``.

Where MLflow keeps it is for its own variables to say, such as ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME``.
Reached by name. May catch everything: what MLflow raises has no family of its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headrace.errors import Problem, RemoteError
from headrace.operations.track_comparison import TrackedArm, TrackedComparison
from headrace.providers.loading import load_optional

_EXTRA = "mlflow"
_PARENT = "mlflow.parentRunId"
_NOTE = "mlflow.note.content"


def write(comparison: TrackedComparison) -> str:
    """Write a comparison; says where it went.

    Raises:
        UsageError: C505 when MLflow is not installed.
        RemoteError: P710 when MLflow does not take it.
    """
    client = load_optional("mlflow:MlflowClient", extra=_EXTRA)
    entities = {
        name: load_optional(f"mlflow.entities:{name}", extra=_EXTRA) for name in ("Metric", "Param", "RunTag")
    }
    try:
        return _Writer(client(), entities).write(comparison)
    except Exception as error:  # whatever it raises, the comparison itself is done
        raise RemoteError(_refused(error)) from error


class _Writer:
    def __init__(self, client: Any, entities: Mapping[str, Any]) -> None:
        self._client = client
        self._entities = entities

    def write(self, comparison: TrackedComparison) -> str:
        experiment = self._experiment(comparison.title)
        parent = self._run(
            experiment,
            comparison.group,
            params=comparison.params,
            tags={"headrace.ship": comparison.words["ship"], _NOTE: comparison.words["reason"]},
        )
        with TemporaryDirectory(prefix="headrace-mlflow-") as folder:
            for name, text in comparison.files.items():
                (Path(folder) / name).write_text(text, encoding="utf-8", errors="backslashreplace")
            self._client.log_artifacts(parent, folder)
        for arm in comparison.arms:
            self._arm(experiment, parent, arm)
        self._client.set_terminated(parent)
        return f"MLflow experiment {comparison.title!r}, run {parent}"

    def _experiment(self, title: str) -> str:
        wanted = load_optional("mlflow.environment_variables:MLFLOW_EXPERIMENT_NAME", extra=_EXTRA).get()
        found = self._client.get_experiment_by_name(wanted or title)
        return str(found.experiment_id if found else self._client.create_experiment(wanted or title))

    def _arm(self, experiment: str, parent: str, arm: TrackedArm) -> None:
        verdicts = {f"headrace.verdict.{name}": word for name, word in arm.words.items()}
        run = self._run(experiment, arm.name, params=arm.params, tags={_PARENT: parent, **verdicts})
        now = int(time.time() * 1000)
        metric = self._entities["Metric"]
        numbers = [metric(name, value, now, 0) for name, value in arm.metrics.items()]
        self._client.log_batch(run, metrics=numbers)
        self._client.set_terminated(run)

    def _run(self, experiment: str, name: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        run = str(self._client.create_run(experiment, run_name=name).info.run_id)
        param, tag = self._entities["Param"], self._entities["RunTag"]
        self._client.log_batch(
            run,
            params=[param(key, str(value)) for key, value in params.items()],
            tags=[tag(key, value) for key, value in tags.items()],
        )
        return run


def _refused(error: Exception) -> Problem:
    return Problem(
        code="P710",
        what=f"MLflow did not take the comparison: {type(error).__name__}.",
        fix="Check MLFLOW_TRACKING_URI. The comparison itself is done: headrace compare --again ID --to mlflow.",
        detail=tuple(str(error).splitlines()[:5]),
    )
