"""The whole program through its command line: real flows, a real store, real processes where a process matters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headrace.cli.main import run_command_line

ROOT = Path(__file__).parents[2]
FLOW = """\
inputs:
  text: {type: string}
  n: {type: int, default: 1}
outputs:
  out: {type: object, reference: "${work.output}"}
nodes:
- name: prompt
  type: prompt
  source: {type: code, path: prompt.jinja2}
  inputs: {text: "${inputs.text}"}
- name: work
  type: python
  source: {type: code, path: work.py}
  inputs: {text: "${prompt.output}", n: "${inputs.n}"}
"""
WORK = """\
import os
import signal
from threading import Event

from promptflow.core import tool


@tool
def work(text: str, n: int) -> dict:
    if n == 3:
        raise ValueError("threes are not welcome")
    if n == 99:
        os.kill(os.getpid(), getattr(signal, os.environ.get("STOP_BY", "SIGINT")))
        Event().wait(float(os.environ.get("WAIT_S", "20")))
    return {"text": text, "twice": 2 * n, "nan": float("nan"), "from": os.environ.get("FROM")}
"""
VARIANTS = """\
inputs:
  question: {type: string}
outputs:
  answer: {type: string, reference: "${ask.output}"}
nodes:
- name: ask
  use_variants: true
node_variants:
  ask:
    default_variant_id: plain
    variants:
      plain:
        node:
          type: prompt
          source: {type: code, path: plain.jinja2}
          inputs: {question: "${inputs.question}"}
      echo:
        node:
          type: prompt
          source: {type: code, path: echo.jinja2}
          inputs: {question: "${inputs.question}"}
"""
EVALUATION = """\
inputs:
  prediction: {type: string}
  truth: {type: string}
outputs:
  exact: {type: double, reference: "${grade.output}"}
nodes:
- name: grade
  type: python
  source: {type: code, path: grade.py}
  inputs: {prediction: "${inputs.prediction}", truth: "${inputs.truth}"}
- name: log
  type: python
  source: {type: code, path: log.py}
  aggregation: true
  inputs: {scores: "${grade.output}"}
"""
GRADE = """\
from promptflow.core import tool


@tool
def grade(prediction: str, truth: str) -> float:
    return float(prediction.strip() == truth)
"""
LOG = """\
from promptflow.core import log_metric, tool


@tool
def log(scores: list) -> None:
    log_metric("exact", sum(scores) / len(scores))
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
    """A working directory with flows and data, and a home of its own."""
    for name, text in {
        "flow/flow.dag.yaml": FLOW,
        "flow/prompt.jinja2": "Say {{text}} é",
        "flow/work.py": WORK,
        "race/flow.dag.yaml": VARIANTS,
        "race/plain.jinja2": "no idea",
        "race/echo.jinja2": "{{question}}",
        "race/evaluation/exact/flow.dag.yaml": EVALUATION,
        "race/evaluation/exact/grade.py": GRADE,
        "race/evaluation/exact/log.py": LOG,
        "race/data.jsonl": "".join(
            json.dumps({"question": f"q{n}", "answer": f"q{n}"}) + "\n" for n in range(12)
        ),
        "data.jsonl": "".join(json.dumps({"text": f"t{n}", "n": n}) + "\n" for n in range(5)),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "OPENAI_BASE_URL", "HEADRACE_STORE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def headrace(folder: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line in ``folder``."""

    def call(*arguments: str) -> Done:
        code = run_command_line(arguments)
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def process(folder: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a command line in a process of its own."""

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "headrace", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
        )

    return start


def test_a_test_prints_outputs_as_pf_does(headrace: Call) -> None:
    done = headrace(
        "flow", "test", "--flow", "flow", "--inputs", "text=a=b", "n=2", "--environment-variables", "FROM=x"
    )
    assert done == (
        0,
        '{\n    "out": {\n        "text": "Say a=b é",\n        "twice": 4,\n        "nan": NaN,\n'
        '        "from": "x"\n    }\n}\n',
        "",
    )


def test_one_node_is_tested_alone_and_text_comes_out_bare(headrace: Call) -> None:
    done = headrace("flow", "test", "--flow", "flow", "--node", "prompt", "--inputs", "text=x")
    assert done == (0, "Say x é\n", "")


def test_verbose_names_the_nodes_and_quiet_nothing(headrace: Call) -> None:
    done = headrace("flow", "test", "--flow", "flow", "--inputs", "text=x", "--verbose")
    assert [line.split()[:2] for line in done.err.splitlines()] == [
        ["Completed", "prompt"],
        ["Completed", "work"],
    ]


def test_a_failing_flow_says_where_its_code_failed(headrace: Call) -> None:
    done = headrace("flow", "test", "--flow", "flow", "--inputs", "text=x", "n=3")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("flow/work.py:11:9: error[E601 tool-failed]\n")
    assert '    11 |         raise ValueError("threes are not welcome")' in done.err


def test_a_streamed_answer_goes_to_standard_error(headrace: Call, folder: Path) -> None:
    flow = """\
outputs:
  answer: {type: string, reference: "${ask.output}"}
nodes:
- name: ask
  type: llm
  api: chat
  connection: baseline
  source: {type: code, path: ask.jinja2}
  inputs: {model: baseline}
"""
    (folder / "chat").mkdir()
    (folder / "chat" / "flow.dag.yaml").write_text(flow, encoding="utf-8")
    (folder / "chat" / "ask.jinja2").write_text("# user:\nWho turns the wheel?\n", encoding="utf-8")
    done = headrace("flow", "test", "--flow", "chat", "--stream")
    assert done.code == 0
    assert done.err.strip() == done.data["answer"].strip() != ""


def test_a_wrong_flow_reports_everything_and_ends_with_three(headrace: Call, folder: Path) -> None:
    wrong = FLOW.replace("${work.output}", "${wrk.output}").replace("${inputs.n}", "${inputs.m}")
    (folder / "flow" / "flow.dag.yaml").write_text(wrong, encoding="utf-8")
    text = headrace("flow", "validate", "--source", "flow", "-o", "text")
    assert (text.code, text.err) == (3, "")
    assert "5:34: error[R102 unknown-node]" in text.out
    assert "error[R103 unknown-input]" in text.out
    assert text.out.endswith("2 errors\n")
    data = headrace("flow", "validate", "--source", "flow").data
    assert data["result"] == "Failed"
    assert [item["code"] for item in data["errors"]] == ["R102", "R103"]
    assert len(headrace("flow", "validate", "--source", "flow", "--format", "github").out.splitlines()) == 2
    run = headrace("run", "create", "--flow", "flow", "--data", "data.jsonl")
    assert (run.code, run.out) == (3, "")
    assert headrace("run", "list").data == []


def test_a_sound_flow_has_no_problems(headrace: Call) -> None:
    done = headrace("flow", "validate", "--source", "flow", "-o", "text")
    assert done == (0, "No problems in flow.\n", "")
    data = headrace("flow", "validate", "--source", "flow").data
    assert data == {"result": "Succeeded", "errors": [], "warnings": []}


def test_a_new_flow_runs_at_once_and_nothing_is_overwritten(headrace: Call, folder: Path) -> None:
    for kind in ("standard", "chat", "evaluation"):
        done = headrace("flow", "init", "--flow", f"new/{kind}", "--type", kind)
        assert done.code == 0
        assert f"new/{kind}/flow.dag.yaml" in done.out.splitlines()
        assert headrace("flow", "validate", "--source", f"new/{kind}").code == 0
    assert headrace("flow", "test", "--flow", "new/standard").code == 0
    again = headrace("flow", "init", "--flow", "new/standard")
    assert again.code == 2
    assert "S806" in again.err


def make_run(headrace: Call, name: str = "first") -> Done:
    return headrace(
        "run", "create", "--flow", "flow", "--data", "data.jsonl", "-n", name,
        "--column-mapping", "text=${data.text}", "n=${data.n}", "--display-name", "My run", "--set", "tags.a=b",
    )  # fmt: skip


def test_a_run_records_failed_lines_and_says_so(headrace: Call) -> None:
    done = make_run(headrace)
    assert done.code == 1
    assert done.data["lines"] == {"total": 5, "completed": 4, "failed": 1}
    assert done.data["display_name"] == "My run"
    assert done.data["tags"] == {"a": "b"}
    assert done.data["status"] == "Completed"
    assert "threes" in done.data["error"]["problem"]["what"]
    assert "first: Completed, 5 lines, 1 failed" in done.err
    assert "error[E606 lines-failed]\n  1 of 5 lines failed in run first." in done.err
    assert "flow/work.py:11:9: error[E601 tool-failed]" in done.err


def test_a_run_can_be_looked_at_in_every_way(headrace: Call) -> None:
    created = make_run(headrace).data
    assert headrace("run", "show", "--name", "first").data == created
    assert [run["name"] for run in headrace("run", "list").data] == ["first"]
    table = headrace("run", "list", "-o", "table").out
    assert table.splitlines()[2].startswith("first ")
    details = headrace("run", "show-details", "-n", "first", "-r", "4")
    assert [row.split()[:2] for row in details.out.splitlines()[2:]] == [
        ["0", "Completed"], ["1", "Completed"], ["2", "Completed"], ["3", "Failed"],
    ]  # fmt: skip
    assert details.out.splitlines()[5].split("(Failed)")[1].strip().startswith("E601 tool-failed: ")
    assert "4 of 5 lines" in details.err
    data = headrace("run", "show-details", "-n", "first", "--all-results", "-o", "json").data
    assert [line["status"] for line in data] == ["Completed"] * 3 + ["Failed", "Completed"]
    metrics = headrace("run", "show-metrics", "-n", "first")
    assert (metrics.code, metrics.data) == (0, {})
    assert "error[E606 lines-failed]" in metrics.err
    assert "error[E601 tool-failed]" in metrics.err


def test_a_trace_is_drawn_for_the_line_that_is_asked_for(headrace: Call) -> None:
    make_run(headrace)
    failed = headrace("run", "trace", "--name", "first", "--line", "3")
    assert failed.out.splitlines()[0].startswith("first · line 3 of 5 · Failed · ")
    assert [line.split()[1] for line in failed.out.splitlines()[3:]] == ["prompt", "work"]
    assert failed.out.splitlines()[4].endswith("E601 tool-failed")
    assert "error[E601" in failed.err
    lines = headrace("run", "show-details", "-n", "first", "-o", "json").data
    slowest = max(lines, key=lambda line: line["duration_ms"])["line_number"]
    assert f"first · line {slowest} of 5, the slowest" in headrace("run", "trace", "-n", "first").out
    spans = headrace("run", "trace", "-n", "first", "--line", "0", "-o", "json").data
    assert [span["parent_id"] is None for span in spans] == [True, False, False]
    missing = headrace("run", "trace", "-n", "first", "--line", "9")
    assert (missing.code, "0 to 4" in missing.err) == (2, True)
    assert headrace("run", "trace", "-n", "first", "--aggregation").code == 2


def test_runs_are_named_once_and_found_by_near_misses(headrace: Call) -> None:
    make_run(headrace)
    taken = make_run(headrace)
    assert (taken.code, "S802" in taken.err) == (2, True)
    unknown = headrace("run", "show", "-n", "frist")
    assert (unknown.code, 'Did you mean "first"?' in unknown.err) == (2, True)


def test_a_run_is_deleted_only_when_somebody_says_so(headrace: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(headrace)
    refused = headrace("run", "delete", "--name", "first")
    assert (refused.code, "Say --yes." in refused.err) == (2, True)
    assert headrace("run", "delete", "--name", "first", "-y").code == 0
    assert headrace("run", "show", "--name", "first").code == 2


def test_a_run_file_and_options_on_top_of_it(headrace: Call, folder: Path) -> None:
    (folder / "runs").mkdir()
    (folder / "runs" / "run.yaml").write_text(
        "flow: ../flow\ndata: ../data.jsonl\nname: from_file\ncolumn_mapping: {text: '${data.text}', n: 7}\n"
        "environment_variables: {FROM: file}\n",
        encoding="utf-8",
    )
    done = headrace("run", "create", "--file", "runs/run.yaml", "--name", "renamed")
    assert (done.code, done.data["name"]) == (0, "renamed")
    lines = headrace("run", "show-details", "-n", "renamed", "-o", "json").data
    assert {(line["outputs"]["out"]["twice"], line["outputs"]["out"]["from"]) for line in lines} == {
        (14, "file")
    }


def test_metrics_of_an_evaluation_run(headrace: Call) -> None:
    headrace(
        "run",
        "create",
        "--flow",
        "race",
        "--data",
        "race/data.jsonl",
        "-n",
        "echo",
        "--variant",
        "'${ask.echo}'",
    )
    done = headrace(
        "run", "create", "--flow", "race/evaluation/exact", "--data", "race/data.jsonl", "--run", "echo", "-n", "judged",
        "--column-mapping", "prediction='${run.outputs.answer}'", "truth=${data.answer}",
    )  # fmt: skip
    assert (done.code, done.data["run"]) == (0, "echo")
    assert headrace("run", "show-metrics", "-n", "judged").data == {"exact": 1.0}
    table = headrace("run", "list", "-o", "table")
    assert "echo" in table.out.splitlines()[2]
    assert table.err == ""
    trace = headrace("run", "trace", "-n", "judged", "--aggregation")
    assert trace.out.startswith("judged · aggregation · Completed")


def test_a_failed_aggregation_is_said_beside_metrics_that_are_no_numbers(
    headrace: Call, folder: Path
) -> None:
    log = """\
from promptflow.core import log_metric, tool


@tool
def log(scores: list) -> None:
    log_metric("exact", float("nan"))
    raise ValueError("nothing to divide by")
"""
    (folder / "race" / "evaluation" / "exact" / "log.py").write_text(log, encoding="utf-8")
    headrace("run", "create", "--flow", "race", "--data", "race/data.jsonl", "-n", "plain")
    headrace(
        "run", "create", "--flow", "race/evaluation/exact", "--data", "race/data.jsonl", "--run", "plain", "-n", "judged",
        "--column-mapping", "prediction=${run.outputs.answer}", "truth=${data.answer}",
    )  # fmt: skip
    done = headrace("run", "show-metrics", "-n", "judged")
    assert done.code == 0
    assert done.out == '{\n    "exact": NaN\n}\n'
    assert "nothing to divide by" in done.err


RACE = (
    "compare", "--flow", "race", "--data", "race/data.jsonl", "--evaluation", "race/evaluation/exact",
    "--evaluation-mapping", "prediction=${run.outputs.answer}", "truth=${data.answer}", "--metric", "exact",
)  # fmt: skip


def test_arms_race_and_the_better_one_is_named(headrace: Call, folder: Path) -> None:
    done = headrace(*RACE)
    assert done.code == 0
    assert done.out.startswith("Ship echo.")
    row = next(line for line in done.out.splitlines() if line.startswith("echo "))
    assert row.split()[1:] == ["1.000", "+1.000", "<", "0.001", ">", "99.9%", "*", "▲", "better"]
    experiment = headrace("run", "list").data[0]["experiment"]
    *_, again, last = done.out.splitlines()
    assert again == f"again: headrace compare --again {experiment}"
    assert last.startswith("report: .headrace/reports/race-")
    assert (folder / ".headrace" / ".gitignore").read_text(encoding="utf-8").strip() == "*"
    html = (folder / last.removeprefix("report: ")).read_text(encoding="utf-8")
    assert html.lower().startswith("<!doctype html>")
    assert "echo" in html


def test_a_comparison_in_other_forms(headrace: Call, folder: Path) -> None:
    done = headrace(*RACE, "-o", "json", "--report", "r.html", "--baseline", "echo", "--seed", "3")
    assert '"baseline": "echo"' in done.out
    assert json.loads(done.out)
    assert "report: r.html" in done.err
    assert (folder / "r.html").exists()
    runs = headrace("run", "list", "-o", "json").data
    names = [run["name"] for run in runs if run["arm"]]
    table = headrace("compare", *names, "--output", "table", "--output", "board.txt")
    assert (table.code, table.out) == (0, "")
    assert "exact" in (folder / "board.txt").read_text(encoding="utf-8")
    listed = headrace("run", "list", "--experiment", runs[0]["experiment"], "-o", "table").out
    assert listed.count("race_") >= 2


def test_lines_in_flight_are_limited_in_a_comparison(headrace: Call, folder: Path) -> None:
    counting = """\
import asyncio
from promptflow.core import tool

at_once = 0


@tool
async def grade(prediction: str, truth: str) -> float:
    global at_once
    at_once += 1
    for _ in range(50):
        await asyncio.sleep(0)
    seen, at_once = at_once, at_once - 1
    return float(seen)
"""
    (folder / "race/evaluation/exact/grade.py").write_text(counting, encoding="utf-8")

    def most(n_at_once: str) -> float:
        done = headrace(*RACE, "--no-cache", "-q", "--max-concurrency", n_at_once)
        assert done.code == 0, done.err
        runs = headrace("run", "list", "--evaluations", "-r", "4").data
        lines = [headrace("run", "show-details", "-n", run["name"], "-o", "json").data for run in runs]
        return float(max(line["outputs"].get("exact", 0) for run in lines for line in run))

    assert most("1") == 1
    assert 1 < most("3") <= 3
    assert headrace(*RACE, "--max-concurrency", "0").code == 2


def test_runs_that_score_arms_are_folded_unless_asked_for(headrace: Call) -> None:
    headrace(*RACE, "-q")
    listed = headrace("run", "list").data
    assert [run["arm"] for run in listed] == ["echo", "plain"]
    everything = headrace("run", "list", "--evaluations").data
    assert [run.get("run") for run in everything] == [listed[0]["name"], None, listed[1]["name"], None]
    newest = headrace("run", "list", "-r", "2").data
    assert newest == listed
    table = headrace("run", "list", "-r", "1", "-o", "table")
    assert table.out.splitlines()[2].split()[-2:] == ["1", listed[0]["experiment"]]
    assert "without 1 evaluation run of experiments; --evaluations lists them" in table.err
    assert headrace("run", "list", "--evaluations", "-o", "table").err == ""


def test_an_experiment_is_compared_once_more_as_it_was_asked_for(headrace: Call, folder: Path) -> None:
    headrace(*RACE, "-q", "--baseline", "echo")
    experiment = headrace("run", "list").data[0]["experiment"]
    again = headrace("compare", "--again", experiment, "--output", "board.md")
    assert (again.code, again.out) == (0, "")
    text = (folder / "board.md").read_text(encoding="utf-8")
    assert text.startswith("# race")
    assert "Keep echo" in text


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("compare",), 2, "one thing to compare"),
        (("compare", "first"), 2, "one run alone"),
        (("compare", "a", "b"), 2, "S801"),
        (("compare", "none.yaml"), 3, "F001"),
        (("compare", "--flow", "race", "--data", "race/data.jsonl"), 2, "--evaluation"),
        (("compare", "--again", "x", "--repeats", "3"), 2, "--repeats"),
        (("compare", "a", "b", "--variants", "x"), 2, "--variants"),
        ((*RACE, "--metric", "exat"), 2, "G901"),
        ((*RACE, "--data", "none.jsonl"), 3, "F001"),
        ((*RACE, "--report", "race/data.jsonl/x.html"), 5, "S808"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_runs(
    headrace: Call, arguments: tuple[str, ...], code: int, word: str
) -> None:
    done = headrace(*arguments)
    assert (done.code, done.out) == (code, "")
    assert word in done.err
    assert not (Path(".headrace") / "reports").exists()
    assert headrace("run", "list").data == []


def test_lines_that_fail_in_an_arm_end_the_comparison_with_one(headrace: Call, folder: Path) -> None:
    (folder / "race" / "echo.jinja2").write_text(
        "{{ question if question != 'q3' else 1 / 0 }}", encoding="utf-8"
    )
    done = headrace(*RACE)
    assert done.code == 1
    assert "error[E606 lines-failed]" in done.err
    assert "1 " in done.out


CONNECTION = "name: mine\ntype: open_ai\nbase_url: http://127.0.0.1:9/v1\napi_key: <user-input>\n"


def test_a_connection_is_kept_shown_without_its_key_and_deleted(headrace: Call, folder: Path) -> None:
    (folder / "c.yaml").write_text(CONNECTION, encoding="utf-8")
    refused = headrace("connection", "create", "-f", "c.yaml")
    assert refused.code == 3
    assert refused.err.startswith("c.yaml:4:10: error[C502 bad-connection]")
    made = headrace(
        "connection", "create", "-f", "c.yaml", "--set", "api_key=sk-hidden", "base_url=http://localhost:1/v1"
    )
    assert made.code == 0
    assert made.data["api_key"] == "******"
    assert made.data["base_url"] == "http://localhost:1/v1"
    shown = headrace("connection", "show", "-n", "mine")
    listed = headrace("connection", "list")
    table = headrace("connection", "list", "-o", "table")
    for done in (made, shown, listed, table):
        assert "hidden" not in done.out + done.err
    assert [item["name"] for item in listed.data] == ["mine", "baseline"]
    assert [item["name"] for item in headrace("connection", "list", "-r", "1").data] == ["mine"]
    assert "http://localhost:1/v1" in table.out
    taken = headrace("connection", "create", "-f", "c.yaml", "--set", "api_key=other")
    assert (taken.code, "in place of what was there" in taken.err) == (0, True)
    assert headrace("connection", "delete", "-n", "mine").code == 2
    assert headrace("connection", "delete", "-n", "mine", "--yes").code == 0
    assert headrace("connection", "delete", "-n", "mine", "--yes") == (
        0, "", "There is no connection mine; nothing was deleted.\n"
    )  # fmt: skip
    gone = headrace("connection", "show", "-n", "mine")
    assert (gone.code, "C501" in gone.err) == (2, True)


def test_fields_of_a_connection_are_changed_one_by_one(headrace: Call, folder: Path) -> None:
    (folder / "c.yaml").write_text(CONNECTION, encoding="utf-8")
    assert (
        headrace("connection", "create", "-f", "c.yaml", "--set", "api_key=sk-hidden", "unheard=x").code == 0
    )
    done = headrace("connection", "update", "-n", "mine", "--set", "organization=org")
    assert (done.code, done.data["organization"], done.data["api_key"]) == (0, "org", "******")
    kept = (folder / ".headrace/connections/mine.yaml").read_text("utf-8")
    assert "sk-hidden" in kept
    (folder / "d.yaml").write_text("type: open_ai\napi_key: <no-change>\nbase_url: http://localhost:2/v1\n")
    assert headrace("connection", "update", "-n", "mine", "-f", "d.yaml").data["organization"] == "org"
    kept = (folder / ".headrace/connections/mine.yaml").read_text("utf-8")
    assert "sk-hidden" in kept
    assert "localhost:2" in kept


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("-n", "none", "--set", "api_key=k"), 2, "C501"),
        (("-n", "baseline", "--set", "api_key=k"), 2, "not kept in a file"),
        (("-n", "mine"), 2, "Nothing is to be changed"),
        (("-n", "mine", "--set", "api_key=<user-input>"), 3, "no terminal to ask"),
    ],
)
def test_how_a_connection_cannot_be_changed(
    headrace: Call, folder: Path, arguments: tuple[str, ...], code: int, text: str
) -> None:
    (folder / "c.yaml").write_text(CONNECTION, encoding="utf-8")
    headrace("connection", "create", "-f", "c.yaml", "--set", "api_key=sk-hidden")
    done = headrace("connection", "update", *arguments)
    assert done.code == code
    assert text in done.err
    assert "sk-hidden" in (folder / ".headrace/connections/mine.yaml").read_text("utf-8")


def test_a_connection_for_every_project_lies_in_the_home(headrace: Call, folder: Path) -> None:
    (folder / "c.yaml").write_text(CONNECTION, encoding="utf-8")
    done = headrace(
        "connection", "create", "-f", "c.yaml", "-n", "yours", "--set", "api_key=${env:KEY}", "--user"
    )
    assert done.code == 0
    assert (folder / "home" / ".headrace" / "connections" / "yours.yaml").exists()


def test_a_broken_connection_file_is_named_beside_the_sound_ones(headrace: Call, folder: Path) -> None:
    broken = folder / ".headrace" / "connections" / "broken.yaml"
    broken.parent.mkdir(parents=True)
    broken.write_text("name: broken\ntype: open_aii\napi_key: sk-hidden\n", encoding="utf-8")
    done = headrace("connection", "list")
    assert done.code == 3
    assert [item["name"] for item in done.data] == ["baseline"]
    assert "C502" in done.err
    assert "hidden" not in done.err


@pytest.mark.parametrize("stop_by", ["SIGINT", "SIGTERM"])
def test_an_interrupted_run_keeps_its_lines(
    stop_by: str,
    process: Callable[..., subprocess.Popen[str]],
    headrace: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOP_BY", stop_by)
    lines = [{"text": "x", "n": 1}] * 3 + [{"text": "x", "n": 99}] + [{"text": "x", "n": 1}] * 3
    Path("stop.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    running = process(
        "run", "create", "--flow", "flow", "--data", "stop.jsonl", "-n", "stopped", "--max-concurrency", "1",
        "--column-mapping", "n=${data.n}", HEADRACE_GRACE_S="0.05",
    )  # fmt: skip
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert out == ""
    assert "Stopping: lines in flight have 0.05 s to end." in err
    assert "error[E608 interrupted]" in err
    assert "headrace run resume --name stopped" in err
    assert "Traceback" not in err
    run = headrace("run", "show", "-n", "stopped").data
    assert (run["status"], run["lines"]) == ("Canceled", {"total": 7, "completed": 3, "failed": 0})


def test_lines_in_flight_may_end_after_an_interrupt(
    process: Callable[..., subprocess.Popen[str]], headrace: Call
) -> None:
    lines = [{"text": "x", "n": 1}, {"text": "x", "n": 99}, {"text": "x", "n": 1}]
    Path("stop.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    running = process(
        "run", "create", "--flow", "flow", "--data", "stop.jsonl", "-n", "stopped", "--max-concurrency", "1",
        "--column-mapping", "n=${data.n}", WAIT_S="0.1",
    )  # fmt: skip
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert headrace("run", "show", "-n", "stopped").data["lines"]["completed"] == 2
    done = headrace("run", "resume", "-n", "stopped")
    assert (done.code, done.data["status"], done.data["lines"]["completed"]) == (0, "Completed", 3)
    assert "2 of 3 lines are recorded already." in done.err
    again = headrace("run", "resume", "-n", "stopped")
    assert again.code == 2
    assert "S820" in again.err


def test_a_reader_that_goes_away_is_no_error(
    process: Callable[..., subprocess.Popen[str]], headrace: Call
) -> None:
    Path("big.jsonl").write_text(
        "".join(json.dumps({"text": "x" * 2000, "n": 1}) + "\n" for _ in range(200)), encoding="utf-8"
    )
    headrace("run", "create", "--flow", "flow", "--data", "big.jsonl", "-n", "big", "-q")
    running = process("run", "show-details", "-n", "big", "--all-results")
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.read(10)
    running.stdout.close()
    assert running.stderr.read() == ""
    running.stderr.close()
    assert running.wait(timeout=60) in (0, 1)


def test_a_narrow_code_page_does_not_break_the_output(process: Callable[..., subprocess.Popen[str]]) -> None:
    running = process("flow", "test", "--flow", "flow", "--inputs", "text=日本", PYTHONIOENCODING="ascii")
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (0, "")
    assert json.loads(out)["out"]["text"] == "Say 日本 é"


def test_a_served_model_says_how_stock_prompt_flow_reaches_it_and_ends_well(
    process: Callable[..., subprocess.Popen[str]],
) -> None:
    running = process("model", "serve", "--port", "0")
    assert running.stdout is not None
    said = list(iter(running.stdout.readline, "Ctrl-C stops the server.\n"))
    assert said[0].startswith("baseline answers at http://127.0.0.1:")
    base_url = said[0].split()[-1]
    with urllib.request.urlopen(f"{base_url}/models", timeout=10) as answer:
        assert [model["id"] for model in json.load(answer)["data"]] == ["baseline"]
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert (running.returncode, err.strip()) == (0, "Stopped.")
    assert f"  base_url: {base_url}\n" in said
    assert "  pf connection create --file baseline.yaml\n" in said


def test_a_served_flow_answers_and_ends_well(process: Callable[..., subprocess.Popen[str]]) -> None:
    running = process("flow", "serve", "--source", "flow", "--port", "0", "--skip-open-browser")
    assert running.stdout is not None
    said = list(iter(running.stdout.readline, "Ctrl-C stops the server.\n"))
    url = said[0].split()[-1]
    request = urllib.request.Request(url, json.dumps({"text": "é"}).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer)["out"]["text"] == "Say é é"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert (running.returncode, err.strip()) == (0, "Stopped.")
