"""Codes of suggestions, of the family G."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

SUGGESTION_CODES: Mapping[str, Entry] = {
    "G971": Entry(
        "too-few-train-lines",
        "Too few lines to choose examples from",
        "Examples are taken from one half of the train lines and chosen by the other half, so both must have some.",
    ),
    "G972": Entry(
        "train-line-held-out",
        "A line that is both in the train split and held out",
        "A prompt that shows a line with its answer is not tested by that line.",
    ),
    "G973": Entry(
        "no-place-for-examples",
        "A prompt without a place for examples",
        "Examples go before the last message of the user, or where the prompt says so.",
    ),
}
