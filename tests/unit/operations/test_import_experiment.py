"""Experiments of the LLMOps template, rebuilt in our words after those of its examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from headrace.errors import DefinitionError, HeadraceError
from headrace.formats.experiment import load_experiment
from headrace.operations.import_experiment import IMPORTED_NAME, import_experiment

FLOW = """\
inputs: {text: {type: string}}
outputs: {entities: {type: string, reference: "${extract.output}"}}
nodes:
- {name: extract, use_variants: true}
node_variants:
  extract:
    default_variant_id: variant_1
    variants:
      variant_0: {node: &node {type: llm, source: {type: code, path: a.jinja2}, connection: aoai, api: chat,
        inputs: {deployment_name: small, text: "${inputs.text}"}}}
      variant_1: {node: *node}
"""
JUDGE = """\
inputs: {truth: {type: string}, entities: {type: string}}
outputs: {}
nodes: []
"""
ENTITIES = """\
name: entities
flow: flows/standard
connections:
- {name: aoai, connection_type: AzureOpenAIConnection, api_base: "https://example.org", api_key: "${api_key}"}
datasets:
- name: train
  source: data/train.jsonl
  description: For prompts.
  mappings: {text: "${data.text}"}
evaluators:
- name: matcher
  flow: flows/evaluation
  datasets:
  - name: test
    reference: train
    source: data/truth.jsonl
    mappings: {truth: "${data.results}", entities: "${run.outputs.entities}"}
runtime: automatic
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [{"text": "a", "results": "x"}, {"text": "b", "results": "y"}]
    files = {
        "flows/standard/flow.dag.yaml": FLOW.replace("&node ", "").replace(
            "{node: *node}",
            "{node: {type: llm, source: {type: code, path: b.jinja2}, connection: aoai, api: chat,"
            " inputs: {deployment_name: small}}}",
        ),
        "flows/evaluation/flow.dag.yaml": JUDGE,
        "data/train.jsonl": "".join(json.dumps({"text": line["text"]}) + "\n" for line in lines),
        "data/truth.jsonl": "".join(json.dumps(line) + "\n" for line in lines),
        "experiment.yaml": ENTITIES,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    (folder / "experiment.yaml").write_text(text, encoding="utf-8")
    return folder / "experiment.yaml"


def test_an_experiment_goes_over_and_can_be_read(folder: Path) -> None:
    found = import_experiment(folder / "experiment.yaml")
    (folder / IMPORTED_NAME).write_text(found.text, encoding="utf-8")
    experiment = load_experiment(folder / IMPORTED_NAME)
    assert [arm.name for arm in experiment.arms] == ["variant_1", "variant_0"]
    assert experiment.baseline == "variant_1"
    assert dict(experiment.column_mapping) == {"text": "${data.text}"}
    # The lines of the evaluator have all that the flow reads, so that one file serves both.
    assert Path(experiment.data_path).name == "truth.jsonl"
    (evaluator,) = experiment.evaluators
    assert evaluator.name == "matcher"
    assert Path(evaluator.flow_path or "") == folder / "flows/evaluation"
    assert dict(evaluator.column_mapping) == {
        "truth": "${data.results}",
        "entities": "${run.outputs.entities}",
    }
    assert any("aoai" in note for note in found.notes)
    assert any("runtime automatic" in note for note in found.notes)
    assert "api_key" not in found.text + " ".join(found.notes)


def test_data_that_differs_is_not_taken_for_the_same(folder: Path) -> None:
    (folder / "data/truth.jsonl").write_text('{"results": "x"}\n{"results": "y"}\n')
    found = import_experiment(folder / "experiment.yaml")
    assert "data: data/train.jsonl" in found.text
    assert any("lacks columns" in note and "matcher" in note for note in found.notes)


def test_flow_and_data_are_looked_for_where_the_template_looks(folder: Path) -> None:
    text = ENTITIES.replace("flow: flows/standard", "flow: standard").replace("data/train", "train")
    text = text.replace("flow: flows/evaluation", "flow: evaluation").replace("data/truth", "truth")
    found = import_experiment(write(folder, text))
    assert "flow: flows/standard" in found.text
    assert "flow: flows/evaluation" in found.text
    assert "data: data/truth.jsonl" in found.text


def test_an_evaluator_of_the_flow_s_own_dataset(folder: Path) -> None:
    text = ENTITIES.replace(
        "  - name: test\n    reference: train\n    source: data/truth.jsonl\n", "  - name: train\n"
    )
    found = import_experiment(write(folder, text))
    assert "data: data/train.jsonl" in found.text
    assert "matcher" in found.text


def test_data_in_azure_is_named_with_where_to_put_it(folder: Path) -> None:
    (folder / "data/train.jsonl").unlink()
    found = import_experiment(write(folder, ENTITIES.replace("data/train.jsonl", "azureml:ner:1")))
    assert "data: data/train.jsonl" in found.text
    assert any("azureml:ner:1" in note and "data/train.jsonl" in note for note in found.notes)


def test_of_several_datasets_one_is_chosen(folder: Path) -> None:
    text = ENTITIES.replace(
        "evaluators:\n",
        "- {name: more, source: data/truth.jsonl, mappings: {text: '${data.text}'}}\nevaluators:\n",
    )
    file = write(folder, text)
    assert any("more" in note and "--dataset" in note for note in import_experiment(file).notes)
    other = import_experiment(file, "more")
    assert "data: data/truth.jsonl" in other.text
    assert any("matcher is left out" in note for note in other.notes)
    with pytest.raises(HeadraceError) as caught:
        import_experiment(file, "mores")
    assert '"more"' in (caught.value.problems[0].fix or "")


def test_a_flow_without_variants_says_what_is_missing(folder: Path) -> None:
    (folder / "flows/standard/flow.dag.yaml").write_text("inputs: {}\noutputs: {}\nnodes: []\n")
    found = import_experiment(folder / "experiment.yaml")
    assert "variants" not in found.text
    assert any("only one arm" in note for note in found.notes)


def test_variants_of_several_nodes_run_one_node_at_a_time(folder: Path) -> None:
    flow = (folder / "flows/standard/flow.dag.yaml").read_text()
    second = flow.partition("node_variants:\n")[2].replace("extract", "check")
    flow = flow.replace("nodes:\n", "nodes:\n- {name: check, use_variants: true}\n", 1) + second
    (folder / "flows/standard/flow.dag.yaml").write_text(flow)
    found = import_experiment(folder / "experiment.yaml")
    (folder / IMPORTED_NAME).write_text(found.text, encoding="utf-8")
    experiment = load_experiment(folder / IMPORTED_NAME)
    assert [arm.name for arm in experiment.arms] == ["defaults", "extract.variant_0", "check.variant_0"]


def test_overlays_are_named(folder: Path) -> None:
    (folder / "experiment.dev.yaml").write_text("runtime: x\n")
    assert any(
        "experiment.dev.yaml replaces whole blocks" in note
        for note in import_experiment(folder / "experiment.yaml").notes
    )


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("data: a.jsonl\nmodels: [baseline, x/y]\n", "F004", 1),
        (ENTITIES.replace("name: entities\n", ""), "F006", 1),
        (ENTITIES.replace("  source: data/train.jsonl\n", ""), "F006", 6),
        (ENTITIES.replace("    reference: train\n", ""), "F006", 14),
        (ENTITIES.replace("reference: train", "reference: tran"), "F005", 15),
        (ENTITIES.replace("datasets:\n- name: train", "datasets: []\nother:\n- name: train"), "F006", 5),
    ],
)
def test_a_broken_file_is_refused_at_its_place(folder: Path, text: str, code: str, line: int) -> None:
    with pytest.raises(DefinitionError) as caught:
        import_experiment(write(folder, text))
    problem = next(item for item in caught.value.problems if item.severity == "error")
    assert problem.span is not None
    assert (problem.code, problem.span.line) == (code, line)


def test_what_is_mapped_to_no_input_is_left_out_and_said(folder: Path) -> None:
    text = ENTITIES.replace("{text: ", '{kind: "${data.kind}", text: ').replace(
        "{truth: ", '{id: "${data.id}", truth: '
    )
    found = import_experiment(write(folder, text))
    (folder / IMPORTED_NAME).write_text(found.text, encoding="utf-8")
    experiment = load_experiment(folder / IMPORTED_NAME)
    assert set(experiment.column_mapping) == {"text"}
    assert set(experiment.evaluators[0].column_mapping) == {"truth", "entities"}
    assert [note for note in found.notes if "has no input" in note] == [
        "The flow evaluation has no input id: left out of its column_mapping.",
        "The flow standard has no input kind: left out of its column_mapping.",
    ]


def test_what_feeds_flows_whose_code_says_their_inputs_goes_over_whole(folder: Path) -> None:
    for name in ("standard", "evaluation"):
        (folder / "flows" / name / "flow.dag.yaml").unlink()
        (folder / "flows" / name / "flow.flex.yaml").write_text(f"entry: {name}:run\n", encoding="utf-8")
    found = import_experiment(write(folder, ENTITIES))
    document = yaml.safe_load(found.text)
    assert document["column_mapping"] == {"text": "${data.text}"}
    assert document["evaluators"][0]["column_mapping"] == {
        "truth": "${data.results}",
        "entities": "${run.outputs.entities}",
    }
    assert not [note for note in found.notes if "has no input" in note]


@pytest.mark.parametrize(
    ("flow", "place"), [("flow: flows/standard", "2:7"), ("flow: flows/standard\n", "1:7")]
)
def test_a_flow_that_is_not_there_is_said_at_its_place(folder: Path, flow: str, place: str) -> None:
    text = ENTITIES.replace(flow, "flow: nowhere" if "\n" not in flow else "")
    with pytest.raises(DefinitionError) as caught:
        import_experiment(write(folder, text))
    (problem,) = caught.value.problems
    assert problem.code == "F001"
    assert str(problem.span).endswith(f"experiment.yaml:{place}")
