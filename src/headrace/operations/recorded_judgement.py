"""How an experiment judges its arms, as it is recorded with every run: plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from headrace.domain.evaluation import Experiment, Guardrail
from headrace.domain.run import Run
from headrace.domain.scores import ArmLines, MetricSpec
from headrace.domain.variant import Design
from headrace.operations.chosen_lines import selection_of
from headrace.operations.named_versions import VERSIONS_KEY, versions_as_plain
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
        **_said(experiment),
        **selection_of(experiment),
    }


def _said(experiment: Experiment) -> dict[str, Any]:
    """What few experiments say: guardrails as metrics, levels of arms, the design in a sentence, named versions."""
    said = {
        "guardrails": [as_plain(_as_metric(item)) for item in experiment.guardrails],
        "factors": {arm.name: dict(arm.factors) for arm in experiment.arms if arm.factors},
        "design": design_note(experiment.design),
        VERSIONS_KEY: versions_as_plain(experiment.versions),
    }
    return {key: value for key, value in said.items() if value}


def _as_metric(guardrail: Guardrail) -> MetricSpec:
    return MetricSpec(
        name=guardrail.metric,
        direction=guardrail.direction,
        margin=guardrail.margin,
        goal="non_inferiority",
    )


def recorded_guardrails(judgement: Mapping[str, Any]) -> tuple[MetricSpec, ...]:
    """The guardrails as metrics; one that was asked for as the metric that decides is none."""
    asked = judgement.get("metrics") or [{}]
    found = (MetricSpec(**item) for item in judgement.get("guardrails", ()))
    return tuple(item for item in found if item.name != asked[0].get("name"))


def with_factors(arms: Sequence[ArmLines], judgement: Mapping[str, Any]) -> tuple[ArmLines, ...]:
    """The arms with the levels that the experiment says they have."""
    levels = judgement.get("factors", {})
    return tuple(replace(arm, factors=levels[arm.arm]) if arm.arm in levels else arm for arm in arms)


def design_note(design: Design | None) -> str:
    """A design in one sentence: how many of all combinations ran, and what a fraction can tell apart."""
    if design is None:
        return ""
    note = f"{design.n_arms:,} of {design.n_full:,} combinations of the factors are arms"
    if design.fraction is not None and design.resolution is not None:
        told = "single factors" if design.resolution < 5 else "single factors and pairs of them"
        note += (
            f", a balanced fraction of {design.fraction} with resolution {design.resolution}, "
            f"which tells apart the effects of {told}"
        )
    changed = [
        f"{number} {word} one by one"
        for number, word in ((design.n_excluded, "left out"), (design.n_included, "added"))
        if number
    ]
    return "; ".join([note, *changed]) + "."


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
