from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import pytest
from tests.support.azure import StandIn
from tests.support.runs import a_spec, a_time

from headrace.config import load_settings
from headrace.errors import RemoteError, UsageError
from headrace.operations.workspace import open_workspace


def test_a_relative_store_stays_where_the_command_was_called(tmp_path: Path) -> None:
    flow_folder = tmp_path / "flow"
    flow_folder.mkdir()
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "runs.sqlite"})
    with open_workspace(settings, tmp_path) as workspace, chdir(flow_folder):
        workspace.store.create_run(a_spec(), n_lines=1, created_at=a_time())
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["runs.sqlite"]
    assert list(flow_folder.iterdir()) == []


@pytest.mark.parametrize(
    "location", ["teem/runs.sqlite", "sqlite:///teem/x/runs.sqlite", "{folder}/teem/runs.sqlite"]
)
def test_a_store_in_a_folder_that_is_not_there_is_refused(tmp_path: Path, location: str) -> None:
    tmp_path.joinpath("team").mkdir()
    location = location.format(folder=tmp_path)
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": location})
    with open_workspace(settings, tmp_path) as workspace, pytest.raises(UsageError) as caught:
        workspace.store.list_runs()
    problem = caught.value.problems[0]
    assert problem.code == "C506"
    assert f'there is no folder "teem" in {tmp_path}. Did you mean "team"?' in problem.what
    assert "HEADRACE_STORE" in (problem.fix or "")
    assert [path.name for path in tmp_path.iterdir()] == ["team"]


@pytest.mark.parametrize("location", [None, ".headrace/other.sqlite", "team/.headrace/runs.sqlite"])
def test_a_folder_for_the_state_of_headrace_is_made(tmp_path: Path, location: str | None) -> None:
    tmp_path.joinpath("team").mkdir()
    given = {} if location is None else {"HEADRACE_STORE": location}
    with open_workspace(load_settings({"HOME": str(tmp_path), **given}), tmp_path) as workspace:
        workspace.store.create_run(a_spec(), n_lines=1, created_at=a_time())
    assert (tmp_path / (location or ".headrace/headrace.sqlite")).exists()


def test_each_store_has_a_journal_of_its_own(tmp_path: Path) -> None:
    def folder(**variables: str) -> Path:
        with open_workspace(load_settings({"HOME": str(tmp_path), **variables}), tmp_path) as workspace:
            return workspace.journal_folder

    assert folder() == tmp_path / ".headrace" / "journal" / "store"
    others = {
        folder(HEADRACE_STORE=name) for name in ("a.sqlite", "b.sqlite", "sqlite:///b.sqlite", "memory:")
    }
    assert len({folder(), *others}) == 4
    assert {other.parent for other in others} == {folder().parent}
    assert folder(HEADRACE_JOURNAL=str(tmp_path / "j")) == tmp_path / "j"


def test_a_key_vault_says_where_the_store_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StandIn(tmp_path / "azure") as azure:
        azure.enter(monkeypatch)
        azure.vaults.add("kv", "headrace-store", "sqlite:///runs.sqlite\n")  # as people paste it
        monkeypatch.setenv("HEADRACE_STORE", "https://kv.vault.azure.net/secrets/headrace-store")
        with open_workspace(load_settings(), tmp_path) as workspace:
            assert azure.recording.find("GET", "kv.vault") == []
            workspace.store.create_run(a_spec(), n_lines=1, created_at=a_time())
        assert (tmp_path / "runs.sqlite").is_file()

        monkeypatch.setenv("HEADRACE_STORE", "https://kv.vault.azure.net/secrets/other")
        with open_workspace(load_settings(), tmp_path) as workspace, pytest.raises(RemoteError) as caught:
            workspace.store.list_runs()
    assert caught.value.problems[0].code == "P714"


@pytest.mark.parametrize(
    "location", ["${keyvault:https://kv.vault.azure.net/secrets/s}", "https://kv.vault.azure.net/keys/s"]
)
def test_what_is_no_address_of_a_secret_is_told_how_one_is_written(tmp_path: Path, location: str) -> None:
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": location})
    with open_workspace(settings, tmp_path) as workspace, pytest.raises(UsageError) as caught:
        workspace.store.list_runs()
    assert caught.value.problems[0].code == "C506"
    assert "https://VAULT.vault.azure.net/secrets/NAME" in (caught.value.problems[0].fix or "")


@pytest.mark.parametrize(
    "held", ["s3cret-word", "s3cret/word.sqlite", "memory:", "postgresql://db/runs\nPASSWORD=s3cret-word", ""]
)
def test_a_vault_that_holds_no_location_is_named_and_what_it_holds_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    with StandIn(tmp_path / "azure") as azure:
        azure.enter(monkeypatch)
        azure.vaults.add("kv", "password", held)
        address = "https://kv.vault.azure.net/secrets/password"
        monkeypatch.setenv("HEADRACE_STORE", address)
        with open_workspace(load_settings(), folder) as workspace, pytest.raises(UsageError) as caught:
            workspace.store.create_run(a_spec(), n_lines=1, created_at=a_time())
    (problem,) = caught.value.problems
    assert problem.code == "C506"
    assert address in problem.what
    assert "s3cret" not in str(problem)
    assert list(folder.iterdir()) == []
