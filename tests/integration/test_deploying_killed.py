"""Applying is killed between its steps, and given again: the same command completes it."""

from pathlib import Path

from tests.support.killed_apply import complete_killed


def test_killed_twice_it_is_completed_by_the_same_command(tmp_path: Path) -> None:
    complete_killed(tmp_path, [("create deployment", "die after"), ("move traffic", "die before")])
