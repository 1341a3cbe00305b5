"""Data of any size is kept with its version, written back as it was, and never taken for whole when it is not."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.domain.version import DataVersion
from headrace.errors import StateError, UsageError
from headrace.formats.experiment import load_experiment
from headrace.formats.lines import read_dataset
from headrace.operations import kept_data
from headrace.operations.data_versions import find_data, read_beginning, restore_data
from headrace.operations.keep_version import keep_data_version
from headrace.operations.kept_data import SMALL_BYTES, place_data
from headrace.operations.rerun_experiment import RerunExperiment, rerun_experiment
from headrace.operations.run_experiment import run_experiment
from headrace.operations.workspace import Workspace, open_workspace

FLOW = "def answer(text: str) -> str:\n    return text[:1]\n"
EXPERIMENT = """\
flow: flow
data: %s
factors:
  flow: [{name: one, path: flow}, {name: other, path: flow, column_mapping: {text: "${data.label}"}}]
evaluators: [{builtin: exact_match, column_mapping: {reference: "${data.label}"}}]
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "flow.flex.yaml").write_text("entry: code:answer\n", "utf-8")
    (tmp_path / "flow" / "code.py").write_text(FLOW, "utf-8")
    monkeypatch.chdir(tmp_path)
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as opened:
        yield opened


def large(n_bytes: int = SMALL_BYTES + 1) -> str:
    """Lines of more than so many bytes."""
    line = json.dumps({"text": "abc" * 20_000, "label": "a", "part": "x"}) + "\n"
    return line * (n_bytes // len(line) + 1)


def keep(workspace: Workspace, path: str) -> DataVersion:
    place = workspace.folder.resolve() / path
    return keep_data_version(workspace, place, read_dataset(place))


def test_a_large_file_is_kept_and_written_back(workspace: Workspace, tmp_path: Path) -> None:
    text = large(3 * kept_data._PIECE_BYTES)
    Path("data.jsonl").write_text(text, "utf-8")
    version = keep(workspace, "data.jsonl")
    assert version.content == version.digest
    assert read_beginning(workspace, version) == text.encode()[: kept_data._PIECE_BYTES]
    Path("data.jsonl").unlink()
    restore_data(workspace, "data.jsonl@1", tmp_path / "back" / "again.jsonl")
    assert Path("back/again.jsonl").read_text("utf-8") == text
    assert [file.name for file in Path("back").iterdir()] == ["again.jsonl"]


def test_a_file_is_never_in_memory_as_a_whole(workspace: Workspace, tmp_path: Path) -> None:
    Path("data.jsonl").write_text(large(40 * 1024 * 1024), "utf-8")
    dataset = read_dataset(tmp_path / "data.jsonl")
    tracemalloc.start()
    try:
        version = keep_data_version(workspace, tmp_path.resolve() / "data.jsonl", dataset)
        restore_data(workspace, version.name, tmp_path / "again.jsonl")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * 1024 * 1024


@pytest.mark.parametrize(("path", "is_folder"), [("data", True), ("data/*.csv", True), ("data/b.csv", False)])
def test_folders_and_patterns_are_kept_with_their_order(
    workspace: Workspace, tmp_path: Path, path: str, is_folder: bool
) -> None:
    for name in ("b.csv", "a.csv", "sub/c.csv", ".hidden.csv", "image.png"):
        Path("data", name).parent.mkdir(parents=True, exist_ok=True)
        Path("data", name).write_text(f"text,label\n{name},{name[0]}\n", "utf-8")
    before = list(read_dataset(tmp_path / path).lines)
    version = keep(workspace, path)
    shutil.rmtree("data")
    placed = place_data(workspace, version.content or "", tmp_path / path, version.digest)
    assert placed is not None
    assert [line.columns for line in placed.lines] == [line.columns for line in before]
    restore_data(workspace, version.name, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").is_dir() == is_folder
    assert read_dataset(tmp_path / "out.csv").digest == version.digest


@pytest.mark.parametrize(
    "choice", ["data.jsonl", "{path: data.jsonl, split: {column: part, value: x}, sample: {n: 3}}"]
)
def test_an_experiment_over_large_data_is_repeated_when_they_are_gone(
    workspace: Workspace, choice: str
) -> None:
    Path("data.jsonl").write_text(large(), "utf-8")
    Path("experiment.yaml").write_text(EXPERIMENT % choice, "utf-8")
    run_experiment(workspace, load_experiment(Path("experiment.yaml")))
    record = workspace.store.list_experiments()[0]
    Path("data.jsonl").write_text('{"text": "other", "label": "o", "part": "x"}\n', "utf-8")
    rerun_experiment(workspace, RerunExperiment(name=record.id))
    again = workspace.store.list_experiments()[0]
    assert (again.rerun_of, again.data.digest, again.data.n_lines) == (
        record.id,
        record.data.digest,
        record.data.n_lines,
    )


def test_a_choice_of_lines_need_not_be_named_where_it_is_clear(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "data.jsonl").write_text(large(), "utf-8")
    first = keep(workspace, "d/data.jsonl#sample=3&seed=1")
    for name in ("data.jsonl@1", "d/data.jsonl@1", f"{first.data}@1"):
        assert find_data(workspace, name).version == first
    keep(workspace, "d/data.jsonl#sample=4&seed=1")
    with pytest.raises(UsageError) as caught:
        find_data(workspace, "data.jsonl@1")
    assert caught.value.problems[0].code == "S834"


def damage(workspace: Workspace) -> None:
    (file, *_) = Path(f"{workspace.store.place}.contents").rglob("??/*")
    file.write_bytes(b"something else")


def lose(workspace: Workspace) -> None:
    shutil.rmtree(f"{workspace.store.place}.contents")


@pytest.mark.parametrize("harm", [damage, lose])
def test_lost_data_is_said_and_nothing_is_written(workspace: Workspace, tmp_path: Path, harm: object) -> None:
    Path("data.jsonl").write_text(large(), "utf-8")
    Path("experiment.yaml").write_text(EXPERIMENT % "data.jsonl", "utf-8")
    run_experiment(workspace, load_experiment(Path("experiment.yaml")))
    harm(workspace)  # type: ignore[operator]
    Path("data.jsonl").unlink()
    for attempt in (
        lambda: restore_data(workspace, "data.jsonl@1", tmp_path / "again.jsonl"),
        lambda: rerun_experiment(workspace, RerunExperiment(name=workspace.store.list_experiments()[0].id)),
        lambda: read_beginning(workspace, find_data(workspace, "data.jsonl@1").version),
    ):
        with pytest.raises(StateError) as caught:
            attempt()
        assert caught.value.problems[0].code == "S833"
    assert not list(tmp_path.glob("*again.jsonl*"))


def test_a_small_file_that_has_changed_since_it_was_read_is_not_kept(
    workspace: Workspace, tmp_path: Path
) -> None:
    place = tmp_path / "data.jsonl"
    place.write_text('{"text": "read"}\n', "utf-8")
    dataset = read_dataset(place)
    place.write_text('{"text": "changed since"}\n', "utf-8")
    assert keep_data_version(workspace, place, dataset).content is None
    assert keep(workspace, "data.jsonl").content is not None


def test_a_small_file_that_is_damaged_in_the_store_is_not_shown(workspace: Workspace) -> None:
    Path("data.jsonl").write_text('{"text": "read"}\n', "utf-8")
    version = keep(workspace, "data.jsonl")
    with closing(sqlite3.connect(workspace.store.place)) as database, database:
        assert database.execute("UPDATE kept_file SET data = x'00'").rowcount == 1
    with pytest.raises(StateError, match="gone from the store, or damaged"):
        read_beginning(workspace, version)


def test_what_is_too_large_or_was_deleted_is_not_kept(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("data.jsonl").write_text(large(), "utf-8")
    with monkeypatch.context() as limited:
        limited.setattr(kept_data, "MOST_DATA_BYTES", SMALL_BYTES)
        assert keep(workspace, "data.jsonl").content is None
    Path("more.jsonl").write_text(large(), "utf-8")
    assert keep(workspace, "more.jsonl").content is not None
    assert workspace.store.forget_data("more.jsonl", 1)
    assert not [file for file in Path(f"{workspace.store.place}.contents").rglob("*") if file.is_file()]
    for name in ("data.jsonl@1", "more.jsonl@1"):
        with pytest.raises(UsageError) as caught:
            restore_data(workspace, name, tmp_path / "again.jsonl")
        assert caught.value.problems[0].code == "S836"


def test_a_name_that_leads_elsewhere_is_not_followed(workspace: Workspace, tmp_path: Path) -> None:
    Path("data.jsonl").write_text(large(), "utf-8")
    version = keep(workspace, "data.jsonl")
    with closing(sqlite3.connect(workspace.store.place)) as database, database:
        database.execute("UPDATE data_piece SET file = '../../escaped'")
    with pytest.raises(StateError, match="gone from the store, or damaged"):
        restore_data(workspace, version.name, tmp_path / "again.jsonl")
    assert not list(tmp_path.parent.glob("escaped*"))
