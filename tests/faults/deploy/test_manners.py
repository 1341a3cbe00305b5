"""Azure answers in each of the ways that its documents allow: deploying goes on as before."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.many_manners import MANNERS, TOGETHER, arms_life, flow_life, killed_arms_life, model_life
from tests.support.served_places import PLACES, served

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", MANNERS)
def test_a_flow_comes_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, place: str
) -> None:
    with served(place, tmp_path, monkeypatch, capsys) as made:
        made.azure.manners += MANNERS[name](made.azure)
        flow_life(made)


@pytest.mark.parametrize("name", MANNERS)
def test_a_model_comes_changes_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with served("azureml", tmp_path, monkeypatch, capsys) as made:
        made.azure.manners += MANNERS[name](made.azure)
        model_life(made)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", TOGETHER)
def test_arms_come_and_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, place: str
) -> None:
    with served(place, tmp_path, monkeypatch, capsys) as made:
        made.azure.manners += TOGETHER[name](made.azure)
        arms_life(made)


@pytest.mark.parametrize("n_writes", range(2, 34, 4))
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", TOGETHER)
def test_arms_are_completed_wherever_a_process_has_died(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    place: str,
    n_writes: int,
) -> None:
    with served(place, tmp_path, monkeypatch, capsys) as made:
        made.azure.manners += TOGETHER[name](made.azure)
        killed_arms_life(made, n_writes)
