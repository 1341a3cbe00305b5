"""What a report of a comparison says beside the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from headrace.domain.race import RaceResult
from headrace.domain.scores import Score


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleOutput:
    """What one arm answered to one line; of several repeats the first.

    Attributes:
        text: The answer; a long one is cut.
        scores: By metric name, in the order of the comparison.
        error: Code, name and sentence of the problem that ended the line, ``None`` where it went well.
        run: Name of the run that holds the whole answer; empty where it is not known.
    """

    arm: str
    text: str
    scores: Mapping[str, Score] = field(default_factory=dict)
    error: str | None = None
    run: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleLine:
    """One line shown in a report, with the answers of the arms.

    Attributes:
        line_number: Its number in the data, from 0; ``None`` where it is not known.
    """

    line_id: str
    inputs: str
    reference: str | None
    outputs: tuple[SampleOutput, ...]
    line_number: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LineMatrix:
    """Every line of every arm, aligned: the same place in each tuple is the same line.

    Attributes:
        line_ids: In the order of the data.
        line_numbers: Numbers of the lines in the data, from 0.
        scores: Metric to arm to the mean over repeats; ``None`` where there is no usable score.
        failed: Arm to the places of lines that failed in any repeat.
        unscored: Arm to the places of lines of which an evaluation failed.
        disputed: Metric to the places of lines about which its judges disagree.
        slices: Column to the value of each line.
        starts: How the inputs of each line begin, on one line.
    """

    line_ids: tuple[str, ...]
    line_numbers: tuple[int, ...]
    scores: Mapping[str, Mapping[str, tuple[float | None, ...]]]
    failed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    unscored: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    disputed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    slices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    starts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphNode:
    """One node of the flow.

    Attributes:
        kind: Type of its tool: llm, prompt, python and so on.
        after: Nodes whose outputs it takes, in alphabetical order.
        is_aggregation: It sees all lines at once.
    """

    name: str
    kind: str
    after: tuple[str, ...] = ()
    is_aggregation: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeUse:
    """What one node took in one arm, over all lines and repeats.

    Attributes:
        n: Executions, results from the cache included, bypassed ones not.
        n_cached: Executions whose result came from the cache.
        n_failed: Executions that failed.
        n_bypassed: Lines on which the node was not needed.
        mean_ms: Mean wall time as if every node were called; ``None`` without executions.
        tokens: Prompt and completion tokens together, as if every node were called.
        cost_usd: Likewise; ``None`` where a price is not known.
    """

    node: str
    arm: str
    n: int
    n_cached: int
    n_failed: int
    n_bypassed: int
    mean_ms: float | None
    tokens: int
    cost_usd: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowGraph:
    """The flow of the arms and what each node took.

    Attributes:
        nodes: In the order of the file; nodes that only the recorded lines know come last.
        uses: One per node and arm that executed it.
    """

    nodes: tuple[GraphNode, ...]
    uses: tuple[NodeUse, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """A run that the numbers come from.

    Attributes:
        arm: The arm that it ran or judged.
        evaluator: Name of the evaluator, ``None`` for a run of the arm itself.
        repeat: Counts from 0.
        model: ``connection/model`` as recorded; ``None`` where no model was asked.
        flow_digest: The id of the flow's version, hexadecimal.
        data_digest: SHA-256 of the data file; ``None`` where the lines come from another run.
        flow_version: ``ask_docs@7``; ``None`` where the run keeps no version.
        data_version: The number of the data's version; ``None`` likewise.
    """

    run: str
    arm: str
    evaluator: str | None
    repeat: int
    flow: str
    flow_digest: str
    data_digest: str | None
    variant: str | None
    model: str | None
    created_at: datetime
    flow_version: str | None = None
    data_version: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportContext:
    """What a report says beside the numbers.

    Attributes:
        created_at: Aware, in UTC.
        commands: Commands that make the comparison again, in order.
        model_note: What the reader must know about the models, e.g. that none was a neural one.
        sample_lines: Lines worth reading, most telling first.
        metric_notes: One paragraph per metric name: what it measures.
        matrix: Every line of every arm; ``None`` where it is not known.
        graph: The flow and what its nodes took; ``None`` where it is not known.
        runs: Where the numbers come from, arms before their evaluations.
        versions: Name of a program to its version, such as "headrace" to "0.1.0".
        race: How the arms raced; ``None`` where every arm answered every line.
    """

    title: str
    flow: str
    dataset: str
    created_at: datetime
    commands: tuple[str, ...] = ()
    model_note: str = ""
    sample_lines: tuple[SampleLine, ...] = ()
    metric_notes: Mapping[str, str] = field(default_factory=dict)
    matrix: LineMatrix | None = None
    graph: FlowGraph | None = None
    runs: tuple[RunFacts, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    race: RaceResult | None = None
