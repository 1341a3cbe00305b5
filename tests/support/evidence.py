"""Builders of rules, evidence and revisions of online tests for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.runs import START_NS, a_time

from headrace.domain.evidence import Completion, Exposure, Feedback, unit_digest
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
