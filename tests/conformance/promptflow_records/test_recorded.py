from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.promptflow_records.cases import expected_records, load_cases, load_recordings
from tests.conformance.promptflow_records.engines import run_ours

CASES = load_cases()
RECORDINGS = load_recordings()


@pytest.mark.parametrize("name", CASES)
def test_a_case_leaves_what_stock_left(name: str, tmp_path: Path) -> None:
    for ours, expected in zip(
        run_ours(CASES[name], tmp_path), expected_records(CASES[name], RECORDINGS[name]), strict=True
    ):
        assert ours == expected


def test_every_case_has_a_recording_and_every_recording_a_case() -> None:
    assert list(RECORDINGS) == list(CASES)


def test_a_case_differs_from_stock_only_where_it_says_why() -> None:
    different = {
        name for name, case in CASES.items() if expected_records(case, RECORDINGS[name]) != RECORDINGS[name]
    }
    assert different == {name for name, case in CASES.items() if case.deviation}
