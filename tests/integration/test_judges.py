"""Graders in experiments: a model service on loopback grades, and the comparison says by whom."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_server import ModelServer, Reply, Request, answer, error

from headrace.cli.main import run_command_line
from headrace.config import load_settings
from headrace.domain.run import LineResult, Run
from headrace.evaluation.judges.graders import FOLDER
from headrace.operations.workspace import open_workspace

N_LINES = 6
TOOL = "from promptflow.core import tool\n\n\n@tool\ndef f(n: int, style: str) -> str:\n    return f'{style} {n}'\n"
FLOW = """\
inputs:
  n: {type: int}
outputs:
  answer: {type: string, reference: "${say.output}"}
nodes:
- name: say
  use_variants: true
node_variants:
  say:
    default_variant_id: plain
    variants:
      plain: {node: {type: python, source: {type: code, path: say.py}, inputs: {n: "${inputs.n}", style: plain}}}
      proud: {node: {type: python, source: {type: code, path: say.py}, inputs: {n: "${inputs.n}", style: proud}}}
"""
EXPERIMENT = """\
name: judged
flow: flow
data: data.jsonl
variants: ["${say.plain}", "${say.proud}"]
evaluators:
- %s
metrics: [%s]
"""


def reply_of(request: Request) -> str:
    """Grades a proud answer 5 and a plain one 2; where two are compared, the proud one wins."""
    system, user = (message["content"] for message in request.body["messages"][:2])
    if '"winner"' in system:
        first = user.split("<<<FIRST")[1].split("<<<SECOND")[0]
        return json.dumps({"reason": "Prouder.", "winner": "first" if "proud" in first else "second"})
    if '"steps"' in system:
        return '{"steps": ["Look for pride.", "Count it."]}'
    return json.dumps({"reason": "By its pride.", "grade": 5 if "proud" in user.split("<<<ANSWER")[1] else 2})


@dataclass(frozen=True)
class Project:
    """A folder with a flow, data, and connections to the service."""

    folder: Path
    server: ModelServer

    def compare(self, evaluator: str, metrics: str = "q", *arguments: str) -> int:
        (self.folder / "experiment.yaml").write_text(EXPERIMENT % (evaluator, metrics), "utf-8")
        return run_command_line(["compare", "experiment.yaml", "--output", "result.json", *arguments])

    def evaluations(self) -> list[tuple[Run, list[LineResult]]]:
        """Evaluation runs with their lines, oldest first."""
        with open_workspace(load_settings(), self.folder) as workspace:
            runs = [run for run in workspace.store.list_runs() if run.spec.source_run is not None]
            return [(run, list(workspace.store.read_lines(run.spec.name))) for run in reversed(runs)]

    @property
    def result(self) -> Any:
        return json.loads((self.folder / "result.json").read_text("utf-8"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Project]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "flow.dag.yaml").write_text(FLOW, "utf-8")
    (tmp_path / "flow" / "say.py").write_text(TOOL, "utf-8")
    rows = [{"n": n, "truth": f"proud {n}", "passage": "Pride is good." if n else ""} for n in range(N_LINES)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    servers: list[ModelServer] = []

    def make(reply: Callable[[Request], Reply] = lambda request: answer(reply_of(request))) -> Project:
        server = ModelServer(default=reply)
        server.__enter__()
        servers.append(server)
        for name in ("one", "two"):
            fields = f"name: {name}\ntype: open_ai\napi_key: k\nbase_url: {server.base_url}\n"
            (tmp_path / "c.yaml").write_text("$schema: https://example.invalid\n" + fields, "utf-8")
            assert run_command_line(["connection", "create", "--file", "c.yaml"]) == 0
        return Project(tmp_path, server)

    yield make
    for server in servers:
        server.__exit__(None, None, None)


RUBRIC = "{builtin: rubric, name: q, parameters: {criteria: Pride.}, column_mapping: {answer: '${run.outputs.answer}'}, %s}"


def test_a_grade_becomes_a_score_with_label_reason_and_who_gave_it(project: Callable[..., Project]) -> None:
    found = project()
    price = "price: {input_usd: 1, output_usd: 10}"
    assert found.compare(RUBRIC % f"models: [{{connection: one, model: gpt, {price}}}]") == 0
    (plain, plain_lines), (proud, proud_lines) = found.evaluations()
    assert [line.outputs["q"] for line in plain_lines] == [0.25] * N_LINES
    assert proud_lines[0].outputs == {
        "q": 1.0,
        "q_grade": 5.0,
        "q_label": "met",
        "q_reason": "By its pride.",
        "q_judgements": [
            {"judge": "gpt", "repeat": 0, "grade": 5, "score": 1.0, "label": "met", "reason": "By its pride."}
        ],
    }
    assert len(found.server.requests) == 2 * N_LINES
    body = found.server.requests[0].body
    assert (body["model"], body["temperature"]) == ("gpt", 0)
    usage = proud.usage
    assert usage.calls == N_LINES
    assert usage.cost_usd == pytest.approx((usage.prompt_tokens + 10 * usage.completion_tokens) / 1e6)
    (version,) = plain.spec.properties["headrace.judges"]
    assert version.startswith("rubric@1 · one/gpt · ")
    assert proud.spec.properties == plain.spec.properties
    span_names = {span.name for span in _spans(found, proud.spec.name)}
    assert "chat gpt" in span_names


def _spans(found: Project, run: str) -> Any:
    with open_workspace(load_settings(), found.folder) as workspace:
        return workspace.store.read_spans(run, 0)


def test_a_judgement_is_asked_for_once_and_kept(project: Callable[..., Project]) -> None:
    found = project()
    assert found.compare(RUBRIC % "models: [one/gpt]") == 0
    n_asked = len(found.server.requests)
    assert found.compare(RUBRIC % "models: [one/gpt]") == 0
    assert len(found.server.requests) == n_asked
    assert found.compare(RUBRIC % "models: [one/gpt], repeats: 2") == 0
    assert len(found.server.requests) == 3 * n_asked


def test_a_panel_keeps_the_score_of_each_judge(project: Callable[..., Project]) -> None:
    found = project()
    assert (
        found.compare(RUBRIC % "models: [one/gpt, {name: other, connection: two, model: gpt}], repeats: 2")
        == 0
    )
    outputs = found.evaluations()[0][1][0].outputs
    assert (outputs["q"], outputs["q.gpt"], outputs["q.other"]) == (0.25, 0.25, 0.25)
    assert outputs["q_reason"] == "gpt: By its pride. other: By its pride."
    said = [(item["judge"], item["repeat"]) for item in outputs["q_judgements"]]
    assert said == [("gpt", 0), ("gpt", 1), ("other", 0), ("other", 1)]


def test_garbage_is_asked_about_once_more_and_then_a_missing_score(project: Callable[..., Project]) -> None:
    def reply(request: Request) -> Reply:
        messages = request.body["messages"]
        if " 0\nANSWER" in messages[1]["content"]:
            return answer("Five points!")
        if " 1\nANSWER" in messages[1]["content"] and len(messages) == 2:
            return answer('{"grade": 9}')
        return answer(reply_of(request))

    found = project(reply)
    assert found.compare(RUBRIC % "models: [one/gpt]") == 0
    run, lines = found.evaluations()[0]
    assert (run.n_completed, run.n_failed) == (N_LINES, 0)
    assert lines[0].outputs["q"] is None
    assert lines[0].outputs["q_reason"] == (
        "The judge gpt gave no judgement, asked twice: The reply must be one JSON object and nothing else."
    )
    assert lines[1].outputs["q"] == 0.25
    complaint = next(r.body["messages"] for r in found.server.requests if len(r.body["messages"]) == 4)
    assert [message["role"] for message in complaint] == ["system", "user", "assistant", "user"]
    assert complaint[3]["content"].startswith("Your reply could not be read.")
    assert len(found.server.requests) == 2 * N_LINES + 4


def test_a_service_that_fails_is_an_error_of_the_line_and_ends_nothing(
    project: Callable[..., Project],
) -> None:
    def reply(request: Request) -> Reply:
        is_bad = "plain 3" in request.body["messages"][1]["content"]
        return error(400, "content_filter") if is_bad else answer(reply_of(request))

    found = project(reply)
    assert found.compare(RUBRIC % "models: [one/gpt]") == 1
    lines = [line for _, lines in found.evaluations() for line in lines]
    assert [line.status for line in lines].count("Failed") == 1
    assert len(lines) == 2 * N_LINES
    assert "q" not in next(line for line in lines if line.status == "Failed").outputs


def test_an_answer_against_the_baseline_is_seen_in_both_orders(project: Callable[..., Project]) -> None:
    found = project()
    mapping = (
        "{answer: '${run.outputs.answer}', baseline: '${baseline.outputs.answer}', question: '${data.n}'}"
    )
    assert found.compare(f"{{builtin: pairwise, name: q, models: [one/gpt], column_mapping: {mapping}}}") == 0
    plain, proud = (lines for _, lines in found.evaluations())
    assert [line.outputs["q"] for line in plain] == [0.5] * N_LINES  # the baseline is its own
    assert [line.outputs["q"] for line in proud] == [1.0] * N_LINES
    assert [item["position"] for item in proud[0].outputs["q_judgements"]] == ["first", "second"]
    assert proud[0].outputs["q_label"] == "better"
    assert len(found.server.requests) == 2 * N_LINES


def test_steps_are_made_once_and_every_answer_is_graded_by_them(project: Callable[..., Project]) -> None:
    found = project()
    criteria = f"Pride, in {found.folder.name}."
    mapping = "{answer: '${run.outputs.answer}'}"
    evaluator = f"{{builtin: geval, name: q, models: [one/gpt], parameters: {{criteria: '{criteria}'}}, column_mapping: {mapping}}}"
    assert found.compare(evaluator) == 0
    asked = [request.body["messages"] for request in found.server.requests]
    grading = [messages for messages in asked if '"grade"' in messages[0]["content"]]
    assert len(grading) == 2 * N_LINES
    assert all("1. Look for pride.\n2. Count it." in messages[1]["content"] for messages in grading)
    assert 1 <= len(asked) - len(grading) <= N_LINES  # lines that run at the same time may each have asked


def test_what_a_grader_lacks_is_a_missing_score_with_its_reason(project: Callable[..., Project]) -> None:
    found = project()
    mapping = "{answer: '${run.outputs.answer}', context: '${data.passage}'}"
    assert (
        found.compare(f"{{builtin: groundedness, name: q, models: [one/gpt], column_mapping: {mapping}}}")
        == 0
    )
    outputs = found.evaluations()[1][1][0].outputs
    assert outputs["q"] is None
    assert outputs["q_reason"] == "There is no context to judge the answer by."
    assert len(found.server.requests) == 2 * (N_LINES - 1)


def test_the_flow_of_a_grader_can_be_run_over_a_run_that_exists(project: Callable[..., Project]) -> None:
    found = project()
    assert found.compare(RUBRIC % "models: [one/gpt]") == 0
    (run, lines), _ = found.evaluations()
    again = [
        "run",
        "create",
        "--flow",
        run.spec.flow_path,
        "--data",
        "data.jsonl",
        "--run",
        str(run.spec.source_run),
    ]
    assert (
        run_command_line([*again, "--name", "again", "--column-mapping", "answer=${run.outputs.answer}"]) == 0
    )
    by_name = {one.spec.name: (one, found_lines) for one, found_lines in found.evaluations()}
    assert by_name["again"][0].spec.properties == run.spec.properties
    assert [line.outputs for line in by_name["again"][1]] == [line.outputs for line in lines]


@pytest.mark.parametrize(
    ("grader", "mapping"),
    [
        ("correctness", {"answer": "${run.outputs.answer}", "reference": "${data.truth}"}),
        ("groundedness", {"answer": "${run.outputs.answer}", "context": "${data.passages}"}),
        ("fluency", {"answer": "${run.outputs.answer}"}),
        ("rubric", {"answer": "${run.outputs.answer}"}),
        ("pairwise", {"answer": "${run.outputs.answer}", "baseline": "${data.baseline.outputs.answer}"}),
    ],
)
def test_inputs_are_found_where_it_is_clear_what_they_are(
    project: Callable[..., Project], grader: str, mapping: dict[str, str]
) -> None:
    found = project()
    data = found.folder / "data.jsonl"
    data.write_text(data.read_text("utf-8").replace("passage", "passages"), "utf-8")
    criteria = ", parameters: {criteria: Pride.}" if grader == "rubric" else ""
    assert found.compare(f"{{builtin: {grader}, name: q, models: [one/gpt]{criteria}}}") == 0
    assert all(run.spec.column_mapping == mapping for run, _ in found.evaluations())


def test_inputs_that_are_not_clear_or_do_not_exist_are_refused(
    project: Callable[..., Project], capsys: pytest.CaptureFixture[str]
) -> None:
    found = project()
    for evaluator, says in (
        ("{builtin: relevance, models: [one/gpt]}", "It is not clear what the input 'question'"),
        ("{builtin: fluency, models: [one/gpt], column_mapping: {context: x}}", "has no input 'context'"),
    ):
        assert found.compare(evaluator, "") == 3
        assert says in capsys.readouterr().err
    assert found.server.requests == []


def test_a_cost_is_not_limited_where_a_judge_has_no_price(
    project: Callable[..., Project], capsys: pytest.CaptureFixture[str]
) -> None:
    found = project()
    assert found.compare(RUBRIC % "models: [one/gpt]", "q", "--max-cost", "1") == 2
    assert "the price of the judges one/gpt is not known" in capsys.readouterr().err
    assert found.server.requests == []
    priced = "models: [{connection: one, model: gpt, price: {input_usd: 1, output_usd: 10}}]"
    assert found.compare(RUBRIC % priced, "q", "--max-cost", "0.000001") == 1
    assert len(found.server.requests) < 2 * N_LINES


def test_without_metrics_the_score_is_compared_and_not_the_grade_as_well(
    project: Callable[..., Project],
) -> None:
    found = project()
    assert found.compare(RUBRIC % "models: [one/gpt]", "") == 0
    assert [metric["spec"]["name"] for metric in found.result["comparison"]["metrics"]] == ["q"]


def test_a_comparison_says_how_far_judges_agree(project: Callable[..., Project]) -> None:
    found = project()
    assert (
        found.compare(RUBRIC % "models: [one/gpt, {name: other, connection: two, model: gpt}], repeats: 2")
        == 0
    )
    (metric,) = found.result["comparison"]["metrics"]
    between = [
        (item["between"], item["n"], item["exact"], item["kappa"]) for item in metric["judge"]["agreements"]
    ]
    assert between == [("repeats", 12, 1.0, 1.0), ("repeats", 12, 1.0, 1.0), ("judges", 12, 1.0, 1.0)]
    assert len(metric["judge"]["versions"]) == 2


def test_runs_that_other_judges_graded_are_not_compared(
    project: Callable[..., Project], capsys: pytest.CaptureFixture[str]
) -> None:
    found = project()
    assert found.compare(RUBRIC % "models: [one/gpt]") == 0
    assert found.compare(RUBRIC % "models: [one/other]") == 0
    with open_workspace(load_settings(), found.folder) as workspace:
        arms = [run.spec for run in reversed(workspace.store.list_runs()) if run.spec.source_run is None]
    capsys.readouterr()
    assert run_command_line(["compare", arms[0].name, arms[3].name]) == 2
    said = capsys.readouterr().err
    assert "G945" in said
    assert "one/gpt" in said
    assert "one/other" in said
    assert run_command_line(["compare", arms[0].name, arms[1].name]) == 0


def test_judges_grade_in_worker_processes_as_well(project: Callable[..., Project]) -> None:
    found = project()
    assert found.compare(RUBRIC % "models: [one/gpt]", "q", "--workers", "2") == 0
    lines = [line.outputs["q"] for _, lines in found.evaluations() for line in lines]
    assert sorted(lines) == [0.25] * N_LINES + [1.0] * N_LINES


def test_a_grader_runs_by_itself_like_any_prompty(
    project: Callable[..., Project], capsys: pytest.CaptureFixture[str]
) -> None:
    project()
    capsys.readouterr()
    prompty = str(FOLDER / "fluency.prompty")
    assert (
        run_command_line(
            ["flow", "test", "--flow", prompty, "--model", "one/gpt", "--inputs", "answer=proud"]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out) == {"reason": "By its pride.", "grade": 5}


def test_connections_that_cannot_judge_are_refused_before_anything_runs(
    project: Callable[..., Project], capsys: pytest.CaptureFixture[str]
) -> None:
    found = project()
    (found.folder / "c.yaml").write_text(
        "name: keys\ntype: custom\nconfigs: {a: b}\nsecrets: {k: v}\n", "utf-8"
    )
    assert run_command_line(["connection", "create", "--file", "c.yaml"]) == 0
    for model, code in (("keys/gpt", "C504"), ("on/gpt", "C501"), ("baseline", "G943")):
        capsys.readouterr()
        assert found.compare(RUBRIC % f"models: [{model}]") == 3
        assert code in capsys.readouterr().err
    assert found.evaluations() == []


def test_the_folder_of_a_judge_is_below_the_state_folder_whatever_its_name(
    project: Callable[..., Project],
) -> None:
    found = project()
    assert (
        found.compare(
            (RUBRIC % "models: [one/gpt]").replace("name: q", "name: '../../../up q'"), "'../../../up q'"
        )
        == 0
    )
    (file,) = (found.folder / ".headrace" / "judges").rglob("flow.flex.yaml")
    assert file.parent.name == "_.._.._up_q"


def test_judges_are_named_on_the_command_line(
    project: Callable[..., Project], capsys: pytest.CaptureFixture[str]
) -> None:
    project()
    assert (
        run_command_line(["run", "create", "--flow", "flow", "--data", "data.jsonl", "--name", "first"]) == 0
    )
    panel = ["--judge", "one/gpt", "--judge", "two/gpt-b"]
    assert (
        run_command_line(
            ["run", "evaluate", "first", "--evaluator", "fluency", "--evaluator", "length", *panel]
        )
        == 0
    )
    compared = ["compare", "--flow", "flow", "--data", "data.jsonl", "--variants", "plain,proud"]
    graded = [*compared, "--evaluator", "fluency", "--judge", "one/gpt", "--metric", "fluency"]
    assert run_command_line([*graded, "--output", "result.json"]) == 0
    (metric,) = json.loads(Path("result.json").read_text("utf-8"))["comparison"]["metrics"]
    assert [score["mean"]["value"] for score in metric["scores"]] == [0.25, 1.0]
    assert "one/gpt" in metric["judge"]["versions"][0]
    capsys.readouterr()
    assert run_command_line([*compared, "--evaluator", "length", "--judge", "one/gpt"]) == 2
    assert "no evaluator that asks one" in capsys.readouterr().err
