"""The folder of a suggestion: a copy of the flow with new variants, their prompts, data, and an experiment file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.domain.evaluation import EvaluatorSpec, Experiment
from headrace.domain.flow import Flow
from headrace.domain.scores import MetricSpec
from headrace.domain.variant import Arm, ModelSpec, Variant
from headrace.errors import Problem, UsageError
from headrace.formats.data_choice import split_choice
from headrace.formats.flow_files import FlowFiles, find_flow_files
from headrace.formats.positions import dump_yaml
from headrace.operations.new_files import cannot_write
from headrace.operations.recorded_judgement import as_plain

EXPERIMENT_FILE = "experiment.yaml"

BASE = "base"
"""Variant id that a node without variants gets for what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleNode:
    """The node whose prompt gets examples.

    Attributes:
        name: Of the node.
        variant: The variant that the prompts are made from; ``None`` for a node without variants.
    """

    name: str
    variant: str | None


def copied_files(flow: Flow, folder: Path) -> tuple[FlowFiles, dict[Path, Path]]:
    """The files of a flow, and by their paths in the new folder where they are now, without the flow file.

    Raises:
        UsageError: C507 where the flow reads files outside its folder that would not be found from the new one.
    """
    found = find_flow_files(flow)
    outside = [path for path in found.files if path.startswith("..")]
    here = Path(flow.folder).parent.resolve()
    if outside and folder.resolve().parent != here:
        what = f"The flow reads files outside its folder, such as {outside[0]}, by paths from it."
        fix = f"Write the suggestion beside the flow: --out {here / folder.name}."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    return found, {
        folder / path: place
        for path, (_, place) in found.files.items()
        if not path.startswith("..") and path != found.file
    }


def copy_files(places: Mapping[Path, Path]) -> None:
    """Copy files; folders are made where they are missing.

    Args:
        places: New path to the file that is there.

    Raises:
        StateError: S808 when one cannot be written.
    """
    for path, place in places.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(place, path)
        except OSError as error:
            raise cannot_write(path, error) from error


def flow_text(found: FlowFiles, node: ExampleNode, prompts: Mapping[str, str]) -> str:
    """The flow file with a variant of the node for each prompt.

    Args:
        found: The files of the flow.
        node: The node.
        prompts: Variant id to the path of its template, from the folder of the flow.
    """
    data = deepcopy(found.data)
    known = data.setdefault("node_variants", {}) or {}
    data["node_variants"] = known
    if node.variant is None:
        place = next(index for index, item in enumerate(data["nodes"]) if item.get("name") == node.name)
        base = {
            key: value for key, value in data["nodes"][place].items() if key not in ("name", "use_variants")
        }
        data["nodes"][place] = {"name": node.name, "use_variants": True}
        known[node.name] = {"default_variant_id": BASE, "variants": {BASE: {"node": base}}}
    variants = known[node.name]["variants"]
    base = variants[node.variant or BASE]["node"]
    for variant, path in prompts.items():
        made = deepcopy(base)
        made["source"] = {**made["source"], "path": path}
        variants[variant] = {"node": made}
    head = "# Written by headrace experiment suggest: the flow with variants that show examples.\n"
    return head + dump_yaml(data)


def example_arm(base: Arm, node: ExampleNode, variant: str) -> Arm:
    """The arm that runs a variant of the node and is otherwise like ``base``."""
    choices = dict(base.variant.choices) if base.variant is not None else {}
    return Arm(
        name=variant, variant=Variant(name=variant, choices={**choices, node.name: variant}), model=base.model
    )


def experiment_text(
    experiment: Experiment, arms: Sequence[Arm], data_path: str, folder: Path, notes: Sequence[str]
) -> str:
    """The experiment file that compares arms over the held-out lines.

    Args:
        experiment: What the suggestion was made for.
        arms: The baseline first.
        data_path: The held-out lines.
        folder: Where the file will stand.
        notes: Lines of its comment.
    """
    model = arms[0].model
    document: dict[str, Any] = {
        "name": f"{experiment.name}_suggested",
        "flow": ".",
        "data": _data(data_path, folder),
        "column_mapping": dict(experiment.column_mapping),
        "line_id": experiment.line_id,
        "variants": [
            {"name": arm.name, "choices": dict(arm.variant.choices)}
            for arm in arms
            if arm.variant is not None
        ],
        "models": [_model(model)] if model is not None else [],
        "evaluators": [_evaluator(item, folder) for item in experiment.evaluators],
        "metrics": [_metric(item) for item in experiment.metrics],
        "guardrails": [
            {"metric": item.metric, "direction": item.direction, "margin": item.margin}
            for item in experiment.guardrails
        ],
        "baseline": arms[0].name,
        "repeats": experiment.repeats,
        "seed": experiment.seed,
        "alpha": experiment.alpha,
        "cluster": experiment.cluster,
        "slices": list(experiment.slices),
        "family": experiment.family,
        "environment_variables": dict(experiment.environment_variables),
    }
    kept = {key: value for key, value in document.items() if value not in (None, [], {})}
    return "".join(f"# {note}\n" for note in notes) + dump_yaml(kept)


def _data(path: str, folder: Path) -> Any:
    file, choice = split_choice(Path(path))
    if choice is None:
        return _from(folder, path)
    found: dict[str, Any] = {"path": _from(folder, str(file))}
    if choice.column is not None:
        found["split"] = {"column": choice.column, "value": choice.value}
    if choice.n is not None:
        found["sample"] = {"n": choice.n, "seed": choice.seed}
    return found


def _model(model: ModelSpec) -> dict[str, Any]:
    found: dict[str, Any] = {"name": model.name, "connection": model.connection, "model": model.model}
    if model.parameters:
        found["parameters"] = dict(model.parameters)
    if model.price is not None:
        found["price"] = {"input_usd": model.price.input_usd, "output_usd": model.price.output_usd}
    return found


def _evaluator(spec: EvaluatorSpec, folder: Path) -> dict[str, Any]:
    python = spec.python
    file, colon, name = (python or "").rpartition(":")
    if file.endswith(".py"):
        python = f"{_from(folder, str(Path(spec.folder) / file))}{colon}{name}"
    found = {
        "name": spec.name,
        "flow": None if spec.flow_path is None else _from(folder, spec.flow_path),
        "builtin": spec.builtin,
        "python": python,
        "column_mapping": dict(spec.column_mapping),
        "parameters": dict(spec.parameters),
        "models": [_model(model) for model in spec.models],
        "repeats": spec.repeats if spec.repeats != 1 else None,
    }
    return {key: value for key, value in found.items() if value not in (None, [], {})}


def _metric(spec: MetricSpec) -> dict[str, Any]:
    return {key: value for key, value in as_plain(spec).items() if value not in (None, {})}


def _from(folder: Path, path: str) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
