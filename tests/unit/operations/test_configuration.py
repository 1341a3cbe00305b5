"""Prompt flow's settings: where they are read, which win, and what a change says."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.config import Settings, load_settings
from headrace.errors import HeadraceError
from headrace.formats.pf_config import expand_run_folder, find_value, read_config
from headrace.operations.configuration import change_settings, read_settings, runs_folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"HOME": str(tmp_path / "home")})


def test_what_is_changed_is_read_back_and_the_rest_is_kept(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "home" / ".promptflow" / "pf.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("cli: {installation_id: x}\nrun: {other: 1}\nfoo: 1\n")
    changed = change_settings(settings, {"run.output_path": "runs", "foo.bar": "2"}, None)
    assert changed.file == file
    assert read_settings(settings, tmp_path) == {
        "cli": {"installation_id": "x"},
        "run": {"other": 1, "output_path": "runs"},
        "foo": {"bar": "2"},
    }


def test_a_home_folder_of_prompt_flow_can_be_chosen(tmp_path: Path) -> None:
    settings = load_settings({"HOME": str(tmp_path), "PF_HOME_DIRECTORY": str(tmp_path / "pf")})
    assert change_settings(settings, {"run.output_path": "x"}, None).file == tmp_path / "pf" / "pf.yaml"


def test_the_own_settings_win_over_the_nearest_of_a_project(settings: Settings, tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    change_settings(settings, {"run.output_path": "far", "foo": "far"}, tmp_path)
    change_settings(settings, {"run.output_path": "near", "bar": "near"}, tmp_path / "a")
    assert read_settings(settings, inner) == {"run": {"output_path": "near"}, "bar": "near"}
    change_settings(settings, {"bar": "own"}, None)
    assert read_settings(settings, inner) == {"run": {"output_path": "near"}, "bar": "own"}
    assert read_settings(settings, tmp_path)["foo"] == "far"


@pytest.mark.parametrize(
    ("key", "value", "note"),
    [
        ("run.output_path", "~/runs", None),
        ("trace.destination", "none", None),
        ("trace.destination", "local", None),
        ("trace.destination", "azureml://x", "headrace keeps everything on this machine"),
        ("connection.provider", "local", None),
        ("connection.provider", "azureml", None),
        ("telemetry.enabled", "false", "no telemetry"),
        ("run.outptu_path", "x", "Did you mean run.output_path?"),
        ("else", "x", "neither prompt flow nor headrace knows it."),
    ],
)
def test_settings_without_effect_are_kept_and_said_to_have_none(
    settings: Settings, key: str, value: str, note: str | None
) -> None:
    changed = change_settings(settings, {key: value}, None)
    assert find_value(read_config(changed.file), key) == value
    assert [note in said for said in changed.notes] == ([] if note is None else [True])  # type: ignore[operator]


def test_the_folder_of_the_flow_itself_is_no_place_for_runs(settings: Settings) -> None:
    with pytest.raises(HeadraceError, match="C506"):
        change_settings(settings, {"run.output_path": "${flow_directory}"}, None)


def test_where_runs_are_written(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert runs_folder(settings, tmp_path) is None
    change_settings(settings, {"run.output_path": "runs"}, None)
    assert runs_folder(settings, tmp_path) == str(tmp_path / "runs")
    change_settings(settings, {"run.output_path": "${flow_directory}/.runs"}, None)
    setting = runs_folder(settings, tmp_path)
    assert setting is not None
    (tmp_path / "flow").mkdir()
    for flow in (tmp_path / "flow", tmp_path / "flow" / "flow.dag.yaml"):
        assert expand_run_folder(setting, flow, "first") == tmp_path / "flow" / ".runs" / "first"


@pytest.mark.parametrize(("text", "code"), [("- 1\n", "F005"), ("a: [", "F002"), ("a: 1\na: 2\n", "F003")])
def test_a_file_that_cannot_be_read_is_said(settings: Settings, tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "pf.yaml").write_text(text)
    with pytest.raises(HeadraceError, match=code):
        read_settings(settings, tmp_path)


def test_an_empty_file_holds_no_settings(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "pf.yaml").write_text("")
    assert read_settings(settings, tmp_path) == {}
