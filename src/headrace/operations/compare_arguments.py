"""An experiment from arguments, or with arguments on top: the same thing that an experiment file says."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, nan
from pathlib import Path
from typing import Any

from headrace.domain.cache import CacheChoice
from headrace.domain.comparison import Family
from headrace.domain.evaluation import EvaluatorSpec, Experiment
from headrace.domain.flow import Flow
from headrace.domain.scores import MetricSpec
from headrace.domain.variant import Variant
from headrace.errors import Problem, UsageError, nearest
from headrace.formats.arms import find_baseline, make_arms, parse_model, parse_variant
from headrace.formats.experiment_evaluators import check_names, parse_evaluator
from headrace.formats.flow_file import load_flow
from headrace.operations.judge_flows import give_judges
from headrace.source import SourceMap

_LOWER = ":lower"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareArguments:
    """What was given instead of an experiment file.

    Attributes:
        evaluation: An evaluation flow.
        evaluators: Further evaluators: names of built-in ones, flows, ``file.py:name`` or ``module:name``.
        judges: ``connection/model`` texts: the panel of every grader among the evaluators.
        variants: Variant ids, or ``node.variant`` where an id alone is not clear.
        models: ``connection/model`` texts.
        metrics: Score names; ``name:lower`` where a low score is good.
        margins: ``name=number`` texts: differences that do not matter.
    """

    flow: Path
    data: Path
    evaluation: Path | None = None
    evaluators: Sequence[str] = ()
    judges: Sequence[str] = ()
    variants: Sequence[str] = ()
    models: Sequence[str] = ()
    metrics: Sequence[str] = ()
    baseline: str | None = None
    repeats: int = 1
    seed: int = 0
    alpha: float = 0.05
    line_id: str | None = None
    cluster: str | None = None
    slices: Sequence[str] = ()
    family: Family = "baseline"
    margins: Sequence[str] = ()
    column_mapping: Mapping[str, str] = field(default_factory=dict)
    evaluation_mapping: Mapping[str, str] = field(default_factory=dict)
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    cache: bool | None = None


def make_experiment(given: CompareArguments) -> Experiment:
    """The experiment that the arguments describe.

    Raises:
        DefinitionError: The flow cannot be read.
        UsageError: A variant, model or baseline does not exist, or there are fewer than two arms.
    """
    flow = load_flow(given.flow)
    models = tuple(parse_model(text) for text in given.models)
    variants = tuple(find_variant(flow, text) for text in given.variants)
    if not variants and not models:
        variants = every_variant(flow)
    arms = tuple(make_arms(variants, models))
    if len(arms) < 2:
        raise UsageError(
            Problem(
                code="G902",
                what="A comparison needs at least two arms.",
                fix=f"Name two or more --variants or --models. {_offer_variants(flow)}",
            )
        )
    metrics = add_margins(parse_metrics(given.metrics), given.margins)
    return Experiment(
        name=flow.name,
        flow_path=str(given.flow),
        data_path=str(given.data),
        column_mapping=given.column_mapping,
        arms=arms,
        baseline=find_baseline([arm.name for arm in arms], given.baseline),
        evaluators=_evaluators(given),
        metrics=metrics,
        undirected=frozenset(metric.name for metric in metrics if metric.direction == "higher"),
        repeats=given.repeats,
        seed=given.seed,
        alpha=given.alpha,
        line_id=given.line_id,
        cluster=given.cluster,
        slices=tuple(given.slices),
        family=given.family,
        environment_variables=given.environment_variables,
        cache=CacheChoice(is_on=given.cache),
    )


def _evaluators(given: CompareArguments) -> tuple[EvaluatorSpec, ...]:
    """The evaluators that were named; the mapping is that of evaluation flows, or of all where there is none.

    Raises:
        UsageError: F001 for a path that does not exist, F003 for two of one name, C507 for judges without a grader.
    """
    mapping = given.evaluation_mapping
    found = [] if given.evaluation is None else [_evaluation(given.evaluation, mapping)]
    for text in given.evaluators:
        spec = parse_evaluator(text, Path(), mapping)
        if found and spec.flow_path is None and given.evaluation is not None:
            spec = replace(spec, column_mapping={})
        found.append(spec)
    check_names(found)
    return give_judges(found, given.judges)


def _evaluation(path: Path, mapping: Mapping[str, str]) -> EvaluatorSpec:
    return EvaluatorSpec(name=path.resolve().name, flow_path=str(path), column_mapping=mapping)


def change_experiment(experiment: Experiment, given: Mapping[str, Any]) -> Experiment:
    """The experiment of a file with arguments on top: those that :class:`CompareArguments` has of the same name.

    Raises:
        UsageError: V305 when no arm has the name of the baseline.
    """
    changes = {
        name: value
        for name, value in given.items()
        if name in ("repeats", "seed", "alpha", "line_id", "cluster", "family")
    }
    if "slices" in given:
        changes["slices"] = tuple(given["slices"])
    if "cache" in given:
        changes["cache"] = replace(experiment.cache, is_on=given["cache"])
    if "data" in given:
        changes["data_path"] = str(given["data"])
    if "metrics" in given:
        known = {metric.name: metric for metric in experiment.metrics}
        asked = parse_metrics(given["metrics"])
        changes["metrics"] = tuple(known.get(metric.name, metric) for metric in asked)
    if "margins" in given:
        changes["metrics"] = add_margins(changes.get("metrics", experiment.metrics), given["margins"])
    if "baseline" in given:
        changes["baseline"] = find_baseline([arm.name for arm in experiment.arms], given["baseline"])
    told = {name for name in ("line_id", "cluster", "slices", "metrics") if name in given}
    return replace(experiment, source_map=_without(experiment.source_map, told), **changes)


def _without(found: SourceMap | None, told: set[str]) -> SourceMap | None:
    """Positions of a file without those of keys that count no more, so that nothing told beside it points there."""
    if found is None:
        return None
    return replace(
        found,
        values={pointer: span for pointer, span in found.values.items() if told.isdisjoint(pointer[:1])},
        keys={pointer: span for pointer, span in found.keys.items() if told.isdisjoint(pointer[:1])},
    )


def find_variant(flow: Flow, text: str) -> Variant:
    """The variant that ``text`` names: ``${node.variant}``, ``node.variant`` or the id alone.

    Raises:
        UsageError: V301 when no node has it, V302 when several have.
    """
    if text.startswith("${") or "." in text:
        node, name = parse_variant(text)
        return Variant(name=name, choices={node: name})
    nodes = [node for node, found in flow.node_variants.items() if text in found.variants]
    if len(nodes) == 1:
        return Variant(name=text, choices={nodes[0]: text})
    if nodes:
        raise UsageError(
            Problem(
                code="V302",
                what=f'The nodes {", ".join(nodes)} all have a variant "{text}".',
                fix=f"Say which: --variants {nodes[0]}.{text}",
            )
        )
    known = [name for found in flow.node_variants.values() for name in found.variants]
    close = nearest(text, known)
    raise UsageError(
        Problem(
            code="V301",
            what=f'No node of the flow has a variant "{text}".',
            fix=f'Did you mean "{close}"?' if close else _offer_variants(flow),
        )
    )


def every_variant(flow: Flow) -> tuple[Variant, ...]:
    """All variants of the only node that has any.

    Raises:
        UsageError: C507 when no node has variants, or more than one has.
    """
    if len(flow.node_variants) != 1:
        raise UsageError(
            Problem(
                code="C507",
                what="It is not clear which arms to compare.",
                fix=f"Name --variants or --models. {_offer_variants(flow)}",
            )
        )
    ((node, found),) = flow.node_variants.items()
    return tuple(Variant(name=name, choices={node: name}) for name in found.variants)


def _offer_variants(flow: Flow) -> str:
    known = [f"{node}.{name}" for node, found in flow.node_variants.items() for name in found.variants]
    return f"The flow's variants are: {', '.join(known)}." if known else "The flow has no variants."


def parse_metric(text: str) -> MetricSpec:
    """``name``, or ``name:lower`` for a metric of which less is better."""
    if text.endswith(_LOWER):
        return MetricSpec(name=text.removesuffix(_LOWER), direction="lower")
    return MetricSpec(name=text)


def parse_metrics(texts: Iterable[str]) -> tuple[MetricSpec, ...]:
    """Metrics of their texts, in order.

    Raises:
        UsageError: C507 when one is named twice.
    """
    metrics = tuple(parse_metric(text) for text in texts)
    names = [metric.name for metric in metrics]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        what = f"The metric {twice[0]!r} is named twice."
        raise UsageError(Problem(code="C507", what=what, fix="Name each metric once."))
    return metrics


def add_margins(metrics: Sequence[MetricSpec], texts: Iterable[str]) -> tuple[MetricSpec, ...]:
    """The metrics with the margins that ``name=number`` texts give them.

    Raises:
        UsageError: G903 when a margin is no number above zero, C507 when it is of no metric.
    """
    margins: dict[str, float] = {}
    for text in texts:
        name, _, number = (part.strip() for part in text.rpartition("="))
        try:
            margins[name] = float(number)
        except ValueError:
            margins[name] = nan
        if not name or not 0.0 < margins[name] < inf:
            what = f"The margin {text} gives no {'number above zero' if name else 'metric'}."
            fix = "Write it as NAME=NUMBER, with a number above zero."
            raise UsageError(Problem(code="G903", what=what, fix=fix))
    known = [metric.name for metric in metrics]
    for name in margins:
        if name not in known:
            near = nearest(name, known)
            fix = f"Did you mean {near!r}?" if near else f"Name {name} as a metric as well."
            what = f"A margin is given for {name!r}, which is no metric of this comparison."
            raise UsageError(Problem(code="C507", what=what, fix=fix))
    return tuple(replace(metric, margin=margins.get(metric.name, metric.margin)) for metric in metrics)


def asked_options(
    *,
    baseline: str | None,
    metrics: Sequence[str | MetricSpec],
    alpha: float | None,
    cluster: str | None,
    slices: Sequence[str],
    family: Family | None,
) -> str:
    """The options of ``headrace compare`` that say what was asked, each with a blank before it."""
    words: list[str] = [] if baseline is None else ["--baseline", baseline]
    for metric in metrics:
        name = metric if isinstance(metric, str) else metric.name
        is_lower = isinstance(metric, MetricSpec) and metric.direction == "lower"
        words += ["--metric", f"{name}{_LOWER}" if is_lower else name]
        if isinstance(metric, MetricSpec) and metric.margin is not None:
            words += ["--margin", f"{name}={metric.margin:g}"]
    words += [] if alpha is None else ["--alpha", f"{alpha:g}"]
    words += [] if cluster is None else ["--cluster", cluster]
    for column in slices:
        words += ["--slice", column]
    words += [] if family is None else ["--family", family]
    return "".join(f" {shlex.quote(word)}" for word in words)
