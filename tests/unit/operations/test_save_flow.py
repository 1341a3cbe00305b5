"""The file of a flex flow, written around code that exists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.tool_nodes import serving_names

from headrace.config import load_settings
from headrace.errors import HeadraceError
from headrace.operations.check_flow import check_flow
from headrace.operations.save_flow import save_flow, save_function
from headrace.operations.test_flow import TestRequest, run_test
from headrace.operations.workspace import open_workspace

CODE = """\
from dataclasses import dataclass
from typing import TypedDict

from promptflow.core import AzureOpenAIModelConfiguration


@dataclass
class Label:
    label: str
    score: float


class Words(TypedDict):
    words: list
    n: int


def extract(text: str, n: int = 3, z=None, d: dict = None) -> Label:
    return Label(text, n)


def words(text: str) -> Words:
    return {"words": text.split(), "n": 1}


def plain(text):
    return text


class Asker:
    def __init__(self, model_config: AzureOpenAIModelConfiguration = None, limit: int = 2):
        self.limit = limit

    def __call__(self, q: str, history: list = []) -> str:
        return q * self.limit


def refused(items: "Label"):
    return items
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "src" / "__pycache__").mkdir(parents=True)
    (tmp_path / "src" / "intent.py").write_text(CODE)
    (tmp_path / "src" / "more.txt").write_text("")
    with chdir(tmp_path), serving_names(tmp_path):
        yield tmp_path


def content(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def run(folder: Path, flow: Path, **inputs: Any) -> Any:
    with open_workspace(load_settings({"HOME": str(folder)}), folder) as workspace:
        assert check_flow(workspace, flow) == ()
        return run_test(workspace, TestRequest(flow=flow, inputs=inputs)).outputs


@pytest.mark.parametrize(
    ("entry", "sections", "inputs", "outputs"),
    [
        (
            "intent:extract",
            {
                "inputs": {
                    "text": {"type": "string"},
                    "n": {"type": "int", "default": 3},
                    "z": {"type": "object"},
                    "d": {"type": "object"},
                },
                "outputs": {"label": {"type": "string"}, "score": {"type": "double"}},
            },
            {"text": "a"},
            {"label": "a", "score": 3},
        ),
        (
            "intent:words",
            {
                "inputs": {"text": {"type": "string"}},
                "outputs": {"words": {"type": "list"}, "n": {"type": "int"}},
            },
            {"text": "a b"},
            {"words": ["a", "b"], "n": 1},
        ),
        ("intent:plain", {"inputs": {"text": {"type": "object"}}}, {"text": "a"}, "a"),
        (
            "intent:Asker",
            {
                "inputs": {"q": {"type": "string"}, "history": {"type": "list", "default": []}},
                "init": {
                    "model_config": {"type": "AzureOpenAIModelConfiguration"},
                    "limit": {"type": "int", "default": 2},
                },
            },
            {"q": "x"},
            "xx",
        ),
    ],
)
def test_what_the_code_takes_and_gives_is_written(
    folder: Path, entry: str, sections: dict[str, Any], inputs: dict[str, Any], outputs: Any
) -> None:
    file = save_flow(entry, Path("src"))
    assert file == Path("src/flow.flex.yaml")
    assert content(file) == {**sections, "entry": entry}
    assert run(folder, Path("src"), **inputs) == outputs


def test_a_copy_of_the_code_goes_into_a_new_folder(folder: Path) -> None:
    save_flow("intent:plain", Path("src"), Path("src/out"))
    assert sorted(path.name for path in (folder / "src/out").iterdir()) == [
        "flow.flex.yaml",
        "intent.py",
        "more.txt",
    ]
    assert not (folder / "src/flow.flex.yaml").exists()
    assert run(folder, Path("src/out"), text="a") == "a"


def test_one_file_alone(folder: Path) -> None:
    save_flow("plain", Path("src/intent.py"), Path("out"))
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["flow.flex.yaml", "intent.py"]
    assert content(folder / "out/flow.flex.yaml")["entry"] == "intent:plain"


def top_of_this_file(text: str) -> str:
    return text


def test_a_function_at_hand_brings_its_file(folder: Path) -> None:
    file = save_function(top_of_this_file, Path("out"))
    assert content(file) == {
        "inputs": {"text": {"type": "string"}},
        "entry": "test_save_flow:top_of_this_file",
    }
    assert (folder / "out" / "test_save_flow.py").exists()


@pytest.mark.parametrize("function", [lambda text: text, len])
def test_a_function_without_a_place_cannot_be_saved(folder: Path, function: Any) -> None:
    with pytest.raises(HeadraceError, match="C507"):
        save_function(function)


@pytest.mark.parametrize(
    ("entry", "code", "path", "problem"),
    [
        ("intent", "src", None, "C507"),
        ("intent:nope", "src", "out", "T211"),
        ("nope:plain", "src", "out", "T211"),
        ("intent:refused", "src", "out", "T213"),
        ("plain", "src/nope.py", "out", "F001"),
        ("intent:plain", "src", "src", "S806"),
        ("intent:plain", "src", "src/intent.py", "S806"),
    ],
)
def test_what_cannot_be_saved_leaves_nothing_behind(
    folder: Path, entry: str, code: str, path: str | None, problem: str
) -> None:
    with pytest.raises(HeadraceError) as caught:
        save_flow(entry, Path(code), Path(path) if path else None)
    assert caught.value.problems[0].code == problem
    assert not (folder / "out").exists()
    assert not (folder / "src/flow.flex.yaml").exists()
