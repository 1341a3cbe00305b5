"""Arms from factors: their names and what they are made of, fractions, single cells, and what is refused."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest

from headrace.domain.evaluation import Experiment
from headrace.domain.variant import Design
from headrace.errors import DefinitionError, Problem
from headrace.formats.experiment import load_experiment, read_experiment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ask/flow.dag.yaml", "ask/test.jsonl", "short/flow.dag.yaml", "long/flow.dag.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("nodes: []\n")
    return tmp_path / "ask"


def read(folder: Path, text: str) -> Experiment:
    (folder / "experiment.yaml").write_text(f"data: test.jsonl\n{text}", encoding="utf-8")
    return load_experiment(folder)


def problems_of(folder: Path, text: str) -> list[tuple[str, int]]:
    return [(problem.code, problem.span.line if problem.span else 0) for problem in refused(folder, text)]


def refused(folder: Path, text: str) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        read(folder, text)
    return caught.value.problems


FACTORS = """\
factors:
  generate: [zero_shot, few_shot]
  model: [baseline, {name: gpt, connection: my_aoai, model: gpt-4o}]
  temperature: {parameter: temperature, levels: [0, 0.7]}
"""


def test_every_level_meets_every_other_one_under_a_readable_name(folder: Path) -> None:
    experiment = read(folder, FACTORS)
    assert [arm.name for arm in experiment.arms] == [
        "zero_shot/baseline/temperature=0",
        "zero_shot/baseline/temperature=0.7",
        "zero_shot/gpt/temperature=0",
        "zero_shot/gpt/temperature=0.7",
        "few_shot/baseline/temperature=0",
        "few_shot/baseline/temperature=0.7",
        "few_shot/gpt/temperature=0",
        "few_shot/gpt/temperature=0.7",
    ]
    last = experiment.arms[-1]
    assert last.variant is not None
    assert last.model is not None
    assert (last.variant.name, dict(last.variant.choices)) == ("few_shot", {"generate": "few_shot"})
    assert (last.model.connection, dict(last.overrides)) == ("my_aoai", {"*.temperature": "0.7"})
    assert dict(last.factors) == {"generate": "few_shot", "model": "gpt", "temperature": "0.7"}
    assert experiment.baseline == "zero_shot/baseline/temperature=0"
    assert experiment.design == Design(n_full=8, n_arms=8)


def test_every_kind_of_factor(folder: Path) -> None:
    experiment = read(
        folder,
        """\
factors:
  style: {parameter: style, node: generate, levels: [{name: brief, value: [a, b]}, plain]}
  k: {input: retrieve.top_k, levels: [3, 5]}
  where: {connection: generate, levels: [west, east]}
  flow: [{name: brief, path: ../short}, ../long, {name: remote, url: "https://example.org/score"}]
exclude: [{flow: remote}]
include: [{flow: remote, k: 5}]
""",
    )
    names = [arm.name for arm in experiment.arms]
    assert names[0] == "style=brief/k=3/where=west/brief"
    assert "style=plain/k=5/where=east/long" in names
    arm = experiment.arms[names.index("style=plain/k=5/where=east/long")]
    assert dict(arm.overrides) == {
        "generate.style": "plain",
        "retrieve.top_k": "5",
        "generate.connection": "east",
    }
    assert arm.flow_path == str(folder / "../long")
    assert experiment.arms[0].overrides["generate.style"] == '["a", "b"]'
    assert [(arm.name, arm.remote.url) for arm in experiment.arms if arm.remote] == [
        ("style=brief/k=5/where=west/remote", "https://example.org/score")
    ]


def test_variants_and_models_are_factors_beside_the_others(folder: Path) -> None:
    text = """\
variants: [generate.a, {name: b, choices: {generate: b, retrieve: wide}}]
models: [baseline]
factors:
  k: {input: retrieve.top_k, levels: [3, 5]}
"""
    experiment = read(folder, text)
    assert [arm.name for arm in experiment.arms] == ["a/k=3", "a/k=5", "b/k=3", "b/k=5"]
    assert {arm.model.name for arm in experiment.arms if arm.model} == {"baseline"}
    assert dict(experiment.arms[-1].factors) == {"variant": "b", "k": "5"}


def test_a_single_variant_is_what_all_arms_have(folder: Path) -> None:
    text = "variants: [find.wide]\nfactors: {generate: [a, b]}\n"
    arm = read(folder, text).arms[1]
    assert arm.name == "b"
    assert arm.variant is not None
    assert dict(arm.variant.choices) == {"find": "wide", "generate": "b"}


def test_half_of_a_design_says_its_resolution(folder: Path) -> None:
    experiment = read(folder, f"{FACTORS}design: {{fraction: 1/2}}\n")
    assert [arm.name for arm in experiment.arms] == [
        "zero_shot/baseline/temperature=0",
        "zero_shot/gpt/temperature=0.7",
        "few_shot/baseline/temperature=0.7",
        "few_shot/gpt/temperature=0",
    ]
    assert experiment.design == Design(n_full=8, n_arms=4, fraction="1/2", resolution=3)


def test_cells_are_added_and_taken_out_one_by_one(folder: Path) -> None:
    text = f"""\
{FACTORS}design: {{fraction: 1/2}}
include: [{{generate: few_shot, model: gpt, temperature: 0.7}}]
exclude: [{{generate: zero_shot, model: gpt}}]
"""
    experiment = read(folder, text)
    assert [arm.name for arm in experiment.arms] == [
        "zero_shot/baseline/temperature=0",
        "few_shot/baseline/temperature=0.7",
        "few_shot/gpt/temperature=0",
        "few_shot/gpt/temperature=0.7",
    ]
    assert experiment.design is not None
    assert (experiment.design.n_included, experiment.design.n_excluded) == (1, 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("factors:\n  a: [one]\n", [("V307", 3)]),
        ("factors:\n  a: []\n", [("V307", 3)]),
        ("factors:\n  a: [one, two, one]\n", [("V307", 3)]),
        ("factors:\n  t: {parameter: t, levels: [0, {name: none, value: 0}]}\n", [("V307", 3)]),
        ("factors:\n  model: [x/m, {name: other, connection: x, model: m}]\n", [("V307", 3)]),
        ("factors:\n  t: {levels: [0, 1]}\n", [("V306", 3)]),
        ("factors:\n  t: {parameter: t, input: a.b, levels: [0, 1]}\n", [("V306", 3)]),
        ("factors:\n  t: {input: top_k, levels: [0, 1]}\n", [("V306", 3)]),
        ("factors:\n  t: {parameter: t}\n", [("F006", 3)]),
        ("factors:\n  t: {connection: a, node: b, levels: [x, y]}\n", [("F012", 3)]),
        ("factors:\n  t: {connection: a, levels: [1, x]}\n", [("F005", 3)]),
        ("factors:\n  t: {parameter: a, levels: [[1], [2]]}\n", [("F005", 3), ("F005", 3)]),
        ("factors:\n  t: 5\n", [("F005", 3)]),
        ("factors:\n  generate: [{a: b}, c]\n", [("F005", 3)]),
        ("factors:\n  flow: [../nowhere, ../long]\n", [("F001", 3)]),
        ("factors:\n  flow: [{url: ftp://x}, ../long]\n", [("F005", 3)]),
        ("factors:\n  flow: [{url: 'http://x', path: ../long}, ../short]\n", [("F005", 3)]),
        (
            "factors:\n  a: {parameter: t, levels: [0, 1]}\n  b: {parameter: t, levels: [2, 3]}\n",
            [("V306", 4)],
        ),
        ("variants: [a.x, a.y]\nfactors:\n  a: [x, z]\n", [("V306", 4)]),
        ("models: [x/a, x/b]\nfactors:\n  model: [x/c, x/d]\n", [("V306", 4)]),
        (f"{FACTORS}exclude:\n- {{generate: zero_sho}}\n", [("V306", 7)]),
        (f"{FACTORS}exclude: [{{}}]\n", [("F005", 6)]),
        (f"{FACTORS}include:\n- {{generate: zero_shot}}\n", [("V307", 7)]),
        (
            f"{FACTORS}exclude:\n- {{generate: zero_shot}}\n- {{generate: zero_shot, model: gpt}}\n",
            [("V307", 8)],
        ),
        (f"{FACTORS}design: half\n", [("F005", 6)]),
        (f"{FACTORS}design: {{fraction: 2/3}}\n", [("F005", 6)]),
        (f"{FACTORS}design: {{fraction: 1/4}}\n", [("V309", 6)]),
        ("models: [x/a, x/b]\ndesign: full\n", [("F012", 3)]),
        (f"{FACTORS}exclude: [{{generate: zero_shot}}, {{generate: few_shot}}]\n", [("G902", 2)]),
        ("factors:\n  a: [x/y, x]\n  b: [z, y/z]\n", [("V303", 2)]),
    ],
)
def test_what_makes_no_arms_is_refused_at_its_place(
    folder: Path, text: str, found: list[tuple[str, int]]
) -> None:
    assert problems_of(folder, text) == found


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ({"a": {"parameter": "a", "levels": [1, 2]}}, "of 1 factor:"),
        ({name: {"parameter": name, "levels": [1, 2]} for name in "ab"}, "of 2 factors:"),
    ],
)
def test_a_fraction_of_fewer_than_three_factors_is_told_to_be_impossible(
    folder: Path, factors: dict[str, object], said: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        read_experiment({"data": "test.jsonl", "factors": factors, "design": {"fraction": "1/2"}}, folder)
    (problem,) = (item for item in caught.value.problems if item.code == "V309")
    assert said in problem.what
    assert problem.fix == "Write design: full."


def test_a_million_arms_are_counted_and_not_made(folder: Path) -> None:
    given = {
        "data": "test.jsonl",
        "factors": {f"f{n}": {"parameter": f"p{n}", "levels": list(range(10))} for n in range(6)},
    }
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(DefinitionError) as caught:
        read_experiment(given, folder)
    taken, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [problem.code for problem in caught.value.problems] == ["V308"]
    assert "1,000,000 arms" in caught.value.problems[0].what
    assert taken < 5.0
    assert peak < 10_000_000


def test_a_thousand_arms_are_made(folder: Path) -> None:
    factors = {f"f{n}": {"parameter": f"p{n}", "levels": list(range(10))} for n in range(3)}
    experiment = read_experiment({"data": "test.jsonl", "factors": factors}, folder)
    assert len({arm.name for arm in experiment.arms}) == 1_000


def test_a_misspelled_level_is_answered_with_the_right_one(folder: Path) -> None:
    (problem,) = refused(folder, f"{FACTORS}include: [{{generate: few_shoot}}]\n")
    assert problem.fix is not None
    assert '"few_shot"' in problem.fix
