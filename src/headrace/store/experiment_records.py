"""Experiments as rows and back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from shlex import quote
from typing import Any

from headrace.domain.recorded_experiment import PinnedData, PinnedFlow, PlannedRun, RecordedExperiment
from headrace.domain.run import Cap
from headrace.errors import Problem, UsageError
from headrace.store.records import Row, decode_json, encode_json, encode_time


def experiment_row(experiment: RecordedExperiment) -> dict[str, Any]:
    """Columns of an experiment."""
    return {
        "id": experiment.id,
        "name": experiment.name,
        "status": experiment.status,
        "created_at": encode_time(experiment.created_at),
        "finished_at": _time_text(experiment.finished_at),
        "rerun_of": experiment.rerun_of,
        "owner": experiment.owner,
        "heartbeat_at": _time_text(experiment.heartbeat_at),
        "verdict": experiment.verdict,
        "record": encode_json(
            {
                "definition": experiment.definition,
                "judgement": experiment.judgement,
                "flows": [asdict(flow) for flow in experiment.flows],
                "data": asdict(experiment.data),
                "planned": [
                    [item.name, item.arm, item.repeat, item.evaluator] for item in experiment.planned
                ],
                "texts": experiment.texts,
                "cap": asdict(experiment.cap) if experiment.cap is not None else None,
                "environment_names": experiment.environment_names,
            }
        ),
    }


def experiment_from_row(row: Row) -> RecordedExperiment:
    """An experiment from its columns."""
    data = decode_json(row["record"])
    return RecordedExperiment(
        id=row["id"],
        name=row["name"],
        created_at=datetime.fromisoformat(row["created_at"]),
        definition=data["definition"],
        judgement=data["judgement"],
        flows=tuple(PinnedFlow(**{**flow, "used_by": tuple(flow["used_by"])}) for flow in data["flows"]),
        data=PinnedData(**data["data"]),
        planned=tuple(
            PlannedRun(name=name, arm=arm, repeat=repeat, evaluator=evaluator)
            for name, arm, repeat, evaluator in data["planned"]
        ),
        texts=data["texts"],
        cap=Cap(**data["cap"]) if data["cap"] is not None else None,
        environment_names=tuple(data["environment_names"]),
        rerun_of=row["rerun_of"],
        status=row["status"],
        finished_at=_time(row["finished_at"]),
        verdict=row["verdict"],
        owner=row["owner"],
        heartbeat_at=_time(row["heartbeat_at"]),
    )


def taken_experiment(name: str) -> UsageError:
    """The S802 error for the id of an experiment that is in use."""
    what = f'An experiment "{name}" exists already.'
    fix = f"Begin it once more, or go on with the other: headrace experiment resume {quote(name)}"
    return UsageError(Problem(code="S802", what=what, fix=fix))


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else encode_time(time)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
