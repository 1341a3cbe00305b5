"""Experiments of Microsoft's LLMOps template as ours: what goes over, and what does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.domain.flow import FLEX, Flow
from headrace.errors import DefinitionError, HeadraceError, Problem, UsageError, nearest
from headrace.formats.flow_file import load_flow
from headrace.formats.lines import read_dataset
from headrace.formats.llmops import (
    TemplateDataset,
    TemplateEvaluator,
    TemplateExperiment,
    find_data,
    read_template,
)
from headrace.formats.mapping import parse_mapping
from headrace.formats.positions import dump_yaml

IMPORTED_NAME = "experiment.headrace.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedExperiment:
    """An experiment file and what a reader must know of it.

    Attributes:
        text: The file.
        notes: What could not be converted, each in a sentence or two.
    """

    text: str
    notes: tuple[str, ...]


def import_experiment(file: Path, dataset: str | None = None) -> ImportedExperiment:
    """Convert an experiment file of the LLMOps template.

    The template runs every variant of every node, one node at a time; so do the arms. Its lines are evaluated by
    number; where an evaluator reads another file than the flow, that file takes its place if it has what both read.

    Args:
        file: The template's experiment file; paths of the result are relative to the same folder.
        dataset: Name of the dataset that the flow runs over; ``None`` for the first.

    Raises:
        DefinitionError: The file, or the flow it names, cannot be read.
        UsageError: F005 when it has no dataset of that name.
    """
    template = read_template(file)
    chosen = _choose(template, dataset)
    notes: list[str] = []
    folder = file.parent
    data, evaluators = _convert_data(template, chosen, folder, notes)
    document: dict[str, Any] = {"name": template.name, "flow": template.flow, "data": data}
    flow = load_flow(folder / template.flow)
    mappings = _taken(chosen.mappings, flow, notes)
    if mappings:
        document["column_mapping"] = mappings
    document |= _variants(flow, notes)
    document["evaluators"] = evaluators
    notes += _left(template, chosen, file)
    if not evaluators:
        notes.append("Nothing judges the arms yet: add evaluators, such as f1; see headrace evaluator list.")
    head = f"# Converted from {file.name}; run it with: headrace compare {IMPORTED_NAME}\n"
    return ImportedExperiment(text=head + dump_yaml(document), notes=tuple(notes))


def _choose(template: TemplateExperiment, name: str | None) -> TemplateDataset:
    if name is None:
        return template.datasets[0]
    known = [dataset.name for dataset in template.datasets]
    if name not in known:
        near = nearest(name, known)
        fix = f'Did you mean "{near}"?' if near else f"Its datasets are: {', '.join(known)}."
        raise UsageError(Problem(code="F005", what=f"The experiment has no dataset {name!r}.", fix=fix))
    return template.datasets[known.index(name)]


def _convert_data(
    template: TemplateExperiment, chosen: TemplateDataset, folder: Path, notes: list[str]
) -> tuple[str, list[dict[str, Any]]]:
    """The data of all arms and evaluators, and the evaluators that can read it."""
    data = _path(chosen, folder, notes)
    found: list[tuple[TemplateEvaluator, TemplateDataset]] = []
    for evaluator in template.evaluators:
        matching = [item for item in evaluator.datasets if chosen.name in (item.name, item.reference)]
        found += [(evaluator, item) for item in matching[:1]]
        if not matching:
            notes.append(f"The evaluator {evaluator.name} is left out: it does not read {chosen.name}.")
    other = next((item for _, item in found if item.source is not None), None)
    if other is not None:
        path = _path(other, folder, notes)
        if _holds(folder, data, path, chosen.mappings):
            data = path
        elif path != data:
            notes.append(
                f"{path} lacks columns of {data} that the flow reads, or differs in them, and an experiment has one "
                f"data file: add the columns that {_joined(item for item, _ in found)} read to {data}."
            )
    entries = [
        {
            "name": item.name,
            "flow": item.flow,
            "column_mapping": _taken(dataset.mappings, _flow_of(folder / item.flow), notes),
        }
        for item, dataset in found
    ]
    return data, entries


def _flow_of(path: Path) -> Flow | None:
    """An evaluation flow; ``None`` where it cannot be read, which is said when the experiment is run."""
    try:
        return load_flow(path)
    except HeadraceError:
        return None


def _taken(mappings: Mapping[str, str], flow: Flow | None, notes: list[str]) -> dict[str, str]:
    """The mappings without those of names that are no inputs: the template records these and feeds nothing by them."""
    if flow is None or flow.kind == FLEX:  # its inputs are those of its code, whatever its file declares
        return dict(mappings)
    unknown = [name for name in mappings if name not in flow.inputs]
    if unknown:
        notes.append(
            f"The flow {flow.name} has no input {', '.join(unknown)}: left out of its column_mapping."
        )
    return {name: text for name, text in mappings.items() if name in flow.inputs}


def _path(dataset: TemplateDataset, folder: Path, notes: list[str]) -> str:
    source = dataset.source or ""
    if not dataset.is_remote:
        return find_data(folder, source)
    path = f"data/{dataset.name}.jsonl"
    notes.append(f"The data {source} is kept in Azure Machine Learning: download it to {path}.")
    return path


def _holds(folder: Path, data: str, other: str, mappings: Mapping[str, str]) -> bool:
    """Whether the other file has all that the flow reads, line by line the same."""
    columns = [
        item.column for item in parse_mapping(mappings).values() if item.source == "data" and item.column
    ]
    try:
        ours, theirs = (
            [[line.columns.get(column) for column in columns] for line in read_dataset(folder / path).lines]
            for path in (data, other)
        )
    except DefinitionError:  # data that is not here, or cannot be read
        return False
    return ours == theirs


def _variants(flow: Flow, notes: list[str]) -> dict[str, Any]:
    """Every variant of every node, the others as their default; the defaults together are the baseline."""
    nodes = {name: item for name, item in flow.node_variants.items() if len(item.variants) > 1}
    if not nodes:
        notes.append(
            "The flow has no two variants, so there is only one arm yet: add models, or factors; "
            "the file cannot be run before."
        )
        return {}
    is_alone = len(nodes) == 1
    first = next(iter(nodes))
    found: list[dict[str, Any]] = []
    for node, item in nodes.items():
        for variant in (item.default, *(name for name in item.variants if name != item.default)):
            if variant == item.default and node != first:
                continue  # all defaults: the first arm again
            name = variant if is_alone else "defaults" if variant == item.default else f"{node}.{variant}"
            found.append({"name": name, "choices": {node: variant}})
    return {"variants": found, "baseline": found[0]["name"]}


def _left(template: TemplateExperiment, chosen: TemplateDataset, file: Path) -> Iterator[str]:
    if template.connections:
        yield (
            f"Connections are not part of an experiment: make {', '.join(template.connections)} with "
            "headrace connection create, where they are not there yet."
        )
    others = [dataset.name for dataset in template.datasets if dataset is not chosen]
    if others:
        yield (
            f"An experiment has one data file. For {', '.join(others)}, import it again with --dataset and "
            "another --output."
        )
    if template.runtime:
        yield f"The runtime {template.runtime} is left out: runs take the Python they are started with."
    overlays = sorted(
        item.name for item in file.parent.glob(f"{file.stem}.*{file.suffix}") if item.name != IMPORTED_NAME
    )
    if overlays:
        replaces = "replaces" if len(overlays) == 1 else "replace"
        yield (
            f"{', '.join(overlays)} {replaces} whole blocks in the template. Here an overlay is merged key by key: "
            f"write {Path(IMPORTED_NAME).stem}.ENV.yaml with what differs."
        )


def _joined(evaluators: Iterator[TemplateEvaluator] | Sequence[TemplateEvaluator]) -> str:
    return ", ".join(dict.fromkeys(item.name for item in evaluators))
