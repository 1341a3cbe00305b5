"""Codes of online tests, of the family S."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

ONLINE_CODES: Mapping[str, Entry] = {
    "S841": Entry(
        "unknown-online-test",
        "An online test that does not exist",
        "The store knows an online test from the moment on that a server or a watch has begun it.",
    ),
    "S842": Entry(
        "refused-step",
        "A step that an online test cannot take",
        "What is over cannot be stopped, what runs cannot be resumed, the baseline cannot leave its own test, arms "
        "that answer nobody cannot be promoted, and the arm that answers everybody cannot leave the file.",
    ),
    "S843": Entry(
        "no-live-request",
        "No live request to make data of",
        "Data are made of requests that were logged with inputs and outputs, and of those only that may be used.",
    ),
}
