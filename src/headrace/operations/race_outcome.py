"""What came of a race, read from its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import ceil
from typing import Any

from headrace.domain.comparison import Comparison, Recommendation
from headrace.domain.race import Drop, RaceArm, RaceResult, RaceSpec
from headrace.domain.run import COMPLETED, Usage, sum_usage
from headrace.domain.scores import LineObservation, MetricSpec
from headrace.errors import Problem, UsageError
from headrace.evaluation.race import (
    Field,
    Standing,
    draw_order,
    find_standing,
    order_digest,
    say_guarantee,
    score_line,
)
from headrace.evaluation.raced_comparison import mark_dropped, race_recommendation
from headrace.evaluation.recommendation import ship_recommendation
from headrace.operations.collect_scores import Collected, as_score
from headrace.operations.recorded_judgement import as_plain

RACE = "race"
"""Where the judgement and the properties of a run speak of the race."""


def race_as_plain(field: Field, metric: MetricSpec, seed: int) -> dict[str, Any]:
    """A race as it is recorded with every run, before the first result."""
    return {
        **asdict(field.spec),
        "seed": seed,
        "n_lines": len(field.order),
        "order_digest": order_digest(field.order),
        "arms": list(field.arms),
        "metric": as_plain(metric),
    }


def recorded_field(recorded: Mapping[str, Any]) -> Field:
    """The race that was recorded, its order drawn again.

    Raises:
        UsageError: G953 when the order is not the recorded one.
    """
    order = draw_order(recorded["n_lines"], recorded["seed"])
    if order_digest(order) != recorded["order_digest"]:
        what = "The order of the race cannot be drawn again: another version of headrace has drawn it."
        raise UsageError(Problem(code="G953", what=what, fix="Go on with the version that began the race."))
    names = ("mode", "alpha", "batch", "start", "score_range")
    spec = RaceSpec(**{name: recorded[name] for name in names})
    return Field(spec=spec, arms=tuple(recorded["arms"]), order=order)


def read_outcome(collected: Sequence[Collected], recorded: Mapping[str, Any]) -> RaceResult | None:
    """What came of the race whose arms these are; ``None`` where not all arms are among them.

    Raises:
        UsageError: G953 when the order of the race cannot be drawn again.
    """
    field = recorded_field(recorded)
    if {item.judged.arm for item in collected} != set(field.arms):
        return None
    standing = find_standing(field, _scores(collected, field, MetricSpec(**recorded["metric"])))
    return _result(collected, recorded, field, standing, field.arms)


def _result(
    collected: Sequence[Collected],
    recorded: Mapping[str, Any],
    field: Field,
    standing: Standing,
    arms: Sequence[str],
) -> RaceResult:
    return RaceResult(
        spec=field.spec,
        metric=recorded["metric"]["name"],
        guarantee=say_guarantee(field.spec, len(field.order)),
        seed=recorded["seed"],
        order_digest=recorded["order_digest"],
        batch=field.batch,
        start=max(field.spec.start, field.batch),
        n_lines=len(field.order),
        n_left_out=len(standing.left_out),
        blocks=standing.blocks,
        leader=standing.leader,
        arms=tuple(_race_arm(name, collected, standing, len(field.order)) for name in arms),
    )


def _scores(
    collected: Sequence[Collected], field: Field, metric: MetricSpec
) -> dict[str, dict[int, float | None]]:
    found: dict[str, dict[int, list[LineObservation]]] = {}
    repeats: dict[str, int] = {}
    for item in collected:
        arm = found.setdefault(item.judged.arm, {})
        repeats[item.judged.arm] = repeats.get(item.judged.arm, 0) + 1
        for line in item.lines:
            observation = observe(line.result.status, line.scores, metric)
            arm.setdefault(line.result.line_number, []).append(observation)
    return {
        arm: {
            number: score_line(observations, metric, field.spec.score_range)
            for number, observations in lines.items()
            if len(observations) == repeats[arm]
        }
        for arm, lines in found.items()
    }


def observe(status: str, scores: Mapping[str, Any], metric: MetricSpec) -> LineObservation:
    """What a race reads of one answer and what its evaluators said."""
    return LineObservation(
        scores={metric.name: as_score(scores.get(metric.name))}, is_failed=status != COMPLETED
    )


def _race_arm(name: str, collected: Sequence[Collected], standing: Standing, n_lines: int) -> RaceArm:
    drop = standing.drops.get(name)
    n_done = standing.n_lines if drop is None else drop.n_lines
    usage = sum_usage(
        run.usage
        for item in collected
        if item.judged.arm == name
        for run in (item.judged.run, *item.judged.evaluations.values())
    )
    full = _expected(usage, n_done, n_lines)
    return RaceArm(
        arm=name,
        n_lines=n_done,
        drop=drop,
        calls=usage.calls,
        tokens=usage.total_tokens,
        cost_usd=usage.cost_usd,
        full_calls=full.calls,
        full_tokens=full.total_tokens,
        full_cost_usd=full.cost_usd,
    )


def _expected(usage: Usage, n_done: int, n_lines: int) -> Usage:
    """What all lines would take, by the mean of those that are done."""
    if n_done in (0, n_lines):
        return usage
    share = n_lines / n_done
    return Usage(
        calls=ceil(usage.calls * share),
        prompt_tokens=ceil(usage.prompt_tokens * share),
        completion_tokens=ceil(usage.completion_tokens * share),
        cost_usd=None if usage.cost_usd is None else usage.cost_usd * share,
    )


def drop_as_plain(drop: Drop | None, n_done: int, n_lines: int) -> dict[str, Any]:
    """What is noted in the properties of an arm's run: how many lines it did not run, and why."""
    noted: dict[str, Any] = {"n_lines": n_done, "n_not_run": n_lines - n_done}
    if drop is not None:
        return {**noted, "why": "dropped", "drop": asdict(drop)}
    return {**noted, "why": "no other arm was left"} if n_done < n_lines else noted


def with_race(
    comparison: Comparison, collected: Sequence[Collected], judgement: Mapping[str, Any]
) -> tuple[Comparison, Recommendation, RaceResult | None]:
    """A comparison, the arm to ship and what came of the race; of arms that did not race what it was, and ``None``.

    Of some arms of a race, named one by one, the race itself is not told, but what was dropped is marked all the same.

    Raises:
        UsageError: G953 when the order of the race cannot be drawn again.
    """
    recorded = judgement.get(RACE)
    if recorded is None:
        return comparison, ship_recommendation(comparison), None
    race = read_outcome(collected, recorded)
    if race is not None:
        marked = mark_dropped(comparison, race)
        return marked, race_recommendation(marked, race), race
    marked = mark_dropped(comparison, _noted_outcome(collected, recorded))
    return marked, ship_recommendation(marked), None


def _noted_outcome(collected: Sequence[Collected], recorded: Mapping[str, Any]) -> RaceResult:
    """What the properties of some arms' runs note of their race."""
    field = recorded_field(recorded)
    notes = {item.judged.arm: item.judged.run.spec.properties.get(RACE) or {} for item in collected}
    drops = {arm: Drop(**note["drop"]) for arm, note in notes.items() if note.get("drop")}
    n_done = max((note.get("n_lines", 0) for note in notes.values()), default=0)
    standing = Standing(
        blocks=ceil(n_done / field.batch),
        n_lines=n_done,
        alive=tuple(arm for arm in notes if arm not in drops),
        drops=drops,
        leader=next(iter(notes)),
    )
    return _result(collected, recorded, field, standing, tuple(notes))
