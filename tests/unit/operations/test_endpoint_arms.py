"""Arms behind an address: run, judged, resumed and recorded as flows are, and no key is written anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.scoring_server import Answer, ScoringServer, scoring_server

from headrace.config import load_settings
from headrace.domain.evaluation import Experiment
from headrace.domain.run import COMPLETED, Cap
from headrace.errors import DefinitionError, UsageError
from headrace.formats.experiment import load_experiment
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.forecast_run import forecast_experiment
from headrace.operations.resume_run import ResumeRequest, resume_run
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.run_experiment import run_experiment
from headrace.operations.show_experiment import list_experiments
from headrace.operations.workspace import Workspace, open_workspace

KEY = "a-key-that-nobody-may-see"
N_LINES = 12
CODE = "def answer(text: str):\n    return {'label': 'a'}\n"
CONNECTION = """\
name: live_endpoint
type: custom
configs: {region: west}
secrets: {api_key: "${env:LIVE_KEY}"}
"""


@pytest.fixture
def server() -> Iterator[ScoringServer]:
    with scoring_server() as state:
        state.answer = lambda inputs, _: Answer({"result": {"label": inputs["text"][0]}})
        yield state


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    flow = tmp_path / "here"
    flow.mkdir()
    flow.joinpath("here.py").write_text(CODE, "utf-8")
    flow.joinpath("flow.flex.yaml").write_text("entry: here:answer\n", "utf-8")
    lines = [{"text": f"{'ab'[n % 2]}{n}", "label": "ab"[n % 2]} for n in range(N_LINES)]
    tmp_path.joinpath("data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    connections = tmp_path / ".headrace" / "connections"
    connections.mkdir(parents=True)
    connections.joinpath("live_endpoint.yaml").write_text(CONNECTION, "utf-8")
    environment = {"HOME": str(tmp_path), "LIVE_KEY": KEY, "HEADRACE_MAX_RETRIES": "0"}
    with open_workspace(load_settings(environment), tmp_path) as opened:
        yield opened


def experiment(workspace: Workspace, level: str, more: str = "") -> Experiment:
    text = f"""\
flow: here
data: data.jsonl
column_mapping: {{text: "${{data.text}}"}}
factors:
  flow: [{{name: here, path: here}}, {{name: live, {level}}}]
evaluators:
- builtin: exact_match
  name: right
  column_mapping: {{prediction: "${{run.outputs.label}}", reference: "${{data.label}}"}}
- builtin: latency
metrics: [right]
{more}"""
    file = workspace.folder / "experiment.yaml"
    file.write_text(text, "utf-8")
    return load_experiment(file)


def level(server: ScoringServer) -> str:
    return (
        f'url: "{server.url}", connection: live_endpoint, outputs: {{label: result.label}}, '
        'deployment: blue, headers: {x-region: "${live_endpoint.region}"}'
    )


def mean(result: ComparisonResult, arm: str) -> float | None:
    metric = result.comparison.primary
    assert metric is not None
    found = metric.score_of(arm).mean
    return found.value if found is not None else None


def test_an_endpoint_is_judged_beside_a_flow(workspace: Workspace, server: ScoringServer) -> None:
    server.version = "7"
    result = run_experiment(workspace, experiment(workspace, level(server)))
    assert (mean(result, "here"), mean(result, "live")) == (0.5, 1.0)
    assert len(server.asked) == N_LINES
    asked = server.asked[0]
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["azureml-model-deployment"] == "blue"
    assert asked.headers["x-region"] == "west"
    summary = result.comparison.summary_of("live")
    assert (summary.total_tokens, summary.cost_usd, summary.n_failed) == (None, None, 0)
    assert result.comparison.summary_of("here").total_tokens == 0
    assert "Answers of live come from an address" in result.context.model_note
    run = next(run for run in result.runs if run.spec.arm == "live")
    assert run.spec.model == server.url
    assert run.spec.properties["endpoint_versions"] == ["7"]
    assert run.spec.version_name == "live@1"


def test_every_request_is_a_part_of_the_trace_of_its_line(
    workspace: Workspace, server: ScoringServer
) -> None:
    result = run_experiment(workspace, experiment(workspace, level(server)))
    run = next(run for run in result.runs if run.spec.arm == "live")
    line = workspace.store.read_line(run.spec.name, 3)
    assert line is not None
    (span,) = [item for item in line.spans if item.kind == "client"]
    sent = [asked.headers["traceparent"] for asked in server.asked]
    assert f"00-{span.trace_id}-{span.span_id}-01" in sent
    assert span.attributes["server.address"] == "127.0.0.1"


def test_no_key_is_written_anywhere(workspace: Workspace, server: ScoringServer) -> None:
    server.answer = lambda *_: Answer({"error": {"code": "UserError", "message": f"no {KEY}"}}, 400)
    run_experiment(workspace, experiment(workspace, level(server)))
    workspace.store.close()
    for file in workspace.folder.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


def test_the_cache_keeps_no_answer_of_an_endpoint_unless_it_is_told(
    workspace: Workspace, server: ScoringServer
) -> None:
    for _ in range(2):
        run_experiment(workspace, experiment(workspace, level(server)))
    assert len(server.asked) == 2 * N_LINES
    for _ in range(2):
        run_experiment(workspace, experiment(workspace, f"{level(server)}, cache: on"))
    assert len(server.asked) == 3 * N_LINES


def test_repeats_ask_anew(workspace: Workspace, server: ScoringServer) -> None:
    run_experiment(workspace, experiment(workspace, level(server), "repeats: 3\n"))
    assert len(server.asked) == 3 * N_LINES


def test_lines_that_failed_count_and_can_be_run_again(workspace: Workspace, server: ScoringServer) -> None:
    good = server.answer
    server.answer = lambda inputs, n: (
        Answer({"error": {"code": "SystemError", "message": "out of memory"}}, 500)
        if inputs["text"] in ("a0", "b1")
        else good(inputs, n)
    )
    result = run_experiment(workspace, experiment(workspace, level(server)))
    assert mean(result, "live") == pytest.approx(10 / 12)
    run = next(run for run in result.runs if run.spec.arm == "live")
    assert run.n_failed == 2
    line = workspace.store.read_line(run.spec.name, 0)
    assert line is not None
    assert line.problem is not None
    assert line.problem.code == "P703"
    assert "500 SystemError: out of memory" in line.problem.what
    server.answer = good
    before = len(server.asked)
    again = resume_run(workspace, ResumeRequest(name=run.spec.name, retries_failed=True))
    assert (again.status, again.n_failed, len(server.asked) - before) == (COMPLETED, 0, 2)


def test_a_race_asks_an_endpoint_block_by_block(workspace: Workspace, server: ScoringServer) -> None:
    result = run_experiment(
        workspace, experiment(workspace, level(server), "race: {mode: winner, batch: 4}\n")
    )
    assert result.context.race is not None
    assert 0 < len(server.asked) <= N_LINES


def test_an_endpoint_that_changes_while_it_is_asked_is_told(
    workspace: Workspace, server: ScoringServer
) -> None:
    server.answer = lambda inputs, n: Answer(
        {"result": {"label": "a"}}, headers={"azureml-model-deployment": "blue" if n < 5 else "green"}
    )
    run_experiment(workspace, experiment(workspace, level(server)))
    (problem,) = [item for item in workspace.warnings if item.code == "P712"]
    assert "blue then green" in problem.what


def test_an_answer_without_a_declared_output_fails_its_line(
    workspace: Workspace, server: ScoringServer
) -> None:
    server.answer = lambda *_: Answer({"result": {"text": "x"}})
    result = run_experiment(workspace, experiment(workspace, level(server)))
    run = next(run for run in result.runs if run.spec.arm == "live")
    line = workspace.store.read_line(run.spec.name, 0)
    assert line is not None
    assert line.problem is not None
    assert (line.problem.code, "'result.label'" in line.problem.what) == ("P711", True)


def test_workers_ask_as_well(workspace: Workspace, server: ScoringServer) -> None:
    folder = workspace.folder / "live"
    folder.mkdir()
    text = f'url: "{server.url}"\nconnection: live_endpoint\ninputs: [text]\n'
    folder.joinpath("flow.endpoint.yaml").write_text(text, "utf-8")
    run = create_run(
        workspace, RunRequest(flow=folder, data=workspace.folder / "data.jsonl", name="w", workers=2)
    )
    assert (run.n_completed, len(server.asked)) == (N_LINES, N_LINES)
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_calls_are_forecast_and_tokens_are_not(workspace: Workspace, server: ScoringServer) -> None:
    found = {
        item.label: item for item in forecast_experiment(workspace, experiment(workspace, level(server)))
    }
    assert found["live"].calls == N_LINES
    assert (found["live"].prompt_tokens, found["live"].cost_usd) == (None, None)
    assert server.asked == []


def test_what_nobody_counts_cannot_be_limited(workspace: Workspace, server: ScoringServer) -> None:
    file = experiment(workspace, level(server))
    for cap in (Cap(tokens=10), Cap(cost_usd=1.0)):
        with pytest.raises(UsageError, match="cannot be limited"):
            run_experiment(workspace, file, cap=cap)
    assert server.asked == []
    assert list_experiments(workspace) == ()  # refused before anything is recorded


def test_a_budget_that_cannot_be_kept_is_refused_at_its_place(
    workspace: Workspace, server: ScoringServer
) -> None:
    found = experiment(workspace, level(server), "budget: {tokens: 100}\n")
    for refused in (run_experiment, forecast_experiment):
        with pytest.raises(UsageError, match="tokens cannot be limited") as caught:
            refused(workspace, found)
        (problem,) = caught.value.problems
        assert problem.span is not None
        assert (
            Path(problem.span.file)
            .read_text("utf-8")
            .splitlines()[problem.span.line - 1]
            .startswith("budget")
        )


@pytest.mark.parametrize(
    ("level_text", "code", "text"),
    [
        ('url: "http://127.0.0.1:1/score", connection: nobody', "C501", "nobody"),
        ('url: "http://127.0.0.1:1/score", headers: {x-key: "${env:NOT_SET}"}', "C503", '"${env:NOT_SET}"'),
        (
            'url: "http://127.0.0.1:1/score", headers: {x-key: "${live_endpoint.nothing}"}',
            "C502",
            '"${live_endpoint.nothing}"',
        ),
    ],
)
def test_what_is_wrong_stands_in_the_experiment_file(
    workspace: Workspace, level_text: str, code: str, text: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        run_experiment(workspace, experiment(workspace, level_text))
    (problem,) = caught.value.problems
    assert problem.code == code
    assert problem.span is not None
    assert problem.span.file.endswith("experiment.yaml")
    line = Path(problem.span.file).read_text("utf-8").splitlines()[problem.span.line - 1]
    assert line[problem.span.column - 1 : problem.span.end_column - 1] == text


def test_two_levels_that_lead_to_one_address_change_nothing(
    workspace: Workspace, server: ScoringServer
) -> None:
    text = f'url: "{server.url}"}}, {{name: twin, url: "{server.url}"'
    with pytest.raises(DefinitionError) as caught:
        experiment(workspace, text)
    assert [problem.code for problem in caught.value.problems] == ["V307"]
