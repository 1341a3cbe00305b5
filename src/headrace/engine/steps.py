"""The step machine: which nodes of a line may run next. Pure; the rules are those of docs/flow-format.md.

A node is decidable once every node that its inputs or its condition mention is completed or bypassed. Then its
condition decides; without one it is bypassed only when it has feeders and all of them were bypassed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.domain.reference import PropertyNotFoundError, Reference, follow_path
from headrace.domain.values import own_copy
from headrace.errors import NodeError, Problem
from headrace.planning.plan import Binding, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class StepGraph:
    """The steps that wait for nothing, and the counts and edges that every line starts from; shared by all lines."""

    first: tuple[Step, ...]
    waiting: Mapping[str, int]
    followers: Mapping[str, tuple[Step, ...]]


def make_step_graph(steps: Sequence[Step]) -> StepGraph:
    """Count what each step waits for among ``steps``; nodes outside of them do not count."""
    names = {step.node.name for step in steps}
    followers: dict[str, list[Step]] = {name: [] for name in names}
    waiting = {}
    for step in steps:
        sources = [name for name in step.waits_for if name in names]
        waiting[step.node.name] = len(sources)
        for name in sources:
            followers[name].append(step)
    return StepGraph(
        first=tuple(step for step in steps if not waiting[step.node.name]),
        waiting=waiting,
        followers={name: tuple(found) for name, found in followers.items()},
    )


class Values:
    """What references resolve to: flow inputs, node outputs, and which nodes were bypassed."""

    __slots__ = ("bypassed", "inputs", "outputs")

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self.inputs = inputs
        self.outputs: dict[str, Any] = {}
        self.bypassed: set[str] = set()

    def is_bypassed(self, reference: Reference) -> bool:
        """Whether the reference leads to a bypassed node."""
        return reference.kind == "node" and reference.name in self.bypassed

    def resolve(self, reference: Reference) -> Any:
        """The value behind a reference; ``None`` for a bypassed node.

        Raises:
            NodeError: R101 for a section other than ``output``, R106 for a property that is not there.
        """
        if reference.kind == "input":
            return self.inputs.get(reference.name)
        if reference.section != "output":
            raise NodeError(
                Problem(
                    code="R101",
                    what=f"{reference.text} reads {reference.section!r}; a node only offers 'output'.",
                    fix=f"Write ${{{reference.name}.output}}.",
                )
            )
        if reference.name in self.bypassed:
            return None
        return self._follow(reference, self.outputs.get(reference.name))

    def resolve_output(self, reference: Reference) -> Any:
        """The value of a flow output or of an aggregation input.

        Other than in node inputs, the section is not looked at, and a property of a bypassed node is an error.

        Raises:
            NodeError: R106 for a property that is not there.
        """
        if reference.kind == "input":
            return self.inputs.get(reference.name)
        return self._follow(reference, self.outputs.get(reference.name))

    def _follow(self, reference: Reference, value: Any) -> Any:
        if not reference.path:
            return value
        try:
            return follow_path(value, reference.path)
        except PropertyNotFoundError as error:
            bypassed = reference.name in self.bypassed
            reason = "was bypassed" if bypassed else f"is of type {type(value).__name__}"
            raise NodeError(
                Problem(
                    code="R106",
                    what=f"{reference.text}: the output of {reference.name!r} {reason} and has no {error.args[0]!r}.",
                    fix=_property_fix(value),
                )
            ) from error


def _property_fix(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return None
    keys = ", ".join(str(key) for key in list(value)[:8])
    return f"The output has these keys: {keys}." if keys else "The output is an empty mapping."


class LineState:
    """Progress of one line (or of the aggregation) through a :class:`StepGraph`."""

    __slots__ = ("graph", "values", "waiting")

    def __init__(self, graph: StepGraph, values: Values) -> None:
        self.graph = graph
        self.values = values
        self.waiting = dict(graph.waiting)

    def start(self) -> tuple[list[Step], list[Step]]:
        """Steps to run first and steps bypassed already.

        Raises:
            NodeError: A condition refers to a property that is not there.
        """
        return self._decide(list(self.graph.first))

    def complete(self, step: Step, output: Any) -> tuple[list[Step], list[Step]]:
        """Take a node's output; returns the steps to run next and the steps that are bypassed now.

        Raises:
            NodeError: A condition refers to a property that is not there.
        """
        name = step.node.name
        self.values.outputs[name] = output
        return self._decide(self._released_by(step)) if self.graph.followers[name] else ([], [])

    def _released_by(self, step: Step) -> list[Step]:
        released = []
        for follower in self.graph.followers[step.node.name]:
            name = follower.node.name
            self.waiting[name] -= 1
            if not self.waiting[name]:
                released.append(follower)
        return released

    def _decide(self, decidable: list[Step]) -> tuple[list[Step], list[Step]]:
        to_run: list[Step] = []
        bypassed: list[Step] = []
        while decidable:
            step = decidable.pop(0)
            if self._is_active(step):
                to_run.append(step)
            else:
                bypassed.append(step)
                self.values.bypassed.add(step.node.name)
                decidable.extend(self._released_by(step))
        return to_run, bypassed

    def _is_active(self, step: Step) -> bool:
        activate = step.node.activate
        if activate is None:
            feeders = step.feeders
            return not feeders or not self.values.bypassed.issuperset(feeders)
        when = activate.when
        if isinstance(when, Reference):
            if self.values.is_bypassed(when):
                return False
            when = self.values.resolve(when)
        return bool(when == activate.equals)


def make_arguments(bindings: Sequence[Binding], values: Values) -> dict[str, Any]:
    """Arguments of a tool call. A bypassed source leaves the argument out where the tool has a default.

    Raises:
        NodeError: As :meth:`Values.resolve`.
    """
    arguments: dict[str, Any] = {}
    for binding in bindings:
        reference = binding.reference
        if reference is None:
            arguments[binding.parameter] = own_copy(binding.literal)  # all lines share it
        elif binding.has_default and values.is_bypassed(reference):
            continue
        else:
            arguments[binding.parameter] = values.resolve(reference)
    return arguments
