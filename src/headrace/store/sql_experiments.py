"""What every SQL database does the same for experiments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from headrace.domain.recorded_experiment import RecordedExperiment
from headrace.domain.run import RUNNING
from headrace.store.database import Database
from headrace.store.experiment_records import experiment_from_row, experiment_row, taken_experiment
from headrace.store.failures import DAMAGED, store_failure
from headrace.store.records import Row, encode_time


class SqlExperiments:
    """The methods of :class:`~headrace.store.base.RunStore` that keep experiments."""

    _database: Database

    def create_experiment(self, experiment: RecordedExperiment) -> None:
        """Record an experiment; see the protocol."""
        row = experiment_row(experiment)
        if self._change("create_experiment", row, is_repeatable=False) == 0:
            raise taken_experiment(experiment.id)

    def claim_experiment(
        self, experiment: RecordedExperiment, *, owner: str, at: datetime, seen: datetime | None
    ) -> bool:
        """Work on an experiment again; see the protocol."""
        row = {
            "id": experiment.id,
            "status": RUNNING,
            "owner": owner,
            "at": encode_time(at),
            "seen": None if seen is None else encode_time(seen),
            "record": experiment_row(experiment)["record"],
        }
        return self._change("claim_experiment", row, is_repeatable=False) == 1

    def beat_experiment(self, experiment: str, *, owner: str, at: datetime) -> bool:
        """Say that it is worked on; see the protocol."""
        return self._change("beat_experiment", {"id": experiment, "owner": owner, "at": encode_time(at)}) == 1

    def finish_experiment(
        self, experiment: str, *, owner: str, status: str, finished_at: datetime, verdict: str | None = None
    ) -> bool:
        """Close an experiment; see the protocol."""
        row = {
            "id": experiment,
            "owner": owner,
            "status": status,
            "finished_at": encode_time(finished_at),
            "verdict": verdict,
        }
        return self._change("finish_experiment", row) == 1

    def read_experiment(self, experiment: str) -> RecordedExperiment | None:
        """One experiment; see the protocol."""
        rows = self._database.read(lambda connection: connection.rows("read_experiment", {"id": experiment}))
        return self._decode_experiment(rows[0]) if rows else None

    def list_experiments(self) -> tuple[RecordedExperiment, ...]:
        """All of them; see the protocol."""
        rows = self._database.read(lambda connection: connection.rows("list_experiments", {}))
        return tuple(map(self._decode_experiment, rows))

    def _change(self, query: str, row: Mapping[str, Any], *, is_repeatable: bool = True) -> int:
        return self._database.write(
            lambda connection: connection.execute(query, row), is_repeatable=is_repeatable, makes=True
        )

    def _decode_experiment(self, row: Row) -> RecordedExperiment:
        try:
            return experiment_from_row(row)
        except (ValueError, KeyError, TypeError) as error:
            what = f"a row does not hold what it should: {type(error).__name__}"
            raise store_failure(self._database.place, DAMAGED, what) from error
