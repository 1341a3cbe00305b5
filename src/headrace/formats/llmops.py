"""Experiment files of Microsoft's LLMOps template: what they say, with places.

::

    name: entities
    flow: flows/standard                  # default: the name; looked for here and below flows/
    connections: [{name: aoai, connection_type: AzureOpenAIConnection, api_base: ...}]
    datasets:
    - {name: train, source: data/train.jsonl, mappings: {text: "${data.text}"}}
    evaluators:
    - name: matcher
      flow: flows/evaluation
      datasets:
      - {name: test, reference: train, source: data/truth.jsonl, mappings: {truth: "${data.results}"}}
    runtime: my_runtime

An overlay ``experiment.ENV.yaml`` replaces whole blocks: datasets, evaluators and runtime. The format is that of
``docs/experiment.yaml`` in microsoft/llmops-promptflow-template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import DefinitionError
from headrace.formats.experiment_parts import read_texts
from headrace.formats.paths import exists, is_file
from headrace.formats.positions import read_text, read_yaml
from headrace.formats.shape import Block, Findings, by_place, root_block

_KEYS = ("name", "flow", "connections", "datasets", "evaluators", "runtime", "description")
_DATASET = ("name", "source", "description", "mappings", "reference")
_FLOW_FILES = ("flow.dag.yaml", "flow.flex.yaml")
_AZURE = "azureml:"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateDataset:
    """A dataset as a flow or an evaluator reads it.

    Attributes:
        source: Path, or ``azureml:NAME:VERSION``; ``None`` for a dataset that is described elsewhere.
        reference: Of an evaluator's dataset: the flow's dataset whose lines it goes with.
        mappings: Input name to mapping text.
    """

    name: str
    source: str | None
    mappings: Mapping[str, str]
    reference: str | None = None

    @property
    def is_remote(self) -> bool:
        """Whether it is kept in Azure Machine Learning."""
        return (self.source or "").startswith(_AZURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateEvaluator:
    """An evaluation flow and the datasets it reads; ``flow`` is relative to the folder of the file."""

    name: str
    flow: str
    datasets: tuple[TemplateDataset, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateExperiment:
    """One experiment file of the template.

    Attributes:
        flow: Relative to the folder of the file.
        connections: Names of the connections that the file describes.
        runtime: Name of a runtime in Azure Machine Learning.
    """

    name: str
    flow: str
    datasets: tuple[TemplateDataset, ...]
    evaluators: tuple[TemplateEvaluator, ...] = ()
    connections: tuple[str, ...] = ()
    runtime: str | None = None


def read_template(file: Path) -> TemplateExperiment:
    """Read an experiment file of the template.

    Raises:
        DefinitionError: Everything that is wrong with the file, at once; F004 for a file of another kind.
    """
    data, source_map, problems = read_yaml(read_text(file), str(file))
    findings = Findings(source_map, list(problems))
    root = root_block(data, findings)
    if root.data and "datasets" not in root:
        what = "This is no experiment of the LLMOps template: it has no datasets."
        fix = "An experiment of headrace has data in their place: run it with headrace compare."
        findings.add("F004", (), what, fix)
        raise DefinitionError(*findings.problems)
    root.check_keys(_KEYS, "An experiment of the LLMOps template")
    name = root.required_text("name", "The experiment") or ""
    datasets = tuple(
        found
        for pointer, value in root.items("datasets")
        if (found := _read_dataset(Block(value, pointer, findings), frozenset()))
    )
    known = frozenset(dataset.name for dataset in datasets)
    evaluators = tuple(
        _read_evaluator(Block(value, pointer, findings), file.parent, known)
        for pointer, value in root.items("evaluators")
    )
    connections = (
        Block(value, pointer, findings).text("name") for pointer, value in root.items("connections")
    )
    experiment = TemplateExperiment(
        name=name,
        flow=_read_flow(root, file.parent, name),
        datasets=datasets,
        evaluators=evaluators,
        connections=tuple(name for name in connections if name),
        runtime=root.text("runtime"),
    )
    if not datasets and not findings.has_errors():
        root.missing("datasets", "The experiment")
    if findings.has_errors():
        raise DefinitionError(*sorted(findings.problems, key=by_place))
    return experiment


def _read_dataset(block: Block, known: frozenset[str]) -> TemplateDataset | None:
    """A dataset; of an evaluator either one that is ``known`` already, or a new one that refers to a known one."""
    block.check_keys(_DATASET, "A dataset")
    name = block.required_text("name", "The dataset")
    source, reference = block.text("source"), block.text("reference")
    if name not in known and source is None:
        block.missing("source", "The dataset")
    if known and name not in known:
        if reference is None:
            block.missing("reference", "The dataset")
        elif reference not in known:
            what = f"The dataset refers to {reference!r}, which the experiment does not have."
            fix = f"Its datasets are: {', '.join(sorted(known))}."
            block.findings.add("F005", block.at("reference"), what, fix)
    if name is None:
        return None
    return TemplateDataset(
        name=name, source=source, reference=reference, mappings=read_texts(block.block("mappings"))
    )


def _read_evaluator(block: Block, folder: Path, known: frozenset[str]) -> TemplateEvaluator:
    block.check_keys(("name", "flow", "datasets", "description"), "An evaluator")
    name = block.required_text("name", "The evaluator") or ""
    if "datasets" not in block:
        block.missing("datasets", "The evaluator")
    datasets = (
        _read_dataset(Block(value, pointer, block.findings), known)
        for pointer, value in block.items("datasets")
    )
    return TemplateEvaluator(
        name=name,
        flow=_find_flow(folder, block.text("flow") or name),
        datasets=tuple(dataset for dataset in datasets if dataset is not None),
    )


def _read_flow(root: Block, folder: Path, name: str) -> str:
    """The flow, which is called as the experiment where nothing else is said; F001 where there is none."""
    flow = _find_flow(folder, root.text("flow") or name)
    if not exists(folder / flow):
        key = "flow" if root.data.get("flow") else "name"
        fix = "Correct the path; it is relative to the folder of the file, or to its folder flows."
        root.findings.add("F001", (key,), f"{flow} does not exist.", fix)
    return flow


def _find_flow(folder: Path, flow: str) -> str:
    """Where the template looks for a flow: at the path itself, else below ``flows``."""
    if any(is_file(folder / flow / name) for name in _FLOW_FILES) or is_file(folder / flow):
        return flow
    return f"flows/{flow}"


def find_data(folder: Path, source: str) -> str:
    """Where the template looks for data: at the path itself, else below ``data``."""
    return source if (folder / source).exists() else f"data/{source}"
