"""Codes of traffic files, of the family G."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

TRAFFIC_CODES: Mapping[str, Entry] = {
    "G981": Entry(
        "weights-off",
        "Weights that do not share out the traffic",
        "The weights of the arms that answer add up to 1, so that each request in the test has one arm.",
    ),
    "G982": Entry(
        "no-answering-arm",
        "A test in which nobody answers",
        "Somebody has to answer whoever is in the test, and the baseline whoever is not; mirrored arms never answer.",
    ),
    "G983": Entry(
        "incomplete-online-metric",
        "A metric of live traffic that says too little",
        "Evidence about a mean needs limits for its values, and what people say needs a time after which it counts.",
    ),
    "G984": Entry(
        "ramp-out-of-order",
        "A ramp that does not rise",
        "The steps of a ramp begin with the test, follow each other in time, and take nobody out of it again.",
    ),
    "G985": Entry(
        "rules-exclude-each-other",
        "Rules that exclude each other",
        "What holds under one of them does not under the other.",
    ),
    "G986": Entry(
        "unit-is-request",
        "Requests that are units of their own",
        "Without a unit a person may get another arm with each request, and a conversation changes arms in the middle.",
    ),
    "G987": Entry(
        "undecided-test",
        "A test that may decide nothing",
        "It runs and is recorded all the same.",
    ),
}
