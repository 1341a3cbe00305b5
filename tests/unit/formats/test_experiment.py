"""Experiment files: the documented form, defaults, and all findings at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.domain.cache import CacheChoice
from headrace.domain.evaluation import EvaluatorSpec
from headrace.domain.scores import MetricSpec
from headrace.domain.variant import ModelSpec, Price, Variant
from headrace.errors import DefinitionError, Problem
from headrace.formats.experiment import load_experiment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ask/flow.dag.yaml", "ask/data/test.jsonl", "ask/evaluation/answer/flow.dag.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("nodes: []\n")
    return tmp_path / "ask"


def problems_of(folder: Path, text: str) -> tuple[Problem, ...]:
    (folder / "experiment.yaml").write_text(text)
    with pytest.raises(DefinitionError) as caught:
        load_experiment(folder)
    return caught.value.problems


FULL = """\
name: ask_docs
flow: .
data: data/test.jsonl
column_mapping: {question: "${data.question}", limit: 5, flag: true}
line_id: id
variants:
  - ${generate.zero_shot}
  - {name: few, choices: {generate: few_shot, retrieve: 2}}
models:
  - baseline
  - {name: gpt, connection: my_aoai, model: gpt-4o-mini, parameters: {temperature: 0}, price: {input_usd: 0.15, output_usd: 1}}
evaluators:
  - {name: answer, flow: evaluation/answer, column_mapping: {prediction: "${run.outputs.answer}"}}
metrics:
  - {name: f1, direction: higher, margin: 0.05, kind: graded}
  - latency
baseline: few/gpt
repeats: 3
seed: 7
alpha: 0.1
environment_variables: {REGION: eu, N: 5}
"""


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("", CacheChoice()),
        ("cache: off\n", CacheChoice(is_on=False)),
        ("cache: on\n", CacheChoice(is_on=True)),
        ("cache: false\n", CacheChoice(is_on=False)),
        (
            "cache: {retrieve: off, generate: on, rank: false}\n",
            CacheChoice(left_out=frozenset(("retrieve", "rank"))),
        ),
    ],
)
def test_says_whether_results_are_used_again(folder: Path, text: str, choice: CacheChoice) -> None:
    (folder / "experiment.yaml").write_text(FULL + text)
    assert load_experiment(folder).cache == choice


@pytest.mark.parametrize("text", ["cache: never\n", "cache: {retrieve: 3}\n", "cache: [retrieve]\n"])
def test_a_cache_that_is_neither_on_nor_off_is_refused(folder: Path, text: str) -> None:
    assert [problem.code for problem in problems_of(folder, FULL + text)] == ["F005"]


def test_reads_everything(folder: Path) -> None:
    (folder / "experiment.yaml").write_text(FULL)
    experiment = load_experiment(folder / "experiment.yaml")
    assert experiment == load_experiment(folder)
    assert (experiment.name, experiment.file) == ("ask_docs", str(folder / "experiment.yaml"))
    assert (experiment.flow_path, experiment.data_path) == (str(folder), str(folder / "data/test.jsonl"))
    assert experiment.column_mapping == {"question": "${data.question}", "limit": "5", "flag": "true"}
    assert [arm.name for arm in experiment.arms] == [
        "zero_shot/baseline",
        "zero_shot/gpt",
        "few/baseline",
        "few/gpt",
    ]
    assert experiment.arms[0].variant == Variant(name="zero_shot", choices={"generate": "zero_shot"})
    assert experiment.arms[3].variant == Variant(
        name="few", choices={"generate": "few_shot", "retrieve": "2"}
    )
    assert experiment.arms[3].model == ModelSpec(
        name="gpt",
        connection="my_aoai",
        model="gpt-4o-mini",
        parameters={"temperature": 0},
        price=Price(input_usd=0.15, output_usd=1.0),
    )
    assert experiment.arms[0].model == ModelSpec(name="baseline", connection="baseline", model="baseline")
    assert experiment.evaluators == (
        EvaluatorSpec(
            name="answer",
            flow_path=str(folder / "evaluation/answer"),
            folder=str(folder),
            column_mapping={"prediction": "${run.outputs.answer}"},
            pointer=("evaluators", 0),
        ),
    )
    assert experiment.metrics == (
        MetricSpec(name="f1", direction="higher", margin=0.05, kind="graded"),
        MetricSpec(name="latency"),
    )
    assert (experiment.baseline, experiment.repeats, experiment.seed, experiment.alpha) == (
        "few/gpt",
        3,
        7,
        0.1,
    )
    assert experiment.line_id == "id"
    assert experiment.environment_variables == {"REGION": "eu", "N": "5"}


def test_defaults(folder: Path) -> None:
    (folder / "experiment.yaml").write_text("data: data/test.jsonl\nmodels: [baseline, a/b]\n")
    experiment = load_experiment(folder)
    assert (experiment.name, experiment.flow_path, experiment.baseline) == ("ask", str(folder), "baseline")
    assert (experiment.repeats, experiment.seed, experiment.alpha, experiment.line_id) == (1, 0, 0.05, None)
    assert (experiment.metrics, experiment.evaluators, experiment.column_mapping) == ((), (), {})


BROKEN = """\
nam: x
data: nope.jsonl
column_mapping: {q: "${question}"}
variants: [bad, {choices: {}}, 5]
models: [x, {conection: a}, {connection: c, model: m, price: {input_usd: -1}}, 5, [x]]
metrics: [{name: a, direction: up, margin: -1}, {}, 7]
evaluators: [{flow: q}, {name: e, flow: evaluation/answer}, {name: e, flow: evaluation/answer}]
alpha: 2
repeats: 0.5
seed: x
"""

FOUND = [
    "1:1 F012", "2:7 F001", "3:21 D404", "4:12 V302", "4:17 F006", "4:32 F005", "5:10 C507", "5:13 F006", "5:13 F006",
    "5:14 F012", "5:62 F006", "5:74 F005", "5:80 F005", "5:83 F005", "6:32 F007", "6:44 G903", "6:49 F006", "6:53 F005", "7:21 F001", "7:68 F003",
    "8:8 F005", "9:10 F005", "10:7 F005",
]  # fmt: skip


def test_finds_everything_at_once(folder: Path) -> None:
    found = []
    for problem in problems_of(folder, BROKEN):
        assert problem.span is not None
        assert problem.fix
        found.append(f"{problem.span.line}:{problem.span.column} {problem.code}")
    assert found == FOUND


START = "data: data/test.jsonl\n"


@pytest.mark.parametrize(
    ("text", "code", "place", "fix"),
    [
        (START + "models: [baseline]\n", "G902", "2:1", "at least two"),
        (START + "race: winner\nvariants: [n.a]\n", "G902", "3:1", "at least two"),
        (START + "gates: [{metric: f1, test: superiority}]\n", "G902", "2:1", "at least two"),
        (START, "G902", "1:1", "at least two"),
        (START + "models: [baseline, a/b]\nbaseline: bseline\n", "V305", "3:11", '"baseline"'),
        (START + "variants: [n.a, n.a]\n", "V303", "2:11", "name of its own"),
        (START + "models: [a/b, a/b]\n", "V303", "2:9", "name of its own"),
        ("models: [baseline, a/b]\n", "F006", "1:1", "Add data"),
        ("", "F005", "1:1", "keys"),
        ("{}\n", "F006", "1:1", "Add data"),
        (START + "repeats: 1001\n", "F005", "2:10", "from 1 to 1,000"),
        ("data: {path: }\n", "F006", "1:14", "Add path"),
        (START + "environment_variables: {A: b, 'A=B': c}\n", "F005", "2:31", "equals sign"),
        (
            START + "models: [{connection: a, model: b, price: {input_usd: .inf, output_usd: 1}}]\n",
            "F005",
            "2:55",
            "US dollars",
        ),
        ("- 1\n", "F005", "1:1", "mapping"),
        ("name: a\ndatasets: [{name: train}]\n", "F004", "2:1", "headrace experiment import"),
        ("datasets: data/test.jsonl\n", "F012", "1:1", '"data"'),
        ("a: 1\na: 2\n", "F003", "2:1", "Remove"),
    ],
)
def test_single_findings(folder: Path, text: str, code: str, place: str, fix: str) -> None:
    problem = next(problem for problem in problems_of(folder, text) if problem.code == code)
    assert str(problem.span).endswith(f"experiment.yaml:{place}")
    assert fix in (problem.fix or "")


def test_missing_file(folder: Path) -> None:
    with pytest.raises(DefinitionError, match="F001"):
        load_experiment(folder / "none.yaml")


def test_evaluators_of_every_kind(folder: Path) -> None:
    (folder / "checks.py").write_text("def style(answer):\n    return 1\n")
    (folder / "experiment.yaml").write_text(
        "data: data/test.jsonl\n"
        "models: [baseline, a/b]\n"
        "evaluators:\n"
        "- f1\n"
        "- {builtin: numeric, name: price, parameters: {relative: 0.01}}\n"
        '- {python: "checks.py:style"}\n'
        '- {python: "package.module:Style", name: looks, parameters: {strict: true}}\n'
        "- {builtin: groundedness, models: [baseline, {connection: c, model: m}], repeats: 3}\n"
        "- flow: evaluation/answer\n"
    )
    here = str(folder)
    assert load_experiment(folder).evaluators == (
        EvaluatorSpec(name="f1", builtin="f1", pointer=("evaluators", 0)),
        EvaluatorSpec(
            name="price",
            builtin="numeric",
            parameters={"relative": 0.01},
            folder=here,
            pointer=("evaluators", 1),
        ),
        EvaluatorSpec(name="style", python="checks.py:style", folder=here, pointer=("evaluators", 2)),
        EvaluatorSpec(
            name="looks",
            python="package.module:Style",
            parameters={"strict": True},
            folder=here,
            pointer=("evaluators", 3),
        ),
        EvaluatorSpec(
            name="groundedness",
            builtin="groundedness",
            models=(
                ModelSpec(name="baseline", connection="baseline", model="baseline"),
                ModelSpec(name="m", connection="c", model="m"),
            ),
            repeats=3,
            folder=here,
            pointer=("evaluators", 4),
        ),
        EvaluatorSpec(
            name="answer", flow_path=str(folder / "evaluation/answer"), folder=here, pointer=("evaluators", 5)
        ),
    )


@pytest.mark.parametrize(
    ("evaluator", "code", "column", "what"),
    [
        ("3", "F005", 3, "Here should be the name of a built-in evaluator"),
        ("{name: a}", "F006", 3, "none of flow, builtin and python"),
        ("{builtin: f1, python: 'a:b'}", "F005", 17, "is a builtin already"),
        ("{python: 'gone.py:b'}", "F001", 12, "gone.py does not exist"),
        ("{python: 'no name'}", "F016", 12, "does not name a function or class"),
        ("{flow: ., parameters: {a: 1}}", "F012", 13, "takes no parameters"),
        ("{python: 'a:b', repeats: 2}", "F012", 19, "has use for repeats"),
        ("{builtin: f1, repeats: 0}", "F005", 26, "at least 1"),
        ("{builtin: f1, models: [x]}", "C507", 26, "does not name a model"),
        ("{builtin: f1, option: 1}", "F012", 17, "no use for the key 'option'"),
    ],
)
def test_evaluators_that_make_no_sense(
    folder: Path, evaluator: str, code: str, column: int, what: str
) -> None:
    (folder / "experiment.yaml").write_text(
        f"data: data/test.jsonl\nmodels: [baseline, a/b]\nevaluators:\n- {evaluator}\n"
    )
    with pytest.raises(DefinitionError) as raised:
        load_experiment(folder)
    (problem,) = raised.value.problems
    assert (problem.code, problem.span and (problem.span.line, problem.span.column)) == (code, (4, column))
    assert what in problem.what


def test_two_evaluators_of_one_name(folder: Path) -> None:
    (folder / "experiment.yaml").write_text(
        "data: data/test.jsonl\nmodels: [baseline, a/b]\nevaluators:\n- f1\n- {builtin: exact_match, name: f1}\n"
    )
    with pytest.raises(DefinitionError) as raised:
        load_experiment(folder)
    (problem,) = raised.value.problems
    assert (problem.code, problem.span and (problem.span.line, problem.span.column)) == ("F003", (5, 32))


JUDGED = """\
flow: .
data: data/test.jsonl
variants: [node.zero_shot, node.few]
metrics:
  - {name: f1, margin: 0.05, goal: non_inferiority, labels: {few: people_say}}
cluster: document
slices: [topic, 2]
family: exploratory
"""


def test_reads_how_arms_are_judged(folder: Path) -> None:
    (folder / "experiment.yaml").write_text(JUDGED)
    experiment = load_experiment(folder)
    assert experiment.metrics == (
        MetricSpec(name="f1", margin=0.05, goal="non_inferiority", labels={"few": "people_say"}),
    )
    assert (experiment.cluster, experiment.slices, experiment.family) == (
        "document",
        ("topic", "2"),
        "exploratory",
    )


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "what"),
    [
        ("margin: 0.05, ", "", "G903", 5, "asks for a margin"),
        ("margin: 0.05", "margin: .inf", "G903", 5, "above zero"),
        ("margin: 0.05", "margin: .nan", "G903", 5, "above zero"),
        ("goal: non_inferiority", "goal: noninferiority", "F007", 5, "means nothing here"),
        ("{few: people_say}", "{fw: people_say}", "V305", 5, "no arm"),
        ("family: exploratory", "family: all", "F007", 8, "means nothing here"),
        ("[topic, 2]", "[topic, topic]", "F003", 7, "twice"),
        ("[topic, 2]", "[topic, {}]", "F005", 7, "a column"),
        ("cluster:", "  - f1\ncluster:", "F003", 6, "twice"),
    ],
)
def test_says_where_the_judging_makes_no_sense(
    folder: Path, old: str, new: str, code: str, line: int, what: str
) -> None:
    (problem,) = problems_of(folder, JUDGED.replace(old, new))
    assert problem.span is not None
    assert (problem.code, problem.span.line) == (code, line)
    assert what in problem.what


@pytest.mark.parametrize(
    ("n_variants", "n_models", "key", "arms"),
    [
        (2_000, 0, "variants", "2,000"),
        (1_000, 1_000, "variants", "1,000,000"),
        (2, 600, "models", "1,200"),
        (0, 1_001, "models", "1,001"),
    ],
)
def test_too_many_arms_are_counted_before_any_is_made(
    folder: Path, n_variants: int, n_models: int, key: str, arms: str
) -> None:
    variants = ", ".join(f"{{name: v{number}}}" for number in range(n_variants))
    models = ", ".join(f"a/b{number}" for number in range(n_models))
    (problem,) = problems_of(folder, f"{START}variants: [{variants}]\nmodels: [{models}]\n")
    assert problem.code == "V308"
    assert str(problem.span).endswith(f"experiment.yaml:{2 if key == 'variants' else 3}:1")
    assert f"has {arms} arms" in problem.what


def test_a_factor_of_very_many_levels_is_refused_for_its_size(folder: Path) -> None:
    levels = ", ".join(map(str, range(5_000)))
    (problem,) = problems_of(folder, f"{START}factors:\n  k: {{input: cut.k, levels: [{levels}]}}\n")
    assert problem.code == "V308"
