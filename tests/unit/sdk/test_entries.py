"""Functions, classes and objects as flows, and flow files made of them. Frames were observed at stock promptflow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.compat.exceptions import UserErrorException
from headrace.formats.positions import load_yaml
from headrace.sdk.client import PFClient
from headrace.sdk.flow import load_flow

pytestmark = pytest.mark.usefixtures("served_names")

MODULE = """\
from dataclasses import dataclass
import beside

@dataclass
class Said:
    a: str
    n: int

class Say:
    def __init__(self, k: int = 1, more: dict = None):
        self.k, self.seen = k, 0
    def __call__(self, q: str, loud: bool = False) -> Said:
        self.seen += 1
        return Said(q * self.k * beside.N, self.seen)
    def __aggregate__(self, lines):
        return {"lines": len(lines), "first": self.seen}

def plain(q: str, n: int = 2) -> str:
    return q * n

value = 5
"""
DATA = '{"q": "a"}\n{"q": "b"}\n'


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PFClient]:
    (tmp_path / ".headrace").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "saying.py").write_text(MODULE, "utf-8")
    (tmp_path / "src" / "beside.py").write_text("N = 1\n", "utf-8")
    (tmp_path / "data.jsonl").write_text(DATA, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    with chdir(tmp_path):
        yield PFClient()
    for name in ("saying", "beside"):
        sys.modules.pop(name, None)


def module() -> Any:
    return __import__("saying")


async def later(q: str) -> str:
    return q + "!"


@dataclass
class Unlike:
    """Cannot be copied: a generator is in it."""

    items: Any
    n: int = 0

    def __call__(self, q: str) -> str:
        self.n += 1
        return f"{q}{next(self.items)}"


def test_what_can_be_called_is_run_over_data(client: PFClient) -> None:
    say = module().Say
    kept = say(3)
    for flow, init, said in (
        ("src/saying:Say", {"k": 2}, ["aa", "bb"]),
        (say, {"k": 2}, ["aa", "bb"]),
        (kept, None, ["aaa", "bbb"]),
    ):
        run = client.run(flow=flow, data="data.jsonl", init=init)
        frame = client.get_details(run).to_dict("list")
        assert frame["outputs.a"] == said
        assert frame["outputs.n"] == [1, 2]
        assert client.get_metrics(run) == {"lines": 2, "first": 0}
        assert Path(run.flow).name == "saying:Say"
    assert kept.seen == 0
    for flow, said in (
        (module().plain, ["aa", "bb"]),
        (later, ["a!", "b!"]),
        (Unlike(iter("xy")), ["ax", "by"]),
    ):
        assert list(client.get_details(client.run(flow=flow, data="data.jsonl"))["outputs.output"]) == said


def test_what_can_be_called_is_tried(client: PFClient, tmp_path: Path) -> None:
    assert client.test(module().plain, inputs={"q": "z"}) == "zz"
    assert client.test(module().Say(2), inputs={"q": "z"}) == {"a": "zz", "n": 1}
    assert client.run(flow="saying:plain", code="src", data="data.jsonl").status == "Completed"
    client.flows.save(module().plain, path="saved")
    assert client.test(load_flow(tmp_path / "saved"), inputs={"q": "z"}) == "zz"


@pytest.mark.parametrize(
    ("flow", "words"),
    [(lambda q: q, "no name"), (5, "cannot be a int"), ("src/saying:value", "cannot be called")],
)
def test_what_cannot_be_called(client: PFClient, flow: Any, words: str) -> None:
    with pytest.raises(UserErrorException, match=words):
        client.run(flow=flow, data="data.jsonl")


SIGNATURE = {
    "inputs": {"q": {"type": "string"}, "loud": {"type": "bool", "default": False}},
    "outputs": {"a": {"type": "string"}, "n": {"type": "int"}},
    "init": {"k": {"type": "int", "default": 1}, "more": {"type": "object"}},
}


def test_a_signature_is_told(client: PFClient) -> None:
    assert client.flows.infer_signature(module().Say) == SIGNATURE
    assert client.flows.infer_signature(module().plain) == {
        "inputs": {"q": {"type": "string"}, "n": {"type": "int", "default": 2}}
    }


def test_a_flow_file_is_written_beside_the_code_or_with_a_copy_of_it(
    client: PFClient, tmp_path: Path
) -> None:
    client.flows.save("saying:Say", code="src")
    beside = load_yaml((tmp_path / "src" / "flow.flex.yaml").read_text("utf-8"), "f")[0]
    assert beside == {**SIGNATURE, "entry": "saying:Say"}
    described = {"inputs": {"q": {"description": "asked"}, "loud": {}}}
    client.flows.save(
        module().Say,
        path="out",
        signature=described,
        sample={"inputs": {"q": "x"}},
        image="i",
        python_requirements_txt="r",
    )
    assert sorted(path.name for path in (tmp_path / "out").glob("*.*")) == [
        "beside.py",
        "flow.flex.yaml",
        "saying.py",
    ]
    written = load_yaml((tmp_path / "out" / "flow.flex.yaml").read_text("utf-8"), "f")[0]
    assert written["inputs"]["q"] == {"type": "string", "description": "asked"}
    assert written["sample"] == {"inputs": {"q": "x"}}
    assert written["environment"] == {"python_requirements_txt": "r", "image": "i"}
    assert client.test("out", inputs={"q": "x"}, init={"k": 2}) == {"a": "xx", "n": 1}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"entry": "saying:plain", "code": "src", "path": "src"}, "src holds something"),
        ({"entry": "saying:none", "code": "src"}, "has no 'none'"),
        ({"entry": "saying:plain", "code": "nowhere"}, "nowhere"),
        ({"entry": "saying:plain", "code": "src", "signature": {"inputs": {"q": {}}}}, "names q, but"),
    ],
)
def test_a_flow_that_cannot_be_saved(client: PFClient, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UserErrorException, match=words):
        client.flows.save(**arguments)
