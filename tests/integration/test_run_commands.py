"""The ``run`` commands over a real flow and a real store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headrace.cli.main import run_command_line

FLOW = """\
inputs:
  n: {type: int}
  word: {type: string, default: dflt}
outputs:
  out: {type: string, reference: "${say.output}"}
nodes:
- name: say
  type: python
  source: {type: code, path: say.py}
  inputs: {n: "${inputs.n}", word: "${inputs.word}"}
- name: count
  type: python
  aggregation: true
  source: {type: code, path: count.py}
  inputs: {numbers: "${inputs.n}", texts: "${say.output}"}
"""
SAY = """\
import os
from promptflow.core import tool


@tool
def say(n: int, word: str) -> str:
    if str(n) in os.environ.get("BAD", "").split(","):
        raise ValueError("boom")
    return f"{n}-{word}-{os.environ.get('EXTRA', '')}"
"""
COUNT = """\
from promptflow.core import log_metric, tool


@tool
def count(numbers: list, texts: list):
    log_metric("count", len(numbers))
    log_metric("aligned", sum(text.startswith(f"{n}-") for n, text in zip(numbers, texts)))
"""


class Done(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


Call = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a flow and data, and a home of its own."""
    for name, text in {
        "flow/flow.dag.yaml": FLOW,
        "flow/say.py": SAY,
        "flow/count.py": COUNT,
        "data.jsonl": "".join(json.dumps({"n": n, "word": f"w{n}"}) + "\n" for n in range(3)),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    return tmp_path


@pytest.fixture
def headrace(folder: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line in ``folder``."""

    def call(*arguments: str) -> Done:
        code = run_command_line(arguments)
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def first(headrace: Call) -> Done:
    """A finished run of three lines, named ``first``."""
    done = headrace("run", "create", "--flow", "flow", "--data", "data.jsonl", "--name", "first")
    assert done.code == 0, done.err
    return done


# Notes and lists


def test_title_description_and_tags_can_be_changed(headrace: Call, first: Done) -> None:
    done = headrace(
        "run", "update", "-n", "first", "--set", "display_name=New", "description=Why", "tags.a=b"
    )
    assert (done.code, done.data["display_name"], done.data["description"]) == (0, "New", "Why")
    assert done.data["tags"] == {"a": "b"}
    assert headrace("run", "update", "-n", "first", "--set", "tags.z=").data["tags"] == {"z": ""}
    assert headrace("run", "show", "-n", "first").data["display_name"] == "New"


@pytest.mark.parametrize(
    "arguments",
    [
        ("-n", "frist", "--set", "display_name=x"),
        ("-n", "first", "--set", "name=x"),
        ("-n", "first", "--set", "tags=x"),
        ("-n", "first"),
    ],
)
def test_what_cannot_be_changed_is_refused(headrace: Call, first: Done, arguments: tuple[str, ...]) -> None:
    assert headrace("run", "update", *arguments).code == 2
    assert headrace("run", "show", "-n", "first").data["display_name"] == "first"


def test_archived_runs_are_left_out_of_lists_until_they_are_restored(headrace: Call, first: Done) -> None:
    def names(*arguments: str) -> list[str]:
        return [run["name"] for run in headrace("run", "list", "-o", "json", *arguments).data]

    assert headrace("run", "archive", "-n", "first").data["name"] == "first"
    assert (names(), names("--archived-only"), names("--include-archived")) == ([], ["first"], ["first"])
    assert headrace("run", "show", "-n", "first").code == 0
    assert headrace("run", "restore", "-n", "first").code == 0
    assert (names(), names("--archived-only")) == (["first"], [])
    assert headrace("run", "restore", "-n", "none").code == 2
    assert headrace("run", "archive", "-n", "none").code == 2


def test_empty_lists_say_what_is_missing(headrace: Call, first: Done) -> None:
    assert headrace("run", "list", "--archived-only", "-o", "table").err == "No run is archived.\n"


# Runs that go on


def bad(*numbers: int) -> str:
    return "BAD=" + ",".join(map(str, numbers))


def lines(headrace: Call, name: str) -> list[Any]:
    data = headrace("run", "show-details", "-n", name, "--all-results", "-o", "json").data
    return [line["outputs"].get("out") for line in data]


def make_failing(headrace: Call, *arguments: str) -> Done:
    return headrace(
        "run", "create", "--flow", "flow", "--data", "data.jsonl", "--name", "base", *arguments,
        "--column-mapping", "n=${data.n}", "word=${data.word}", "--environment-variables", bad(1), "EXTRA=x",
    )  # fmt: skip


def test_a_run_goes_on_with_what_failed_and_the_aggregation_stays_aligned(headrace: Call) -> None:
    assert make_failing(headrace, "--set", "description=why", "tags.a=b").code == 1
    done = headrace("run", "create", "--resume-from", "base", "--name", "again")
    assert done.code == 0
    assert "2 of 3 lines are taken over from base." in done.err
    assert lines(headrace, "again") == ["0-w0-x", "1-w1-", "2-w2-x"]
    assert done.data["metrics"] == {"count": 3, "aligned": 3}
    assert done.data["properties"]["resume_from"] == "base"
    assert (done.data["description"], done.data["tags"], done.data["display_name"]) == ("why", None, "again")
    assert lines(headrace, "base") == ["0-w0-x", None, "2-w2-x"]


def test_a_run_goes_on_with_the_flow_as_it_is_now(headrace: Call, folder: Path) -> None:
    make_failing(headrace)
    (folder / "flow/say.py").write_text(SAY.replace('return f"', 'return f"new '), "utf-8")
    headrace("run", "create", "--resume-from", "base", "--name", "again")
    assert lines(headrace, "again") == ["0-w0-x", "new 1-w1-", "2-w2-x"]


def test_a_line_whose_data_has_changed_is_run_again(headrace: Call, folder: Path) -> None:
    make_failing(headrace)
    (folder / "data.jsonl").write_text(
        '{"n": 0, "word": "w0"}\n{"n": 5, "word": "w1"}\n{"n": 2, "word": "W"}\n'
    )
    done = headrace("run", "create", "--resume-from", "base", "--name", "again")
    assert "1 of 3 lines are taken over" in done.err
    assert lines(headrace, "again") == ["0-w0-x", "5-w1-", "2-W-"]


def test_a_line_that_lacks_what_an_aggregation_node_reads_by_now_is_run_again(
    headrace: Call, folder: Path
) -> None:
    make_failing(headrace)
    more = "- name: more\n  type: python\n  source: {type: code, path: say.py}\n  inputs: {n: 7, word: x}\n"
    flow = FLOW.replace("nodes:\n", f"nodes:\n{more}").replace(
        'texts: "${say.output}"', 'texts: "${more.output}"'
    )
    (folder / "flow/flow.dag.yaml").write_text(flow, "utf-8")
    done = headrace("run", "create", "--resume-from", "base", "--name", "again")
    assert "0 of 3 lines are taken over" in done.err
    assert done.data["metrics"]["count"] == 3


def test_a_run_can_go_on_twice_under_a_title_of_its_own(headrace: Call) -> None:
    make_failing(headrace)
    headrace("run", "create", "--resume-from", "base", "--name", "two", "--environment-variables", bad(1))
    done = headrace(
        "run",
        "create",
        "--resume-from",
        "two",
        "--name",
        "three",
        "--set",
        "display_name=T ${variant_id}",
        "tags.q=1",
    )
    assert (done.data["display_name"], done.data["tags"]) == ("T variant_0", {"q": "1"})
    assert lines(headrace, "three") == ["0-w0-x", "1-w1-", "2-w2-x"]


def test_a_run_file_can_name_the_run_to_go_on_with(headrace: Call, folder: Path) -> None:
    make_failing(headrace)
    (folder / "run.yaml").write_text("resume_from: base\nname: again\n", "utf-8")
    assert headrace("run", "create", "-f", "run.yaml").data["lines"]["completed"] == 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--resume-from", "bose"), 'Did you mean "base"?'),
        (("--resume-from", "base", "--flow", "flow", "--data", "data.jsonl"), "flow, data cannot be given"),
        (("--resume-from", "base", "--set", "init.a=1"), "init cannot be given"),
        (("--resume-from", "base", "--name", "base"), "exists already"),
    ],
)
def test_how_a_run_cannot_go_on(headrace: Call, arguments: tuple[str, ...], text: str) -> None:
    make_failing(headrace)
    done = headrace("run", "create", *arguments)
    assert done.code == 2
    assert text in done.err


# Looking on


def test_a_finished_run_is_streamed_whole(headrace: Call, folder: Path) -> None:
    (folder / "flow/say.py").write_text(
        SAY.replace("    return f", "    print('saying', n)\n    return f"), "utf-8"
    )
    made = make_failing(headrace, "--stream")
    done = headrace("run", "stream", "-n", "base")
    assert (made.code, done.code) == (1, 1)
    assert done.data == made.data
    for text in (
        "line 0      Completed",
        "  say: saying 2",
        "line 1      Failed",
        "E601 tool-failed: The tool",
    ):
        assert text in done.err
        assert text in made.err


def test_an_unknown_run_cannot_be_streamed(headrace: Call) -> None:
    assert headrace("run", "stream", "-n", "none").code == 2


def test_runs_are_written_as_one_page(headrace: Call, folder: Path, first: Done) -> None:
    make_failing(headrace)
    done = headrace("run", "visualize", "-n", "first")
    path = folder / ".headrace/reports/first.html"
    assert (done.code, done.out) == (0, f"{path}\n")
    assert "0-dflt-" in path.read_text("utf-8")
    done = headrace("run", "visualize", "-n", "first,base", "--html-path", "pages/both.html")
    assert (done.code, done.out) == (0, "pages/both.html\n")
    assert "2 runs side by side" in (folder / "pages/both.html").read_text("utf-8")


@pytest.mark.parametrize("names", ["none", "first,none", ","])
def test_unknown_runs_make_no_page(headrace: Call, folder: Path, first: Done, names: str) -> None:
    assert headrace("run", "visualize", "-n", names, "--html-path", "page.html").code == 2
    assert not (folder / "page.html").exists()


# Runs from folders


def test_a_run_that_was_written_into_a_folder_can_be_taken_over(headrace: Call) -> None:
    make_failing(headrace)
    assert headrace("run", "export", "-n", "base", "--output", "folder").code == 0
    done = headrace("run", "create", "--source", "folder", "--name", "copy", "--set", "tags.a=b")
    assert (done.code, done.data["status"], done.data["tags"]) == (0, "Completed", {"a": "b"})
    assert lines(headrace, "copy") == lines(headrace, "base") == ["0-w0-x", None, "2-w2-x"]
    first, copy = (
        headrace("run", "show-details", "-n", name, "-o", "json").data[1] for name in ("base", "copy")
    )
    assert copy["inputs"] == first["inputs"]
    assert (copy["problem"]["code"], copy["problem"]["raised"]) == ("E601", first["problem"]["raised"])
    metrics = headrace("run", "show-metrics", "-n", "base").out
    assert headrace("run", "show-metrics", "-n", "copy").out == metrics
    judged = headrace(
        "run", "create", "--flow", "flow", "--run", "copy", "--name", "judged",
        "--column-mapping", "n=${run.inputs.n}", "word=${run.outputs.out}",
    )  # fmt: skip
    assert judged.code == 0
    assert lines(headrace, "judged") == ["0-0-w0-x-", "2-2-w2-x-"]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (
            ("--source", "folder", "--flow", "flow", "--data", "data.jsonl"),
            2,
            "--flow, --data cannot be given",
        ),
        (("--source", "none"), 3, "S812"),
        (("--source", "folder", "--name", "base"), 2, "exists already"),
    ],
)
def test_how_a_run_cannot_be_taken_over(
    headrace: Call, arguments: tuple[str, ...], code: int, text: str
) -> None:
    make_failing(headrace)
    headrace("run", "export", "-n", "base", "--output", "folder")
    done = headrace("run", "create", *arguments)
    assert done.code == code
    assert text in done.err


def test_archived_runs_alone_and_with_the_others_contradict_each_other(headrace: Call) -> None:
    assert headrace("run", "list", "--archived-only", "--include-archived").code == 2


# What a run may spend

ASKING = """\
inputs:
  word: {type: string}
outputs:
  out: {type: string, reference: "${ask.output}"}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: baseline
  api: chat
  inputs: {deployment_name: baseline, word: "${inputs.word}"}
"""


def test_a_run_that_has_spent_what_it_may_is_gone_on_with(headrace: Call, folder: Path) -> None:
    asking = folder / "asking"
    asking.mkdir()
    asking.joinpath("flow.dag.yaml").write_text(ASKING, encoding="utf-8")
    asking.joinpath("ask.jinja2").write_text(
        "user:\nWhat is {{word}}? {{word}} is a word.\n", encoding="utf-8"
    )
    create = ("run", "create", "--flow", "asking", "--data", "data.jsonl")
    whole = headrace(*create, "--name", "whole").data["properties"]["system_metrics"]["total_tokens"]
    done = headrace(*create, "--name", "few", "--max-concurrency", "1", "--max-tokens", str(whole * 2 // 3))
    assert (done.code, done.data["status"], done.data["lines"]["completed"]) == (1, "Canceled", 2)
    assert "E609" in done.err
    below = headrace("run", "resume", "--name", "few", "--max-tokens", "2")
    assert (below.code, below.data["lines"]["completed"]) == (1, 2)
    assert "Nothing was run: the limit of 2 tokens counts what the run had spent before" in below.err
    again = headrace("run", "resume", "--name", "few", "--max-tokens", str(whole - 1))
    assert (again.code, again.data["lines"]["completed"]) == (1, 2)
    assert headrace("run", "resume", "--name", "few", "--max-tokens", str(2 * whole)).code == 0
    assert lines(headrace, "few") == lines(headrace, "whole")


def test_a_cost_that_nobody_knows_cannot_be_limited(headrace: Call, folder: Path) -> None:
    asking = folder / "asking"
    asking.mkdir()
    asking.joinpath("flow.dag.yaml").write_text(ASKING, encoding="utf-8")
    asking.joinpath("ask.jinja2").write_text("user:\n{{word}}\n", encoding="utf-8")
    done = headrace("run", "create", "--flow", "asking", "--data", "data.jsonl", "--max-cost", "1")
    assert done.code == 2
    assert "price of baseline/baseline is not known" in done.err
    assert headrace("run", "list", "-o", "json").data == []


def test_a_forecast_runs_nothing(headrace: Call, first: Done) -> None:
    done = headrace("run", "create", "--flow", "flow", "--data", "data.jsonl", "--dry-run")
    assert done.code == 0
    (item,) = done.data["runs"]
    assert (item["label"], item["n_lines"], item["calls"], item["source_run"]) == ("flow", 3, 0, "first")
    assert [run["name"] for run in headrace("run", "list", "-o", "json").data] == ["first"]
