"""Codes of judges, of the family G."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

JUDGE_CODES: Mapping[str, Entry] = {
    "G942": Entry(
        "judge-without-model",
        "A grader without a model to ask",
        "Which model grades decides about the grades, so there is no default.",
    ),
    "G943": Entry(
        "reader-as-judge",
        "The embedded reader asked to judge",
        "The embedded baseline finds and copies words. It has no opinion, so its grades would be noise.",
    ),
    "G944": Entry(
        "judge-parameters",
        "Parameters that a grader cannot use",
        "A grader takes the parameters that are listed for it; some cannot do without.",
    ),
    "G945": Entry(
        "mixed-judges",
        "Arms that different judges have graded",
        "Scores of two versions of a judge differ for reasons of their own, so arms cannot be compared by them.",
    ),
}
