"""Experiments and races killed at ten drawn moments, from before the record to after the last line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.deadly_experiment import check_deaths

pytestmark = pytest.mark.faults

SEED = int(os.environ.get("HEADRACE_TEST_SEED", "20260102"))


@pytest.mark.parametrize("race", [(), ("--race", "winner", "--batch", "10")], ids=["grid", "race"])
def test_an_experiment_is_killed_at_random_moments(tmp_path: Path, race: tuple[str, ...]) -> None:
    check_deaths(tmp_path, race, 10, SEED, n_lines=60)
