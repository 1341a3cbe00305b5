"""Experiments and races whose process is killed: the same verdict and numbers, and no committed call paid twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.deadly_experiment import check_deaths


@pytest.mark.parametrize("race", [(), ("--race", "winner", "--batch", "10")], ids=["grid", "race"])
def test_a_killed_experiment_ends_as_one_that_was_not(tmp_path: Path, race: tuple[str, ...]) -> None:
    check_deaths(tmp_path, race, 1, 20260102, n_lines=24)
