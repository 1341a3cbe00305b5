"""Applying is killed before and after every step, and given again: the same command completes it."""

from pathlib import Path

import pytest
from tests.support.killed_apply import ACTIONS, complete_killed

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("kind", ["die before", "die after"])
def test_killed_at_any_step_it_is_completed_by_the_same_command(
    action: str, kind: str, tmp_path: Path
) -> None:
    complete_killed(tmp_path, [(action, kind)])
