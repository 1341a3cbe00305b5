"""Codes of judges and labels, of the family G."""

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
    "G946": Entry(
        "label-out-of-range",
        "A label that is no number from 0 to 1",
        "Labels are in the unit of the metric, as scores are.",
    ),
    "G947": Entry(
        "label-without-answer",
        "A label for an answer that does not exist",
        "The run has no such line, or the line has failed.",
    ),
    "G948": Entry(
        "unreadable-label",
        "A label that does not say what it is about",
        "A row of labels names the run, the line, the metric and the value.",
    ),
    "G949": Entry(
        "nothing-to-label",
        "No answers to label",
        "None of the runs has a line with an answer.",
    ),
}
