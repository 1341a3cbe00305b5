"""How an experiment file says that its arms are judged: metrics, slices, and what p is adjusted over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any, cast, get_args

from headrace.domain.comparison import Family
from headrace.domain.scores import Direction, Goal, MetricKind, MetricSpec
from headrace.errors import nearest
from headrace.formats.shape import Block, Findings
from headrace.source import Pointer

DIRECTIONS = get_args(Direction)
_METRIC_KINDS = get_args(MetricKind)
_GOALS = get_args(Goal)
_FAMILIES = get_args(Family)
_KEYS = ("name", "direction", "kind", "margin", "goal", "labels")


def said_directions(root: Block) -> dict[str, Direction]:
    """The direction of each score that the file says one of, as a metric or as a guardrail; F005 where they differ."""
    said: dict[str, Direction] = {}
    for key, name_key in (("metrics", "name"), ("guardrails", "metric")):
        items = root.data.get(key)
        for number, item in enumerate(items if isinstance(items, list) else ()):
            name, direction = (
                (item.get(name_key), item.get("direction")) if isinstance(item, dict) else (None, None)
            )
            if not isinstance(name, str) or direction not in DIRECTIONS:
                continue
            if said.setdefault(name, cast("Direction", direction)) != direction and key == "guardrails":
                what = f"The metric {name!r} has another direction than its guardrail."
                fix = "Write the same direction in both places, or in one only."
                root.findings.add("F005", (key, number, "direction"), what, fix)
    return said


def read_metrics(root: Block, arms: Sequence[str], said: Mapping[str, Direction]) -> tuple[MetricSpec, ...]:
    """The metrics of an experiment; what is wrong with them becomes a problem.

    Args:
        root: The whole experiment.
        arms: Names that ``labels`` may be given for; empty where they could not be read.
        said: The direction of each score that the file says one of.
    """
    metrics: dict[str, MetricSpec] = {}
    for pointer, value in root.items("metrics"):
        metric = _read_metric(pointer, value, root.findings, arms)
        if metric is None:
            continue
        if metric.name in metrics:
            what = f"The metric {metric.name!r} stands here twice."
            root.findings.add("F003", pointer, what, "Name each metric once.")
        metrics[metric.name] = replace(metric, direction=said.get(metric.name, metric.direction))
    return tuple(metrics.values())


def read_slices(root: Block) -> tuple[str, ...]:
    """Columns that the results are broken down by, each once."""
    found: dict[str, None] = {}
    for pointer, value in root.items("slices"):
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            if str(value) in found:
                root.findings.add(
                    "F003", pointer, f"The column {value!r} stands here twice.", "Name it once."
                )
            found[str(value)] = None
        else:
            root.findings.add("F005", pointer, "Here should be the name of a column.", "Write a column name.")
    return tuple(found)


def read_family(root: Block) -> Family:
    """Which comparisons are adjusted together; "baseline" where nothing is said."""
    family = root.word("family", _FAMILIES)
    return cast("Family", family) if family in _FAMILIES else "baseline"


def _read_metric(pointer: Pointer, value: Any, findings: Findings, arms: Sequence[str]) -> MetricSpec | None:
    if isinstance(value, str) and value:
        return MetricSpec(name=value)
    if not isinstance(value, dict):
        wanted = "the name of a score or a mapping with name"
        findings.add("F005", pointer, f"Here should be {wanted}.", f"Write {wanted}.")
        return None
    block = Block(value, pointer, findings)
    block.check_keys(_KEYS, "A metric", severity="error")
    name = block.required_text("name", "The metric")
    direction = block.word("direction", DIRECTIONS) or "higher"
    kind = block.word("kind", _METRIC_KINDS) or "auto"
    goal = block.word("goal", _GOALS) or "superiority"
    margin = _read_margin(block, goal)
    labels = _read_labels(block, arms)
    if name is None or direction not in DIRECTIONS or kind not in _METRIC_KINDS or goal not in _GOALS:
        return None
    return MetricSpec(
        name=name,
        direction=cast("Direction", direction),
        kind=cast("MetricKind", kind),
        margin=margin,
        labels=labels,
        goal=cast("Goal", goal),
    )


def _read_margin(block: Block, goal: str) -> float | None:
    margin = block.number("margin")
    if margin is not None and not 0 < margin < inf:
        what = "A margin must be above zero."
        block.findings.add("G903", block.at("margin"), what, "Write a number above zero.")
    if block.data.get("margin") is None and goal in _GOALS and goal != "superiority":
        what = f"The goal {goal} asks for a margin, and the metric has none."
        fix = "Add margin: the largest difference that does not matter, in the unit of the metric."
        block.findings.add("G903", block.at("goal"), what, fix)
    return None if margin is None else float(margin)


def _read_labels(block: Block, arms: Sequence[str]) -> dict[str, str]:
    labels = block.block("labels")
    for arm in labels.data:
        if arms and arm not in arms:
            guess = nearest(arm, arms)
            start = f'Did you mean "{guess}"? ' if guess else ""
            what = f"Labels are given for {arm!r}, which is no arm of this experiment."
            block.findings.add("V305", labels.at(arm), what, f"{start}Arms: {', '.join(arms)}.", at_key=True)
    return {arm: labels.text(arm) or "" for arm in labels.data if labels.text(arm)}
