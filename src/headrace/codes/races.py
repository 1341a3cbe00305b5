"""Codes of races, of the family G."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

RACE_CODES: Mapping[str, Entry] = {
    "G951": Entry(
        "race-without-limits",
        "A race on a score without limits",
        "Whether an arm can still catch up depends on how much one line can change: the primary metric of a race lies "
        "from 0 to 1, or its range is given.",
    ),
    "G952": Entry(
        "race-with-pairs",
        "A race whose evaluators look at the baseline's answers",
        "The baseline may be dropped like any other arm, and then there is no answer to compare with.",
    ),
    "G953": Entry(
        "other-race",
        "A race that cannot be resumed",
        "A race goes on with the arms, the metric, the data and the order that it began with.",
    ),
}
