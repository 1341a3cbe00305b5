"""Flows that compete and differ in inputs and outputs: what each is fed with, and how evaluators read its answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from headrace.domain.dataset import Dataset, MappedValue, SourceLine
from headrace.domain.evaluation import EvaluatorSpec, Experiment
from headrace.domain.flow import Flow
from headrace.domain.variant import Arm
from headrace.engine.outputs import RESULT
from headrace.errors import Problem, nearest
from headrace.formats.mapping import as_arm_outputs, parse_mapping, rename_outputs
from headrace.planning.columns import Place, map_lines
from headrace.source import Pointer, Span


def mapping_of(experiment: Experiment, arm: Arm) -> Mapping[str, str]:
    """Where the inputs of an arm's flow come from."""
    return experiment.column_mapping if arm.column_mapping is None else arm.column_mapping


def mapping_place(experiment: Experiment, arm: Arm) -> Place:
    """Where that stands in the experiment file."""
    level = experiment.flow_level(arm) if arm.column_mapping is not None else None
    if level is None:
        return partial(experiment.place, "column_mapping")
    return partial(experiment.place, *level.pointer, "column_mapping")


def as_of_arm(experiment: Experiment, arm: Arm) -> Experiment:
    """The experiment as one of its arms needs it: its own column mapping, evaluators that read its own outputs."""
    evaluators = tuple(
        replace(item, column_mapping=rename_outputs(item.column_mapping, arm.outputs))
        for item in experiment.evaluators
    )
    return replace(experiment, column_mapping=mapping_of(experiment, arm), evaluators=evaluators)


def offered_outputs(experiment: Experiment, flows: Sequence[Flow]) -> tuple[str, ...] | None:
    """Names by which evaluators can read the answers of every arm; else of any; ``None`` where they are not known.

    Args:
        experiment: Its arms.
        flows: The flow of each arm, in the same order.
    """
    each = [_readable(arm, flow) for arm, flow in zip(experiment.arms, flows, strict=True)]
    if any(names is None for names in each):
        return None
    known = [names for names in each if names is not None]
    every = tuple(dict.fromkeys(name for names in known for name in names))
    shared = tuple(name for name in every if all(name in names for names in known))
    return shared or every


def unknown_inputs(experiment: Experiment, flows: Sequence[Flow]) -> Iterator[Problem]:
    """T204 for a name in a column mapping that is an input of none of the flows that it feeds."""
    fed: dict[Pointer, list[tuple[Arm, Flow]]] = {}
    for arm, flow in zip(experiment.arms, flows, strict=True):
        level = experiment.flow_level(arm) if arm.column_mapping is not None else None
        fed.setdefault(level.pointer if level is not None else (), []).append((arm, flow))
    for pointer, those in fed.items():
        known = tuple(dict.fromkeys(name for _, flow in those for name in flow.inputs))
        for name in mapping_of(experiment, those[0][0]):
            if name not in known:
                place = experiment.place(*pointer, "column_mapping", name)
                yield _unknown_input(name, known, place)


def unknown_of_evaluators(experiment: Experiment, flows: Mapping[str, Flow]) -> Iterator[Problem]:
    """T204 for a name in the column mapping of an evaluator that is no input of its flow.

    A command line has one mapping for all evaluators, where one of them needs to have such an input.

    Args:
        experiment: Its evaluators, with the mapping of every input.
        flows: The flow of each evaluator, by the evaluator's name.
    """
    every = tuple(dict.fromkeys(name for flow in flows.values() for name in flow.inputs))
    for evaluator in experiment.evaluators:
        known = every if experiment.file is None else tuple(flows[evaluator.name].inputs)
        for name in evaluator.column_mapping:
            if name not in known:
                place = experiment.place(*evaluator.pointer, "column_mapping", name)
                yield _unknown_input(name, known, place)


def _unknown_input(name: str, known: Sequence[str], place: Span | None) -> Problem:
    """T204 for a name in a column mapping that is no input, so that its column would feed nothing."""
    near = nearest(name, known)
    return Problem(
        code="T204",
        what=f"The column mapping names {name!r}, but no flow that it feeds has such an input.",
        span=place,
        fix=f'Did you mean "{near}"?' if near else f"Inputs: {', '.join(known) or 'none'}.",
    )


def without_unknown(problems: Sequence[Problem]) -> Iterator[Problem]:
    """What is wrong with a mapping beside names that are no inputs, which an experiment refuses and says by itself."""
    return (problem for problem in problems if problem.code != "T204")


def check_outputs(experiment: Experiment, flows: Sequence[Flow]) -> Iterator[Problem]:
    """D403 for an output that a flow is said to have, and has not."""
    for arm, flow in zip(experiment.arms, flows, strict=True):
        level = experiment.flow_level(arm)
        outputs = _own_outputs(flow)
        if outputs is None or level is None:
            continue
        for name, own in arm.outputs.items():
            if own not in outputs:
                place = experiment.place(*level.pointer, "outputs", name)
                what = f"The flow {level.name!r} has no output {own!r}."
                yield Problem(code="D403", what=what, span=place, fix=_suggest(own, outputs))


def check_readable(
    experiment: Experiment, evaluator: EvaluatorSpec, flow: Flow, dataset: Dataset, flows: Sequence[Flow]
) -> tuple[Problem, ...]:
    """Map an evaluator to the answers of every arm, by one imagined line each, which has all that it may have.

    Args:
        experiment: Its arms.
        evaluator: With the mapping of every input.
        flow: Of the evaluator.
        dataset: The lines.
        flows: The flow of each arm, in the same order.

    Returns:
        D403 for a column or an output that is nowhere, at the mapping; for an output that some flows have, at the
        flow that has not.
    """
    mapping = parse_mapping(as_arm_outputs(evaluator.column_mapping))
    read = [item.column for item in mapping.values() if item.source == "run.outputs" and item.column]
    known = [_readable(arm, own) for arm, own in zip(experiment.arms, flows, strict=True)]
    every = {name for names in known for name in (read if names is None else names)}
    imagined = SourceLine(
        number=0, inputs=dict.fromkeys(dataset.columns), outputs=dict.fromkeys(sorted(every))
    )
    place = partial(experiment.place, *evaluator.pointer, "column_mapping")
    key = f"column_mapping of the evaluator {evaluator.name}" if experiment.file is not None else None
    problems = [*without_unknown(map_lines(flow, mapping, dataset, [imagined], place=place, key=key)[1])]
    for arm, names in zip(experiment.arms, known, strict=True):
        problems += _unreadable(experiment, evaluator, arm, mapping, every, names)
    return tuple(problems)


def _readable(arm: Arm, flow: Flow) -> tuple[str, ...] | None:
    """Names by which evaluators can read the answers of an arm; ``None`` where they are not known."""
    outputs = _own_outputs(flow)
    return None if outputs is None else (*arm.outputs, *outputs)


def _own_outputs(flow: Flow) -> tuple[str, ...] | None:
    """All outputs that a line of a flow may have; ``None`` where only its answers say."""
    prompt = flow.prompt
    if prompt is not None and not flow.outputs:
        is_text = prompt.response == "first" and "response_format" not in prompt.parameters
        return (RESULT,) if is_text else None
    return tuple(flow.outputs) if flow.knows_outputs else None


def _unreadable(
    experiment: Experiment,
    evaluator: EvaluatorSpec,
    arm: Arm,
    mapping: Mapping[str, MappedValue],
    every: Collection[str],
    names: Sequence[str] | None,
) -> Iterator[Problem]:
    """Outputs that other arms have; one that none has was said at the mapping."""
    if names is None:
        return
    level = experiment.flow_level(arm)
    for name, item in mapping.items():
        column = item.column
        if item.source != "run.outputs" or column is None or column not in every or column in names:
            continue
        flow = level.name if level is not None else arm.name
        what = (
            f"The flow {flow!r} has no output {column!r}, which the evaluator {evaluator.name!r} reads "
            f"as {name!r}."
        )
        own = nearest(column, names) or next(iter(names), "output")
        fix = f"Say beside its path which of its outputs that is: outputs: {{{column}: {own}}}."
        place = experiment.place(*level.pointer) if level is not None else experiment.place("factors")
        yield Problem(code="D403", what=what, span=place, fix=fix)


def _suggest(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    return f'Did you mean "{near}"?' if near else f"Its outputs are: {', '.join(known) or 'none'}."
