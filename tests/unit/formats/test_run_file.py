from __future__ import annotations

from pathlib import Path

import pytest

from headrace.errors import DefinitionError, UsageError
from headrace.formats.run_file import RunFile, apply_settings, read_run_file

RUN = """\
$schema: https://example.invalid/Run.schema.json
name: nightly
flow: ../flow
data: data.jsonl
column_mapping:
  question: ${data.q}
  threshold: 0.5
environment_variables: {DEBUG: 1}
connections:
  answer: {connection: my_aoai}
tags: {team: search}
properties: {ticket: 7}
init: {limit: 2}
resources: {instance_type: small}
identity: {type: managed}
colum_mapping: {}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_run_file_is_read_with_literals_kept(tmp_path: Path) -> None:
    file = read_run_file(write(tmp_path, RUN))
    assert file.texts == {"name": "nightly", "flow": "../flow", "data": "data.jsonl"}
    assert file.mappings["column_mapping"] == {"question": "${data.q}", "threshold": 0.5}
    assert (file.mappings["properties"], file.mappings["init"]) == ({"ticket": 7}, {"limit": 2})
    assert file.mappings["connections"] == {"answer": {"connection": "my_aoai"}}
    assert [(item.code, item.severity, item.span and item.span.line) for item in file.warnings] == [
        ("F012", "warning", 16)
    ]
    assert "column_mapping" in str(file.warnings[0].fix)


def test_paths_are_relative_to_the_file_unless_only_the_other_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "runs"
    beside.mkdir()
    (beside / "data.jsonl").touch()
    (tmp_path / "here.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    file = RunFile(folder=Path("runs"))
    assert file.path("data.jsonl") == Path("runs/data.jsonl")
    assert file.path("here.jsonl") == Path("here.jsonl")
    assert file.path("none.jsonl") == Path("runs/none.jsonl")


def test_variables_may_be_the_name_of_an_env_file(tmp_path: Path) -> None:
    (tmp_path / "my.env").write_text("A=1\n", encoding="utf-8")
    file = read_run_file(write(tmp_path, "flow: f\nenvironment_variables: my.env\n"))
    assert file.mappings["environment_variables"] == {"A": "1"}


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("- a\n", ["F005"]),
        ("flow: [a]\ncolumn_mapping: text\n", ["F005", "F005"]),
        ("flow: {", ["F002"]),
        ("flow: a\nflow: b\n", ["F003"]),
    ],
)
def test_every_wrong_shape_is_reported_at_once(tmp_path: Path, text: str, codes: list[str]) -> None:
    with pytest.raises(DefinitionError) as caught:
        read_run_file(write(tmp_path, text))
    assert [problem.code for problem in caught.value.problems] == codes


def test_names_are_text_whatever_yaml_reads(tmp_path: Path) -> None:
    file = read_run_file(write(tmp_path, "column_mapping: {1: a}\nenvironment_variables: {2024-05-01: b}\n"))
    assert file.mappings == {"column_mapping": {"1": "a"}, "environment_variables": {"2024-05-01": "b"}}


def test_a_path_that_the_system_refuses_is_one_that_is_not_there(tmp_path: Path) -> None:
    name = "long" * 100
    assert RunFile(folder=tmp_path).path(name) == tmp_path / name


def test_settings_go_on_top() -> None:
    file = RunFile(texts={"name": "a"}, mappings={"tags": {"x": "1"}})
    changed = apply_settings(file, {"name": "b", "tags.y": "2", "column_mapping.q": "${data.q}"})
    assert changed.texts["name"] == "b"
    assert changed.mappings == {"tags": {"x": "1", "y": "2"}, "column_mapping": {"q": "${data.q}"}}
    assert file.mappings == {"tags": {"x": "1"}}


@pytest.mark.parametrize("key", ["nme", "tags", "name.x", "tags."])
def test_a_setting_that_a_run_does_not_have_is_refused(key: str) -> None:
    with pytest.raises(UsageError) as caught:
        apply_settings(RunFile(), {key: "hidden"})
    assert caught.value.problems[0].code == "C507"
    assert "hidden" not in caught.value.problems[0].what
