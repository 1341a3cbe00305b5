"""Live requests that were kept with what went in and came out, each with what was said about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from headrace.domain.evidence import Completion, Evidence, Exposure, Feedback
from headrace.store.base import RunStore

CLAIM: Final = "claim"
COST: Final = "cost_usd"
"""Behind the name of an evaluator and a dot: that it is at a request, and what its score cost. No scores."""

_BATCH: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One request that was kept.

    Attributes:
        exposure: Who was shown what.
        completion: What went in and came out.
        said: Metric to the last value that was said of the request, or else of its unit.
    """

    exposure: Exposure
    completion: Completion
    said: Mapping[str, float]


def read_logged(store: RunStore, test: str) -> tuple[LoggedRequest, ...]:
    """The logged requests of a test in the order in which they were made.

    What is kept in memory grows with the logged requests, and with units of which something was said.

    Args:
        store: Holds the test.
        test: Its name.

    Raises:
        StateError: The store is away.
    """
    completions: dict[str, Completion] = {}
    for record in _read(store, test):
        if isinstance(record, Completion) and record.inputs is not None:
            completions[record.exposure] = record
    exposures: dict[str, Exposure] = {}
    last: dict[tuple[str, str, str], tuple[int, float]] = {}
    for record in _read(store, test):
        if isinstance(record, Exposure) and record.id in completions:
            exposures[record.id] = record
        elif isinstance(record, Feedback) and (record.unit or record.exposure in completions):
            _remember(last, record)
    said: dict[tuple[str, str], dict[str, float]] = {}
    for (kind, key, metric), (_, value) in last.items():
        said.setdefault((kind, key), {})[metric] = value
    found = [
        LoggedRequest(
            exposure=exposure,
            completion=completions[exposure.id],
            said={**said.get(("unit", exposure.unit), {}), **said.get(("exposure", exposure.id), {})},
        )
        for exposure in exposures.values()
    ]
    return tuple(sorted(found, key=lambda item: (item.exposure.at_ns, item.exposure.id)))


def _remember(last: dict[tuple[str, str, str], tuple[int, float]], record: Feedback) -> None:
    """Keep the value that was said last; of two at the same time that which came last."""
    if record.value is None or record.metric == f"{record.source}.{COST}":
        return
    key = ("exposure", record.exposure, record.metric)
    if not record.exposure:
        key = ("unit", record.unit, record.metric)
    if key not in last or last[key][0] <= record.at_ns:
        last[key] = (record.at_ns, record.value)


def _read(store: RunStore, test: str) -> Iterator[Evidence]:
    place = 0
    while arrivals := store.read_arrivals(test, after=place, limit=_BATCH):
        for arrival in arrivals:
            yield arrival.evidence
        place = arrivals[-1].place
