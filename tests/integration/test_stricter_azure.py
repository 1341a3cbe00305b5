"""Azure answers otherwise than the stand-in usually does, several ways at once: deploying goes on as before."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.many_manners import TOGETHER, flow_life, model_life
from tests.support.served_places import PLACES, served


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", TOGETHER)
def test_a_flow_comes_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, place: str
) -> None:
    with served(place, tmp_path, monkeypatch, capsys) as made:
        made.azure.manners += TOGETHER[name](made.azure)
        flow_life(made)


@pytest.mark.parametrize("name", TOGETHER)
def test_a_model_comes_changes_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with served("azureml", tmp_path, monkeypatch, capsys) as made:
        made.azure.manners += TOGETHER[name](made.azure)
        model_life(made)
