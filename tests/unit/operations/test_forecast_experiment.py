"""A forecast of an experiment says exactly the calls that are then made, counted at the service."""

from __future__ import annotations

from collections.abc import Iterator
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
TEMPLATES = {
    "flow/rewrite.jinja2": "user:\nrewrite {{q}}\n",
    "flow/short.jinja2": "user:\nshort {{q}} {{better}}\n",
    "flow/long.jinja2": "user:\nlong {{q}} {{better}}\n",
    "judge/grade.jinja2": "user:\ngrade {{answer}}\n",
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
    if changed == "flow/long.jinja2":
        assert expected_usd == pytest.approx(cost_usd, rel=0.1)
