"""Forecasts: from the newest earlier run of the same flow and arm, else from the prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.images import BLUE, RED

from headrace.config import load_settings
from headrace.domain.cache import CacheChoice
from headrace.domain.evaluation import EvaluatorSpec, Experiment
from headrace.domain.run import Cap
from headrace.domain.variant import Arm, ModelSpec, Price
from headrace.engine.spending import Spending
from headrace.errors import UsageError
from headrace.operations.forecast_run import forecast_experiment, forecast_run
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import Workspace, open_workspace

FLOW = """\
inputs:
  word: {type: string}
outputs:
  out: {type: string, reference: "${again.output}"}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: baseline
  api: chat
  inputs: {deployment_name: baseline, word: "${inputs.word}"}
- name: again
  type: llm
  source: {type: code, path: again.jinja2}
  connection: baseline
  api: chat
  inputs: {deployment_name: baseline, answer: "${ask.output}"}
"""
PRICED = Arm(
    name="priced",
    model=ModelSpec(
        name="priced", connection="baseline", model="baseline", price=Price(input_usd=2.0, output_usd=8.0)
    ),
)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "memory:"})
    with open_workspace(settings, tmp_path) as opened:
        yield opened


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    folder = tmp_path / "flow"
    folder.mkdir()
    folder.joinpath("flow.dag.yaml").write_text(FLOW, "utf-8")
    folder.joinpath("ask.jinja2").write_text("user:\n{{word}} is a word. What is {{word}}?", "utf-8")
    folder.joinpath("again.jinja2").write_text("user:\nSay {{answer}}.", "utf-8")
    return folder


def data(folder: Path, n_lines: int) -> Path:
    path = folder / f"{n_lines}.jsonl"
    path.write_text("".join(json.dumps({"word": f"w{n % 10}"}) + "\n" for n in range(n_lines)), "utf-8")
    return path


def test_prompts_are_counted_where_nothing_has_run(workspace: Workspace, flow: Path, tmp_path: Path) -> None:
    forecast = forecast_run(workspace, RunRequest(flow=flow, data=data(tmp_path, 30)))
    first = len("user:\nw0 is a word. What is w0?") / 4
    second = len("user:\nSay .") / 4
    assert (forecast.label, forecast.n_lines, forecast.calls) == ("flow", 30, 60)
    assert forecast.prompt_tokens == pytest.approx(30 * (first + second))
    assert (forecast.completion_tokens, forecast.cost_usd, forecast.duration_s) == (None, None, None)
    assert workspace.store.list_runs() == ()


def test_a_run_over_a_few_lines_is_the_pilot_of_one_over_many(
    workspace: Workspace, flow: Path, tmp_path: Path
) -> None:
    pilot = create_run(workspace, RunRequest(flow=flow, data=data(tmp_path, 10), arm=PRICED, name="pilot"))
    request = RunRequest(flow=flow, data=data(tmp_path, 100), arm=PRICED, max_concurrency=4)
    forecast = forecast_run(workspace, request)
    assert (forecast.source_run, forecast.label, forecast.calls) == ("pilot", "priced", 200)
    whole = create_run(workspace, request)
    assert forecast.prompt_tokens == whole.usage.prompt_tokens
    assert forecast.completion_tokens == whole.usage.completion_tokens
    assert forecast.cost_usd == pytest.approx(whole.usage.cost_usd)
    assert forecast.duration_s is not None
    assert pilot.usage.calls * 10 == whole.usage.calls


def test_an_unchanged_flow_counts_before_a_newer_run_of_a_changed_one(
    workspace: Workspace, flow: Path, tmp_path: Path
) -> None:
    few = data(tmp_path, 3)
    template = flow / "again.jinja2"
    text = template.read_text("utf-8")
    create_run(workspace, RunRequest(flow=flow, data=few, name="same"))
    template.write_text("user:\nSay {{answer}} again.", "utf-8")
    create_run(workspace, RunRequest(flow=flow, data=few, name="changed"))
    assert forecast_run(workspace, RunRequest(flow=flow, data=few)).source_run == "changed"
    template.write_text(text, "utf-8")
    assert forecast_run(workspace, RunRequest(flow=flow, data=few)).source_run == "same"
    assert forecast_run(workspace, RunRequest(flow=flow, data=few, arm=PRICED)).source_run is None


def test_a_cost_that_cannot_be_limited_is_refused_before(
    workspace: Workspace, flow: Path, tmp_path: Path
) -> None:
    request = RunRequest(flow=flow, data=data(tmp_path, 3), spending=Spending(Cap(cost_usd=1.0)))
    with pytest.raises(UsageError, match="price"):
        forecast_run(workspace, request)


def test_lines_in_flight_count_for_the_time_of_an_experiment(
    workspace: Workspace, flow: Path, tmp_path: Path
) -> None:
    ten = data(tmp_path, 10)
    create_run(workspace, RunRequest(flow=flow, data=ten, arm=PRICED))
    experiment = Experiment(
        name="one",
        flow_path=str(flow),
        data_path=str(ten),
        column_mapping={},
        arms=(PRICED,),
        baseline="priced",
        evaluators=(EvaluatorSpec(name="length", builtin="length"),),
        metrics=(),
    )
    few, _ = forecast_experiment(workspace, experiment, 2)
    more, _ = forecast_experiment(workspace, experiment, 5)
    assert few.duration_s is not None
    assert more.duration_s is not None
    assert few.duration_s == pytest.approx(more.duration_s * 5 / 2)


def test_calls_whose_results_are_in_the_cache_are_not_expected(
    workspace: Workspace, flow: Path, tmp_path: Path
) -> None:
    ten = data(tmp_path, 10)
    cache = CacheChoice(is_on=True)
    create_run(workspace, RunRequest(flow=flow, data=ten, cache=cache))
    forecast = forecast_run(workspace, RunRequest(flow=flow, data=ten, cache=cache))
    assert (forecast.calls, forecast.cached_calls, forecast.prompt_tokens) == (0, 20, 0)
    assert forecast_run(workspace, RunRequest(flow=flow, data=ten)).calls == 20
    (flow / "again.jinja2").write_text("user:\nSay {{answer}} again.", "utf-8")
    changed = forecast_run(workspace, RunRequest(flow=flow, data=ten, cache=cache))
    assert (changed.calls, changed.cached_calls) == (
        1,
        19,
    )  # the reader answers alike, and equal calls are made once
    assert [run.n_lines for run in workspace.store.list_runs()] == [10]
    assert create_run(workspace, RunRequest(flow=flow, data=ten, cache=cache)).usage.calls == 1


LOOKING_FLOW = """\
inputs:
  picture: {type: image}
outputs:
  out: {type: string, reference: "${ask.output}"}
nodes:
- {name: look, type: python, source: {type: code, path: look.py}, inputs: {picture: "${inputs.picture}"}}
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: baseline
  api: chat
  inputs: {deployment_name: baseline, seen: "${look.output}"}
"""
LOOK = """\
from promptflow.contracts.multimedia import Image
from promptflow.core import tool


@tool
def look(picture: Image) -> str:
    return f"{len(bytes(picture))} bytes, {sum(picture)} in all"
"""


def test_images_are_found_beside_the_data_in_a_forecast_as_in_a_run(
    workspace: Workspace, tmp_path: Path
) -> None:
    folder, pictures = tmp_path / "looking", tmp_path / "lines" / "pictures"
    folder.mkdir()
    pictures.mkdir(parents=True)
    folder.joinpath("flow.dag.yaml").write_text(LOOKING_FLOW, "utf-8")
    folder.joinpath("look.py").write_text(LOOK, "utf-8")
    folder.joinpath("ask.jinja2").write_text("user:\nI see {{seen}}. What is it?", "utf-8")
    pictures.joinpath("one.png").write_bytes(RED)
    pictures.joinpath("two.png").write_bytes(BLUE)
    names = ("one", "two")
    lines = [{"picture": {"data:image/png;path": f"pictures/{name}.png"}} for name in names]
    file = tmp_path / "lines" / "data.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    request = RunRequest(flow=folder, data=file, cache=CacheChoice(is_on=True))
    assert forecast_run(workspace, request).calls == 2
    assert create_run(workspace, request).n_completed == 2
    forecast = forecast_run(workspace, request)
    assert (forecast.calls, forecast.cached_calls) == (0, 2)
    pictures.joinpath("two.png").write_bytes(RED[:-1] + b"!")
    changed = forecast_run(workspace, request)
    assert (changed.calls, changed.cached_calls) == (1, 1)
