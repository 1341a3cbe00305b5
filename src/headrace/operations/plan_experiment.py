"""Plan an experiment: how many lines and repeats find a difference, and what that takes of each arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from pathlib import Path

from headrace.domain.cache import CacheChoice
from headrace.domain.evaluation import Experiment
from headrace.domain.forecast import Forecast
from headrace.domain.scores import MetricSpec
from headrace.errors import Problem, UsageError
from headrace.evaluation.adjustment import Plan
from headrace.evaluation.sample_size import (
    MAX_LINES,
    Pilot,
    SamplePlan,
    detectable_difference,
    measure_pilot,
    plan_sample,
)
from headrace.formats.lines import read_dataset
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.find_effects import arm_names, find_metric, known_arm, no_metric
from headrace.operations.forecast_run import forecast_experiment
from headrace.operations.workspace import Workspace

_MAX_RUNS = 5_000
_LEAST = 1e-100
"""Smaller numbers, squared, are none."""
_HIGHEST = 1.0 - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What is planned.

    Attributes:
        metric: Score; ``None`` for the one that decides.
        difference: Smallest difference that is to be found; ``None`` for that which ``lines`` find, else for the margin
            of the metric.
        lines: Lines that there will be, where the question is what they find.
        power: Chance to find it.
        assurance: Chance that the plan reaches the power; ``None`` for the default of the score.
        repeats: Answers of each arm to each line; ``None`` for as few as do with the lines that there are.
        line_cost: What one more line costs beside its answers, in answers of an arm.
        arm: Of a pilot; ``None`` for the arm that needs the most lines.
        discordance: Without a pilot, of yes-or-no scores: share of lines on which arms disagree.
        deviation: Without a pilot, of other scores: standard deviation of the difference of a line.
        alpha: Two-sided error rate over all arms; ``None`` for that of the experiment.
    """

    metric: str | None = None
    difference: float | None = None
    lines: int | None = None
    power: float = 0.8
    assurance: float | None = None
    repeats: int | None = None
    line_cost: float | None = None
    arm: str | None = None
    discordance: float | None = None
    deviation: float | None = None
    alpha: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentPlan:
    """What came of it.

    Attributes:
        metric: The score.
        arm: The arm whose differences need the most lines; empty without a pilot.
        baseline: What it is compared with; empty without a pilot.
        basis: What the plan was made from, in words.
        sample: Lines and repeats.
        n_lines: Lines of the design whose costs are given.
        repeats: Its repeats.
        n_available: Lines of the data; ``None`` where they are not known.
        costs: What the design takes, by arm and evaluator; empty where no experiment was named.
        by_arm: The lines that each arm needs, answered as often.
    """

    metric: str
    arm: str
    baseline: str
    basis: str
    sample: SamplePlan
    n_lines: int
    repeats: int
    n_available: int | None = None
    costs: tuple[Forecast, ...] = ()
    by_arm: Mapping[str, int] = field(default_factory=dict)


def plan_experiment(
    workspace: Workspace, experiment: Experiment, request: PlanRequest, pilot: ComparisonResult | None
) -> ExperimentPlan:
    """Plan the lines of an experiment and say what they take.

    Args:
        workspace: For earlier runs, which costs are known from.
        experiment: What would be run.
        request: What is asked.
        pilot: Recorded answers to plan from; ``None`` to plan from assumptions.

    Raises:
        DefinitionError: Flow, data or mapping are wrong.
        UsageError: G965 with nothing to plan from, G901 and V305 for a metric or arm that is not there, C507 for
            numbers that make no sense.
    """
    check_plan(request)
    n_available = len(read_dataset(Path(experiment.data_path)).lines)
    alpha = request.alpha if request.alpha is not None else experiment.alpha
    share = Plan(alpha=alpha, family=experiment.family, seed=0).power_alpha(len(experiment.arms) - 1)
    if pilot is None:
        plan = _plan_assumed(experiment, request, share, n_available)
    else:
        plan = plan_from_pilot(pilot, replace(request, alpha=alpha), n_available)
    whole = replace(experiment, repeats=1, cache=CacheChoice(is_on=False))
    forecasts = forecast_experiment(workspace, whole)
    return replace(plan, costs=tuple(_scaled(item, plan.n_lines * plan.repeats) for item in forecasts))


def plan_from_pilot(
    pilot: ComparisonResult, request: PlanRequest, n_available: int | None = None
) -> ExperimentPlan:
    """Plan from recorded answers, without costs.

    Raises:
        UsageError: As :func:`plan_experiment`.
    """
    check_plan(request)
    comparison = pilot.comparison
    spec = find_metric(comparison, request.metric).spec
    others = [name for name in arm_names(comparison) if name != comparison.baseline]
    asked = others if request.arm is None else [known_arm(request.arm, others)]
    provenance = comparison.provenance
    alpha = request.alpha if request.alpha is not None else provenance.alpha
    share = Plan(alpha=alpha, family=provenance.family, seed=0).power_alpha(len(others))
    found = {
        arm: measured
        for arm in asked
        if (measured := measure_pilot(pilot.arms, spec, arm, comparison.baseline, pilot.facts)) is not None
    }
    if not found:
        what = f"The pilot has fewer than two lines on which {spec.name} of two arms is known."
        fix = "Run the arms over more lines, or assume --discordance or --deviation."
        raise UsageError(Problem(code="G965", what=what, fix=fix))
    arm = max(found, key=lambda name: found[name].variance * found[name].design_effect)
    sample = _sample(found[arm], spec, request, share, n_available)
    plan = _design(sample, spec, request, n_available)
    lines = f"{found[arm].n_lines:,} paired lines"
    return replace(
        plan,
        arm=arm,
        baseline=comparison.baseline,
        basis=f"{lines} of {arm} against {comparison.baseline}",
        by_arm={
            name: _sample(measured, spec, replace(request, difference=sample.difference), share, None)
            .needs[0]
            .n_lines
            for name, measured in found.items()
        },
    )


def latest_experiment(workspace: Workspace, name: str) -> str:
    """Id of the newest recorded experiment of that name.

    Raises:
        UsageError: G965 when there is none.
    """
    for run in workspace.store.list_runs(limit=_MAX_RUNS):
        if run.spec.experiment is not None and run.spec.judgement.get("name") == name:
            return run.spec.experiment
    raise UsageError(
        Problem(
            code="G965",
            what=f"No run of the experiment {name} is recorded.",
            fix="Run it over a few lines first: headrace compare; or assume --discordance or --deviation.",
        )
    )


def check_plan(request: PlanRequest) -> None:
    """Refuse numbers that make no sense.

    Raises:
        UsageError: C507.
    """
    complaints = (
        (request.difference is not None and not 0.0 < request.difference < inf, "the difference", "above zero"),
        (request.difference is not None and request.difference < _LEAST, "the difference", f"{_LEAST:g} or more"),
        (request.lines is not None and request.lines < 2, "the number of lines", "2 or more"),
        (not 0.5 <= request.power < 1.0, "the power", "from 0.5 to below 1"),
        (request.assurance is not None and not 0.5 <= request.assurance < 1.0, "the assurance",
         "from 0.5 to below 1"),
        (request.repeats is not None and request.repeats < 1, "the number of repeats", "1 or more"),
        (request.line_cost is not None and not 0.0 <= request.line_cost < inf, "the cost of a line", "0 or more"),
        (request.discordance is not None and not 0.0 < request.discordance <= 1.0, "the discordance",
         "above 0 and at most 1"),
        (request.deviation is not None and not _LEAST <= request.deviation <= 1 / _LEAST, "the deviation",
         f"from {_LEAST:g} to {1 / _LEAST:g}"),
    )  # fmt: skip
    for is_wrong, name, allowed in complaints:
        if is_wrong:
            what = f"The plan cannot be made: {name} must be {allowed}."
            raise UsageError(Problem(code="C507", what=what, fix="Correct the number."))


def _plan_assumed(
    experiment: Experiment, request: PlanRequest, alpha: float, n_available: int
) -> ExperimentPlan:
    if (request.discordance is None) == (request.deviation is None):
        raise UsageError(
            Problem(
                code="G965",
                what="There is nothing to plan from: neither a pilot nor one assumption about differences.",
                fix="Run a few lines and name them, --pilot EXPERIMENT_ID; or assume --discordance 0.25 for yes-or-no "
                "scores, --deviation 0.3 for others.",
            )
        )
    names = [metric.name for metric in experiment.metrics]
    spec = next((item for item in experiment.metrics if request.metric in (None, item.name)), None)
    if spec is None and (request.metric is None or names):
        raise no_metric(request.metric or "", names)
    spec = spec or MetricSpec(name=request.metric or "")
    if request.discordance is not None:
        pilot = Pilot(n_lines=0, variance=request.discordance, discordance=request.discordance)
        basis = f"assumed: arms disagree on {100.0 * request.discordance:g} % of the lines"
    else:
        deviation = request.deviation or 0.0
        pilot = Pilot(n_lines=0, variance=deviation**2)
        basis = f"assumed: differences of a line have a standard deviation of {deviation:g}"
    sample = _sample(pilot, spec, request, alpha, n_available)
    return replace(_design(sample, spec, request, n_available), basis=basis)


def _sample(
    pilot: Pilot, spec: MetricSpec, request: PlanRequest, alpha: float, n_available: int | None
) -> SamplePlan:
    assurance = request.assurance if request.assurance is not None else pilot.default_assurance
    difference = request.difference
    if difference is None and request.lines is not None:
        difference = detectable_difference(
            pilot, request.lines, repeats=request.repeats or pilot.repeats, power=request.power,
            assurance=assurance if pilot.n_lines else None, alpha=alpha,
        )  # fmt: skip
        difference = _HIGHEST if difference is None else difference
    difference = spec.margin if difference is None else difference
    if not difference or not isfinite(difference):
        what = f"It is not clear which difference of {spec.name} is to be found: it has no margin."
        raise UsageError(Problem(code="C507", what=what, fix="Say --mde, or --lines for what lines find."))
    sample = plan_sample(
        pilot,
        difference,
        power=request.power,
        assurance=request.assurance,
        alpha=alpha,
        line_cost=request.line_cost,
        n_available=n_available,
    )
    if sample.needs[0].n_lines >= MAX_LINES:
        what = f"A difference of {difference:g} in {spec.name} takes more than {MAX_LINES:,} lines."
        raise UsageError(Problem(code="C507", what=what, fix="Ask for a larger difference."))
    return sample


def _design(
    sample: SamplePlan, spec: MetricSpec, request: PlanRequest, n_available: int | None
) -> ExperimentPlan:
    """The design whose costs are said: asked for, else as few repeats as do with the lines that there are."""
    needs = sample.needs
    if request.repeats is not None:
        chosen = sample.needed(request.repeats)
        if chosen is None:
            what = f"What {request.repeats} repeats bring is not known: the pilot answered every line once."
            raise UsageError(Problem(code="G965", what=what, fix="Run a pilot with repeats: 2 or more."))
    elif sample.best_repeats is not None:
        chosen = needs[min(len(needs), max(1, round(sample.best_repeats))) - 1]
    else:
        few = (item for item in needs if n_available is None or item.n_lines <= n_available)
        chosen = next(few, needs[0])
    n_lines = request.lines if request.lines is not None else chosen.n_lines
    return ExperimentPlan(
        metric=spec.name,
        arm="",
        baseline="",
        basis="",
        sample=sample,
        n_lines=n_lines,
        repeats=chosen.repeats,
        n_available=n_available,
    )


def _scaled(forecast: Forecast, n_answers: int) -> Forecast:
    share = n_answers / forecast.n_lines

    def times(value: float | None) -> float | None:
        return None if value is None else value * share

    return replace(
        forecast,
        n_lines=n_answers,
        calls=times(forecast.calls),
        prompt_tokens=times(forecast.prompt_tokens),
        completion_tokens=times(forecast.completion_tokens),
        cost_usd=times(forecast.cost_usd),
        duration_s=times(forecast.duration_s),
        cached_calls=0.0,
    )
