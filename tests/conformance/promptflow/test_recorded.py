from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.promptflow.case import Case, load_cases, load_recordings
from tests.conformance.promptflow.comparing import run_and_expect
from tests.conformance.promptflow.results import compared, expected_results

CASES = load_cases()
RECORDINGS = load_recordings()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path)
def test_a_case_gives_what_stock_gave(case: Case, tmp_path: Path) -> None:
    sides = run_and_expect(case, RECORDINGS[case.path], tmp_path)
    assert sides.given == sides.expected


def test_every_case_has_a_recording_and_every_recording_a_case() -> None:
    assert sorted(RECORDINGS) == [case.path for case in CASES]


def test_every_section_of_the_format_is_covered() -> None:
    assert len(RECORDINGS) >= 200
    assert {path.partition("_")[0] for path in RECORDINGS} >= set("123456789")


def test_a_case_differs_from_stock_only_where_it_says_why() -> None:
    different = {
        case.path
        for case in CASES
        if expected_results(case, RECORDINGS[case.path])
        != [compared(result) for result in RECORDINGS[case.path]["steps"]]
    }
    assert different == {case.path for case in CASES if case.deviation}


def test_a_case_in_which_stock_fails_names_our_problem() -> None:
    failing = {
        case.path
        for case in CASES
        if not all(result["succeeded"] for result in expected_results(case, RECORDINGS[case.path]))
    }
    assert failing <= {case.path for case in CASES if "problem" in case.ours}
