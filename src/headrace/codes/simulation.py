"""Codes of simulations of online tests, of the family G."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

SIMULATION_CODES: Mapping[str, Entry] = {
    "G991": Entry(
        "nothing-to-simulate",
        "A test that decides nothing",
        "A simulation says when a test decides; that needs a metric and another arm that answers beside the baseline.",
    ),
    "G992": Entry(
        "simulation-too-large",
        "A simulation with too many requests",
        "Each run keeps its requests in memory, so that it can have so many only.",
    ),
}
