"""A forecast of an experiment says exactly the calls that are then made, counted at the service."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest
from tests.support.model_server import ModelServer, Reply, Request, answer

from headrace.config import load_settings
from headrace.domain.connection import Connection, Secret
from headrace.formats.experiment import load_experiment
from headrace.operations.forecast_run import forecast_experiment
from headrace.operations.run_experiment import run_experiment
from headrace.operations.workspace import Workspace, open_workspace

N_LINES = 12
FLOW = """\
inputs:
  q: {type: string}
outputs:
  answer: {type: string, reference: "${generate.output}"}
nodes:
- name: rewrite
  type: llm
  source: {type: code, path: rewrite.jinja2}
  connection: served
  api: chat
  inputs: {deployment_name: m, temperature: 0, q: "${inputs.q}"}
- name: generate
  use_variants: true
node_variants:
  generate:
    default_variant_id: short
    variants:
      short: {node: &short {type: llm, source: {type: code, path: short.jinja2}, connection: served, api: chat,
        inputs: {deployment_name: m, temperature: 0, q: "${inputs.q}", better: "${rewrite.output}"}}}
      long: {node: {type: llm, source: {type: code, path: long.jinja2}, connection: served, api: chat,
        inputs: {deployment_name: m, temperature: 0, q: "${inputs.q}", better: "${rewrite.output}"}}}
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
  inputs: {deployment_name: judge, temperature: 0, answer: "${inputs.answer}"}
"""
EXPERIMENT = """\
flow: flow
data: data.jsonl
variants: ["${generate.short}", "${generate.long}"]
models: [{name: m, connection: served, model: m, price: {input_usd: 1, output_usd: 2}}]
evaluators: [{name: judge, flow: judge, column_mapping: {answer: "${run.outputs.answer}"}}]
metrics: [score]
"""
SYSTEM = "system:\nAnswer in one sentence, say where you know it from, and say so when you do not know it at all.\n"
TEMPLATES = {
    "flow/rewrite.jinja2": f"{SYSTEM}user:\nrewrite {{{{q}}}}\n",
    "flow/short.jinja2": f"{SYSTEM}user:\nshort {{{{q}}}} {{{{better}}}}\n",
    "flow/long.jinja2": f"{SYSTEM}user:\nlong {{{{q}}}} {{{{better}}}}\n",
    "judge/grade.jinja2": f"{SYSTEM}user:\ngrade {{{{answer}}}}\n",
}


def reply(request: Request) -> Reply:
    """Another answer to every other prompt; of a judge a grade."""
    text = request.body["messages"][-1]["content"]
    return answer("1" if text.startswith("grade") else f"answer to {text}")


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(default=reply) as opened:
        yield opened


@pytest.fixture
def workspace(tmp_path: Path, server: ModelServer) -> Iterator[Workspace]:
    files = {
        **TEMPLATES,
        "flow/flow.dag.yaml": FLOW.replace("&short ", ""),
        "judge/flow.dag.yaml": JUDGE,
        "experiment.yaml": EXPERIMENT,
        "data.jsonl": "".join(f'{{"q": "question {n}"}}\n' for n in range(N_LINES)),
    }
    for name, text in files.items():
        tmp_path.joinpath(name).parent.mkdir(exist_ok=True)
        tmp_path.joinpath(name).write_text(text, "utf-8")
    (tmp_path / ".headrace").mkdir()
    with open_workspace(
        load_settings({"HOME": str(tmp_path), "HEADRACE_MAX_RETRIES": "0"}), tmp_path
    ) as opened:
        connection = Connection(
            name="served",
            type="open_ai",
            configs={"base_url": server.base_url},
            secrets={"api_key": Secret(value="secret-of-mine")},
        )
        opened.connections.create(connection)
        yield opened


def forecast_and_run(workspace: Workspace, server: ModelServer) -> tuple[float, int, float, float]:
    """Expected calls and calls; expected US dollars and US dollars, those of answers."""
    experiment = load_experiment(workspace.folder / "experiment.yaml")
    server.requests.clear()
    forecasts = forecast_experiment(workspace, experiment)
    assert server.requests == []
    expected = sum(item.calls or 0.0 for item in forecasts)
    expected_usd = sum(item.cost_usd or 0.0 for item in forecasts if "judge" not in item.label)
    result = run_experiment(workspace, experiment)
    cost_usd = sum(run.usage.cost_usd or 0.0 for run in result.runs)
    return expected, len(server.requests), expected_usd, cost_usd


@pytest.mark.parametrize(
    ("changed", "n_calls"),
    [
        (None, 0),
        ("flow/long.jinja2", 2 * N_LINES),  # the node, and the judge of its answers
        ("judge/grade.jinja2", 2 * N_LINES),
        ("flow/rewrite.jinja2", (1 + 2 + 2) * N_LINES),  # once for both arms, and all that follows
    ],
)
def test_a_change_of_one_file_runs_that_node_and_what_follows(
    workspace: Workspace, server: ModelServer, changed: str | None, n_calls: int
) -> None:
    expected, made, _, _ = forecast_and_run(workspace, server)
    assert expected == made == (1 + 2 + 2) * N_LINES
    if changed is not None:
        file = workspace.folder / changed
        file.write_text(file.read_text("utf-8").replace("user:\n", "user:\nplease "), "utf-8")
        if changed.startswith("judge"):
            server.default = lambda request: answer("1")
    expected, made, expected_usd, cost_usd = forecast_and_run(workspace, server)
    assert expected == made == n_calls
    assert expected_usd == pytest.approx(cost_usd, rel=0.1)


def edit(workspace: Workspace, name: str, *changes: tuple[str, str]) -> None:
    file = workspace.folder / name
    text = file.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text, "utf-8")


EXPAND = """\
- name: expand
  type: llm
  source: {type: code, path: expand.jinja2}
  connection: served
  api: chat
  inputs: {deployment_name: m, temperature: 0, better: "${rewrite.output}"}
- name: generate
"""


def test_what_arms_share_is_counted_once_however_long_it_is(
    workspace: Workspace, server: ModelServer
) -> None:
    (workspace.folder / "flow" / "expand.jinja2").write_text("user:\nexpand {{better}}\n", "utf-8")
    edit(workspace, "flow/flow.dag.yaml", ("- name: generate\n", EXPAND), ("${rewrite", "${expand"))
    edit(
        workspace,
        "flow/flow.dag.yaml",
        ('better: "${expand.output}"}\n- name', 'better: "${rewrite.output}"}\n- name'),
    )
    expected, made, _, _ = forecast_and_run(workspace, server)
    assert expected == made == (2 + 2 + 2) * N_LINES
    edit(workspace, "flow/rewrite.jinja2", ("user:\n", "user:\nplease "))
    expected, made, expected_usd, cost_usd = forecast_and_run(workspace, server)
    assert expected == made == (2 + 2 + 2) * N_LINES
    assert expected_usd == pytest.approx(cost_usd, rel=0.1)


def test_nodes_that_came_and_went_since_the_last_run_are_counted_as_they_are_now(
    workspace: Workspace, server: ModelServer
) -> None:
    forecast_and_run(workspace, server)
    (workspace.folder / "flow" / "expand.jinja2").write_text("user:\nexpand {{better}}\n", "utf-8")
    before = (workspace.folder / "flow" / "flow.dag.yaml").read_text("utf-8")
    edit(
        workspace,
        "flow/flow.dag.yaml",
        ("- name: generate\n", EXPAND),
        ('better: "${rewrite.output}"}}}', 'better: "${expand.output}"}}}'),
    )
    expected, made, expected_usd, _ = forecast_and_run(workspace, server)
    assert expected == made == (1 + 2 + 2) * N_LINES
    assert expected_usd == 0.0  # what a new node takes is not known
    (workspace.folder / "flow" / "flow.dag.yaml").write_text(before, "utf-8")
    edit(workspace, "flow/rewrite.jinja2", ("user:\n", "user:\nplease "))
    expected, made, expected_usd, cost_usd = forecast_and_run(workspace, server)
    assert expected == made == (1 + 2 + 2) * N_LINES
    assert expected_usd == pytest.approx(cost_usd, rel=0.1)


def test_repeats_ask_again_only_where_answers_vary(workspace: Workspace, server: ModelServer) -> None:
    numbers = count()
    server.default = lambda request: answer(f"answer {next(numbers)}")
    edit(
        workspace,
        "flow/flow.dag.yaml",
        (
            "path: long.jinja2}, connection: served, api: chat,\n        inputs: {deployment_name: m, temperature: 0",
            "path: long.jinja2}, connection: served, api: chat,\n        inputs: {deployment_name: m, temperature: 0.7",
        ),
    )
    forecast_and_run(workspace, server)
    (workspace.folder / "experiment.yaml").write_text(EXPERIMENT + "repeats: 3\n", "utf-8")
    expected, made, _, _ = forecast_and_run(workspace, server)
    assert (
        expected == made == 2 * (1 + 1) * N_LINES
    )  # the second and third answer of one arm, and their judgements


def test_evaluators_that_ask_nobody_are_no_unknown(workspace: Workspace, server: ModelServer) -> None:
    judges = '- {name: judge, flow: judge, column_mapping: {answer: "${run.outputs.answer}"}}'
    text = EXPERIMENT.replace(
        judges.replace("- ", "[") + "]",
        '\n- {builtin: contains, name: score, column_mapping: {reference: "${data.q}"}}'
        '\n- {builtin: relevance, models: [served/one, served/two], repeats: 2, column_mapping: {question: "${data.q}"}}',
    )
    (workspace.folder / "experiment.yaml").write_text(text, "utf-8")
    forecasts = forecast_experiment(workspace, load_experiment(workspace.folder / "experiment.yaml"))
    assert [item.calls for item in forecasts] == [2 * N_LINES, 0, 4 * N_LINES, N_LINES, 0, 4 * N_LINES]
    assert server.requests == []


def test_the_cost_of_many_lines_is_told_from_a_few(workspace: Workspace, server: ModelServer) -> None:
    def reply_at_length(request: Request) -> Reply:
        text = request.body["messages"][-1]["content"]
        drawn = sha256(text.encode())
        return answer("word " * (20 + drawn.digest()[0] % 60) + drawn.hexdigest())

    server.default = reply_at_length
    n_lines, n_pilot = 240, 60
    lines = "".join(f'{{"q": "question {n}{" and more" * (n % 7)}"}}\n' for n in range(n_lines))
    (workspace.folder / "data.jsonl").write_text(lines, "utf-8")
    (workspace.folder / "experiment.dev.yaml").write_text(
        f"data: {{path: data.jsonl, sample: {{n: {n_pilot}, seed: 1}}}}\n", "utf-8"
    )
    run_experiment(workspace, load_experiment(workspace.folder / "experiment.yaml", "dev"))
    expected, made, expected_usd, cost_usd = forecast_and_run(workspace, server)
    assert expected == made == (1 + 2 + 2) * (n_lines - n_pilot)
    assert expected_usd == pytest.approx(cost_usd, rel=0.1)
