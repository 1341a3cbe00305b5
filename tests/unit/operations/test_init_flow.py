from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.web_server import web_server

from headrace.config import load_settings
from headrace.errors import StateError, UsageError
from headrace.operations.check_flow import check_flow
from headrace.operations.init_flow import KINDS, RUN_BY_FILE, STARTERS, init_flow
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.test_flow import TestRequest, run_test
from headrace.operations.workspace import open_workspace

MAPPED = {
    "standard": {"text": "${data.text}"},
    "chat": {"question": "${data.question}"},
    "evaluation": {"groundtruth": "${data.groundtruth}", "prediction": "${data.prediction}"},
    "rag": {"question": "${data.question}"},
    "prompty": {"message": "${data.message}"},
    "flex": {"question": "${data.question}"},
}
FLOW_FILES = {"flex": "flow.flex.yaml", **RUN_BY_FILE}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_sound_and_runs_at_once(kind: str, tmp_path: Path) -> None:
    written = init_flow(tmp_path / "new", kind)
    assert {path.name for path in written} >= {
        FLOW_FILES.get(kind, "flow.dag.yaml"),
        "data.jsonl",
        "requirements.txt",
        ".gitignore",
    }
    flow = tmp_path / "new" / RUN_BY_FILE.get(kind, "")
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as workspace:
        assert check_flow(workspace, flow) == ()
        result = run_test(workspace, TestRequest(flow=flow, inputs={}))
        assert result.line.problem is None
        assert result.outputs
        run = create_run(
            workspace,
            RunRequest(flow=flow, data=tmp_path / "new" / "data.jsonl", column_mapping=MAPPED.get(kind, {})),
        )
        lines = list(workspace.store.read_lines(run.spec.name))
    assert [line.problem for line in lines] == [None] * len(lines)
    assert len(lines) > 1


@pytest.mark.parametrize(
    ("kind", "output", "column"), [("rag", "answer", "answer"), ("prompty", "output", "label")]
)
def test_answers_are_those_of_the_data(kind: str, output: str, column: str, tmp_path: Path) -> None:
    init_flow(tmp_path / "new", kind)
    data = tmp_path / "new" / "data.jsonl"
    wanted = [json.loads(line)[column] for line in data.read_text(encoding="utf-8").splitlines()]
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as workspace:
        flow = tmp_path / "new" / RUN_BY_FILE.get(kind, "")
        run = create_run(workspace, RunRequest(flow=flow, data=data, column_mapping=MAPPED[kind]))
        given = [str((line.outputs or {})[output]) for line in workspace.store.read_lines(run.spec.name)]
    assert [answer for answer, right in zip(given, wanted, strict=True) if right not in answer] == []


def test_a_search_index_takes_the_place_of_pages_as_the_flow_says(tmp_path: Path) -> None:
    init_flow(tmp_path / "new", "rag")
    file = tmp_path / "new" / "flow.dag.yaml"
    text = file.read_text(encoding="utf-8")
    for before, after in (
        ("path: retrieve.py", "path: retrieve_from_search.py"),
        ("    pages: pages\n", "    connection: azure_ai_search\n    index: my-index\n"),
    ):
        assert before in text
        text = text.replace(before, after)
    file.write_text(text, encoding="utf-8")
    found = {
        "value": [{"@search.score": 3.5, "id": "mill#owner", "content": "The mill belongs\nto the town."}]
    }
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as workspace, web_server() as index:
        index.answers = [(200, json.dumps(found))]
        connection = (tmp_path / "new" / "azure_ai_search.yaml").read_text(encoding="utf-8")
        folder = tmp_path / ".headrace" / "connections"
        folder.mkdir(parents=True)
        filled = connection.replace("api_key: <user-input>", "api_key: k").replace("<user-input>", index.url)
        (folder / "azure_ai_search.yaml").write_text(filled, encoding="utf-8")
        assert check_flow(workspace, tmp_path / "new") == ()
        request = TestRequest(flow=tmp_path / "new", inputs={"question": "Who owns the mill?"})
        result = run_test(workspace, request)
    assert result.outputs == {
        "answer": "The mill belongs to the town. [mill#owner]",
        "sources": ["mill#owner"],
    }
    (asked,) = index.asked
    assert asked.path == "/indexes('my-index')/docs/search.post.search?api-version=2026-04-01"
    assert asked.headers["api-key"] == "k"
    assert json.loads(asked.body) == {"search": "Who owns the mill?", "top": 3, "select": "id,content"}


def test_the_project_and_the_starter_search_alike() -> None:
    assert (STARTERS / "rag" / "retrieve.py").read_bytes() == (
        STARTERS / "project" / "flows" / "my_flow" / "retrieve.py"
    ).read_bytes()


def test_a_file_in_the_way_stops_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("mine")
    with pytest.raises(UsageError, match="S806"):
        init_flow(tmp_path, "standard")
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


def test_an_unknown_kind_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        init_flow(tmp_path, "agent")
    assert "standard, chat, evaluation, rag, prompty, flex" in (caught.value.problems[0].fix or "")


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="S808"):
        init_flow(tmp_path / "file" / "flow")


def test_files_are_overwritten_when_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("mine")
    init_flow(tmp_path, "standard", is_replacing=True)
    assert "Water" in (tmp_path / "data.jsonl").read_text()


def test_caches_of_python_are_not_part_of_a_starter(tmp_path: Path) -> None:
    assert all(path.suffix != ".pyc" for kind in KINDS for path in init_flow(tmp_path / kind, kind))
