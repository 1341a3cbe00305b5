"""Everything that can be wrong with an experiment, found before its first line runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from headrace.domain.dataset import Dataset
from headrace.domain.evaluation import EvaluatorSpec, Experiment
from headrace.domain.flow import Flow
from headrace.domain.run import Cap
from headrace.domain.scores import Direction
from headrace.errors import DefinitionError, Problem, UsageError, nearest, raise_if_errors
from headrace.evaluation.evaluators.registry import BUILTINS, directions
from headrace.formats.flow_file import load_flow
from headrace.formats.lines import read_dataset
from headrace.formats.mapping import parse_mapping
from headrace.operations.check_columns import check_columns
from headrace.operations.check_factors import check_factors, placed_at_levels, same_arms
from headrace.operations.competing_flows import (
    check_outputs,
    check_readable,
    mapping_of,
    mapping_place,
    offered_outputs,
    unknown_inputs,
    unknown_of_evaluators,
    without_unknown,
)
from headrace.operations.endpoint_arms import placed_in, with_endpoint_flows
from headrace.operations.evaluator_flows import Offer, as_flow, check_used
from headrace.operations.named_versions import settle_versions
from headrace.operations.prepare_flow import loaded_flow
from headrace.operations.python_evaluators import python_scores
from headrace.operations.recorded_gates import asks_of_use
from headrace.operations.run_batch import unlimited
from headrace.operations.workspace import Workspace
from headrace.planning.columns import map_lines
from headrace.source import Pointer, Span


def _check_judged(experiment: Experiment) -> None:
    """Refuse arms of which nothing could be said, before they are paid for.

    Raises:
        UsageError: G902 when nothing judges them.
    """
    if experiment.evaluators:
        return
    raise UsageError(
        Problem(
            code="G902",
            what="Nothing judges the arms, so there would be no scores to compare.",
            span=experiment.place("evaluators") or experiment.place(),
            fix="Name an evaluation flow among the evaluators, or run the arms alone: headrace run create.",
        )
    )


def check_experiment(
    workspace: Workspace, experiment: Experiment, cap: Cap | None = None, *, is_recorded: bool = False
) -> Experiment:
    """Check all arms and evaluation flows, and what they are mapped to; versions of flows are written to be run.

    Args:
        workspace: For flows, versions and connections.
        experiment: What is checked.
        cap: What may be spent; an arm whose spending nobody can count is refused.
        is_recorded: Whether it was begun before, be it by a headrace that let column mappings name what is no input:
            such a name feeds nothing still.

    Raises:
        DefinitionError: Flow, data, mapping, evaluator or metric are wrong.
        UsageError: An arm does not fit the flow; G902 when nothing judges the arms; S831, S834 for a version that is
            not there or not clear; C507 where the cap cannot be kept.
        StateError: S833 for a version whose files are gone.
    """
    _check_judged(experiment)
    experiment = with_endpoint_flows(workspace, settle_versions(workspace, experiment))
    dataset = _read_data(experiment)
    problems: list[Problem] = list(check_columns(experiment, dataset))
    try:
        check_factors(workspace, experiment)
    except DefinitionError as error:
        raise DefinitionError(*error.problems, *problems) from None
    arms, uncounted, more = _load_arms(workspace, experiment, dataset, cap)
    problems += more
    if len(arms) < len(experiment.arms):
        raise DefinitionError(*dict.fromkeys(problems))
    problems += (
        *same_arms(experiment, arms),
        *(() if is_recorded else unknown_inputs(experiment, arms)),
        *check_outputs(experiment, arms),
    )
    flows = {}
    experiment = _with_flows(workspace, experiment, dataset, arms)
    for evaluator in experiment.evaluators:
        with loaded_flow(workspace, Path(evaluator.flow_path or "")) as loaded:
            flows[evaluator.name] = loaded.flow
        problems += check_readable(experiment, evaluator, loaded.flow, dataset, arms)
    problems += () if is_recorded else unknown_of_evaluators(experiment, flows)
    problems += _check_cache(experiment, [*arms, *flows.values()])
    unknown = _check_metrics(experiment, flows)
    if all(problem.span is None for problem in unknown):  # asked for on the command line: no file is wrong
        raise_if_errors(tuple(dict.fromkeys(problems)))
        if unknown:
            raise UsageError(*unknown)
    raise_if_errors(tuple(dict.fromkeys((*problems, *unknown))))
    _refuse_uncounted(experiment, uncounted)
    return experiment


def _load_arms(
    workspace: Workspace, experiment: Experiment, dataset: Dataset, cap: Cap | None
) -> tuple[list[Flow], list[Problem | None], list[Problem]]:
    """The flow of every arm that can be loaded, why its spending cannot be counted, and what is wrong with any."""
    arms: list[Flow] = []
    uncounted: list[Problem | None] = []
    problems: list[Problem] = []
    for arm in experiment.arms:
        path = Path(arm.flow_path or experiment.flow_path)
        variables = experiment.environment_variables
        try:
            with (
                placed_in(experiment, arm),
                loaded_flow(workspace, path, arm=arm, environment_variables=variables) as loaded,
            ):
                arms.append(loaded.flow)
                uncounted.append(unlimited(cap, loaded))
                mapping = parse_mapping(mapping_of(experiment, arm))
                key = "column_mapping" if experiment.file is not None else None
                place = mapping_place(experiment, arm)
                found = map_lines(loaded.flow, mapping, dataset, None, place=place, key=key)[1]
                problems += without_unknown(found)
        except DefinitionError as error:
            problems += placed_at_levels(experiment, arm, load_flow(path), error.problems)
    return arms, uncounted, problems


def _refuse_uncounted(experiment: Experiment, uncounted: Sequence[Problem | None]) -> None:
    """Refuse arms whose spending cannot be counted; the budget is where the file says it.

    Raises:
        UsageError: C507 for each of them.
    """
    place = experiment.place("budget") if experiment.budget is not None else None
    found = dict.fromkeys(replace(problem, span=place) for problem in uncounted if problem is not None)
    if found:
        raise UsageError(*found)


def _read_data(experiment: Experiment) -> Dataset:
    """The lines of the experiment; what is wrong with choosing them stands in the experiment file."""
    try:
        return read_dataset(Path(experiment.data_path))
    except DefinitionError as error:
        place = experiment.place("data", "split")
        problems = (replace(item, span=item.span or place) for item in error.problems)
        raise DefinitionError(*problems) from None


def _with_flows(
    workspace: Workspace, experiment: Experiment, dataset: Dataset, arms: Sequence[Flow]
) -> Experiment:
    """The experiment with the flow of every evaluator; what is wrong with any of them is said of all at once."""
    is_for_all = experiment.file is None and len(experiment.evaluators) > 1
    offer = Offer(outputs=offered_outputs(experiment, arms), columns=dataset.columns, is_for_all=is_for_all)
    found: list[EvaluatorSpec] = []
    problems: list[Problem] = []
    for evaluator in experiment.evaluators:
        place = experiment.place(*evaluator.pointer)
        try:
            found.append(as_flow(workspace, evaluator, offer, place))
        except DefinitionError as error:
            problems += (
                replace(item, span=experiment.place(*evaluator.pointer, *item.pointer))
                if place is not None and item.span == place
                else item
                for item in error.problems
            )
    raise_if_errors(tuple(problems))
    if is_for_all:
        check_used(experiment.evaluators, found)
    return directed(replace(experiment, evaluators=tuple(found)))


def directed(experiment: Experiment) -> Experiment:
    """The experiment with a direction for every score: what it says, else that of the built-in evaluator."""
    known: dict[str, Direction] = {}
    for evaluator in experiment.evaluators:
        builtin = BUILTINS.get(evaluator.builtin or "")
        for name, direction in (directions(builtin, evaluator.name) if builtin is not None else {}).items():
            known |= {name: direction, f"{evaluator.name}.{name}": direction}
    found = {name: known[name] for name in experiment.undirected if name in known}
    return replace(
        experiment,
        metrics=tuple(
            replace(item, direction=found.get(item.name, item.direction)) for item in experiment.metrics
        ),
        guardrails=tuple(
            replace(item, direction=found.get(item.metric, item.direction)) for item in experiment.guardrails
        ),
        undirected=frozenset(),
    )


def _check_cache(experiment: Experiment, flows: Sequence[Flow]) -> tuple[Problem, ...]:
    known = list(dict.fromkeys(node.name for flow in flows for node in flow.nodes))
    problems = []
    for name in sorted(experiment.cache.left_out.difference(known)):
        near = nearest(name, known)
        fix = f'Did you mean "{near}"?' if near else f"The nodes are: {', '.join(known)}."
        what = f"No flow of the experiment has a node {name!r}."
        problems.append(Problem(code="R102", what=what, span=experiment.place("cache", name), fix=fix))
    return tuple(problems)


def _check_metrics(experiment: Experiment, flows: Mapping[str, Flow]) -> tuple[Problem, ...]:
    produced: dict[str, Collection[str]] = {}
    for evaluator in experiment.evaluators:
        flow = flows[evaluator.name]
        names = flow.outputs if flow.knows_outputs else python_scores(evaluator)
        if names is None:
            return ()  # what there is shows when it has run
        produced[evaluator.name] = names
    known = [name for names in produced.values() for name in names]
    known += [f"{evaluator}.{name}" for evaluator, names in produced.items() for name in names]
    asked: list[tuple[str, Pointer]] = [
        (item.metric, (*item.pointer, "metric")) for item in experiment.guardrails
    ]
    asked += [(item.metric, (*item.pointer, "metric")) for item in experiment.gates if not asks_of_use(item)]
    elsewhere = {name for name, _ in asked}
    # Scores that gates and guardrails ask about may stand among the metrics as well, behind those of the file.
    asked += [
        (metric.name, ("metrics", number))
        for number, metric in enumerate(experiment.metrics)
        if metric.name not in elsewhere or _stands_in_file(experiment, number)
    ]
    return tuple(
        replace(unknown_metric(name, known), span=_metric_place(experiment, pointer))
        for name, pointer in asked
        if name not in known
    )


def _metric_place(experiment: Experiment, pointer: Pointer) -> Span | None:
    """Where the name of a metric stands; ``None`` where it was asked for beside the file."""
    where, *rest = pointer
    is_beside = where == "metrics" and not _stands_in_file(experiment, *rest)
    return None if is_beside else experiment.place(*pointer)


def _stands_in_file(experiment: Experiment, metric: str | int) -> bool:
    return experiment.source_map is None or ("metrics", metric) in experiment.source_map.values


def unknown_metric(name: str, known: Sequence[str], *, is_logged: bool = False) -> Problem:
    """The problem for a metric that no evaluation produces, or that one has logged for a whole run only."""
    near = nearest(name, list(known))
    offered = ", ".join(dict.fromkeys(item for item in known if "." not in item)) or "none"
    return Problem(
        code="G901",
        what=f"{name!r} is logged for whole runs, and arms are compared by a score of each line."
        if is_logged
        else f"No evaluation produces a score {name!r}.",
        fix=f"Did you mean {near!r}?" if near else f"The evaluations produce: {offered}.",
    )
