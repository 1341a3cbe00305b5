from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.cli.compare_outputs import read_destinations
from headrace.cli.options import split_names
from headrace.domain.scores import MetricSpec
from headrace.errors import HeadraceError, UsageError
from headrace.operations.compare_arguments import (
    CompareArguments,
    add_margins,
    change_experiment,
    make_experiment,
    parse_metric,
    parse_metrics,
)

NODE = "{type: prompt, source: {type: code, path: p.jinja2}, inputs: {}}"
HEAD = "inputs: {q: {type: string}}\noutputs: {a: {type: string, reference: '${ask.output}'}}\n"
FLOW = (
    HEAD
    + f"""\
nodes:
- name: ask
  use_variants: true
- name: tone
  use_variants: true
node_variants:
  ask:
    default_variant_id: plain
    variants:
      plain: {{node: {NODE}}}
      rich: {{node: {NODE}}}
  tone:
    default_variant_id: plain
    variants:
      plain: {{node: {NODE}}}
      kind: {{node: {NODE}}}
"""
)
ONE = (
    HEAD
    + f"""\
nodes:
- name: ask
  use_variants: true
node_variants:
  ask:
    default_variant_id: plain
    variants:
      plain: {{node: {NODE}}}
      rich: {{node: {NODE}}}
      bold: {{node: {NODE}}}
"""
)


def arguments(folder: Path, flow: str = FLOW, **changes: Any) -> CompareArguments:
    path = folder / "my_flow"
    path.mkdir(exist_ok=True)
    (path / "flow.dag.yaml").write_text(flow, encoding="utf-8")
    (path / "p.jinja2").touch()
    fields: dict[str, Any] = {"flow": path, "data": Path("d.jsonl"), "evaluation": Path("evaluation/answer")}
    return CompareArguments(**{**fields, **changes})


def test_variants_and_models_make_arms(tmp_path: Path) -> None:
    experiment = make_experiment(
        arguments(
            tmp_path, variants=("rich", "tone.kind"), models=("baseline", "mine/gpt"), metrics=("f1", "tokens:lower"),
            baseline="rich/gpt", evaluation_mapping={"truth": "${data.a}"}, repeats=3, alpha=0.1,
        )
    )  # fmt: skip
    assert [arm.name for arm in experiment.arms] == [
        "rich/baseline", "rich/gpt", "kind/baseline", "kind/gpt",
    ]  # fmt: skip
    assert experiment.arms[2].variant is not None
    assert experiment.arms[2].variant.choices == {"tone": "kind"}
    assert experiment.baseline == "rich/gpt"
    assert experiment.metrics == (MetricSpec(name="f1"), MetricSpec(name="tokens", direction="lower"))
    assert experiment.evaluators[0].name == "answer"
    assert experiment.evaluators[0].column_mapping == {"truth": "${data.a}"}
    assert (experiment.name, experiment.repeats, experiment.alpha) == ("my_flow", 3, 0.1)


def test_without_names_all_variants_of_the_only_node_race(tmp_path: Path) -> None:
    experiment = make_experiment(arguments(tmp_path, ONE))
    assert [arm.name for arm in experiment.arms] == ["plain", "rich", "bold"]
    assert experiment.baseline == "plain"


@pytest.mark.parametrize(
    ("changes", "code", "fix"),
    [
        ({"variants": ("plain",)}, "V302", "ask.plain"),
        ({"variants": ("rch", "kind")}, "V301", '"rich"'),
        ({"variants": ("zzzzzz", "kind")}, "V301", "ask.plain"),
        ({"variants": ("rich",)}, "G902", "ask.rich"),
        ({}, "C507", "ask.rich"),
        ({"variants": ("rich", "kind"), "baseline": "rih"}, "V305", '"rich"'),
    ],
)
def test_what_cannot_be_compared_is_said_with_what_can(
    tmp_path: Path, changes: dict[str, Any], code: str, fix: str
) -> None:
    with pytest.raises(HeadraceError) as caught:
        make_experiment(arguments(tmp_path, **changes))
    problem = caught.value.problems[0]
    assert problem.code == code
    assert fix in str(problem.fix)


def test_names_are_split_at_commas() -> None:
    assert split_names(["a, b", "'${n.c}'", ",", "d"]) == ("a", "b", "${n.c}", "d")
    assert parse_metric("f1") == MetricSpec(name="f1")


@pytest.mark.parametrize(
    ("outputs", "destinations"),
    [
        ((), [("table", None)]),
        (("json",), [("json", None)]),
        (("board.md",), [("markdown", Path("board.md"))]),
        (("table", "board.txt"), [("table", Path("board.txt"))]),
        (("out/x.html",), [("html", Path("out/x.html"))]),
        (("table", "x.xml"), [("table", None), ("junit", Path("x.xml"))]),
        (("x.md", "y.json", "x.md"), [("markdown", Path("x.md")), ("json", Path("y.json"))]),
        (("report", "junit", "json"), [("json", None), ("junit", Path("report"))]),
    ],
)
def test_output_takes_forms_and_files(
    outputs: tuple[str, ...], destinations: list[tuple[str, Path | None]]
) -> None:
    assert list(read_destinations(outputs)) == destinations


@pytest.mark.parametrize(
    ("outputs", "words"),
    [(("board.xyz",), "board.xyz"), (("json", "markdown"), "Standard output takes one form")],
)
def test_outputs_that_cannot_be_told_apart_are_refused(outputs: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_destinations(outputs)
    assert words in raised.value.problems[0].what


def test_options_go_on_top_of_an_experiment(tmp_path: Path) -> None:
    given = make_experiment(arguments(tmp_path, ONE, metrics=("f1", "x:lower")))
    changed = change_experiment(
        given, {"repeats": 5, "metrics": ("x", "y"), "baseline": "rich", "data": Path("e.jsonl"), "seed": 7}
    )
    assert (changed.repeats, changed.baseline, changed.data_path, changed.seed) == (5, "rich", "e.jsonl", 7)
    assert changed.metrics == (MetricSpec(name="x", direction="lower"), MetricSpec(name="y"))
    assert change_experiment(given, {}) == given


def test_margins_are_given_by_name() -> None:
    metrics = parse_metrics(("f1", "words:lower"))
    assert add_margins(metrics, ("f1=0.05", "words=3")) == (
        MetricSpec(name="f1", margin=0.05),
        MetricSpec(name="words", direction="lower", margin=3.0),
    )


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        (["f1=-0.05"], "G903"),
        (["f1=0"], "G903"),
        (["f1=nan"], "G903"),
        (["f1=inf"], "G903"),
        (["f1"], "G903"),
        (["f2=0.1"], "C507"),
    ],
)
def test_a_margin_that_makes_no_sense_is_refused(texts: list[str], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        add_margins(parse_metrics(("f1",)), texts)
    assert caught.value.problems[0].code == code
    assert caught.value.problems[0].fix


def test_a_metric_named_twice_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        parse_metrics(("f1", "f1:lower"))
    assert caught.value.problems[0].code == "C507"
