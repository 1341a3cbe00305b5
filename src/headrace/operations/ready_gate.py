"""Make an experiment ready for its gate: its questions make sense, and what they name can be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.domain.evaluation import Experiment
from headrace.domain.gate import GateSpec
from headrace.domain.variant import Arm
from headrace.domain.version import parse_version_name
from headrace.errors import HeadraceError, Problem, UsageError
from headrace.formats.flow_file import load_flow
from headrace.formats.lines import read_dataset
from headrace.operations.check_experiment import check_experiment
from headrace.operations.gate_baselines import (
    NamedBaseline,
    Sought,
    asked_arm,
    choice_of_arm,
    evaluator_id,
    find_runs,
    named_baseline,
)
from headrace.operations.gate_comparison import check_questions, choose_questions
from headrace.operations.judged_pairs import sees_baseline
from headrace.operations.named_versions import name_version, settle_versions
from headrace.operations.read_version import flow_digest
from headrace.operations.recorded_gates import gates_of, with_gate_metrics
from headrace.operations.versions import write_version
from headrace.operations.workspace import Workspace
from headrace.source import Span


def ready_gate(
    workspace: Workspace, experiment: Experiment, asked: Mapping[str, Any]
) -> tuple[Experiment, Mapping[str, Any]]:
    """Check the questions of a gate before its experiment runs, as far as that can be known.

    Tags are looked up once, here: the experiment and the questions that come back name the versions, so that a tag that
    moves meanwhile changes nothing. A version of which no runs fit becomes an arm of the experiment.

    Args:
        workspace: For its store.
        experiment: As it was read.
        asked: Arguments of :func:`~headrace.operations.gate_comparison.default_gate`.

    Raises:
        DefinitionError: Something is wrong with the experiment.
        UsageError: As :func:`~headrace.operations.gate_comparison.gate_comparison`; G966 for a version or a branch
            without runs to compare with, where they cannot be made here.
    """
    experiment = settle_versions(workspace, with_gate_metrics(experiment))
    names = [arm.name for arm in experiment.arms]
    found: dict[str, NamedBaseline] = {}
    for text, place in _places(experiment, asked).items():
        if text not in names:
            with_place = _named(workspace, text.partition("#")[0], place)
            if with_place is not None:
                found[text] = with_place
    experiment, asked = _pinned(experiment, asked, found)
    named = {_pin(text, baseline): baseline for text, baseline in found.items()}
    questions: Sequence[GateSpec] = gates_of(experiment)
    if experiment.metrics:
        questions = choose_questions(experiment.metrics, questions, asked)
        check_questions(workspace, experiment, questions)
    elif asked.get("against") is not None:
        questions = (GateSpec(metric="", arm=asked.get("arm"), against=asked["against"]),)
    asked_about = [(spec, named[spec.against]) for spec in questions if spec.against in named]
    if asked_about:
        checked = check_experiment(workspace, experiment)
        for spec, baseline in asked_about:
            experiment = _with_version(workspace, experiment, checked, spec, baseline)
    return experiment, asked


def _places(experiment: Experiment, asked: Mapping[str, Any]) -> dict[str, Span | None]:
    """What arms are compared with, and where each stands in the experiment file; what is asked comes first."""
    found: dict[str, Span | None] = {}
    if asked.get("against") is not None:
        found[asked["against"]] = None
        return found
    for gate in experiment.gates:
        if gate.against is not None:
            found.setdefault(gate.against, experiment.place(*gate.pointer, "against"))
    return found


def _named(workspace: Workspace, text: str, place: Span | None) -> NamedBaseline | None:
    try:
        return named_baseline(workspace, text, {})
    except UsageError as error:
        raise _placed(error, place) from None


def _placed(error: HeadraceError, place: Span | None) -> UsageError:
    return UsageError(*(replace(problem, span=problem.span or place) for problem in error.problems))


def _pin(text: str, baseline: NamedBaseline) -> str:
    """The version in place of the tag that stands for it, with the arm that is named behind it."""
    _, mark, arm = text.partition("#")
    return f"{baseline.name}{mark}{arm}"


def _pinned(
    experiment: Experiment, asked: Mapping[str, Any], found: Mapping[str, NamedBaseline]
) -> tuple[Experiment, Mapping[str, Any]]:
    pins = {text: _pin(text, baseline) for text, baseline in found.items()}
    versions = dict(experiment.versions)
    for baseline in found.values():
        name = parse_version_name(baseline.text)
        if baseline.version is not None and name is not None and name.tag is not None:
            versions[baseline.text] = name_version(baseline.version)
    gates = tuple(
        replace(gate, against=pins.get(gate.against or "", gate.against)) for gate in experiment.gates
    )
    against = asked.get("against")
    asked = {**asked, "against": pins.get(against or "", against)}
    return replace(experiment, gates=gates, versions=versions), asked


def _with_version(
    workspace: Workspace, experiment: Experiment, checked: Experiment, spec: GateSpec, baseline: NamedBaseline
) -> Experiment:
    """The experiment, with the version as one more arm where no recorded runs of it fit.

    Raises:
        UsageError: G966 where it cannot be run with the others.
    """
    names = [arm.name for arm in experiment.arms]
    wanted = str(spec.against).partition("#")[2] or asked_arm(names, experiment.baseline, spec.arm)
    arm = next((item for item in checked.arms if item.name == wanted), None)
    sought = Sought(
        arm=wanted,
        choice=None if arm is None else choice_of_arm(arm),
        flow=load_flow(Path((arm and arm.flow_path) or checked.flow_path)).name,
        data=checked.data_path,
        data_digest=read_dataset(Path(checked.data_path)).digest,
        evaluators={
            # What the baseline will answer is not known yet, so that no recorded scores against it fit.
            item.name: evaluator_id(
                flow_digest(load_flow(Path(item.flow_path or ""))), "" if sees_baseline(item) else None
            )
            for item in checked.evaluators
        },
    )
    try:
        find_runs(workspace, baseline, sought)
    except UsageError as error:
        if baseline.version is None or arm is None or experiment.race is not None:
            place = experiment.place(*spec.pointer, "against") if spec.pointer else None
            raise _placed(error, place) from None
    else:
        return experiment
    try:
        return _add_arm(workspace, experiment, arm, baseline)
    except HeadraceError as error:
        place = experiment.place(*spec.pointer, "against") if spec.pointer else None
        raise type(error)(*(replace(item, span=item.span or place) for item in error.problems)) from None


def _add_arm(workspace: Workspace, experiment: Experiment, arm: Arm, baseline: NamedBaseline) -> Experiment:
    assert baseline.version is not None  # noqa: S101 - branches were refused
    name = f"{arm.name}@{baseline.name}"
    if any(item.name == name for item in experiment.arms):
        return experiment
    path = write_version(workspace, baseline.version)
    offered = load_flow(path).node_variants
    for node, variant in (arm.variant.choices if arm.variant else {}).items():
        known = offered[node].variants if node in offered else {}
        if variant not in known:
            what = (
                f"{baseline.name} has no variant {variant!r} of {node!r}, so it cannot answer as {arm.name}."
            )
            others = [
                item.name
                for item in experiment.arms
                if item.variant and all(choice in known for choice in item.variant.choices.values())
            ]
            fix = "Name a version that has it."
            if others:
                fix = f"Name an arm that it has: --against '{baseline.name}#{others[0]}'."
            raise UsageError(Problem(code="G966", what=what, fix=fix))
    added = replace(arm, name=name, flow_path=str(path), factors={})
    return replace(experiment, arms=(*experiment.arms, added))
