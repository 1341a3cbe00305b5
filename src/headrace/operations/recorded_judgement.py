"""How an experiment judges its arms, as it is recorded with every run: plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from headrace.domain.evaluation import Experiment
from headrace.domain.run import Run
from headrace.domain.scores import MetricSpec
from headrace.operations.recorded_gates import KEY, gates_as_plain, gates_of


def judgement_of(experiment: Experiment) -> dict[str, Any]:
    """What is recorded of an experiment; see :class:`~headrace.domain.run.RunSpec`."""
    gates = gates_of(experiment)
    return {
        "name": experiment.name,
        "baseline": experiment.baseline,
        "metrics": [as_plain(metric) for metric in experiment.metrics],
        "alpha": experiment.alpha,
        "seed": experiment.seed,
        "line_id": experiment.line_id,
        "cluster": experiment.cluster,
        "slices": list(experiment.slices),
        "family": experiment.family,
        **({KEY: gates_as_plain(gates)} if gates else {}),
    }


def shared_judgement(runs: Sequence[Run]) -> Mapping[str, Any]:
    """How the experiment judges that all runs belong to; nothing where there is no such experiment."""
    experiments = {run.spec.experiment for run in runs}
    return runs[0].spec.judgement if len(experiments) == 1 and None not in experiments else {}


def asked_metrics(
    asked: Sequence[str | MetricSpec], recorded: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The metrics that were asked for, each once; a name alone means what is recorded of it."""
    if not asked:
        return list(recorded)
    known = {item["name"]: item for item in recorded}
    specs = (item if isinstance(item, MetricSpec) else known.get(item, {"name": item}) for item in asked)
    found = [as_plain(item) if isinstance(item, MetricSpec) else item for item in specs]
    return list({item["name"]: item for item in found}.values())


def as_plain(metric: MetricSpec) -> dict[str, Any]:
    """A metric as plain data, of which ``MetricSpec(**data)`` makes it again."""
    return {item.name: getattr(metric, item.name) for item in fields(metric)} | {
        "labels": dict(metric.labels)
    }
