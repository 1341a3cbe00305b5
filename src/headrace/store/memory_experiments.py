"""Experiments that last as long as the process."""

from __future__ import annotations

from datetime import datetime
from threading import Lock
from typing import Any

from headrace.domain.recorded_experiment import RecordedExperiment
from headrace.domain.run import RUNNING
from headrace.store.experiment_records import experiment_from_row, experiment_row, taken_experiment
from headrace.store.records import encode_time


class MemoryExperiments:
    """The methods of :class:`~headrace.store.base.RunStore` that keep experiments."""

    def __init__(self) -> None:
        super().__init__()
        self._experiments_lock = Lock()
        self._experiments: dict[str, dict[str, Any]] = {}

    def create_experiment(self, experiment: RecordedExperiment) -> None:
        """Record an experiment; see the protocol."""
        with self._experiments_lock:
            if experiment.id in self._experiments:
                raise taken_experiment(experiment.id)
            self._experiments[experiment.id] = experiment_row(experiment)

    def claim_experiment(
        self, experiment: RecordedExperiment, *, owner: str, at: datetime, seen: datetime | None
    ) -> bool:
        """Work on an experiment again; see the protocol."""
        with self._experiments_lock:
            row = self._experiments.get(experiment.id)
            if row is None or row["heartbeat_at"] != (None if seen is None else encode_time(seen)):
                return False
            record = experiment_row(experiment)["record"]
            changed = {
                "status": RUNNING,
                "owner": owner,
                "heartbeat_at": encode_time(at),
                "finished_at": None,
            }
            self._experiments[experiment.id] = {**row, **changed, "record": record}
            return True

    def beat_experiment(self, experiment: str, *, owner: str, at: datetime) -> bool:
        """Say that it is worked on; see the protocol."""
        return self._change(experiment, owner, {"heartbeat_at": encode_time(at)})

    def finish_experiment(
        self, experiment: str, *, owner: str, status: str, finished_at: datetime, verdict: str | None = None
    ) -> bool:
        """Close an experiment; see the protocol."""
        changes = {"status": status, "finished_at": encode_time(finished_at), "verdict": verdict}
        return self._change(experiment, owner, changes)

    def read_experiment(self, experiment: str) -> RecordedExperiment | None:
        """One experiment; see the protocol."""
        with self._experiments_lock:
            row = self._experiments.get(experiment)
        return None if row is None else experiment_from_row(row)

    def list_experiments(self) -> tuple[RecordedExperiment, ...]:
        """All of them; see the protocol."""
        with self._experiments_lock:
            rows = sorted(
                self._experiments.values(), key=lambda row: (row["created_at"], row["id"]), reverse=True
            )
        return tuple(map(experiment_from_row, rows))

    def _change(self, experiment: str, owner: str, changes: dict[str, Any]) -> bool:
        with self._experiments_lock:
            row = self._experiments.get(experiment)
            if row is None or row["owner"] != owner:
                return False
            self._experiments[experiment] = {**row, **changes}
            return True
