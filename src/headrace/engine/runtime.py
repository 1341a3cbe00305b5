"""What the engine needs to run one flow under one arm."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.domain.connection import Connection
from headrace.domain.flow import DAG
from headrace.domain.reference import Reference
from headrace.domain.span import NO_SCOPE, SpanRecord, TraceScope
from headrace.domain.variant import Price
from headrace.engine.steps import StepGraph, make_step_graph
from headrace.engine.threads import ToolThreads
from headrace.formats.multimedia import TYPES_WITH_IMAGES, ImageReader
from headrace.planning.plan import Plan
from headrace.providers.base import ModelClient
from headrace.telemetry.attributes import ARM, FLOW, FLOW_KIND
from headrace.tools.base import Tool

if TYPE_CHECKING:  # only runs that use the cache need it
    from headrace.engine.cache import NodeCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Time limits in seconds; those of the batch and of a node are ``None`` when only the line's counts."""

    line_timeout_s: float
    batch_timeout_s: float | None = None
    node_timeout_s: float | None = None


@dataclass(slots=True, kw_only=True)
class PreparedFlow:
    """A plan with its tools loaded, ready for any number of lines within one event loop.

    Attributes:
        folder: Where the flow's files are while it runs; a copy when the flow has additional includes.
        open_client: Connection, or its name, to the run's client for it.
        secrets: Values that connections gave out so far, to be kept out of records.
        span_sink: Receives every finished span besides the line's own record of it; ``None`` when nobody wants them.
        keeps_nodes: Whether the record of a line says what its nodes were given and gave, and holds its spans. A server
            answers and forgets, and should not pay for that.
        attributes: Attributes of every flow span, e.g. run and arm.
        scope: What every trace of the flow begins with.
        aggregated: References of aggregation nodes to flow inputs and ordinary nodes: what a line must keep.
        streamed_nodes: Nodes that only flow outputs read, so that their answer may be streamed.
        images: Reads the images among the inputs of a line.
        takes_images: Whether a value of an input may have to be read as an image.
        aggregation_nodes: Names of the nodes that run after all lines.
        cache: Uses results of nodes again; ``None`` calls every tool every time.
        is_interruptible: Whether ``KeyboardInterrupt`` is a person's wish and ends everything. Where signals are taken
            otherwise only a tool raises it, and it fails the line like any other exception.
    """

    plan: Plan
    tools: Mapping[str, Tool]
    folder: Path
    open_client: Callable[[str | Connection], ModelClient]
    threads: ToolThreads
    limits: Limits
    price: Price | None
    secrets: Callable[[], Collection[str]]
    span_sink: Callable[[SpanRecord], None] | None
    keeps_nodes: bool
    attributes: Mapping[str, Any]
    scope: TraceScope
    graph: StepGraph
    aggregation: StepGraph
    aggregated: tuple[Reference, ...]
    streamed_nodes: frozenset[str]
    images: ImageReader
    takes_images: bool
    aggregation_nodes: frozenset[str]
    cache: NodeCache | None = None
    is_interruptible: bool = True


def prepare(
    plan: Plan,
    *,
    tools: Mapping[str, Tool],
    folder: Path,
    open_client: Callable[[str | Connection], ModelClient],
    threads: ToolThreads,
    limits: Limits,
    price: Price | None = None,
    secrets: Callable[[], Collection[str]] = tuple,
    span_sink: Callable[[SpanRecord], None] | None = None,
    keeps_nodes: bool = True,
    attributes: Mapping[str, Any] | None = None,
    scope: TraceScope = NO_SCOPE,
    images: ImageReader | None = None,
) -> PreparedFlow:
    """Bundle a plan with what it runs on and work out, once, what every line needs to know.

    Without ``images``, images are read from the flow's folder, and from no address.
    """
    return PreparedFlow(
        plan=plan,
        tools=tools,
        folder=folder,
        open_client=open_client,
        threads=threads,
        limits=limits,
        price=price,
        secrets=secrets,
        span_sink=span_sink,
        keeps_nodes=keeps_nodes,
        attributes=attributes or {},
        scope=_named(scope, plan, attributes or {}),
        graph=make_step_graph(plan.steps),
        aggregation=make_step_graph(plan.aggregation),
        aggregated=aggregated_references(plan),
        streamed_nodes=_streamed_nodes(plan),
        takes_images=any(item.type in TYPES_WITH_IMAGES for item in plan.flow.inputs.values()),
        images=images or ImageReader(message_format=plan.flow.message_format, folders=(folder,)),
        aggregation_nodes=frozenset(step.node.name for step in plan.aggregation),
    )


def aggregated_references(plan: Plan) -> tuple[Reference, ...]:
    """What aggregation nodes read of every line: its flow inputs and ordinary nodes."""
    inside = {step.node.name for step in plan.aggregation}
    found: dict[str, Reference] = {}
    for step in plan.aggregation:
        asked = [binding.reference for binding in step.bindings]
        if step.node.activate is not None and isinstance(step.node.activate.when, Reference):
            asked.append(step.node.activate.when)
        for reference in asked:
            if reference is not None and not (reference.kind == "node" and reference.name in inside):
                found[reference.text] = reference
    return tuple(found.values())


def _named(scope: TraceScope, plan: Plan, attributes: Mapping[str, Any]) -> TraceScope:
    """A scope whose metrics are told apart by flow and arm."""
    common = {FLOW: plan.flow.name, FLOW_KIND: plan.flow.kind, ARM: attributes.get(ARM)}
    return replace(scope, common={name: value for name, value in common.items() if value is not None})


def _streamed_nodes(plan: Plan) -> frozenset[str]:
    if plan.flow.kind != DAG:
        return frozenset(step.node.name for step in plan.steps)
    read = {name for step in (*plan.steps, *plan.aggregation) for name in step.waits_for}
    shown = {
        output.value.name
        for output in plan.flow.outputs.values()
        if isinstance(output.value, Reference) and output.value.kind == "node" and not output.value.path
    }
    return frozenset(shown - read)
