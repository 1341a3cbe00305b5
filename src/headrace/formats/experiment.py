"""Experiment files: which arms run over which data, and how they are judged.

::

    name: ask_docs                     # default: name of the folder
    flow: .                            # default: the folder of this file; all paths are relative to it; or ask_docs@7
    data: data/test.jsonl
    column_mapping: {question: "${data.question}"}
    line_id: id                        # a column that names each line
    variants:                          # ${node.variant}, node.variant or a mapping with several choices
      - ${generate.zero_shot}
      - {name: few_shot, choices: {generate: few_shot}}
    models:                            # connection/model, baseline, or a mapping
      - baseline
      - {name: gpt, connection: my_aoai, model: gpt-4o-mini, parameters: {temperature: 0},
         price: {input_usd: 0.15, output_usd: 0.60}}      # US dollars per million tokens
    evaluators:
      - f1                             # built-in, by name
      - {name: answer, flow: evaluation/answer, column_mapping: {prediction: "${run.outputs.answer}"}}
      - {name: style, python: "checks.py:style", parameters: {strict: true}}
    metrics:                           # the first one decides
      - {name: f1, direction: higher, margin: 0.05, goal: non_inferiority, labels: {zero_shot: people_say}}
    baseline: zero_shot                # an arm; default: the first
    cache: {retrieve: off}             # or on, or off: whether results of nodes are used again
    repeats: 1
    seed: 0
    alpha: 0.05
    cluster: document                  # a column: lines of one value are not independent
    slices: [topic]                    # columns that the results are broken down by
    family: baseline                   # or exploratory, or none: how p is adjusted over the arms
    environment_variables: {REGION: eu}
    guardrails: [{metric: citation, margin: 0.05}]   # what an arm must not be worse in to be shipped
    budget: {cost_usd: 5, tokens: 2000000}           # the most that the whole experiment may spend
    race: winner                                     # drop arms that cannot win any more
    gates: [{metric: f1, test: non_inferiority}]     # what an arm must show before it is let through

``factors`` say more than variants and models (:mod:`headrace.formats.experiment_factors`), and ``data`` may choose
lines: ``{path: data/test.jsonl, split: {column: split, value: dev}, sample: {n: 50, seed: 1}}``.

Arms are every variant with every model; :func:`headrace.formats.arms.make_arms` names them. An unknown
key is an error here: the file is ours, and a misspelled ``baseline`` would change a verdict.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

from headrace.domain.cache import CacheChoice
from headrace.domain.evaluation import Experiment
from headrace.domain.variant import Arm, Design, Factor, Variant
from headrace.errors import DefinitionError, UsageError
from headrace.formats.arms import listed_factors, make_arms, parse_model, parse_variant, unknown_baseline
from headrace.formats.experiment_evaluators import read_evaluators
from headrace.formats.experiment_factors import are_too_many, read_factorial
from headrace.formats.experiment_parts import (
    MOST_REPEATS,
    adopt,
    no_mapping,
    read_flow_path,
    read_items,
    read_mapping,
    read_model,
    read_texts,
    read_whole,
    refuse,
)
from headrace.formats.experiment_rules import (
    read_budget,
    read_data,
    read_gates,
    read_guardrails,
    read_race,
)
from headrace.formats.judgement import read_family, read_metrics, read_slices, said_directions
from headrace.formats.overlay import lay_over, overlay_file
from headrace.formats.paths import is_file, is_folder
from headrace.formats.positions import read_text, read_yaml
from headrace.formats.shape import Block, Findings, by_place, root_block
from headrace.formats.surroundings import settable
from headrace.source import Pointer

__all__ = ["load_arms", "load_experiment", "make_arms", "parse_model", "read_experiment"]

KEYS = (
    "name", "flow", "data", "column_mapping", "line_id", "variants", "models", "evaluators", "metrics",
    "baseline", "cache", "repeats", "seed", "alpha", "environment_variables", "$schema", "description",
    "cluster", "slices", "family", "factors", "design", "include", "exclude", "guardrails", "budget", "race", "gates",
)  # fmt: skip
_MAKE_ARMS = ("variants", "models", "factors", "race", "gates")
"""Keys that arms come from, then those that need several: too few arms are wrong at the first that the file has."""
_ONLY_FACTORS = ("design", "include", "exclude")
_GIVEN = "arguments"
"""Name of the file that is not there."""

_STATES = {"on": True, "off": False}


def is_experiment(path: Path) -> bool:
    """Whether a path is meant as an experiment, by its ending or by what is there, and not as the name of a run."""
    return is_folder(path) or path.suffix in (".yaml", ".yml") or is_file(path)


def load_experiment(path: Path, environment: str | None = None, *, may_be_alone: bool = False) -> Experiment:
    """Read an experiment file, or the ``experiment.yaml`` of a folder.

    Args:
        path: The file or its folder.
        environment: Name of an overlay: ``dev`` lays ``experiment.dev.yaml`` over ``experiment.yaml``.
        may_be_alone: Whether one arm is enough; a file without any then has one, called base: the flow as it is.

    Raises:
        DefinitionError: Everything that is wrong with the file or its overlay, at once.
        UsageError: F001 or C507 when there is no such overlay.
    """
    file = path / "experiment.yaml" if is_folder(path) else path
    overlay = overlay_file(file, environment) if environment is not None else None
    return replace(
        _parse(read_text(file), file, overlay, fewest=1 if may_be_alone else 2), environment=environment
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedArms:
    """What an experiment file says of arms.

    Attributes:
        name: Of the experiment.
        flow_path: The flow that arms without one of their own run.
        arms: In the order of the file.
    """

    name: str
    flow_path: str
    arms: tuple[Arm, ...]


def load_arms(file: Path) -> OfferedArms:
    """Read the arms of an experiment file, whatever else it says: its data and evaluators need not be there.

    Raises:
        DefinitionError: Everything that is wrong with its arms, at once.
    """
    data, source_map, problems = read_yaml(read_text(file), str(file))
    findings = Findings(source_map, list(problems))
    root = root_block(data, findings)
    arms = _read_arms(root, file, read_whole(root, "seed", default=0, at_least=0), fewest=1).arms
    flow_path = read_flow_path(root, "flow", file, "The experiment", default=".")
    if findings.has_errors():
        raise DefinitionError(*sorted(findings.problems, key=by_place))
    return OfferedArms(name=root.text("name") or file.resolve().parent.name, flow_path=flow_path, arms=arms)


def read_experiment(given: Mapping[str, Any], folder: Path) -> Experiment:
    """Read what an experiment file would hold, given as plain data.

    Args:
        given: Keys and values of an experiment file.
        folder: What its paths are relative to.

    Raises:
        DefinitionError: Everything that is wrong with it, at once, without places.
    """
    try:
        read = _parse(json.dumps(given, default=str), folder / _GIVEN)
    except DefinitionError as error:
        nowhere = (replace(problem, span=None, related=()) for problem in error.problems)
        raise DefinitionError(*nowhere) from None
    return replace(read, file=None, source_map=None)


def _parse(text: str, file: Path, overlay: Path | None = None, fewest: int = 2) -> Experiment:
    data, source_map, problems = read_yaml(text, str(file))
    if overlay is not None:
        over, over_map, more = read_yaml(read_text(overlay), str(overlay))
        if over is not None and not isinstance(over, dict):
            root_block(over, Findings(over_map, more_problems := list(more)))
            raise DefinitionError(*more_problems)
        data, source_map = lay_over(data, source_map, over, over_map)
        problems = (*problems, *more)
    findings = Findings(source_map, list(problems))
    root = root_block(data, findings)
    experiment = _read(root, file, fewest) if isinstance(data, dict) else None
    if findings.has_errors() or experiment is None:
        raise DefinitionError(*sorted(findings.problems, key=by_place))
    return experiment


def _read(root: Block, file: Path, fewest: int) -> Experiment | None:
    if "nodes" in root and "flow" not in root:
        what = "This is an experiment of prompt flow, a chain of flows: it has no arms to compare."
        fix = f"Run it with: headrace experiment test --template {quote(str(file))}"
        root.findings.add("F004", ("nodes",), what, fix, at_key=True)
        return None
    if isinstance(root.data.get("datasets"), list) and "data" not in root:
        what = "This is an experiment of Microsoft's LLMOps template, which names its data otherwise."
        fix = f"Convert it with: headrace experiment import {quote(str(file))}"
        root.findings.add("F004", ("datasets",), what, fix, at_key=True)
        return None
    root.check_keys(KEYS, "An experiment", severity="error")
    seed = read_whole(root, "seed", default=0, at_least=0)
    made = _read_arms(root, file, seed, fewest)
    arms = made.arms
    said = said_directions(root)
    metrics = read_metrics(root, [arm.name for arm in arms], said)
    guardrails = read_guardrails(root, metrics, said)
    scores = {*(metric.name for metric in metrics), *(guardrail.metric for guardrail in guardrails)}
    variables = root.block("environment_variables")
    alpha = root.number("alpha")
    if alpha is not None and not 0 < alpha < 1:
        refuse(root, "alpha", "a number between 0 and 1")
    return Experiment(
        name=root.text("name") or file.resolve().parent.name,
        file=str(file),
        source_map=root.findings.source_map,
        flow_path=read_flow_path(root, "flow", file, "The experiment", default="."),
        data_path=read_data(root, file),
        column_mapping=read_mapping(root.block("column_mapping")),
        line_id=root.text("line_id"),
        arms=arms,
        baseline=_read_baseline(root, arms),
        evaluators=read_evaluators(root, file),
        metrics=metrics,
        cache=_read_cache(root),
        repeats=read_whole(root, "repeats", default=1, at_least=1, at_most=MOST_REPEATS),
        seed=seed,
        alpha=0.05 if alpha is None else float(alpha),
        cluster=root.text("cluster"),
        slices=read_slices(root),
        family=read_family(root),
        environment_variables=settable(variables, read_texts(variables)),
        guardrails=guardrails,
        budget=read_budget(root),
        race=read_race(root),
        gates=read_gates(root, [arm.name for arm in arms]),
        undirected=frozenset(scores - said.keys()),
        factors=made.factors,
        design=made.design,
        listed=made.listed,
    )


def _read_cache(root: Block) -> CacheChoice:
    value = root.data.get("cache")
    if isinstance(value, dict):
        block = root.block("cache")
        states = {node: _read_state(block, node) for node in block.data}
        return CacheChoice(left_out=frozenset(node for node, is_on in states.items() if is_on is False))
    return CacheChoice() if value is None else CacheChoice(is_on=_read_state(root, "cache"))


def _read_state(block: Block, key: str) -> bool | None:
    value = block.data[key]
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value not in _STATES:
        refuse(block, key, "on or off" if block.pointer else "on, off, or nodes with on or off")
        return None
    return _STATES[value]


@dataclass(frozen=True, slots=True, kw_only=True)
class _MadeArms:
    """The arms of a file and what they are made of; nothing where something was reported."""

    arms: tuple[Arm, ...] = ()
    factors: tuple[Factor, ...] = ()
    design: Design | None = None
    listed: tuple[Factor, ...] = ()


def _read_arms(root: Block, file: Path, seed: int, fewest: int) -> _MadeArms:
    variants = read_items(root, "variants", _read_variant)
    models = read_items(root, "models", read_model)
    has_factors = root.data.get("factors") is not None
    if not has_factors:
        for key in _ONLY_FACTORS:
            if key in root:
                what = f"{key} chooses among the cells of factors, and the file has none."
                root.findings.add("F012", (key,), what, "Add factors, or remove it.", at_key=True)
    if root.findings.has_errors() or are_too_many(root, variants, models):
        return _MadeArms()
    made = _MadeArms(listed=listed_factors(variants, models))
    if has_factors:
        found = read_factorial(root, file, seed, variants, models)
        made = replace(made, arms=found.arms, factors=found.factors, design=found.design)
        if root.findings.has_errors():
            return _MadeArms()
    else:
        try:
            arms = make_arms(variants, models) or ((Arm(name="base"),) if fewest == 1 else ())
        except UsageError as error:
            adopt(root.findings, error, ("variants",) if "variants" in root else ("models",))
            return _MadeArms()
        made = replace(made, arms=arms)
    if len(made.arms) < fewest:
        what = "The experiment has only one arm." if made.arms else "The experiment has no arm."
        fix = "Add variants, models or factors, so that there are at least two arms."
        found_key = next((name for name in _MAKE_ARMS if name in root), None)
        root.findings.add("G902", (found_key,) if found_key else (), what, fix, at_key=found_key is not None)
    return made


def _read_variant(pointer: Pointer, value: Any, findings: Findings) -> Variant | None:
    if isinstance(value, str):
        try:
            node, variant_id = parse_variant(value)
        except UsageError as error:
            adopt(findings, error, pointer)
            return None
        return Variant(name=variant_id, choices={node: variant_id})
    if not isinstance(value, dict):
        no_mapping(pointer, findings, "${node.variant} or a mapping with name and choices")
        return None
    block = Block(value, pointer, findings)
    block.check_keys(("name", "choices"), "A variant", severity="error")
    choices = block.block("choices")
    texts = {node: choices.text(node) or "" for node in choices.data}
    name = block.text("name") or "+".join(texts.values())
    if not name:
        block.missing("name", "The variant")
        return None
    return Variant(name=name, choices=texts)


def _read_baseline(root: Block, arms: Sequence[Arm]) -> str:
    names = [arm.name for arm in arms]
    name = root.text("baseline") or (names[0] if names else "")
    if names and name not in names:
        problem = unknown_baseline(name, names)
        root.findings.add(problem.code, ("baseline",), problem.what, problem.fix)
    return name
