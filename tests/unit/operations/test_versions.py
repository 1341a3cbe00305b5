"""Versions in use: kept by runs, tagged, compared, restored, and run again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.domain.flow_diff import ABSENT
from headrace.domain.run import COMPLETED, Run
from headrace.errors import StateError, UsageError
from headrace.formats.flow_file import load_flow
from headrace.operations.diff_flows import diff_versions
from headrace.operations.kept_data import SMALL_BYTES
from headrace.operations.read_version import flow_digest
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.versions import (
    chosen_flow,
    find_version,
    list_versions,
    move_tag,
    restore_version,
)
from headrace.operations.workspace import Workspace, open_workspace

FLOW = """\
inputs:
  text: {type: string}
outputs:
  out: {type: string, reference: "${join.output}"}
nodes:
- name: say
  type: prompt
  source: {type: code, path: say.jinja2}
  inputs: {text: "${inputs.text}", mark: "!"}
- name: join
  type: python
  source: {type: code, path: join.py}
  inputs: {text: "${say.output}", times: 2, words: ../../words.txt}
"""
JOIN = """\
from pathlib import Path

from promptflow.core import tool


@tool
def join(text: str, times: int, words: str):
    return text * times + Path(words).read_text().strip()
"""
FILES = {
    "p/flows/echo/flow.dag.yaml": FLOW,
    "p/flows/echo/say.jinja2": "{{text}}{{mark}}",
    "p/flows/echo/join.py": JOIN,
    "p/words.txt": "w\n",
    "p/data.jsonl": '{"text": "a"}\n{"text": "b"}\n',
}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "p" / ".headrace").mkdir()
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path / "p") as opened:
        yield opened


def run(workspace: Workspace, name: str, flow: Path | None = None) -> Run:
    return create_run(
        workspace,
        RunRequest(
            flow=flow or workspace.folder / "flows" / "echo",
            data=workspace.folder / "data.jsonl",
            name=name,
        ),
    )


def change(workspace: Workspace, name: str, old: str, new: str) -> None:
    file = workspace.folder / name
    file.write_text(file.read_text("utf-8").replace(old, new), encoding="utf-8")


def outputs(workspace: Workspace, name: str) -> list[object]:
    return [line.outputs for line in workspace.store.read_lines(name)]


def codes(error: UsageError | StateError) -> list[str]:
    return [problem.code for problem in error.problems]


def test_runs_keep_the_version_that_they_ran_once(workspace: Workspace) -> None:
    first, again = run(workspace, "first"), run(workspace, "again")
    change(workspace, "flows/echo/say.jinja2", "{{text}}", "say {{text}}")
    other = run(workspace, "other")
    assert [item.spec.version_name for item in (first, again, other)] == ["echo@1", "echo@1", "echo@2"]
    assert first.spec.flow_digest == again.spec.flow_digest != other.spec.flow_digest
    assert [(view.version.name, view.runs) for view in list_versions(workspace, "echo")] == [
        ("echo@1", ("again", "first")),
        ("echo@2", ("other",)),
    ]
    by_path = list_versions(workspace, str(workspace.folder / "flows" / "echo"))
    assert by_path == list_versions(workspace)


def test_a_version_is_run_again_by_its_name_with_the_same_answers(workspace: Workspace) -> None:
    first = run(workspace, "first")
    for name in ("flows/echo/join.py", "flows/echo/say.jinja2", "words.txt"):
        change(workspace, name, "t", "tt") if name.endswith("txt") else change(
            workspace, name, "{{mark}}", "?"
        )
    change(workspace, "words.txt", "w", "changed")
    assert outputs(workspace, run(workspace, "now").spec.name) != outputs(workspace, "first")
    again = run(workspace, "again", Path("echo@1"))
    assert again.status == COMPLETED
    assert outputs(workspace, "again") == outputs(workspace, "first") == [{"out": "a!a!w"}, {"out": "b!b!w"}]
    assert (again.spec.version_name, again.spec.flow_digest) == ("echo@1", first.spec.flow_digest)


def test_what_was_changed_in_a_version_that_lies_to_be_run_is_put_right(workspace: Workspace) -> None:
    run(workspace, "first")
    file = chosen_flow(workspace, Path("echo@1"))
    file.with_name("say.jinja2").write_text("else", encoding="utf-8")
    assert chosen_flow(workspace, Path("echo@1")) == file
    assert file.with_name("say.jinja2").read_text("utf-8") == "{{text}}{{mark}}"


def test_a_path_stays_a_path(workspace: Workspace) -> None:
    folder = workspace.folder / "odd@1"
    folder.mkdir()
    for path in (folder, Path("flows/echo"), Path("module:name")):
        assert chosen_flow(workspace, path) == path


def test_tags_move_when_asked_and_say_where_they_were(workspace: Workspace) -> None:
    run(workspace, "first")
    change(workspace, "flows/echo/say.jinja2", "{{mark}}", "?")
    run(workspace, "second")
    assert move_tag(workspace, "echo@1", "prod").number == 1
    assert move_tag(workspace, "echo@1", "prod").number == 1  # where it is, it may stay
    with pytest.raises(UsageError) as caught:
        move_tag(workspace, "second", "prod")
    assert codes(caught.value) == ["S832"]
    move_tag(workspace, "second", "prod", is_moving=True)
    digest = find_version(workspace, "first").digest
    for name in ("@prod", "echo@prod", "second"):
        assert find_version(workspace, name).number == 2
    assert find_version(workspace, f"echo@{digest[:12]}", expects=digest).number == 1
    assert [move.number for move in workspace.store.list_tag_moves("echo")] == [1, 2]
    assert [view.tags for view in list_versions(workspace, "echo")] == [(), ("prod",)]
    with pytest.raises(UsageError) as caught:
        find_version(workspace, "@prod", expects=digest)
    assert codes(caught.value) == ["S832"]
    second = find_version(workspace, "second").digest
    expected = f"and not {digest[:12]}."
    assert caught.value.problems[0].what == f"@prod is echo@2 with the digest {second[:12]}, {expected}"
    with pytest.raises(UsageError) as caught:
        find_version(workspace, "echo@2", expects=digest)
    assert caught.value.problems[0].what == f"echo@2 has the digest {second[:12]}, {expected}"


@pytest.mark.parametrize("tag", ["7", "a b", "", "x" * 65, "0123456789ab", "abcdefabcdef", "a/b", "-x"])
def test_what_cannot_be_told_from_a_number_or_digest_is_no_tag(tag: str, workspace: Workspace) -> None:
    run(workspace, "first")
    with pytest.raises(UsageError) as caught:
        move_tag(workspace, "echo@1", tag)
    assert codes(caught.value) == ["C507"]


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("echo@2", 'Did you mean "echo@1"?'),
        ("ecko@1", 'Did you mean "echo"?'),
        ("echo@prot", 'Did you mean "echo@prod"?'),
        ("@nothing", "headrace flow versions"),
        ("echo@000000000000", "headrace flow versions echo"),
    ],
)
def test_an_unknown_version_is_refused_with_the_nearest(name: str, fix: str, workspace: Workspace) -> None:
    run(workspace, "first")
    move_tag(workspace, "first", "prod")
    with pytest.raises(UsageError) as caught:
        find_version(workspace, name)
    assert codes(caught.value) == ["S831"]
    assert fix in (caught.value.problems[0].fix or "")


def test_a_store_without_versions_says_so(workspace: Workspace) -> None:
    assert list_versions(workspace) == ()
    for act in (lambda: find_version(workspace, "@prod"), lambda: list_versions(workspace, "echo")):
        with pytest.raises(UsageError) as caught:
            act()
        assert codes(caught.value) == ["S831"]


def test_a_restored_version_has_the_same_id_and_nothing_is_overwritten(
    workspace: Workspace, tmp_path: Path
) -> None:
    digest = run(workspace, "first").spec.flow_digest
    file = restore_version(workspace, "echo@1", tmp_path / "out")
    assert file == tmp_path / "out" / "flows" / "echo" / "flow.dag.yaml"
    assert (tmp_path / "out" / "words.txt").read_text("utf-8") == "w\n"
    assert flow_digest(load_flow(file)) == digest
    with pytest.raises(UsageError) as caught:
        restore_version(workspace, "echo@1", tmp_path / "out")
    assert codes(caught.value) == ["S806"]


def test_a_flow_that_needs_nothing_around_it_is_restored_into_the_folder_itself(
    workspace: Workspace, tmp_path: Path
) -> None:
    change(workspace, "flows/echo/flow.dag.yaml", "../../words.txt", "w.txt")
    (workspace.folder / "flows" / "echo" / "w.txt").write_text("w", encoding="utf-8")
    run(workspace, "first")
    assert restore_version(workspace, "first", tmp_path / "out") == tmp_path / "out" / "flow.dag.yaml"


def test_what_is_not_kept_is_named(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.folder / "flows" / "echo" / ".env").write_text("OPENAI_API_KEY=abc", encoding="utf-8")
    run(workspace, "first")
    restore_version(workspace, "echo@1", tmp_path / "out")
    assert [problem.code for problem in workspace.warnings] == ["S836"]
    assert not (tmp_path / "out" / "flows" / "echo" / ".env").exists()


def test_a_version_that_names_files_outside_of_its_folder_is_not_written(
    workspace: Workspace, tmp_path: Path
) -> None:
    run(workspace, "first")
    kept = find_version(workspace, "first")
    files = tuple(replace(file, path=f"../../../{file.path}") for file in kept.manifest.files)
    manifest = replace(kept.manifest, files=files, place="echo")
    workspace.store.keep_flow_version("bad", digest="d", manifest=manifest, contents={}, at=workspace.now())
    with pytest.raises(StateError) as caught:
        restore_version(workspace, "bad@1", tmp_path / "out" / "in")
    assert codes(caught.value) == ["S833"]


def test_data_has_versions_and_its_files_are_kept(workspace: Workspace) -> None:
    first = run(workspace, "first")
    data = workspace.folder / "data.jsonl"
    data.write_text('{"text": "%s"}\n' % ("x" * SMALL_BYTES), encoding="utf-8")
    second = run(workspace, "second")
    assert (first.spec.data_version, second.spec.data_version) == (1, 2)
    small, large = workspace.store.list_data_versions("data.jsonl")
    assert (small.n_lines, small.digest, large.content) == (2, first.spec.data_digest, large.digest)
    assert workspace.store.read_file(small.content or "") == FILES["p/data.jsonl"].encode()


def test_files_that_were_lost_are_kept_again_by_a_run_of_the_flow_as_it_was(
    workspace: Workspace, tmp_path: Path
) -> None:
    run(workspace, "first")
    with closing(sqlite3.connect(workspace.store.place)) as database, database:
        database.execute("DELETE FROM kept_file")
    with pytest.raises(StateError, match=r"say\.jinja2 is gone.*") as caught:
        restore_version(workspace, "echo@1", tmp_path / "out")
    assert "by a run of the flow as it was" in (caught.value.problems[0].fix or "")
    assert run(workspace, "second").spec.flow_version == 1
    assert restore_version(workspace, "echo@1", tmp_path / "out").is_file()


def test_differences_stand_by_node(workspace: Workspace) -> None:
    run(workspace, "first")
    change(workspace, "flows/echo/say.jinja2", "{{text}}", "say {{text}}")
    change(workspace, "flows/echo/join.py", "* times", "* (times + 1)")
    change(workspace, "flows/echo/flow.dag.yaml", "times: 2", "times: 3")
    change(workspace, "flows/echo/flow.dag.yaml", 'text: "${say.output}"', 'text: "${inputs.text}"')
    change(workspace, "flows/echo/flow.dag.yaml", "{type: string}", "{type: string, default: x}")
    change(workspace, "words.txt", "w", "v")
    diff = diff_versions(workspace, "echo@1", str(workspace.folder / "flows" / "echo"))
    assert [(change.kind, change.node, change.what) for change in diff.changes] == [
        ("input", "", "text"),
        ("prompt", "say", "say.jinja2"),
        ("wiring", "join", "text"),
        ("parameter", "join", "times"),
        ("code", "join", "join.py"),
        ("data", "", "../../words.txt"),
    ]
    times = diff.changes[3]
    assert (times.before, times.after, diff.changes[1].before) == (2, 3, ABSENT)
    assert diff.changes[1].text[-2:] == ("-{{text}}{{mark}}", "+say {{text}}{{mark}}")
    assert not diff.is_same


def test_nothing_differs_between_two_runs_of_one_version(workspace: Workspace) -> None:
    run(workspace, "first")
    change(workspace, "flows/echo/flow.dag.yaml", "nodes:", "# a comment\nnodes:")
    run(workspace, "second")
    diff = diff_versions(workspace, "first", "second")
    assert (diff.is_same, diff.changes) == (True, ())


def test_what_is_neither_a_path_nor_a_version_nor_a_run_is_refused(workspace: Workspace) -> None:
    run(workspace, "first")
    with pytest.raises(UsageError) as caught:
        diff_versions(workspace, "first", "nowhere")
    assert codes(caught.value) == ["S801"]
