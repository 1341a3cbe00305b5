"""Builders of rules, evidence and revisions of online tests for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.runs import START_NS, a_time

from headrace.domain.evidence import Completion, Evidence, Exposure, Feedback, unit_digest
from headrace.domain.traffic import OnlineMetric, Revision, Traffic, TrafficArm
from headrace.domain.variant import Arm


def an_exposure(number: int | str = 1, **changes: Any) -> Exposure:
    fields: dict[str, Any] = {
        "test": "checkout",
        "revision": 1,
        "at_ns": START_NS,
        "unit": unit_digest("checkout", f"user {number}"),
        "arm": "b",
        "propensity": 0.5,
        "request_id": f"r{number}",
    }
    return Exposure(**{"id": f"r{number}", **fields, **changes})


def a_completion(number: int | str = 1, **changes: Any) -> Completion:
    fields: dict[str, Any] = {
        "test": "checkout",
        "at_ns": START_NS + 5,
        "answered_by": "b",
        "latency_ms": 12.5,
    }
    return Completion(**{"exposure": f"r{number}", **fields, **changes})


def a_feedback(number: int | str = 1, **changes: Any) -> Feedback:
    fields: dict[str, Any] = {
        "test": "checkout",
        "at_ns": START_NS + 9,
        "metric": "thumbs",
        "value": 1.0,
        "exposure": f"r{number}",
    }
    return Feedback(**{"id": f"f{number}", **fields, **changes})


def a_revision(number: int = 1, **changes: Any) -> Revision:
    fields: dict[str, Any] = {
        "test": "checkout",
        "at": a_time(number),
        "reason": "started" if number == 1 else "changed",
        "ranges": {"a": ((0, 4000), (5000, 6000)), "b": ((6000, 10_000),)},
        "answering": "a",
        "digest": "d" * 64,
    }
    return Revision(number=number, **{**fields, **changes})


def a_traffic(weights: Mapping[str, float] | None = None, **changes: Any) -> Traffic:
    """The rules of a test of ``a``, the baseline, and other arms."""
    weights = weights or {"a": 0.5, "b": 0.5}
    fields: dict[str, Any] = {
        "name": "checkout",
        "path": "traffic.yaml",
        "arms": tuple(
            TrafficArm(name=name, arm=Arm(name=name), weight=weight) for name, weight in weights.items()
        ),
        "baseline": "a",
        "digest": "d" * 64,
        "metrics": (OnlineMetric(name="thumbs", source="thumbs"),),
    }
    return Traffic(**{**fields, **changes})


def a_trial(
    n: int, *, failing: int = 0, is_liked: bool = False, is_hated: bool = False, first: int = 0
) -> list[Evidence]:
    """``n`` units for ``a`` and for ``b``, with what came of them.

    Every ``failing``-th of b fails. Of ten one gets a thumb, and nine where the arm is liked: b, or a where b is hated.
    """
    liked = {"a": is_hated, "b": is_liked}
    records: list[Evidence] = []
    for number in range(first, first + n):
        at = {"at_ns": START_NS + number * 1000}
        for arm, is_better in liked.items():
            name = f"{arm}{number}"
            is_failed = arm == "b" and failing > 0 and number % failing == 0
            value = float((number % 10 != 0) is is_better)
            records.append(an_exposure(name, arm=arm, **at))
            records.append(a_completion(name, answered_by=arm, problem="E601" if is_failed else "", **at))
            records.append(a_feedback(name, value=value, **at))
    return records
