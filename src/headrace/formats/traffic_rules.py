"""What a traffic file says beside arms and metrics: conditions, ramps, how it is decided, and what is kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any, Final, cast, get_args

from headrace.domain.traffic import (
    Allocation,
    AllocationRule,
    Condition,
    DecisionRule,
    Horizon,
    OnlineEvaluator,
    OnlineMetric,
    Operator,
    RampStep,
    RequestLog,
    TrafficArm,
)
from headrace.formats.experiment_evaluators import read_evaluator
from headrace.formats.experiment_parts import no_mapping, read_items, read_whole, refuse
from headrace.formats.shape import Block, Findings, is_number
from headrace.formats.traffic_parts import (
    PLACES,
    one_of,
    read_duration,
    read_limited,
    read_place,
    read_share,
)
from headrace.source import Pointer

OPERATORS: Final[tuple[Operator, ...]] = get_args(Operator)
DECISION_KEYS: Final = ("alpha", "horizon", "n_units", "looks", "min_units", "min_events", "every")
ALLOCATION_KEYS: Final = ("method", "floor", "every")
LOG_KEYS: Final = ("share", "consent", "redact")
MAX_LOOKS: Final = 20
"""Looks of a fixed horizon; many more are what "anytime" is for."""

_HORIZONS, _METHODS = get_args(Horizon), get_args(Allocation)
_OWN = ("share", "max_usd")


def read_conditions(block: Block, key: str) -> tuple[Condition, ...]:
    """The list of conditions at ``key``."""
    return tuple(read_items(block, key, read_condition))


def read_condition(pointer: Pointer, value: Any, findings: Findings) -> Condition | None:
    """One condition: a place of the request, and what has to stand there."""
    if not isinstance(value, dict):
        no_mapping(
            pointer, findings, "a mapping with a place and what it has to be, as in {header: x-plan, is: pro}"
        )
        return None
    block = Block(value, pointer, findings)
    block.check_keys((*PLACES, *OPERATORS), "A condition", severity="error")
    place = read_place(block, "The condition")
    operator = one_of(block, OPERATORS, "The condition")
    if place is None or operator is None or not _check_value(block, operator):
        return None
    return Condition(attribute=place, operator=cast("Operator", operator), value=block.data[operator])


def _check_value(block: Block, operator: str) -> bool:
    """Whether a value fits its operator; F005 where it does not."""
    value = block.data[operator]
    wanted = ""
    if operator in ("in", "not_in"):
        if not isinstance(value, list) or not value or not all(_is_plain(item) for item in value):
            wanted = "a list of texts, numbers, true or false"
    elif operator in ("at_least", "at_most"):
        wanted = "" if is_number(value) else "a number"
    elif operator == "exists":
        wanted = "" if isinstance(value, bool) else "true or false"
    elif operator == "matches":
        wanted = "" if isinstance(value, str) and _is_pattern(value) else "a regular expression of Python"
    elif not _is_plain(value):
        wanted = "a text, a number, true or false"
    if wanted:
        refuse(block, operator, wanted)
    return not wanted


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool))


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def read_ramp(root: Block) -> tuple[RampStep, ...]:
    """The steps of the ramp; G984 where they do not rise, G985 beside ``coverage``."""
    steps = root.items("ramp")
    if steps and root.data.get("coverage") is not None:
        what = "The ramp says how much of the traffic is in the test, so coverage has no meaning."
        root.findings.add("G985", root.at("coverage"), what, "Keep one of coverage and ramp.", at_key=True)
    found: list[RampStep] = []
    for pointer, value in steps:
        step = _read_step(pointer, value, root.findings)
        if step is None:
            continue
        wrong = ""
        if not found and step.after_s:
            wrong = "Nothing says how much of the traffic is in the test before the first step of the ramp."
        elif found and step.after_s <= found[-1].after_s:
            wrong = "This step is not later than the one before it."
        elif found and step.coverage < found[-1].coverage:
            wrong = "This step would take units out of the test again."
        if wrong:
            fix = "Begin with after: 0s, and let time and coverage grow from step to step."
            root.findings.add("G984", pointer, wrong, fix)
        found.append(step)
    return tuple(found)


def _read_step(pointer: Pointer, value: Any, findings: Findings) -> RampStep | None:
    if not isinstance(value, dict):
        no_mapping(pointer, findings, "a mapping with after and coverage")
        return None
    block = Block(value, pointer, findings)
    block.check_keys(("after", "coverage"), "A step of a ramp", severity="error")
    for key in ("after", "coverage"):
        if block.data.get(key) is None:
            block.missing(key, "The step")
    if len(block.data) < 2:
        return None
    return RampStep(
        after_s=read_duration(block, "after", default=0.0),
        coverage=read_share(block, "coverage", default=1.0),
    )


def read_decision(root: Block) -> DecisionRule:
    """How the test is decided."""
    block = root.block("decision")
    block.check_keys(DECISION_KEYS, "A decision", severity="error")
    usual = DecisionRule()
    horizon = block.word("horizon", _HORIZONS) or usual.horizon
    if horizon == "fixed" and block.data.get("n_units") is None:
        what = "A fixed horizon has to be fixed: the decision has no n_units."
        fix = "Add n_units: units in the test at its end. headrace experiment plan says how many find a difference."
        block.findings.add("F006", block.pointer, what, fix)
    if horizon == "anytime":
        for key in ("n_units", "looks"):
            if block.data.get(key) is not None:
                what = f"A test that may be looked at always has no use for {key}."
                fix = f"Remove {key}, or write horizon: fixed."
                block.findings.add("G985", block.at(key), what, fix, at_key=True)
    looks = read_whole(block, "looks", default=usual.looks, at_least=1)
    if looks > MAX_LOOKS:
        refuse(block, "looks", f"a whole number from 1 to {MAX_LOOKS}")
    return DecisionRule(
        alpha=read_limited(
            block,
            "alpha",
            default=usual.alpha,
            low=0.0,
            high=1.0,
            wanted="a number between 0 and 1",
            is_open=True,
        ),
        horizon=cast("Horizon", horizon),
        n_units=read_whole(block, "n_units", default=0, at_least=2) or None,
        looks=looks,
        min_units=read_whole(block, "min_units", default=usual.min_units, at_least=1),
        min_events=read_whole(block, "min_events", default=usual.min_events, at_least=0),
        every_s=read_duration(block, "every", default=usual.every_s, is_positive=True),
    )


def read_allocation(
    root: Block, arms: Sequence[TrafficArm], metrics: Sequence[OnlineMetric], decision: DecisionRule
) -> AllocationRule:
    """Who chooses the weights: a method, or a mapping."""
    value = root.data.get("allocation")
    block = Block({"method": value} if isinstance(value, str) else value, ("allocation",), root.findings)
    block.check_keys(ALLOCATION_KEYS, "An allocation", severity="error")
    usual = AllocationRule()
    method = block.word("method", _METHODS) or usual.method
    n_arms = sum(1 for arm in arms if not arm.is_shadow)
    most = 1 / n_arms if n_arms else 1.0
    wanted = f"a share from 0 to {most:.3g}, because there are {n_arms} arms"
    floor = read_limited(block, "floor", default=usual.floor, low=0.0, high=most, wanted=wanted)
    rule = AllocationRule(
        method=cast("Allocation", method),
        floor=floor,
        every_s=read_duration(block, "every", default=usual.every_s, is_positive=True),
    )
    if method == "thompson":
        _check_thompson(root, metrics, decision)
    return rule


def _check_thompson(root: Block, metrics: Sequence[OnlineMetric], decision: DecisionRule) -> None:
    if not metrics:
        what = "Thompson sampling follows the first metric, and the test has none."
        root.findings.add("F006", ("allocation",), what, "Add metrics.")
    if decision.horizon == "fixed":
        what = (
            "A fixed horizon takes the weights for given, and Thompson sampling changes them by the answers."
        )
        fix = "Write horizon: anytime, or allocation: fixed."
        root.findings.add("G985", ("allocation",), what, fix)


def read_log(root: Block) -> RequestLog:
    """Which requests are kept with what went in and came out."""
    block = root.block("log")
    block.check_keys(LOG_KEYS, "A log", severity="error")
    consent = None
    if block.data.get("consent") is not None:
        consent = read_condition(block.at("consent"), block.data["consent"], block.findings)
    redact = []
    for pointer, value in block.items("redact"):
        if isinstance(value, str) and value:
            redact.append(value)
        else:
            block.findings.add("F005", pointer, "Here should be the name of a field.", "Write a name.")
    return RequestLog(
        share=read_share(block, "share", default=0.0), consent=consent, redact=tuple(dict.fromkeys(redact))
    )


def read_evaluators(root: Block, file: Path) -> tuple[OnlineEvaluator, ...]:
    """The evaluators and judges of logged requests.

    Args:
        root: The whole file.
        file: The traffic file; paths are relative to its folder.
    """
    found: dict[str, OnlineEvaluator] = {}
    for pointer, value in root.items("evaluators"):
        evaluator = _read_evaluator(pointer, value, root.findings, file)
        if evaluator is None:
            continue
        if evaluator.name in found:
            what = f"Two evaluators are called {evaluator.name!r}."
            root.findings.add("F003", pointer, what, "Give each evaluator a name of its own.")
        found[evaluator.name] = evaluator
    if found and not root.block("log").data.get("share"):
        what = "Evaluators score logged requests, and none is logged."
        root.findings.add("F006", ("evaluators",), what, "Add log: {share: 0.1}.", at_key=True)
    return tuple(found.values())


def _read_evaluator(pointer: Pointer, value: Any, findings: Findings, file: Path) -> OnlineEvaluator | None:
    entry = value
    block = Block(value if isinstance(value, dict) else {}, pointer, findings)
    if isinstance(value, dict):
        entry = {key: item for key, item in block.data.items() if key not in _OWN}
    found = read_evaluator(pointer, entry, findings, file)
    if found is None:
        return None
    max_usd = read_limited(
        block,
        "max_usd",
        default=0.0,
        low=0.0,
        high=inf,
        wanted="a number of US dollars above zero",
        is_open=True,
    )
    return OnlineEvaluator(
        name=found.name,
        entry=entry if isinstance(entry, dict) else {"builtin": entry},
        share=read_share(block, "share", default=1.0),
        max_usd=max_usd or None,
    )
