"""What an experiment file says beside its arms: guardrails, a budget, a race, gates, and which lines are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, cast, get_args

from headrace.domain.evaluation import Guardrail
from headrace.domain.gate import GateSpec, GateTest
from headrace.domain.race import RaceMode, RaceSpec
from headrace.domain.run import Cap
from headrace.domain.scores import Direction, MetricSpec
from headrace.errors import nearest
from headrace.formats.data_choice import DataChoice, choice_path
from headrace.formats.experiment_parts import no_mapping, read_items, read_path, read_whole, refuse
from headrace.formats.judgement import DIRECTIONS
from headrace.formats.shape import Block, Findings
from headrace.source import Pointer

_RACE_MODES = get_args(RaceMode)
_GATE_TESTS = get_args(GateTest)


def read_data(root: Block, file: Path) -> str:
    """The path of the data, with the lines that are chosen of it; ``data`` is a path or a mapping."""
    value = root.data.get("data")
    if not isinstance(value, dict):
        return read_path(root, "data", file, "The experiment")
    block = root.block("data")
    block.check_keys(("path", "split", "sample"), "The data", severity="error")
    path = read_path(block, "path", file, "The data")
    column = found = None
    if block.data.get("split") is not None:
        split = block.block("split")
        split.check_keys(("column", "value"), "A split", severity="error")
        column = split.required_text("column", "The split")
        value = split.data.get("value")
        found = str(value).lower() if isinstance(value, bool) else split.required_text("value", "The split")
    n = seed = 0
    if block.data.get("sample") is not None:
        sample = block.block("sample")
        sample.check_keys(("n", "seed"), "A sample", severity="error")
        if sample.data.get("n") is None:
            sample.missing("n", "The sample")
        n = read_whole(sample, "n", default=0, at_least=1)
        seed = read_whole(sample, "seed", default=0, at_least=0)
    return choice_path(path, DataChoice(column=column, value=found, n=n or None, seed=seed))


def read_guardrails(
    root: Block, metrics: Sequence[MetricSpec], said: Mapping[str, Direction]
) -> tuple[Guardrail, ...]:
    """The guardrails; each is a score other than the one that decides, with a margin.

    Args:
        root: The whole file.
        metrics: The metrics that it names.
        said: The direction of each score that it says one of.
    """
    found: dict[str, Guardrail] = {}
    if root.data.get("guardrails") and not root.data.get("metrics"):
        what = "There are guardrails, but nothing says which metric decides."
        root.findings.add("F006", ("guardrails",), what, "Add metrics: the first one decides.", at_key=True)
    known = {metric.name: metric for metric in metrics}
    for guardrail in read_items(root, "guardrails", _read_guardrail):
        metric = known.get(guardrail.metric)
        place = (*guardrail.pointer, "metric")
        if guardrail.metric in found:
            what = f"The guardrail {guardrail.metric!r} stands here twice."
            root.findings.add("F003", place, what, "Name each metric once.")
        if metrics and guardrail.metric == metrics[0].name:
            what = f"{guardrail.metric!r} is the metric that decides, so it needs no guardrail."
            fix = "Remove the guardrail, or let another metric decide by writing it first."
            root.findings.add("G903", place, what, fix)
        elif metric is not None and metric.margin not in (None, guardrail.margin):
            what = f"The metric {guardrail.metric!r} has another margin than its guardrail."
            fix = "Write the same margin in both places, or in the guardrail only."
            root.findings.add("G903", (*guardrail.pointer, "margin"), what, fix)
        direction = said.get(guardrail.metric, guardrail.direction)
        found[guardrail.metric] = replace(guardrail, direction=direction)
    return tuple(found.values())


def _read_guardrail(pointer: Pointer, value: Any, findings: Findings) -> Guardrail | None:
    if not isinstance(value, dict):
        no_mapping(pointer, findings, "a mapping with metric and margin")
        return None
    block = Block(value, pointer, findings)
    block.check_keys(("metric", "direction", "margin"), "A guardrail", severity="error")
    metric = block.required_text("metric", "The guardrail")
    direction = block.word("direction", DIRECTIONS) or "higher"
    margin = block.number("margin")
    if block.data.get("margin") is None:
        what = "The guardrail has no margin, so that no loss would ever be small enough."
        fix = "Add margin: the largest loss that does not matter, in the unit of the metric."
        findings.add("G903", pointer, what, fix)
    elif margin is not None and not 0 < margin < inf:
        findings.add("G903", block.at("margin"), "A margin must be above zero.", "Write a number above zero.")
    if metric is None or margin is None or direction not in DIRECTIONS:
        return None
    return Guardrail(
        metric=metric, margin=float(margin), direction=cast("Direction", direction), pointer=pointer
    )


def read_budget(root: Block) -> Cap | None:
    """The most that may be spent; ``None`` without a limit."""
    if root.data.get("budget") is None:
        return None
    block = root.block("budget")
    block.check_keys(("cost_usd", "tokens"), "A budget", severity="error")
    cost = block.number("cost_usd")
    if cost is not None and not 0 < cost < inf:
        refuse(block, "cost_usd", "a number of US dollars above zero")
    tokens = read_whole(block, "tokens", default=0, at_least=1)
    if isinstance(root.data["budget"], dict) and all(value is None for value in block.data.values()):
        block.missing("cost_usd", "The budget")
    return Cap(cost_usd=None if cost is None else float(cost), tokens=tokens or None)


def read_race(root: Block) -> RaceSpec | None:
    """How the arms race: a mode, or a mapping; ``None`` where they do not."""
    value = root.data.get("race")
    if value is None:
        return None
    block = Block({"mode": value} if isinstance(value, str) else value, ("race",), root.findings)
    block.check_keys(("mode", "alpha", "batch", "start", "score_range"), "A race", severity="error")
    mode = root.word("race", _RACE_MODES) if isinstance(value, str) else block.word("mode", _RACE_MODES)
    alpha, score_range = block.number("alpha"), block.number("score_range")
    if alpha is not None and not 0 < alpha < 1:
        refuse(block, "alpha", "a number between 0 and 1")
    if score_range is not None and not 0 < score_range < inf:
        refuse(block, "score_range", "a number above zero")
    standard = RaceSpec()
    return RaceSpec(
        mode=cast("RaceMode", mode) if mode in _RACE_MODES else standard.mode,
        alpha=standard.alpha if alpha is None else float(alpha),
        batch=read_whole(block, "batch", default=0, at_least=1) or None,
        start=read_whole(block, "start", default=standard.start, at_least=1),
        score_range=None if score_range is None else float(score_range),
    )


def read_gates(root: Block, arms: Sequence[str]) -> tuple[GateSpec, ...]:
    """What an arm must show before it is let through.

    Args:
        root: The whole file.
        arms: Names of the arms; empty where they could not be read.
    """

    def read(pointer: Pointer, value: Any, findings: Findings) -> GateSpec | None:
        return _read_gate(pointer, value, findings, arms)

    return tuple(read_items(root, "gates", read))


def _read_gate(pointer: Pointer, value: Any, findings: Findings, arms: Sequence[str]) -> GateSpec | None:
    if not isinstance(value, dict):
        no_mapping(pointer, findings, "a mapping with metric and test")
        return None
    block = Block(value, pointer, findings)
    block.check_keys(("metric", "test", "margin", "limit", "arm", "against"), "A gate", severity="error")
    metric = block.required_text("metric", "The gate")
    test = block.word("test", _GATE_TESTS) or "non_inferiority"
    margin, limit, arm = block.number("margin"), block.number("limit"), block.text("arm")
    if margin is not None and not 0 <= margin < inf:
        findings.add("G903", block.at("margin"), "A margin of a gate is not below zero.", "Write 0 or more.")
    if test == "budget" and block.data.get("limit") is None:
        block.missing("limit", "The gate")
    for key in ("limit",) if test != "budget" else ("margin",):
        if key in block and test in _GATE_TESTS:
            what = f"A gate with the test {test} has no use for {key}."
            findings.add("F012", block.at(key), what, f"Remove {key}.", at_key=True)
    if limit is not None and not 0 <= limit < inf:
        refuse(block, "limit", "a number of at least 0")
    if arm is not None and arms and arm not in arms:
        near = nearest(arm, list(arms))
        start = f'Did you mean "{near}"? ' if near else ""
        what = f"The gate asks about {arm!r}, which is no arm of this experiment."
        findings.add("V305", block.at("arm"), what, f"{start}Arms: {', '.join(arms)}.")
    if metric is None or test not in _GATE_TESTS:
        return None
    return GateSpec(
        metric=metric,
        test=cast("GateTest", test),
        margin=None if margin is None else float(margin),
        limit=None if limit is None else float(limit),
        arm=arm,
        against=block.text("against"),
        pointer=pointer,
    )
