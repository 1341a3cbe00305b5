"""Codes of evaluators (G, from 921)."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

EVALUATOR_CODES: Mapping[str, Entry] = {
    "G921": Entry(
        "unscorable-line",
        "A line that cannot be scored",
        "The evaluator has nothing to judge by, such as a right answer; the score is missing, which is no zero.",
    ),
    "G922": Entry(
        "unknown-evaluator",
        "A built-in evaluator that does not exist",
        "The name is neither that of a built-in evaluator nor that of a grader.",
    ),
    "G923": Entry(
        "evaluator-option",
        "An option that an evaluator cannot use",
        "The evaluator has no such option, or the value does not fit it.",
    ),
    "G924": Entry(
        "evaluator-package",
        "A library of metrics is missing",
        "The evaluator works with a library that is not installed.",
    ),
    "G925": Entry(
        "unclear-input",
        "An input of an evaluator that is not clear",
        "No output or column of a usual name could be the input, or the mapping names an input that does not exist.",
    ),
    "G926": Entry(
        "python-evaluator",
        "Python that cannot judge",
        "The function, class or object cannot be loaded, made or called with inputs by name.",
    ),
}
