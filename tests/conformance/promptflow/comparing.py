"""One case under headrace, and what is expected of it, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.conformance.promptflow.case import Case
from tests.conformance.promptflow.ours import run_case
from tests.conformance.promptflow.results import compared, expected_results, restrict


class Sides(NamedTuple):
    """Two values that must be equal."""

    given: Any
    expected: Any


def run_and_expect(case: Case, recording: Mapping[str, Any], folder: Path) -> Sides:
    """Run a case under headrace in an empty folder.

    Args:
        case: With the problem that headrace has to show, where it names one.
        recording: What stock did.
        folder: Empty.
    """
    results = run_case(case, folder)
    problems = [code for result in results for code in result.pop("problems")]
    results = [compared(result) for result in results]
    expected = expected_results(case, recording)
    for result, wanted in zip(results, expected, strict=True):
        if "shown" in result:
            result["shown"] = restrict(result["shown"], wanted.get("shown"))
    code = case.ours.get("problem")
    if code is None:
        return Sides(results, expected) if results == expected else Sides([results, problems], [expected, []])
    return Sides([results, code if code in problems else problems], [expected, code])
