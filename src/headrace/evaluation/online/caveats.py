"""What a reader of a look has to know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from headrace.domain.ab_report import AbArm
from headrace.domain.traffic import Traffic
from headrace.errors import nearest
from headrace.evaluation import wording
from headrace.evaluation.online.metric_evidence import Evidence
from headrace.evaluation.online.odds import OddsBook
from headrace.evaluation.online.unit_flow import SETTLE_NS
from headrace.evaluation.online.unit_values import is_of_answers
from headrace.evaluation.stats.sample_ratio import SampleRatioTest

_MINUTE_NS: Final = 60_000_000_000
_MANY_BEYOND: Final = 0.2
_MOST_UNREAD: Final = 3


def find_caveats(
    evidence: Evidence,
    book: OddsBook,
    split: SampleRatioTest,
    arms: Sequence[AbArm],
    unknown_arms: Sequence[str],
) -> tuple[str, ...]:
    """All caveats, as sentences."""
    found = []
    scores = {arm.arm: arm for arm in arms}
    base = next(arm for arm in arms if arm.is_baseline)
    for metric in evidence.metrics:
        name = metric.metric.name
        for arm in metric.answers_differ():
            ours, theirs = scores[arm].metric(name), base.metric(name)
            rates = [0.0 if one is None else one.said_rate or 0.0 for one in (ours, theirs)]
            found.append(
                f"{name} is said of {rates[0]:.1%} of the units of {arm} and of {rates[1]:.1%} of those of {base.arm}: "
                "a difference may be one of who answers. Say in the file what units count of which nothing was said."
            )
        beyond = metric.share_beyond()
        if beyond > _MANY_BEYOND:
            low, high = metric.metric.low, metric.metric.high
            found.append(
                f"{name} of {beyond:.0%} of the units lies beyond its range of {low:g} to {high:g}, so these count "
                "alike. Write a range that holds nearly all values."
            )
        found.extend(
            f"Of {wording.count(metric.lost[arm].arm, 'unit')} of {arm} and {metric.lost[arm].other:,} of {base.arm} "
            f"it is not known how they ended, which is more often in {arm}: clients went away, or processes died."
            for arm in metric.loses_more()
        )
    if split.n_impossible:
        found.append(
            f"{wording.count(split.n_impossible, 'unit')} got an arm that had no share in the revision named; "
            "they are left out."
        )
    found.extend(
        f"{arm.arm} answered in {len(arm.versions)} versions; the numbers are of all of them together."
        for arm in arms
        if len(arm.versions) > 1
    )
    found.extend(
        f"Revision {number} changed how many units take part and their shares at once: units that come back are not "
        "split as the new shares say. Use another seed for such a change."
        for number in book.shuffling()
    )
    if unknown_arms:
        found.append(f"Left out, because the file does not name them any more: {', '.join(unknown_arms)}.")
    return tuple(found)


def say_ahead(ahead_ns: int) -> Iterator[str]:
    """Say how far evidence is ahead of the clock that looks at it, where windows are over too early by it."""
    if ahead_ns > SETTLE_NS:
        yield (
            f"There is evidence from {ahead_ns / _MINUTE_NS:,.0f} minutes in the future: the clock of a server, or of "
            "this machine, is wrong, and what is said of units may be taken to come too late. Set all clocks alike."
        )


def say_unread(unread: Mapping[str, int], traffic: Traffic) -> Iterator[str]:
    """Name what people talk about most often and no metric reads, as a misspelling would be.

    Args:
        unread: Name to how often it was said.
        traffic: The rules.
    """
    read = [metric.source for metric in traffic.metrics if not is_of_answers(metric)]
    for name, n in Counter(unread).most_common(_MOST_UNREAD):
        near = nearest(name, read)
        if near is None and len(read) == 1:
            near = read[0]
        more = (
            f"; did you mean {near}?"
            if near
            else ". Name it in the file, from: of a metric, to have it read."
        )
        is_are = "piece of feedback is" if n == 1 else "pieces of feedback are"
        yield f"{n:,} {is_are} about {name}, which no metric reads{more}"
