"""Where a packed flow is looked for that a platform has mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.formats.flow_identity import IDENTITY
from headrace.operations.mounted_flow import find_mounted


def put(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / IDENTITY).write_text("{}", "utf-8")
    return folder


def test_a_flow_is_taken_where_it_was_said_to_be(tmp_path: Path) -> None:
    put(tmp_path / "var" / "flow" / "m" / "1" / "other")
    said = put(tmp_path / "var" / "flow" / "m" / "1" / "flow")
    assert find_mounted(said) == said


@pytest.mark.parametrize("place", ["m/1", "blue/1/flow", "azureml-models/m/1", "m/1/packed", "."])
def test_the_one_flow_nearby_is_meant(tmp_path: Path, place: str) -> None:
    mount = tmp_path / "var" / "flow"
    there = put(mount / place)
    assert find_mounted(mount / "m" / "1" / "flow") == there


def test_two_flows_are_no_answer(tmp_path: Path) -> None:
    mount = tmp_path / "var" / "flow"
    put(mount / "a" / "1")
    put(mount / "b" / "1")
    assert find_mounted(mount / "m" / "1" / "flow") == mount / "m" / "1" / "flow"


def test_nothing_is_looked_for_far_away(tmp_path: Path) -> None:
    put(tmp_path / "var" / "elsewhere")
    said = tmp_path / "var" / "flow" / "m" / "1" / "flow"
    assert find_mounted(said) == said
