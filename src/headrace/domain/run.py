"""Runs and what they record. Status words are prompt flow's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from headrace.domain.span import SpanRecord
from headrace.domain.variant import ModelSpec
from headrace.errors import Problem

COMPLETED = "Completed"
FAILED = "Failed"
BYPASSED = "Bypassed"
CANCELED = "Canceled"
RUNNING = "Running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and cost of some model calls; ``cost_usd`` is ``None`` when a price is not known."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def knows_tokens(self) -> bool:
        """Whether the tokens are known: a service that does not say has calls and no tokens."""
        return not self.calls or self.total_tokens > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """The most that may be spent; ``None`` means no limit.

    Attributes:
        cost_usd: US dollars.
        tokens: Prompt and completion tokens together.
    """

    cost_usd: float | None = None
    tokens: int | None = None


def lower_cap(first: Cap | None, second: Cap | None) -> Cap | None:
    """What may be spent where both must be kept; ``None`` where there is neither."""
    if first is None or second is None:
        return first or second

    def lower(one: float | None, other: float | None) -> float | None:
        return min((value for value in (one, other) if value is not None), default=None)

    tokens = lower(first.tokens, second.tokens)
    return Cap(
        cost_usd=lower(first.cost_usd, second.cost_usd), tokens=None if tokens is None else int(tokens)
    )


def sum_usage(usages: Iterable[Usage]) -> Usage:
    """Total of some usages; the cost is unknown as soon as one call's cost is unknown."""
    called = [usage for usage in usages if usage.calls]
    if not called:
        return Usage()
    costs = [usage.cost_usd for usage in called]
    return Usage(
        calls=sum(usage.calls for usage in called),
        prompt_tokens=sum(usage.prompt_tokens for usage in called),
        completion_tokens=sum(usage.completion_tokens for usage in called),
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeResult:
    """What one node did for one line.

    Attributes:
        status: Completed, Failed, Bypassed or Canceled.
        inputs: Arguments the tool received, as plain data; ``None`` unless they are recorded.
        output: Output as plain data (``repr`` text where it is not plain); ``None`` unless completed.
        start_ns, end_ns: Nanoseconds since the Unix epoch; 0 for a node that never started.
        logs: What the tool printed: ``{"stdout": …, "stderr": …}``; empty when it printed nothing.
        cached_from: The run whose result was used in place of a call; ``None`` when the tool was called.
        saved, saved_ns: What that call had taken, in tokens and in nanoseconds.
        parts: A short digest of everything that its result depends on, by part; empty where results are not kept.
    """

    node: str
    status: str
    inputs: Mapping[str, Any] | None = None
    output: Any = None
    problem: Problem | None = None
    usage: Usage = Usage()
    start_ns: int = 0
    end_ns: int = 0
    logs: Mapping[str, str] = field(default_factory=dict)
    cached_from: str | None = None
    saved: Usage = Usage()
    saved_ns: int = 0
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def duration_ms(self) -> float:
        """Wall time in milliseconds."""
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResult:
    """What a flow did for one line. Recorded once; success or problem, never neither.

    Attributes:
        line_number: Counts from 0.
        status: Completed, Failed or Canceled.
        inputs: Flow inputs after mapping, defaults and conversion, as plain data.
        outputs: Flow outputs as plain data; empty unless completed.
        nodes: In order of completion; of a line of a DAG flow of which nothing is kept, only those that did not
            complete.
        trace_id: 32 hexadecimal digits; the spans carry the same.
    """

    line_number: int
    status: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    problem: Problem | None = None
    nodes: tuple[NodeResult, ...] = ()
    usage: Usage = Usage()
    start_ns: int = 0
    end_ns: int = 0
    trace_id: str = ""
    spans: tuple[SpanRecord, ...] = ()

    @property
    def duration_ms(self) -> float:
        """Wall time in milliseconds."""
        return (self.end_ns - self.start_ns) / 1e6

    @property
    def whole_usage(self) -> Usage:
        """What the line takes when every node is called: its own usage and what used results had taken."""
        return sum_usage((self.usage, *(node.saved for node in self.nodes)))

    @property
    def whole_duration_ms(self) -> float:
        """Wall time in milliseconds when every node is called, as if they ran one after the other."""
        spared = sum(
            node.saved_ns - (node.end_ns - node.start_ns)
            for node in self.nodes
            if node.cached_from is not None
        )
        return self.duration_ms + spared / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOutcome:
    """What came out of a line, without what went in and what its nodes did.

    Attributes:
        status: Completed, Failed or Canceled.
        outputs: As in the line's result.
        whole_usage: What the line takes when every node is called.
    """

    line_number: int
    status: str
    outputs: Mapping[str, Any]
    problem: Problem | None
    whole_usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What was asked for when a run was created.

    Attributes:
        name: Unique in the store.
        flow_path: Absolute path of the flow's folder or file, as the user chose it.
        flow_name: Name of the flow.
        flow_digest: The id of the flow's version: SHA-256 over all of it that can change an answer, hexadecimal.
        flow_version: Its number within the flow; ``None`` for a run that keeps none, or one of an older headrace.
        data_path, data_digest: The data, its path absolute; ``None`` when the lines come from another run only.
        data_version: The number of its version; ``None`` likewise.
        column_mapping: Input name to mapping text or literal, as given.
        source_run: The run that this run evaluates (``--run``).
        resume_from: The run whose finished lines this run took over (``--resume-from``).
        variant: ``${node.variant}`` texts, joined by commas; ``None`` for the file's defaults.
        arm: Name of the arm; ``None`` outside an experiment and without ``--model``.
        model: ``connection/model`` of the llm nodes as they ran, joined by a comma and a blank.
        chosen_model: The model that every llm node was pointed at, whole; ``None`` for the models of the flow file.
        connections: Single fields of nodes that were set for this run: ``node.field`` to value.
        init: What the constructor of a flex flow's class was given.
        experiment: Id that groups the runs of one comparison.
        judgement: How the experiment judges its arms, as plain data: name, baseline, metrics, alpha, seed; the same in
            every run of the experiment, so that they can be compared again.
        repeat: Which repetition of the arm this is, from 0.
        properties: What else the person who made the run wanted to keep with it.
        environment_names: Which variables the run was given; their values may be secret and are not kept.
        sources: Node to digests of what its tool is made of: files and templates by their names, versions of packages.
            Nodes whose results the run neither keeps nor takes are not among them.
        is_served: Whether its lines are requests that a server has answered: nobody asked for them line by line, and
            nobody can go on with them.
    """

    name: str
    flow_path: str
    flow_name: str
    flow_digest: str
    data_path: str | None = None
    data_digest: str | None = None
    column_mapping: Mapping[str, Any] = field(default_factory=dict)
    source_run: str | None = None
    resume_from: str | None = None
    variant: str | None = None
    arm: str | None = None
    model: str | None = None
    chosen_model: ModelSpec | None = None
    connections: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    experiment: str | None = None
    judgement: Mapping[str, Any] = field(default_factory=dict)
    repeat: int = 0
    display_name: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    environment_names: tuple[str, ...] = ()
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    flow_version: int | None = None
    data_version: int | None = None
    is_served: bool = False

    @property
    def version_name(self) -> str | None:
        """``ask_docs@7``; ``None`` where the run keeps no version."""
        return None if self.flow_version is None else f"{self.flow_name}@{self.flow_version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run and its life. Times are UTC-aware.

    Attributes:
        status: Running, Completed, Failed or Canceled.
        metrics: What aggregation nodes logged.
        aggregation: Results of the aggregation nodes.
        problem: Why the run as a whole failed, or the aggregation.
        n_lines: Lines that the run was asked to do; of a run of served requests those that are recorded so far.
        n_completed, n_failed: Lines recorded so far.
        usage: Sum over the recorded lines.
        is_archived: Whether lists leave it out.
        owner: Who works on it, or was the last to; ``None`` for a run of which nothing of the kind is known.
        heartbeat_at: When its owner last said so.
    """

    spec: RunSpec
    status: str
    created_at: datetime
    n_lines: int
    n_completed: int = 0
    n_failed: int = 0
    finished_at: datetime | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    aggregation: tuple[NodeResult, ...] = ()
    problem: Problem | None = None
    usage: Usage = Usage()
    is_archived: bool = False
    owner: str | None = None
    heartbeat_at: datetime | None = None
