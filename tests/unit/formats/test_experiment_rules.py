"""Guardrails, budget, race, gates and chosen lines of an experiment file, and overlays."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.domain.evaluation import Experiment, Guardrail
from headrace.domain.gate import GateSpec
from headrace.domain.race import RaceSpec
from headrace.domain.run import Cap
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.data_choice import DataChoice, split_choice
from headrace.formats.experiment import load_experiment
from headrace.formats.lines import read_dataset

BASE = "data: test.jsonl\nmodels: [baseline, x/gpt]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flow.dag.yaml").write_text("nodes: []\n")
    lines = "".join(f'{{"id": {n}, "part": "{"dev" if n % 3 else "test"}"}}\n' for n in range(30))
    (tmp_path / "test.jsonl").write_text(lines)
    return tmp_path


def read(folder: Path, text: str, environment: str | None = None) -> Experiment:
    (folder / "experiment.yaml").write_text(text, encoding="utf-8")
    return load_experiment(folder, environment)


def refused(folder: Path, text: str, environment: str | None = None) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        read(folder, text, environment)
    return caught.value.problems


def test_all_rules(folder: Path) -> None:
    experiment = read(
        folder,
        BASE
        + """\
metrics: [f1, {name: latency, direction: lower}]
guardrails:
- {metric: citation, margin: 0.05}
- {metric: latency, direction: lower, margin: 100}
budget: {cost_usd: 2.5, tokens: 100000}
race: {mode: population, alpha: 0.1, batch: 10, start: 40, score_range: 1}
gates:
- {metric: f1, test: superiority, arm: gpt}
- {metric: cost, test: budget, limit: 0.01, against: "@prod"}
""",
    )
    assert experiment.guardrails == (
        Guardrail(metric="citation", margin=0.05, pointer=("guardrails", 0)),
        Guardrail(metric="latency", margin=100.0, direction="lower", pointer=("guardrails", 1)),
    )
    assert experiment.budget == Cap(cost_usd=2.5, tokens=100_000)
    assert experiment.race == RaceSpec(mode="population", alpha=0.1, batch=10, start=40, score_range=1.0)
    assert experiment.gates == (
        GateSpec(metric="f1", test="superiority", arm="gpt", pointer=("gates", 0)),
        GateSpec(metric="cost", test="budget", limit=0.01, against="@prod", pointer=("gates", 1)),
    )


def test_a_race_may_be_one_word(folder: Path) -> None:
    assert read(folder, f"{BASE}race: winner\n").race == RaceSpec()
    assert read(folder, BASE).race is None


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("guardrails: [{metric: f1, margin: 1}]", ["F006"]),
        ("metrics: [a]\nguardrails: [{metric: f1}]", ["G903"]),
        ("metrics: [a]\nguardrails: [{margin: 1}]", ["F006"]),
        ("metrics: [a]\nguardrails: [f1]", ["F005"]),
        ("metrics: [a]\nguardrails: [{metric: f1, margin: 0}]", ["G903"]),
        ("metrics: [a]\nguardrails: [{metric: f1, margin: 1, direction: up}]", ["F007"]),
        ("metrics: [a]\nguardrails: [{metric: f1, margin: 1}, {metric: f1, margin: 1}]", ["F003"]),
        ("metrics: [f1]\nguardrails: [{metric: f1, margin: 1}]", ["G903"]),
        ("metrics: [a, {name: f1, margin: 2}]\nguardrails: [{metric: f1, margin: 1}]", ["G903"]),
        (
            "metrics: [a, {name: f1, direction: higher}]\nguardrails: [{metric: f1, margin: 1, direction: lower}]",
            ["F005"],
        ),
        ("metrics: [{name: f1, direction: lower}, {name: f1, direction: higher}]", ["F003"]),
        ("metrics: [f1, {name: f1, direction: lower}]", ["F003"]),
        (
            "metrics: [a, {name: f1, direction: lower}, {name: f1, direction: higher}]\n"
            "guardrails: [{metric: f1, margin: 1, direction: lower}]",
            ["F003"],
        ),
        (
            "metrics: [a, {name: f1, direction: lower}, b]\n"
            "guardrails: [{metric: b, margin: 1, direction: lower}, {metric: f1, margin: 1, direction: higher}]",
            ["F005"],
        ),
        ("metrics: [a]\nguardrails: [{metric: f1, margin: }]", ["G903"]),
        ("metrics: [{name: f1, goal: equivalence, margin: }]", ["G903"]),
        ("gates: [{metric: f1, test: budget, limit: }]", ["F006"]),
        ("budget: {cost_usd: }", ["F006"]),
        ("budget: {cost_usd: , tokens: }", ["F006"]),
        ("budget: {}", ["F006"]),
        ("budget: {cost_usd: 0}", ["F005"]),
        ("budget: {tokens: 1.5}", ["F005"]),
        ("budget: {usd: 1}", ["F012"]),
        ("race: fast", ["F007"]),
        ("race: {mode: fast}", ["F007"]),
        ("race: {alpha: 1}", ["F005"]),
        ("race: {batch: 0}", ["F005"]),
        ("race: {score_range: -1}", ["F005"]),
        ("gates: [{test: superiority}]", ["F006"]),
        ("gates: [{metric: f1, test: better}]", ["F007"]),
        ("gates: [{metric: cost, test: budget}]", ["F006"]),
        ("gates: [{metric: cost, test: budget, limit: 1, margin: 1}]", ["F012"]),
        ("gates: [{metric: f1, limit: 1}]", ["F012"]),
        ("gates: [{metric: f1, margin: -1}]", ["G903"]),
        ("gates: [{metric: f1, arm: gtp}]", ["V305"]),
    ],
)
def test_wrong_rules_are_refused_in_their_line(folder: Path, text: str, codes: list[str]) -> None:
    found = refused(folder, f"{BASE}{text}\n")
    assert [problem.code for problem in found] == codes
    assert all(problem.span is not None and problem.span.line >= 3 for problem in found)


def lines_of(experiment: Experiment) -> list[int]:
    return [line.columns["id"] for line in read_dataset(Path(experiment.data_path)).lines]


def test_a_split_reads_the_lines_of_one_value(folder: Path) -> None:
    data = "{path: test.jsonl, split: {column: part, value: test}}"
    experiment = read(folder, BASE.replace("test.jsonl", data))
    assert lines_of(experiment) == list(range(0, 30, 3))
    dataset = read_dataset(Path(experiment.data_path))
    assert [line.number for line in dataset.lines] == list(range(10))
    assert dataset.digest != read_dataset(folder / "test.jsonl").digest


def test_a_sample_is_the_same_for_one_seed_and_comes_from_the_split(folder: Path) -> None:
    data = "{{path: test.jsonl, split: {{column: part, value: test}}, sample: {{n: 4, seed: {}}}}}"
    first, again, other = (
        lines_of(read(folder, BASE.replace("test.jsonl", data.format(seed)))) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert len(first) == 4
    assert first == sorted(first)
    assert set(first) <= set(range(0, 30, 3))


def test_a_sample_larger_than_the_data_is_all_of_it(folder: Path) -> None:
    assert lines_of(read(folder, BASE.replace("test.jsonl", "{path: test.jsonl, sample: {n: 99}}"))) == [
        *range(30)
    ]


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        ("{split: {column: part, value: x}}", ["F006"]),
        ("{path: nowhere.jsonl}", ["F001"]),
        ("{path: test.jsonl, split: {value: x}}", ["F006"]),
        ("{path: test.jsonl, sample: {seed: 1}}", ["F006"]),
        ("{path: test.jsonl, sample: {n: 0}}", ["F005"]),
        ("{path: test.jsonl, slit: {}}", ["F012"]),
    ],
)
def test_wrong_choices_of_lines_are_refused(folder: Path, data: str, codes: list[str]) -> None:
    assert [problem.code for problem in refused(folder, BASE.replace("test.jsonl", data))] == codes


@pytest.mark.parametrize(
    ("name", "code", "fix"),
    [("column=prat&value=dev", "D403", '"part"'), ("column=part&value=devel", "D402", "Correct")],
)
def test_a_split_that_matches_nothing_is_a_problem(folder: Path, name: str, code: str, fix: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        read_dataset(folder / f"test.jsonl#{name}")
    (problem,) = caught.value.problems
    assert problem.code == code
    assert problem.fix is not None
    assert fix in problem.fix


@pytest.mark.parametrize("name", ["a#b.jsonl", "a.jsonl#", "a.jsonl#n=1", "#sample=1", "a.jsonl#sample=x"])
def test_another_path_with_that_sign_chooses_nothing(name: str) -> None:
    assert split_choice(Path(name)) == (Path(name), None)


def test_values_of_any_kind_stand_in_a_path() -> None:
    path, choice = split_choice(Path("d/a.jsonl#column=a%2Fb&value=x+%26+%C3%9F&sample=2&seed=7"))
    assert (path, choice) == (Path("d/a.jsonl"), DataChoice(column="a/b", value="x & ß", n=2, seed=7))


OVERLAY = """\
seed: 9
models: [baseline, x/gpt, x/mini]
budget: {tokens: 50}
description:
environment_variables: {B: two}
"""


def test_an_overlay_is_merged_key_by_key(folder: Path) -> None:
    (folder / "experiment.dev.yaml").write_text(OVERLAY)
    text = f"{BASE}description: all\nbudget: {{cost_usd: 1}}\nenvironment_variables: {{A: one}}\n"
    experiment = read(folder, text, "dev")
    assert [arm.name for arm in experiment.arms] == ["baseline", "gpt", "mini"]
    assert (experiment.seed, experiment.environment) == (9, "dev")
    assert experiment.budget == Cap(cost_usd=1.0, tokens=50)
    assert dict(experiment.environment_variables) == {"A": "one", "B": "two"}
    assert read(folder, text).seed == 0


def test_null_removes_what_the_base_says(folder: Path) -> None:
    (folder / "experiment.ci.yaml").write_text("budget:\n  cost_usd:\n  tokens: 5\nrace:\n")
    experiment = read(folder, f"{BASE}race: winner\nbudget: {{cost_usd: 1}}\n", "ci")
    assert (experiment.race, experiment.budget) == (None, Cap(tokens=5))


def test_a_problem_points_to_the_file_that_it_stands_in(folder: Path) -> None:
    (folder / "experiment.dev.yaml").write_text("\nbudget: {tokens: none}\nsed: 1\n")
    found = refused(folder, f"{BASE}repeats: zero\nbudget: {{cost_usd: free}}\n", "dev")
    places = {
        (problem.code, Path(problem.span.file).name, problem.span.line) for problem in found if problem.span
    }
    assert places == {
        ("F005", "experiment.yaml", 3),
        ("F005", "experiment.yaml", 4),
        ("F005", "experiment.dev.yaml", 2),
        ("F012", "experiment.dev.yaml", 3),
    }


@pytest.mark.parametrize(("name", "code", "fix"), [("dve", "F001", '"dev"'), ("../dev", "C507", "letters")])
def test_an_overlay_that_is_not_there_is_refused(folder: Path, name: str, code: str, fix: str) -> None:
    (folder / "experiment.dev.yaml").write_text("seed: 1\n")
    with pytest.raises(UsageError) as caught:
        read(folder, BASE, name)
    (problem,) = caught.value.problems
    assert problem.code == code
    assert problem.fix is not None
    assert fix in problem.fix


def test_an_overlay_that_is_no_mapping_is_refused(folder: Path) -> None:
    (folder / "experiment.dev.yaml").write_text("- 1\n")
    (problem,) = refused(folder, BASE, "dev")
    assert problem.span is not None
    assert (problem.code, Path(problem.span.file).name) == ("F005", "experiment.dev.yaml")


@pytest.mark.parametrize(
    ("metric", "guardrail", "direction"),
    [
        ("{name: f1, direction: lower}", "{metric: f1, margin: 1}", "lower"),
        ("f1", "{metric: f1, margin: 1, direction: lower}", "lower"),
        ("{name: f1, direction: lower}", "{metric: f1, margin: 1, direction: lower}", "lower"),
    ],
)
def test_a_direction_needs_to_be_said_only_once(
    folder: Path, metric: str, guardrail: str, direction: str
) -> None:
    experiment = read(folder, f"{BASE}metrics: [a, {metric}]\nguardrails: [{guardrail}]\n")
    assert experiment.metrics[1].direction == direction
    assert experiment.guardrails[0].direction == direction
    assert experiment.undirected == {"a"}


def test_lines_of_the_folder_itself_can_be_chosen(folder: Path) -> None:
    assert split_choice(Path(".#sample=2&seed=1")) == (Path(), DataChoice(n=2, seed=1))
