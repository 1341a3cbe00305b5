"""Plays a scenario many times and says what would have been decided when."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from math import ceil, exp
from multiprocessing import get_context
from typing import Final

from headrace.domain.comparison import VerdictWord
from headrace.domain.scenario import Levels, Scenario
from headrace.domain.simulation import (
    ArmPlay,
    ArmSimulation,
    Called,
    CallSummary,
    Play,
    Reached,
    RollbackSummary,
    Simulation,
    Spans,
)
from headrace.domain.traffic import OnlineMetric, Traffic, TrafficArm
from headrace.errors import Problem, UsageError
from headrace.evaluation.stats.special import normal_quantile
from headrace.formats.scenario import said_metrics
from headrace.operations.play_scenario import DAY_S, PlayPlan, play_scenario

MAX_REQUESTS: Final = 500_000
"""Of one run, which keeps them in memory."""

_LOOKS: Final = 200
_FEW_RUNS: Final = 8
_POWER: Final = 0.9
_LOOKS_COST: Final = 1.03
_LEAST_SHARE: Final = 0.001
_WORDS: Final[tuple[VerdictWord, ...]] = ("better", "worse", "equivalent", "inconclusive")


def simulate_ab(
    traffic: Traffic,
    scenario: Scenario,
    *,
    runs: int,
    seed: int = 0,
    look_s: float | None = None,
    planned_units: int | None = None,
    workers: int | None = None,
    on_played: Callable[[], None] | None = None,
) -> Simulation:
    """Play a scenario many times through the code that serves and decides live tests.

    Args:
        traffic: The rules, with at least one metric and two arms that answer.
        scenario: What is supposed of arms, traffic and feedback.
        runs: How often.
        seed: The same one gives the same runs.
        look_s: Seconds between two looks; ``None`` for what the rules say, or a 200th of the scenario's days where that
            is longer: looking more often takes longer to play and changes little.
        planned_units: Units at the end of the fixed horizon that is played beside; ``None`` for what the rules say,
            else as many as find the scenario's difference with 90 % power.
        workers: Processes; ``None`` for as many as there are cores.
        on_played: Hears of every run that is over.

    Raises:
        UsageError: G991 for a test without anything to decide, G992 for more requests than can be played.
    """
    _check(traffic, scenario)
    look_s = look_s or max(traffic.decision.every_s, scenario.days * DAY_S / _LOOKS)
    plan = PlayPlan(
        traffic=replace(traffic, target=(), source_map=None, webhook=""),
        scenario=scenario,
        look_s=look_s,
        planned_units=planned_units or traffic.decision.n_units or needed_units(traffic, scenario),
        planned_looks=traffic.decision.looks,
        seed=seed,
    )
    plays = list(_play_all(plan, runs, workers or os.cpu_count() or 1, on_played))
    return Simulation(
        test=traffic.name,
        metric=traffic.metrics[0].name,
        baseline=traffic.baseline,
        runs=runs,
        days=scenario.days,
        requests_per_day=scenario.requests_per_day,
        units_per_day=scenario.units_per_day,
        look_s=look_s,
        planned_units=plan.planned_units,
        planned_looks=plan.planned_looks,
        units=_spans([float(play.units) for play in plays], runs),
        n_mismatches=sum(play.is_mismatch for play in plays),
        share_in_time=_share_in_time(traffic, scenario),
        arms=tuple(
            _summarize([play.arms[number] for play in plays], traffic, scenario)
            for number in range(len(plays[0].arms))
        ),
    )


def true_difference(traffic: Traffic, scenario: Scenario, arm: str) -> float | None:
    """How much higher the arm's mean of the first metric is in the scenario; ``None`` where that changes."""
    metric = traffic.metrics[0]
    differences = {
        _mean(scenario.levels(arm, since_s), metric)
        - _mean(scenario.levels(traffic.baseline, since_s), metric)
        for name in (arm, traffic.baseline)
        for since_s, _ in scenario.arms[name]
    }
    return differences.pop() if len(differences) == 1 else None


def _check(traffic: Traffic, scenario: Scenario) -> None:
    what = ""
    if not traffic.metrics:
        what, fix = f"{traffic.name} has no metric.", "Add one under metrics, e.g. - {name: helpful}."
    elif len(traffic.answering) < 2:
        what, fix = f"{traffic.name} has one arm that answers.", "Add another arm with a weight."
    if what:
        raise UsageError(Problem(code="G991", what=f"{what} There is nothing to decide.", fix=fix))
    n_requests = scenario.requests_per_day * scenario.days
    if n_requests > MAX_REQUESTS:
        what = f"A run would have {n_requests:,.0f} requests; at most {MAX_REQUESTS:,} can be played."
        fix = "Simulate fewer days, or a tenth of the requests: a test needs units and not days."
        raise UsageError(Problem(code="G992", what=what, fix=fix))


def _play_all(
    plan: PlayPlan, runs: int, workers: int, on_played: Callable[[], None] | None
) -> Iterator[Play]:
    for play in _plays(plan, runs, workers):
        if on_played is not None:
            on_played()
        yield play


def _plays(plan: PlayPlan, runs: int, workers: int) -> Iterator[Play]:
    play = partial(play_scenario, plan)
    if workers == 1 or runs < _FEW_RUNS:
        yield from map(play, range(runs))
        return
    with ProcessPoolExecutor(min(workers, runs), mp_context=get_context("spawn")) as pool:
        yield from pool.map(play, range(runs), chunksize=max(1, runs // (8 * workers)))


def needed_units(traffic: Traffic, scenario: Scenario) -> int:
    """Units with which planned looks find the smallest difference of the scenario with 90 % power.

    Where there is none, or it changes, as many as come in the scenario's days.

    Source: sample size for two means of unequal variances, times 1.03 for O'Brien and Fleming's looks (Jennison and
    Turnbull 2000, table 2.4: from 1.005 for 2 looks to 1.032 for 10).
    """
    found = [
        _units_for(arm, traffic, scenario, difference)
        for arm in traffic.answering
        if arm.name != traffic.baseline
        and arm.weight
        and (difference := true_difference(traffic, scenario, arm.name))
    ]
    everybody = scenario.days * scenario.units_per_day
    return max(ceil(max(found, default=everybody)), traffic.decision.looks)


def _share_in_time(traffic: Traffic, scenario: Scenario) -> float:
    metric = traffic.metrics[0]
    if metric not in said_metrics(traffic) or not scenario.feedback_share:
        return 1.0
    return scenario.share_said_within(metric.window_s) / scenario.feedback_share


def _units_for(arm: TrafficArm, traffic: Traffic, scenario: Scenario, difference: float) -> float:
    base = traffic.arm(traffic.baseline)
    base_weight = base.weight if base is not None and base.weight else arm.weight
    metric = traffic.metrics[0]
    share = scenario.share_said_within(metric.window_s) if metric in said_metrics(traffic) else 1.0
    variance = (
        _unit_variance(scenario.levels(arm.name, 0.0), metric, share) / arm.weight
        + _unit_variance(scenario.levels(traffic.baseline, 0.0), metric, share) / base_weight
    )
    z = normal_quantile(1.0 - traffic.decision.alpha / 2.0) + normal_quantile(_POWER)
    if metric.missing is None:
        return _LOOKS_COST * z**2 * variance / difference**2 / max(share, _LEAST_SHARE)
    return _LOOKS_COST * z**2 * variance / (difference * max(share, _LEAST_SHARE)) ** 2


def _unit_variance(levels: Levels, metric: OnlineMetric, share: float) -> float:
    """Variance of what a unit with one request counts on a metric."""
    mean = _mean(levels, metric)
    level = levels.metrics.get(metric.name)
    spread = levels.spreads.get(metric.source)
    if metric.kind == "rate":
        own = mean * (1.0 - mean)
    elif level is not None:
        own = level.deviation**2
    else:
        own = mean**2 * (exp(spread.sigma**2) - 1.0) if spread is not None else 0.0
    if metric.missing is None:
        return own
    return share * own + share * (1.0 - share) * (mean - metric.missing) ** 2


def _summarize(plays: Sequence[ArmPlay], traffic: Traffic, scenario: Scenario) -> ArmSimulation:
    arm = plays[0].arm
    difference = true_difference(traffic, scenario, arm)
    is_false = _falsity(difference, traffic.metrics[0])
    since_s = scenario.arms[arm][-1][0]
    rolled = [play.rolled_back for play in plays if play.rolled_back is not None]
    return ArmSimulation(
        arm=arm,
        difference=difference,
        called=_calls([play.called for play in plays], is_false),
        peeked=_calls([play.peeked for play in plays], is_false),
        planned=_calls([play.planned for play in plays], is_false),
        rollbacks=RollbackSummary(
            n=len(rolled),
            by=dict(Counter(play.rolled_back_by for play in plays if play.rolled_back is not None)),
            hours=_spans([(at.after_s - since_s) / 3600 for at in rolled], len(rolled)),
            requests=_spans([float(at.requests) for at in rolled], len(rolled)),
        ),
    )


def _falsity(difference: float | None, metric: OnlineMetric) -> Callable[[VerdictWord], bool] | None:
    """What tells whether a verdict is not true of the scenario."""
    if difference is None:
        return None
    gain = difference if metric.direction == "higher" else -difference
    is_equal = abs(gain) < 1e-12
    return lambda word: (
        (word == "better" and (is_equal or gain < 0))
        or (word == "worse" and (is_equal or gain > 0))
        or (word == "equivalent" and metric.margin is not None and abs(gain) > metric.margin + 1e-12)
    )


def _calls(called: Sequence[Called], is_false: Callable[[VerdictWord], bool] | None) -> CallSummary:
    counted = Counter(call.word for call in called)
    at: list[Reached] = [call.at for call in called if call.at is not None]
    return CallSummary(
        words={word: counted[word] for word in _WORDS},
        n_false=None if is_false is None else sum(is_false(call.word) for call in called),
        days=_spans([one.after_s / DAY_S for one in at], len(called)),
        units=_spans([float(one.units) for one in at], len(called)),
    )


def _spans(found: Sequence[float], runs: int) -> Spans:
    """Quantiles over all runs, of which those that did not get there would have taken longer."""
    ordered = sorted(found)

    def reached(share: float) -> float | None:
        place = max(ceil(share * runs) - 1, 0)
        return ordered[place] if place < len(ordered) else None

    return Spans(half=reached(0.5), nine_of_ten=reached(0.9))


def _mean(levels: Levels, metric: OnlineMetric) -> float:
    if metric.source == "failures":
        return levels.failures
    if metric.name in levels.metrics:
        return levels.metrics[metric.name].mean
    spread = levels.spreads.get(metric.source)
    return 0.0 if spread is None else spread.mean
