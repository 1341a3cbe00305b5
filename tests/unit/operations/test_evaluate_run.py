"""Evaluators as flows over the lines of a run: built in, Python, found inputs, lines that cannot be scored."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.domain.evaluation import EvaluatorSpec
from headrace.engine.events import LineFinished
from headrace.errors import DefinitionError
from headrace.operations.evaluate_run import EvaluateRequest, evaluate_run
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import Workspace, open_workspace

ROWS = [
    {"text": "a", "reference": "a"},
    {"text": "b", "reference": "a"},
    {"text": "c", "reference": None},
]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.py").write_text("def run(text: str) -> str:\n    return text\n")
    (tmp_path / "checks.py").write_text(
        "async def longer(answer, reference):\n"
        "    return {'value': len(answer) > len(reference), 'reason': 'counted'}\n"
    )
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as found:
        mapping = {"text": "${data.text}"}
        request = RunRequest(
            flow=Path("flow:run"), data=Path("data.jsonl"), column_mapping=mapping, name="base"
        )
        create_run(found, request)
        yield found


def evaluate(workspace: Workspace, *evaluators: EvaluatorSpec) -> list[str]:
    request = EvaluateRequest(run="base", evaluators=evaluators, environment_variables={})
    return [run.spec.name for run in evaluate_run(workspace, request)]


def test_a_missing_score_is_no_zero_and_stops_no_other(workspace: Workspace) -> None:
    (name,) = evaluate(workspace, EvaluatorSpec(name="same", builtin="exact_match"))
    lines = list(workspace.store.read_lines(name))
    assert [line.outputs.get("same") for line in lines] == [1.0, 0.0, None]
    assert lines[2].problem is not None
    assert lines[2].problem.code == "G921"
    run = workspace.store.read_run(name)
    assert run.metrics == {"same": 0.5}
    assert run.spec.column_mapping == {
        "prediction": "${run.outputs.output}",
        "reference": "${data.reference}",
    }


def test_what_the_run_took_and_python_of_the_project(workspace: Workspace) -> None:
    latency, cost, longer = evaluate(
        workspace,
        EvaluatorSpec(name="latency", builtin="latency"),
        EvaluatorSpec(name="cost", builtin="cost"),
        EvaluatorSpec(name="longer", python="checks.py:longer"),
    )
    taken = [line.outputs["latency"] for line in workspace.store.read_lines(latency)]
    base = [line.duration_ms / 1000 for line in workspace.store.read_lines("base")]
    assert taken == pytest.approx(base)
    assert [line.outputs["cost"] for line in workspace.store.read_lines(cost)] == [0.0] * 3
    outputs = [line.outputs for line in workspace.store.read_lines(longer)]
    assert outputs == [{"longer": 0.0, "longer_reason": "counted"}] * 2 + [{}]


def test_nothing_is_run_when_an_evaluator_is_wrong(workspace: Workspace) -> None:
    wrong = EvaluatorSpec(name="wrong", builtin="f1", column_mapping={"answer": "${run.outputs.output}"})
    with pytest.raises(DefinitionError) as raised:
        evaluate(workspace, EvaluatorSpec(name="same", builtin="exact_match"), wrong)
    assert [problem.code for problem in raised.value.problems] == ["G925"]
    assert len(workspace.store.list_runs()) == 1


def test_an_interrupt_as_one_evaluator_ends_keeps_the_next_from_beginning(workspace: Workspace) -> None:
    evaluators = [EvaluatorSpec(name=name, builtin="exact_match") for name in ("first", "second")]
    n_left = len(ROWS)

    def interrupt(event: object) -> None:
        nonlocal n_left
        n_left -= isinstance(event, LineFinished)
        if n_left == 0:
            signal.raise_signal(signal.SIGINT)

    request = EvaluateRequest(run="base", evaluators=evaluators, environment_variables={})
    with pytest.raises(KeyboardInterrupt):
        evaluate_run(workspace, request, interrupt)
    (run,) = workspace.store.list_runs(source_run="base")
    assert run.spec.tags["headrace.evaluator"] == "first"


def test_one_mapping_feeds_each_evaluator_what_it_takes(workspace: Workspace) -> None:
    def named(mapping: dict[str, str]) -> list[str]:
        return evaluate(
            workspace,
            EvaluatorSpec(name="same", builtin="exact_match", column_mapping=mapping),
            EvaluatorSpec(name="latency", builtin="latency", column_mapping=mapping),
        )

    same, latency = (workspace.store.read_run(name).spec for name in named({"reference": "${data.text}"}))
    assert same.column_mapping == {"prediction": "${run.outputs.output}", "reference": "${data.text}"}
    assert latency.column_mapping == {"duration_ms": "${run.duration_ms}"}
    with pytest.raises(DefinitionError, match="None of the evaluators has an input 'referenc'") as caught:
        named({"referenc": "${data.text}"})
    assert caught.value.problems[0].fix == 'Did you mean "reference"?'
