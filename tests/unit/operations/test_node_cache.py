"""Results of nodes that are used again: by equal lines, by later runs, by other arms, and by nobody else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.model_server import ModelServer, answer, error

from headrace.config import load_settings
from headrace.domain.cache import CacheChoice
from headrace.domain.connection import Connection, Secret
from headrace.domain.run import COMPLETED, FAILED, LineResult, NodeResult
from headrace.errors import DefinitionError, UsageError
from headrace.formats.experiment import load_experiment
from headrace.operations.explain_line import explain_line
from headrace.operations.resume_run import ResumeRequest, resume_run
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.run_experiment import run_experiment
from headrace.operations.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[3]
FLOW = """\
inputs:
  q: {type: string}
outputs:
  answer: {type: string, reference: "${generate.output}"}
environment_variables: {REGION: eu}
nodes:
- name: retrieve
  type: python
  source: {type: code, path: retrieve.py}
  inputs: {q: "${inputs.q}"}
- name: generate
  use_variants: true
node_variants:
  generate:
    default_variant_id: v0
    variants:
"""
VARIANT = """\
      v%d:
        node:
          type: llm
          source: {type: code, path: v%d.jinja2}
          connection: served
          api: chat
          inputs: {model: m, temperature: %s, q: "${inputs.q}", found: "${retrieve.output.found}"}
"""
RETRIEVE = """\
import os
from promptflow.core import tool
from words import found

@tool
def retrieve(q: str) -> dict:
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(q + "\\n")
    print("looking for", q)
    return {"found": found(q), "n": [1, 2.5, None, "é\\ud800"]}
"""
WORDS = """\
def found(q):
    return q.upper()
"""
JUDGE = """\
inputs:
  answer: {type: string}
outputs:
  score: {type: string, reference: "${grade.output}"}
nodes:
- name: grade
  type: llm
  source: {type: code, path: grade.jinja2}
  connection: served
  api: chat
  inputs: {model: judge, temperature: 0, answer: "${inputs.answer}"}
"""
EXPERIMENT = """\
flow: flow
data: data.jsonl
variants: [%s]
evaluators: [{name: judge, flow: judge, column_mapping: {answer: "${run.outputs.answer}"}}]
metrics: [score]
"""


class Bench:
    """A flow with its data, its service, and how often both were asked."""

    def __init__(self, workspace: Workspace, server: ModelServer, calls: Path) -> None:
        self.workspace = workspace
        self.server = server
        self.flow = workspace.folder / "flow"
        self._calls = calls

    def write(
        self, *, n_variants: int = 1, temperature: float = 0, files: Mapping[str, str] | None = None
    ) -> None:
        variants = "".join(VARIANT % (number, number, temperature) for number in range(n_variants))
        self.flow.mkdir(exist_ok=True)
        self.flow.joinpath("flow.dag.yaml").write_text(FLOW + variants, "utf-8")
        for name, text in {"retrieve.py": RETRIEVE, "words.py": WORDS, **(files or {})}.items():
            self.flow.joinpath(name).write_text(text, "utf-8")
        for number in range(n_variants):
            prompt = f"user:\n{number} {{{{q}}}} {{{{found}}}}\n"
            self.flow.joinpath(f"v{number}.jinja2").write_text(prompt, "utf-8")

    def data(self, words: str) -> Path:
        path = self.workspace.folder / "data.jsonl"
        path.write_text("".join(json.dumps({"q": word}) + "\n" for word in words), "utf-8")
        return path

    def run(self, name: str, words: str = "abc", **changes: object) -> list[LineResult]:
        request = RunRequest(flow=self.flow, data=self.data(words), name=name, cache=CacheChoice(is_on=True))
        create_run(self.workspace, replace(request, **changes))  # type: ignore[arg-type]
        return list(self.workspace.store.read_lines(name))

    def asked(self) -> tuple[int, int]:
        """How often the tool and the service were called since the last time."""
        n_calls = len(self._calls.read_text("utf-8").splitlines()) if self._calls.exists() else 0
        self._calls.unlink(missing_ok=True)
        n_requests = len(self.server.requests)
        self.server.requests.clear()
        return n_calls, n_requests


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    calls = tmp_path / "calls"
    monkeypatch.setenv("CALLS", str(calls))
    with ModelServer(default=answer("1")) as server:
        settings = load_settings(
            {"HOME": str(tmp_path), "CALLS": str(calls), "HEADRACE_MAX_RETRIES": "0", "OTHER": "x"}
        )
        (tmp_path / ".headrace").mkdir()
        with open_workspace(settings, tmp_path) as workspace:
            connection = Connection(
                name="served",
                type="open_ai",
                configs={"base_url": server.base_url},
                secrets={"api_key": Secret(value="secret-of-mine")},
            )
            workspace.connections.create(connection)
            opened = Bench(workspace, server, calls)
            opened.write()
            yield opened


def node(line: LineResult, name: str) -> NodeResult:
    return next(item for item in line.nodes if item.node == name)


def test_a_second_run_calls_nothing_and_says_where_its_results_are_from(bench: Bench) -> None:
    first = bench.run("first")
    assert bench.asked() == (3, 3)
    second = bench.run("second")
    assert bench.asked() == (0, 0)
    assert [line.outputs for line in second] == [line.outputs for line in first]
    assert [line.usage.calls for line in second] == [0, 0, 0]
    for before, after in zip(first, second, strict=True):
        made, taken = node(before, "retrieve"), node(after, "retrieve")
        assert (taken.status, taken.cached_from, made.cached_from) == (COMPLETED, "first", None)
        assert (taken.output, taken.logs, taken.parts) == (made.output, made.logs, made.parts)
        assert node(after, "generate").saved == node(before, "generate").usage
    span = bench.workspace.store.read_spans("second", 0)
    assert [item.attributes.get("headrace.cached_from") for item in span if item.name == "generate"] == [
        "first"
    ]


def test_a_run_calls_everything_where_nobody_asked_for_the_cache(bench: Bench) -> None:
    bench.run("first")
    bench.asked()
    lines = bench.run("second", cache=CacheChoice())
    assert bench.asked() == (3, 3)
    assert node(lines[0], "retrieve").parts == {}
    assert bench.workspace.store.read_run("second").spec.sources == {}


def test_equal_lines_in_flight_are_asked_once(bench: Bench) -> None:
    bench.server.default = answer("1", delay_s=0.2)
    lines = bench.run("first", "aaaabb")
    assert bench.asked() == (2, 2)
    assert sorted(line.usage.calls for line in lines) == [0, 0, 0, 0, 1, 1]
    assert {node(line, "generate").cached_from for line in lines} == {None, "first"}


def test_equal_lines_each_get_an_output_of_their_own(bench: Bench) -> None:
    change = "from promptflow.core import tool\n@tool\ndef change(x: list) -> list:\n    x.append(1)\n    return x\n"
    bench.write(files={"change.py": change})
    text = bench.flow.joinpath("flow.dag.yaml").read_text("utf-8")
    step = '- {name: change, type: python, source: {type: code, path: change.py}, inputs: {x: "${retrieve.output.n}"}}\n'
    bench.flow.joinpath("flow.dag.yaml").write_text(
        text.replace("node_variants:", f"{step}node_variants:"), "utf-8"
    )
    lines = bench.run("first", "aaa", cache=CacheChoice(is_on=True, left_out=frozenset(("change",))))
    assert [len(node(line, "change").output) for line in lines] == [5, 5, 5]


def test_failures_are_not_kept_and_do_not_spread(bench: Bench) -> None:
    bench.server.default = error(400, "bad_request")
    lines = bench.run("first", "aa")
    assert [line.status for line in lines] == [FAILED, FAILED]
    assert bench.asked() == (1, 2)
    bench.server.default = answer("1")
    lines = bench.run("second", "aa")
    assert [line.status for line in lines] == [COMPLETED, COMPLETED]
    assert bench.asked() == (0, 1)  # what was completed in a failed line is kept


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"words.py": "def found(q):\n    return q.title()\n"}, (3, 0)),
        ({"words.py": "def found(q):\n    return q.lower()\n"}, (3, 3)),
        ({"v0.jinja2": "user:\nother {{q}} {{found}}\n"}, (0, 3)),
    ],
    ids=["a module that is imported, same result", "a module that is imported", "a template"],
)
def test_what_has_changed_runs_again(
    bench: Bench, change: Mapping[str, str], expected: tuple[int, int]
) -> None:
    bench.run("first")
    bench.asked()
    for name, text in change.items():
        bench.flow.joinpath(name).write_text(text, "utf-8")
    bench.run("second")
    assert bench.asked() == expected


def test_a_variable_of_the_run_counts_and_a_key_does_not(bench: Bench) -> None:
    bench.run("first")
    bench.asked()
    bench.run("second", environment_variables={"REGION": "us"})
    assert bench.asked() == (3, 0)
    bench.run("third", environment_variables={"SOME_API_KEY": "abc"})
    assert bench.asked() == (0, 0)


def test_repeats_stay_independent_only_where_answers_vary(bench: Bench) -> None:
    bench.run("first")
    bench.run("second", repeat=1)
    assert bench.asked() == (3, 3)
    bench.write(temperature=0.7)
    bench.run("third")
    bench.run("fourth", repeat=1)
    assert bench.asked() == (0, 6)
    bench.run("fifth", repeat=1)
    assert bench.asked() == (0, 0)


TOOLS = {
    "says that it must be called": "from promptflow.core import tool\n@tool(cache=False)\ndef t(q):\n    COUNT\n    return {'found': q}\n",
    "returns what is no plain data": (
        "from promptflow.core import tool\nclass Found(dict): pass\n@tool\ndef t(q):\n    COUNT\n    return Found(found=q)\n"
    ),
    "logs a metric": (
        "from promptflow.core import tool, log_metric\n@tool\ndef t(q):\n    COUNT\n    log_metric('n', 1)\n    return {'found': q}\n"
    ),
    "writes to the operation context": (
        "from promptflow.core import tool\nfrom promptflow._core.operation_context import OperationContext\n"
        "@tool\ndef t(q):\n    COUNT\n    OperationContext.get_instance()['x'] = q\n    return {'found': q}\n"
    ),
    "returns a secret": (
        "from promptflow.core import tool\nfrom promptflow.connections import OpenAIConnection\n"
        "@tool\ndef t(q, c: OpenAIConnection):\n    COUNT\n    return {'found': c.api_key}\n"
    ),
}


@pytest.mark.parametrize("name", TOOLS)
def test_results_are_not_kept_of_a_tool_that(bench: Bench, name: str) -> None:
    count = "with open(__import__('os').environ['CALLS'], 'a') as f: f.write('x\\n')"
    bench.write(files={"retrieve.py": TOOLS[name].replace("COUNT", count)})
    if "secret" in name:
        text = bench.flow.joinpath("flow.dag.yaml").read_text("utf-8")
        text = text.replace('inputs: {q: "${inputs.q}"}', 'inputs: {q: "${inputs.q}", c: served}')
        bench.flow.joinpath("flow.dag.yaml").write_text(text, "utf-8")
    bench.run("first", "aab")
    assert bench.asked()[0] == 3
    bench.run("second", "aab")
    assert bench.asked()[0] == 3


CHANGING = """\
inputs:
  q: {type: string}
outputs:
  seen: {type: string, reference: "${see.output}"}
nodes:
- {name: make, type: python, source: {type: code, path: make.py}, inputs: {q: "${inputs.q}"}}
- {name: change, type: python, source: {type: code, path: change.py}, inputs: {x: "${make.output}"}}
- {name: see, type: python, source: {type: code, path: see.py}, inputs: {x: "${make.output}", after: "${change.output}"}}
"""
CHANGING_TOOLS = {
    "make.py": "from promptflow.core import tool\n@tool\ndef make(q):\n    return [q]\n",
    "change.py": "from promptflow.core import tool\n@tool\ndef change(x):\n    x.append('more')\n    return 'done'\n",
    "see.py": "from promptflow.core import tool\n@tool\ndef see(x, after):\n    return ','.join(x)\n",
}


def test_a_tool_that_changes_its_arguments_is_called_each_time(bench: Bench) -> None:
    bench.write(files=CHANGING_TOOLS)
    bench.flow.joinpath("flow.dag.yaml").write_text(CHANGING, "utf-8")
    for name in ("first", "second"):
        lines = bench.run(name, "aab")
        assert [line.outputs for line in lines] == [{"seen": f"{q},more"} for q in "aab"]
        assert node(lines[0], "change").cached_from is None
    assert node(lines[0], "make").cached_from == "first"


LOGGING = """\
import os
from promptflow.core import tool

@tool
def retrieve(q: str) -> dict:
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(q + "\\n")
    with open(NAME, "a") as log:
        log.write(q)
    return {"found": q}
"""


def test_a_tool_that_only_writes_a_file_that_it_names_is_called_once(bench: Bench) -> None:
    bench.write(files={"retrieve.py": LOGGING.replace("NAME", "'seen.log'")})
    for name, expected in (("first", 2), ("second", 0)):
        bench.run(name, "aab")
        assert bench.asked()[0] == expected
    assert bench.workspace.warnings == ()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("is_there", [False, True])
def test_results_of_a_tool_that_changes_a_file_that_it_names_are_not_kept(
    bench: Bench, is_there: bool, workers: int
) -> None:
    bench.write(files={"retrieve.py": LOGGING + "NAME = 'seen.log'\n"})
    log = bench.flow / "seen.log"
    before = "as it was"
    if is_there:
        log.write_text(before, "utf-8")
    bench.run("first", "abc", workers=workers)
    assert bench.asked()[0] == 3
    (warning,) = bench.workspace.warnings
    assert (warning.code, warning.severity) == ("E611", "warning")
    assert "'retrieve'" in warning.what
    assert "seen.log" in warning.what
    # With the file as it was when the first run began, what later lines saw would be wrong.
    log.write_text(before, "utf-8") if is_there else log.unlink()
    bench.run("second", "abc", workers=workers)
    assert bench.asked()[0] == 3
    explained = explain_line(bench.workspace, "second", 1)
    assert {item.node: item.outcome for item in explained.nodes}["retrieve"] == "executed"


def test_a_file_that_changed_between_runs_is_the_reason_that_is_told(bench: Bench) -> None:
    bench.write(files={"retrieve.py": LOGGING + "NAME = 'seen.log'\n"})
    bench.run("first", "a")
    bench.run("second", "a")
    (change,) = explain_line(bench.workspace, "second", 0).nodes[0].changes or ()
    assert (change.part, change.names) == ("code", ("seen.log",))


def test_results_outlive_the_run_that_made_them(bench: Bench) -> None:
    bench.run("first")
    bench.workspace.store.delete_run("first")
    bench.asked()
    lines = bench.run("second")
    assert bench.asked() == (0, 0)
    assert node(lines[0], "retrieve").cached_from == "first"


def test_a_resumed_run_uses_the_cache_as_it_did(bench: Bench) -> None:
    bench.server.default = error(500, "broken")
    bench.run("first")
    bench.server.default = answer("1")
    bench.asked()
    resume_run(bench.workspace, ResumeRequest(name="first", retries_failed=True))
    assert bench.asked() == (0, 3)


def an_experiment(bench: Bench, n_variants: int, extra: str = "") -> Path:
    bench.write(n_variants=n_variants)
    judge = bench.workspace.folder / "judge"
    judge.mkdir(exist_ok=True)
    judge.joinpath("flow.dag.yaml").write_text(JUDGE, "utf-8")
    judge.joinpath("grade.jinja2").write_text("user:\n{{answer}}\n", "utf-8")
    path = bench.workspace.folder / "experiment.yaml"
    names = ", ".join(f'"${{generate.v{number}}}"' for number in range(n_variants))
    path.write_text(EXPERIMENT % names + extra, "utf-8")
    return path


def test_arms_share_what_they_have_in_front(bench: Bench) -> None:
    path = an_experiment(bench, 3)
    bench.data("abcd")
    first = run_experiment(bench.workspace, load_experiment(path))
    assert bench.asked() == (4, 3 * 4 + 1)  # the judge sees one answer, from all arms
    second = run_experiment(bench.workspace, load_experiment(path))
    assert bench.asked() == (0, 0)
    before, after = (
        [(arm.prompt_tokens, arm.completion_tokens) for arm in result.comparison.arms]
        for result in (first, second)
    )
    assert after == before  # arms are what they take by themselves
    assert all(item[0] > 0 for item in after)
    assert second.comparison.metrics == first.comparison.metrics


def test_an_experiment_may_leave_out_nodes_or_all_of_them(bench: Bench) -> None:
    path = an_experiment(bench, 2, "cache: {retrieve: off}\n")
    bench.data("ab")
    run_experiment(bench.workspace, load_experiment(path))
    assert bench.asked() == (4, 5)
    run_experiment(bench.workspace, load_experiment(path))
    assert bench.asked() == (4, 0)
    run_experiment(bench.workspace, load_experiment(an_experiment(bench, 2, "cache: off\n")))
    assert bench.asked() == (4, 8)


def test_a_node_that_no_flow_has_cannot_be_left_out(bench: Bench) -> None:
    path = an_experiment(bench, 2, "cache: {retreive: off}\n")
    bench.data("ab")
    with pytest.raises(DefinitionError) as raised:
        run_experiment(bench.workspace, load_experiment(path))
    (problem,) = raised.value.problems
    assert (problem.code, problem.fix) == ("R102", 'Did you mean "retrieve"?')
    assert problem.span is not None
    assert problem.span.file == str(path)


@pytest.mark.parametrize(
    ("setting", "in_run", "in_experiment"), [("auto", 2, 0), ("on", 0, 0), ("off", 2, 2)]
)
def test_the_setting_decides_where_nobody_else_does(
    bench: Bench, setting: str, in_run: int, in_experiment: int
) -> None:
    path = an_experiment(bench, 2)
    bench.run("first", "ab")
    run_experiment(bench.workspace, load_experiment(path))
    bench.asked()
    bench.workspace.settings = replace(bench.workspace.settings, cache=setting)
    bench.run("second", "ab", cache=CacheChoice())
    assert bench.asked()[0] == in_run
    run_experiment(bench.workspace, load_experiment(path))
    assert bench.asked()[0] == 2 * in_experiment


def test_what_a_killed_run_had_kept_is_not_asked_for_again(bench: Bench) -> None:
    """Results are committed with lines: every line that is recorded left its results, and those are whole."""
    workspace = bench.workspace
    bench.server.default = answer("1", delay_s=0.02)
    bench.data("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    running = subprocess.Popen(
        (sys.executable, "-m", "headrace", "run", "create", "--flow", "flow", "--data", "data.jsonl",
         "--name", "killed", "--cache", "--max-concurrency", "4"),
        cwd=workspace.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "HOME": str(workspace.folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 20
    while n_recorded(workspace, "killed") < 15:
        assert time.monotonic() < end
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    recorded = workspace.store.line_statuses("killed")
    assert workspace.store.summarize_cache().n_results >= 2 * len(recorded)
    bench.asked()
    lines = bench.run("second", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    n_calls, n_requests = bench.asked()
    assert n_calls <= 52 - len(recorded)
    assert n_requests <= 52 - len(recorded) + 4  # what the killed process had sent may be read only now
    taken = [line for line in lines if line.line_number in recorded]
    assert {node(line, "generate").cached_from for line in taken} == {"killed"}
    assert {line.outputs["answer"] for line in lines} == {"1"}


def n_recorded(workspace: Workspace, run: str) -> int:
    try:
        return workspace.store.read_run(run).n_completed
    except UsageError:  # not made yet
        return 0


FLEX = """\
from pathlib import Path
import os


class Ask:
    def __init__(self, limit: int = 1):
        self.limit = limit

    def __call__(self, q: str) -> dict:
        with open(os.environ["CALLS"], "a") as calls:
            calls.write(q + "\\n")
        return {"answer": q * self.limit}
"""


def test_entries_of_flex_flows_take_part_and_what_they_are_made_with_counts(bench: Bench) -> None:
    flow = bench.workspace.folder / "flex"
    flow.mkdir()
    flow.joinpath("flow.flex.yaml").write_text("entry: ask:Ask\n", "utf-8")
    flow.joinpath("ask.py").write_text(FLEX, "utf-8")
    bench.run("first", "ab", flow=flow)
    bench.run("second", "ab", flow=flow)
    assert bench.asked() == (2, 0)
    bench.run("third", "ab", flow=flow, init={"limit": 2})
    assert bench.asked() == (2, 0)
    flow.joinpath("ask.py").write_text(FLEX + "\n\nAsk.headrace_cache = False\n", "utf-8")
    bench.run("fourth", "ab", flow=flow)
    bench.run("fifth", "ab", flow=flow)
    assert bench.asked() == (4, 0)


PROMPTY = """\
---
name: ask
model:
  api: chat
  configuration: {connection: served, model: m}
  parameters: {temperature: %s}
inputs:
  q: {type: string}
---
user:
{{q}}
"""


def test_prompties_take_part(bench: Bench) -> None:
    file = bench.workspace.folder / "ask.prompty"
    file.write_text(PROMPTY % 0, "utf-8")
    bench.run("first", "ab", flow=file)
    bench.run("second", "ab", flow=file, repeat=1)
    assert bench.asked() == (0, 2)
    file.write_text(PROMPTY % 0.5, "utf-8")
    bench.run("third", "ab", flow=file)
    bench.run("fourth", "ab", flow=file, repeat=1)
    assert bench.asked() == (0, 4)


DRAW = """\
import os
from promptflow.contracts.multimedia import Image
from promptflow.core import tool

@tool
def draw(q: str) -> dict:
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(q + "\\n")
    return {"shown": [Image(b"GIF" + q.encode() * 200_000, "image/gif"), q]}
"""
MEASURE = """\
from promptflow.contracts.multimedia import Image
from promptflow.core import tool

@tool
def measure(drawn: dict) -> int:
    image, word = drawn["shown"]
    assert type(image) is Image and image.media_type == "image/gif" and word
    return len(image)
"""
DRAWING = """\
inputs:
  q: {type: string}
outputs:
  length: {type: int, reference: "${measure.output}"}
nodes:
- {name: draw, type: python, source: {type: code, path: draw.py}, inputs: {q: "${inputs.q}"}}
- {name: measure, type: python, source: {type: code, path: measure.py}, inputs: {drawn: "${draw.output}"}}
"""


def test_images_are_used_again(bench: Bench) -> None:
    flow = bench.workspace.folder / "drawing"
    flow.mkdir()
    for name, text in (("flow.dag.yaml", DRAWING), ("draw.py", DRAW), ("measure.py", MEASURE)):
        flow.joinpath(name).write_text(text, "utf-8")
    first = bench.run("first", "aab", flow=flow)
    assert bench.asked() == (2, 0)
    flow.joinpath("measure.py").write_text(MEASURE + "\n# another one\n", "utf-8")
    second = bench.run("second", "aab", flow=flow)
    assert bench.asked() == (0, 0)
    assert [line.outputs for line in second] == [line.outputs for line in first] == [{"length": 200_003}] * 3
    assert [node(line, "draw").output for line in second] == [node(line, "draw").output for line in first]
    assert {node(line, "draw").cached_from for line in second} == {"first"}
    assert {node(line, "measure").cached_from for line in second} <= {None, "second"}
