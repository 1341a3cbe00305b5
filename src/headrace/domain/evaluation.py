"""Experiments: which arms of which flow run over which data, and how they are judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.domain.cache import CacheChoice
from headrace.domain.comparison import Family
from headrace.domain.gate import GateSpec
from headrace.domain.race import RaceSpec
from headrace.domain.run import Cap
from headrace.domain.scores import Direction, MetricSpec
from headrace.domain.variant import Arm, Design, Factor, Level, ModelSpec
from headrace.domain.version import NamedVersion
from headrace.source import Pointer, SourceMap, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorSpec:
    """What judges the answers, and how its inputs are fed; exactly one of flow, built-in and Python.

    Attributes:
        name: Unique within the experiment; also of the score, where the evaluator gives one only.
        column_mapping: Input name to mapping text (``${data.x}``, ``${run.outputs.y}`` or a literal); inputs that are
            not named are found where that is clear.
        flow_path: Folder or file of an evaluation flow; of another evaluator the flow that it is run as, once that is
            written.
        builtin: Name of a built-in evaluator or grader.
        python: ``file.py:name`` or ``module:name`` of a function, a class with ``__call__``, or an object.
        folder: Where the path of ``python`` begins and its modules are imported from.
        parameters: Options of the built-in, or what the constructor of the class is called with.
        models: The judges of a grader, each of which grades every answer.
        repeats: How often each judge grades each answer.
        pointer: Where the evaluator stands in the experiment file.
    """

    name: str
    column_mapping: Mapping[str, str] = field(default_factory=dict)
    flow_path: str | None = None
    builtin: str | None = None
    python: str | None = None
    folder: str = "."
    parameters: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[ModelSpec, ...] = ()
    repeats: int = 1
    pointer: Pointer = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """A score that must not get worse for an arm to be shipped.

    Attributes:
        metric: Name of the score.
        margin: Largest loss against the baseline that does not matter, in the unit of the score, above zero.
        pointer: Where the guardrail stands in the experiment file.
    """

    metric: str
    margin: float
    direction: Direction = "higher"
    pointer: Pointer = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What ``headrace compare`` runs.

    Attributes:
        name: Title of the comparison.
        file: The experiment file, ``None`` when it was given by arguments.
        environment: Name of the overlay that was laid over the file; ``None`` without one.
        source_map: Where each value of that file stands.
        flow_path, data_path: As resolved against the experiment file; the data with which of its lines are read.
        arms: At least two.
        baseline: Name of the arm that the others are compared with.
        metrics: The first is the primary one: only it decides. A name is an output of an evaluation flow, written
            ``evaluator.output`` where two evaluators share an output name.
        line_id: Column that identifies a line; ``None`` means the line number.
        cache: Whether results of nodes are used again, by all arms and by later runs; they are where it does not say.
        repeats: How often every arm answers every line.
        seed: For resampling; recorded with the result.
        cluster: Column of lines that belong together and so are not independent; ``None`` where each stands for itself.
        slices: Columns by whose values the results are broken down.
        family: Which comparisons are adjusted together.
        race: How the arms race; ``None`` where every arm answers every line.
        guardrails: What an arm must not be worse in, by more than a margin, to be shipped.
        budget: The most that all arms and evaluations together may spend; ``None`` for no limit.
        gates: What an arm must show before it is let through.
        undirected: Metrics and guardrails that say no direction, which have that of their evaluator.
        listed: What the file says under ``variants`` and ``models``, also where one of them is all there is.
        factors: What the arms are made of, where the file says it by factors.
        design: Which combinations of them are arms; ``None`` without factors.
        versions: Names of versions that it uses, such as ``ask_docs@prod``, to what they stood for when it was read.
    """

    name: str
    flow_path: str
    data_path: str
    column_mapping: Mapping[str, str]
    arms: tuple[Arm, ...]
    baseline: str
    evaluators: tuple[EvaluatorSpec, ...]
    metrics: tuple[MetricSpec, ...]
    file: str | None = None
    source_map: SourceMap | None = None
    environment: str | None = None
    cache: CacheChoice = field(default_factory=CacheChoice)
    repeats: int = 1
    seed: int = 0
    alpha: float = 0.05
    line_id: str | None = None
    cluster: str | None = None
    slices: tuple[str, ...] = ()
    family: Family = "baseline"
    race: RaceSpec | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    guardrails: tuple[Guardrail, ...] = ()
    budget: Cap | None = None
    gates: tuple[GateSpec, ...] = ()
    undirected: frozenset[str] = frozenset()
    listed: tuple[Factor, ...] = ()
    factors: tuple[Factor, ...] = ()
    design: Design | None = None
    versions: Mapping[str, NamedVersion] = field(default_factory=dict)

    def place(self, *pointer: str | int) -> Span | None:
        """Where a value of the experiment file stands; ``None`` when there is no file."""
        return None if self.source_map is None else self.source_map.span(pointer)

    def flow_level(self, arm: Arm) -> Level | None:
        """The level of the factor ``flow`` that an arm has; ``None`` where flows do not compete."""
        levels = (level for factor in self.factors if factor.kind == "flow" for level in factor.levels)
        return next((level for level in levels if arm.factors.get("flow") == level.name), None)
