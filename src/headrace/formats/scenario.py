"""Scenarios of online tests: what a simulation supposes of arms, traffic and feedback.

::

    days: 28                           # the longest that the test may run
    requests_per_day: 2000
    requests_per_unit: 1.5             # on average
    pause: 5m                          # mean time between two requests of a unit
    likeness: 0.5                      # chance that a unit says the same of each of its requests
    feedback: {share: 0.3, delay: 10m}
    arms:                              # as in the traffic file; those left out do as the baseline does
      zero_shot:
        failures: 0.01
        latency_ms: {median: 800, p95: 2500}       # also first_token_ms, cost_usd, total_tokens; or one number
        helpful: 0.70                  # a metric of the traffic file
        rating: {mean: 3.9, deviation: 0.8}
      few_shot:
        helpful: 0.75
        changes: [{after: 2d, failures: 0.1}]

All keys may be left out. It is ours: an unknown key is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Final

from headrace.domain.scenario import Level, Levels, Scenario, Spread
from headrace.domain.traffic import OnlineMetric, Traffic
from headrace.errors import DefinitionError, nearest
from headrace.formats.experiment_parts import no_mapping, refuse
from headrace.formats.positions import read_text, read_yaml
from headrace.formats.shape import Block, Findings, by_place, root_block
from headrace.formats.traffic_parts import read_duration, read_limited, read_share

KEYS: Final = (
    "days", "requests_per_day", "requests_per_unit", "pause", "likeness", "feedback", "arms", "description",
)  # fmt: skip
SPREADS: Final = ("latency_ms", "first_token_ms", "cost_usd", "total_tokens")
FAILURES: Final = "failures"

_USUAL_SPREADS: Final = {
    "latency_ms": Spread(median=1000.0, p95=3000.0),
    "cost_usd": Spread(median=0.001, p95=0.002),
}
_DAY_S = 86_400.0
_MOST_REQUESTS = 10_000_000.0


def usual_scenario(traffic: Traffic) -> Scenario:
    """What is supposed where nothing is said: a thousand requests a day, arms that are all alike."""
    levels = Levels(
        failures=0.01,
        spreads=_USUAL_SPREADS,
        metrics={metric.name: _usual_level(metric) for metric in said_metrics(traffic)},
    )
    return Scenario(
        days=28.0,
        requests_per_day=1000.0,
        requests_per_unit=1.0,
        pause_s=300.0,
        likeness=0.5,
        feedback_share=1.0,
        feedback_delay_s=60.0,
        arms={arm.name: ((0.0, levels),) for arm in traffic.arms},
    )


def said_metrics(traffic: Traffic) -> tuple[OnlineMetric, ...]:
    """The metrics of which feedback, evaluators or judges have to say something."""
    return tuple(metric for metric in traffic.metrics if metric.source not in (*SPREADS, FAILURES))


def read_scenario(path: Path, traffic: Traffic) -> Scenario:
    """Read a scenario for a traffic file.

    Args:
        path: The file.
        traffic: The rules, whose arms and metrics it names.

    Raises:
        DefinitionError: Everything that is wrong with the file, at once.
    """
    data, source_map, problems = read_yaml(read_text(path), str(path))
    findings = Findings(source_map, list(problems))
    root = root_block(data, findings)
    scenario = _read(root, traffic)
    if findings.has_errors():
        raise DefinitionError(*sorted(findings.problems, key=by_place))
    return scenario


def with_first_metric(
    traffic: Traffic, scenario: Scenario, *, base: float | None, effect: float | None
) -> Scenario:
    """A scenario with other levels of the first metric, of which feedback or an evaluator says something.

    Args:
        traffic: The rules.
        scenario: What else is supposed.
        base: Of the baseline; ``None`` for what the scenario says.
        effect: How much more the other arms have; ``None`` for what the scenario says.

    Raises:
        ValueError: The test has no such metric, or a level is out of its range.
    """
    metric = traffic.metrics[0] if traffic.metrics else None
    if metric is None or metric not in said_metrics(traffic):
        message = "The first metric of the test is not one of which feedback says something."
        raise ValueError(message)
    old_base = scenario.levels(traffic.baseline, 0.0).metrics[metric.name].mean
    new_base = old_base if base is None else base

    def moved(arm: str, levels: Levels) -> Levels:
        level = levels.metrics[metric.name]
        gain = 0.0 if arm == traffic.baseline else level.mean - old_base if effect is None else effect
        if not metric.low <= new_base + gain <= metric.high:
            message = f"{metric.name} of {arm} would be {new_base + gain:g}, out of {metric.low:g} to {metric.high:g}."
            raise ValueError(message)
        return replace(levels, metrics={**levels.metrics, metric.name: replace(level, mean=new_base + gain)})

    arms = {
        arm: tuple((since_s, moved(arm, levels)) for since_s, levels in periods)
        for arm, periods in scenario.arms.items()
    }
    return replace(scenario, arms=arms)


def _read(root: Block, traffic: Traffic) -> Scenario:
    root.check_keys(KEYS, "A scenario", severity="error")
    usual = usual_scenario(traffic)
    feedback = root.block("feedback")
    feedback.check_keys(("share", "delay"), "Feedback", severity="error")
    return Scenario(
        days=_read_positive(root, "days", usual.days, high=3650.0),
        requests_per_day=_read_positive(root, "requests_per_day", usual.requests_per_day),
        requests_per_unit=read_limited(
            root, "requests_per_unit", default=1.0, low=1.0, high=1000.0, wanted="a number from 1 to 1000"
        ),
        pause_s=read_duration(root, "pause", default=usual.pause_s),
        likeness=read_share(root, "likeness", default=usual.likeness),
        feedback_share=read_share(feedback, "share", default=usual.feedback_share),
        feedback_delay_s=read_duration(feedback, "delay", default=usual.feedback_delay_s),
        arms=_read_arms(root.block("arms"), traffic, usual),
    )


def _read_positive(block: Block, key: str, default: float, *, high: float = _MOST_REQUESTS) -> float:
    wanted = f"a number above 0, at most {high:g}"
    number = read_limited(block, key, default=default, low=0.0, high=high, wanted=wanted)
    if number == 0:
        refuse(block, key, wanted)
        return default
    return number


def _read_arms(
    block: Block, traffic: Traffic, usual: Scenario
) -> Mapping[str, tuple[tuple[float, Levels], ...]]:
    names = [arm.name for arm in traffic.arms]
    for name in block.data:
        if name not in names:
            near = nearest(name, names)
            fix = f'Did you mean "{near}"?' if near else f"Its arms are: {', '.join(names)}."
            what = f"{traffic.name} has no arm {name!r}."
            block.findings.add("V305", block.at(name), what, fix, at_key=True)
    given = dict(block.blocks())
    baseline = given.get(traffic.baseline)
    base = usual.levels(traffic.baseline, 0.0)
    if baseline is not None:
        base = _read_levels(baseline, base, traffic, owner="An arm", notes=("changes",))
    found: dict[str, tuple[tuple[float, Levels], ...]] = {}
    for name in names:
        own = given.get(name)
        if own is None:
            found[name] = ((0.0, base),)
            continue
        is_base = name == traffic.baseline
        levels = base if is_base else _read_levels(own, base, traffic, owner="An arm", notes=("changes",))
        found[name] = ((0.0, levels), *_read_changes(own, levels, traffic))
    return found


def _read_changes(block: Block, levels: Levels, traffic: Traffic) -> list[tuple[float, Levels]]:
    found: list[tuple[float, Levels]] = []
    for pointer, value in block.items("changes"):
        if not isinstance(value, dict):
            no_mapping(pointer, block.findings, "a mapping with after and what changes")
            continue
        change = Block(value, pointer, block.findings)
        if "after" not in change:
            change.missing("after", "The change")
        after_s = read_duration(change, "after", default=0.0)
        if found and after_s <= found[-1][0]:
            refuse(change, "after", "later than in the change before")
        levels = _read_levels(change, levels, traffic, owner="A change", notes=("after",))
        found.append((after_s, levels))
    return found


def _read_levels(
    block: Block, before: Levels, traffic: Traffic, *, owner: str, notes: tuple[str, ...]
) -> Levels:
    said = {metric.name: metric for metric in said_metrics(traffic)}
    block.check_keys((FAILURES, *SPREADS, *said, *notes), owner, severity="error")
    spreads = {key: spread for key in SPREADS if (spread := _read_spread(block, key)) is not None}
    metrics = {
        key: level for key, metric in said.items() if (level := _read_level(block, key, metric)) is not None
    }
    return replace(
        before,
        failures=read_share(block, FAILURES, default=before.failures),
        spreads={**before.spreads, **spreads},
        metrics={**before.metrics, **metrics},
    )


def _read_spread(block: Block, key: str) -> Spread | None:
    value = block.data.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        number = read_limited(
            block, key, default=1.0, low=0.0, high=inf, wanted="a number above 0", is_open=True
        )
        return Spread(median=number, p95=number)
    inner = block.block(key)
    inner.check_keys(("median", "p95"), key, severity="error")
    for name in ("median", "p95"):
        if name not in inner:
            inner.missing(name, key)
    median = read_limited(
        inner, "median", default=1.0, low=0.0, high=inf, wanted="a number above 0", is_open=True
    )
    p95 = read_limited(
        inner, "p95", default=median, low=median, high=inf, wanted="a number not below the median"
    )
    return Spread(median=median, p95=p95)


def _read_level(block: Block, key: str, metric: OnlineMetric) -> Level | None:
    value = block.data.get(key)
    if value is None:
        return None
    wanted = f"a number from {metric.low:g} to {metric.high:g}"
    if not isinstance(value, dict):
        mean = read_limited(block, key, default=metric.low, low=metric.low, high=metric.high, wanted=wanted)
        return replace(_usual_level(metric), mean=mean)
    inner = block.block(key)
    inner.check_keys(("mean", "deviation"), key, severity="error")
    if "mean" not in inner:
        inner.missing("mean", key)
    usual = _usual_level(metric)
    mean = read_limited(inner, "mean", default=usual.mean, low=metric.low, high=metric.high, wanted=wanted)
    if metric.kind == "rate" and "deviation" in inner:
        refuse(inner, "deviation", "left out: a rate has none of its own")
    deviation = read_limited(
        inner, "deviation", default=usual.deviation, low=0.0, high=inf, wanted="a number from 0 on"
    )
    return Level(mean=mean, deviation=deviation)


def _usual_level(metric: OnlineMetric) -> Level:
    middle = (metric.low + metric.high) / 2
    return Level(mean=middle, deviation=0.0 if metric.kind == "rate" else (metric.high - metric.low) / 6)
