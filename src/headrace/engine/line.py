"""One line through a flow: nodes as soon as they may run, independent ones at the same time, everything recorded.

May catch everything: whatever a tool raises becomes a recorded Problem. Cancellation always passes through.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from headrace.domain.flow import DAG
from headrace.domain.reference import Reference
from headrace.domain.run import (
    BYPASSED,
    CANCELED,
    COMPLETED,
    FAILED,
    LineResult,
    NodeResult,
    Usage,
    sum_usage,
)
from headrace.domain.span import SpanRecord
from headrace.domain.variant import Price
from headrace.engine.images import read_images
from headrace.engine.invoke import invoke
from headrace.engine.line_failures import (
    OutputPlace,
    error_type,
    first_failure,
    line_timeout,
    must_pass,
    tool_failure,
    value_failure,
)
from headrace.engine.masking import mask_line
from headrace.engine.outputs import RESULT, has_names, name_result
from headrace.engine.plain import recorded_inputs, to_piece, to_plain, to_record
from headrace.engine.runtime import PreparedFlow
from headrace.engine.span_content import both_sinks, end_line, take_node
from headrace.engine.steps import LineState, StepGraph, Values, make_arguments
from headrace.engine.streams import collect, is_stream
from headrace.engine.time_limit import TimeLimit
from headrace.errors import HeadraceError, Problem, at_place
from headrace.planning.plan import Step
from headrace.source import Span
from headrace.telemetry.attributes import CACHED_FROM, ERROR_TYPE, RUN, flow_attributes, node_attributes
from headrace.telemetry.spans import ActiveSpan, begin_trace
from headrace.tools.base import INLINE, NodeContext

if TYPE_CHECKING:
    from headrace.domain.cache import CachedResult
    from headrace.engine.cache import NodeCache

NO_ATTRIBUTES: Mapping[str, Any] = MappingProxyType({})

OnPiece = Callable[[str, Any], None]
"""Hears ``(output name, piece)`` while a flow output streams: text, or plain data where a generator gives that."""

OnOutputs = Callable[[Mapping[str, Any], tuple[str, ...]], None]
"""Hears the outputs that do not stream and the names of those that do, before their first piece."""


@dataclass(slots=True)
class _Attempt:
    """One call of one node: what it was given, as recorded too, and what came of it; ``taken`` is used in its place."""

    context: NodeContext
    arguments: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    output: Any = None
    status: str = CANCELED
    problem: Problem | None = None
    parts: Mapping[str, str] | None = None
    taken: CachedResult | None = None


class NodeRunner:
    """Runs the steps of one graph over one set of values and keeps what each node did.

    Attributes:
        results: One per node that came to an end, in order of completion; where nodes are not kept, only of those that
            did not complete.
    """

    __slots__ = ("_contexts", "_flow", "_is_streaming", "_is_traced", "_keeps_results", "_line_number", "_loop",
                 "_metrics", "_run", "_span", "_state", "_streams", "_values", "results")  # fmt: skip

    def __init__(
        self,
        flow: PreparedFlow,
        graph: StepGraph,
        values: Values,
        span: ActiveSpan,
        *,
        line_number: int | None,
        is_streaming: bool = False,
        metrics: dict[str, Any] | None = None,
    ) -> None:
        self.results: list[NodeResult] = []
        self._flow = flow
        self._state = LineState(graph, values)
        self._values = values
        self._span = span
        self._line_number = line_number
        self._is_streaming = is_streaming
        self._metrics = metrics if metrics is not None else {}
        self._streams: set[str] = set()
        self._contexts: list[NodeContext] = []
        self._loop = asyncio.get_running_loop()
        self._run = flow.attributes.get(RUN)
        # What a flow of one node answers is read from its node; see bare_result.
        self._keeps_results = flow.keeps_nodes or flow.plan.flow.kind != DAG
        self._is_traced = flow.keeps_nodes or span.is_heard

    @property
    def usage(self) -> Usage:
        """What all model calls of the nodes took so far."""
        return sum_usage([context.usage for context in self._contexts])

    async def run(self) -> None:
        """Run every step that is to run.

        Raises:
            HeadraceError: The first node failure; what was still running is cancelled.
        """
        try:
            ready = self._note_bypassed(*self._state.start())
            while len(ready) == 1:
                ready = await self._run_step(ready[0])
            if ready:
                await self._run_branches(ready)
        except HeadraceError:
            raise
        except Exception as error:
            raise value_failure(self._flow, error) from error

    async def _run_branches(self, ready: list[Step]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for step in ready:
                    group.create_task(self._run_branch(group, step))
        except BaseExceptionGroup as failures:
            raise first_failure(failures) from None

    async def _run_branch(self, group: asyncio.TaskGroup, step: Step) -> None:
        ready = [step]
        while ready:
            for other in ready[1:]:
                group.create_task(self._run_branch(group, other))
            ready = await self._run_step(ready[0])

    async def _run_step(self, step: Step) -> list[Step]:
        node, span = step.node, self._span
        if self._is_traced:
            attributes = node_attributes(node.name, node.type, node.is_aggregation)
            span = span.child(node.name, attributes=attributes)
        context = NodeContext(
            node=node.name,
            line_number=self._line_number,
            span=span,
            open_client=self._flow.open_client,
            loop=self._loop,
            flow_kind=self._flow.plan.flow.kind,
            run=self._run,
            price=self._flow.price,
            inputs_to_escape=step.inputs_to_escape,
            is_streaming=self._is_streaming and node.name in self._flow.streamed_nodes,
            metrics=self._metrics if self._flow.cache is None or node.is_aggregation else {},
        )
        attempt = _Attempt(context)
        try:
            arguments = attempt.arguments = make_arguments(step.bindings, self._values)
            if self._flow.keeps_nodes or span.scope.has_content:  # before the tool can change them
                form = self._flow.images.message_format
                attempt.inputs = {name: to_record(value, form) for name, value in arguments.items()}
            tool, cache = self._flow.tools[node.name], self._flow.cache
            if cache is not None:
                attempt.output = await self._find_or_call(attempt, cache)
            elif tool.mode == INLINE:
                attempt.output = tool.call(attempt.arguments, context)
            else:
                attempt.output = await self._call(attempt)
            attempt.status = COMPLETED
        except BaseException as error:
            if must_pass(self._flow, error):
                raise
            # In a variable here, what is raised would hold on to itself.
            raise self._failed(attempt, step, error) from error
        finally:
            if self._is_traced:
                take_node(span, attempt.inputs, attempt.output, self._flow.images.message_format)
                span.end()
            self._note(attempt)
        try:
            return self._note_bypassed(*self._state.complete(step, attempt.output))
        except HeadraceError as error:  # a condition of a following node
            raise at_place(error, self._flow.plan.flow.source_map.span(("nodes",))) from error

    def _call(self, attempt: _Attempt) -> Awaitable[Any]:
        """Call the tool, where that takes waiting; gives its output."""
        flow, context = self._flow, attempt.context
        return invoke(
            flow.tools[context.node],
            attempt.arguments,
            context,
            threads=flow.threads,
            timeout_s=flow.limits.node_timeout_s,
        )

    async def _call_any(self, attempt: _Attempt) -> Any:
        """Call the tool, whatever its mode; gives its output."""
        tool = self._flow.tools[attempt.context.node]
        if tool.mode == INLINE:
            return tool.call(attempt.arguments, attempt.context)
        return await self._call(attempt)

    async def _find_or_call(self, attempt: _Attempt, cache: NodeCache) -> Any:
        """Use a kept result, or call the tool; returns the output."""
        context = attempt.context
        fingerprint = cache.fingerprint(attempt.arguments, context)
        if fingerprint is None:
            return await self._call_any(attempt)
        attempt.parts = fingerprint.parts

        async def make() -> Any:
            output = await self._call_any(attempt)
            now = cache.fingerprint(attempt.arguments, context)
            if now is None or now.key != fingerprint.key:
                context.has_effects = True  # it has changed its arguments, which later nodes see as well
            return output

        answer = await cache.call(fingerprint.key, context, make)
        attempt.taken = answer.taken
        if answer.taken is not None:
            context.span.attributes[CACHED_FROM] = answer.taken.run
        return answer.output

    def finish_streams(self, texts: Mapping[str, str]) -> None:
        """Complete the results of nodes that gave generators, now that these are collected.

        Args:
            texts: Node name to the joined text, where the whole output was a generator.
        """
        if not self.results:
            return
        usages = {context.node: context.usage for context in self._contexts}
        for index, result in enumerate(self.results):
            usage = usages.get(result.node, result.usage)  # a node that was bypassed has none
            if result.node in self._streams:
                self.results[index] = replace(result, output=texts.get(result.node), usage=usage)
            elif usage is not result.usage:  # a generator inside its output has asked a model
                self.results[index] = replace(result, usage=usage)

    def _failed(self, attempt: _Attempt, step: Step, error: BaseException) -> HeadraceError:
        """Note that an attempt has failed; what to raise for that."""
        place = self._flow.plan.flow.source_map.span(step.node.pointer)
        failure: HeadraceError
        if isinstance(error, HeadraceError):
            failure = at_place(error, place, step.node.pointer)
        else:
            failure = tool_failure(self._flow, error, step.node.name, place)
        attempt.status = FAILED
        problem = attempt.problem = failure.problems[0]
        if self._is_traced:
            attempt.context.span.fail(error_type(error), f"{problem.code} {problem.name}")
        return failure

    def _note(self, attempt: _Attempt) -> None:
        context, taken = attempt.context, attempt.taken
        self._contexts.append(context)
        is_streamed = is_stream(attempt.output)
        if is_streamed:
            self._streams.add(context.node)
        if not self._keeps_results and attempt.status == COMPLETED:
            return
        result = NodeResult(
            node=context.node,
            status=attempt.status,
            inputs=attempt.inputs if self._flow.keeps_nodes else {},
            output=None if is_streamed else to_record(attempt.output, self._flow.images.message_format),
            problem=attempt.problem,
            usage=context.usage,
            start_ns=context.span.start_ns,
            # A node that nobody hears of has no span of its own, and that of the line goes on.
            end_ns=context.span.end_ns or time.time_ns(),
            logs=context.logs,
        )
        if attempt.parts is not None:
            result = replace(result, parts=attempt.parts)
        if taken is not None:
            saved = _priced(taken.usage, context.price)
            result = replace(result, cached_from=taken.run, saved=saved, saved_ns=taken.duration_ns)
        self.results.append(result)

    def _note_bypassed(self, ready: list[Step], bypassed: list[Step]) -> list[Step]:
        if bypassed and self._keeps_results:
            self.results.extend(NodeResult(node=step.node.name, status=BYPASSED) for step in bypassed)
        return ready


def _priced(usage: Usage, price: Price | None) -> Usage:
    """What a result that was used again would have cost now."""
    if price is None:
        return usage
    return replace(usage, cost_usd=price.cost_usd(usage.prompt_tokens, usage.completion_tokens))


async def run_line(
    flow: PreparedFlow,
    inputs: Mapping[str, Any],
    *,
    line_number: int,
    on_piece: OnPiece | None = None,
    kept: dict[str, Any] | None = None,
    parent: ActiveSpan | None = None,
    on_outputs: OnOutputs | None = None,
    place: Span | None = None,
    attributes: Mapping[str, Any] = NO_ATTRIBUTES,
) -> LineResult:
    """Run one line and say what happened; a failure is a result, not an exception.

    Args:
        flow: The prepared flow.
        inputs: Flow inputs after mapping, defaults and conversion; images among them are read here.
        line_number: Counts from 0.
        on_piece: Wants model answers, and what generators give, piece by piece.
        kept: Filled with the values that aggregation nodes will ask for, by reference text.
        parent: The span of the node that calls this flow, which then keeps all spans of the line.
        on_outputs: Wants the outputs that do not stream, and the names of the others, before those stream.
        place: Where the inputs stand, e.g. a line of a data file.
        attributes: What the span of the flow says of this line besides.
    """
    texts: dict[str, str] = {}
    span, spans = _open_span(flow, line_number, attributes, parent)
    recorded = recorded_inputs(inputs, flow.images.message_format)  # before a tool can change them
    values, is_streaming = Values(inputs), on_piece is not None
    runner = NodeRunner(flow, flow.graph, values, span, line_number=line_number, is_streaming=is_streaming)
    problem: Problem | None = None
    try:
        with (limit := TimeLimit(flow.limits.line_timeout_s)):
            if flow.takes_images and flow.images.unread_inputs(flow.plan.flow, inputs):
                inputs = values.inputs = await read_images(flow, inputs, place)
                recorded = recorded_inputs(inputs, flow.images.message_format)
            await runner.run()
            outputs = await _make_outputs(flow, values, texts, on_piece, on_outputs)
            if kept is not None:
                kept.update((item.text, values.resolve_output(item)) for item in flow.aggregated)
    except BaseException as error:
        problem, outputs = _failed_line(flow, runner, span, error, is_cut=limit.expired()), {}
        if problem is None:
            raise
    end_line(span, flow, inputs, recorded, outputs)
    runner.finish_streams(texts)
    result = LineResult(
        line_number=line_number,
        status=COMPLETED if problem is None else FAILED,
        inputs=recorded,
        outputs=outputs,
        problem=problem,
        nodes=tuple(runner.results),
        usage=runner.usage,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        trace_id=span.trace_id,
        spans=tuple(spans),
    )
    return mask_line(result, flow.secrets(), flow.plan.flow)


def _open_span(
    flow: PreparedFlow,
    line_number: int,
    more: Mapping[str, Any],
    parent: ActiveSpan | None,
) -> tuple[ActiveSpan, list[SpanRecord]]:
    """The span of a line, and where its record and those below it are kept with the line, if they are."""
    spans: list[SpanRecord] = []
    name = f"invoke_workflow {flow.plan.flow.name}"
    sink = both_sinks(flow, spans) if parent is None else parent.sink
    attributes: Mapping[str, Any] = NO_ATTRIBUTES
    if sink is not None:  # otherwise no record is made that would hold them
        attributes = {**flow_attributes(flow.plan.flow.name, line_number), **flow.attributes, **more}
    if parent is not None:
        return parent.child(name, attributes=attributes), spans
    return begin_trace(name, sink, scope=flow.scope, attributes=attributes), spans


def _failed_line(
    flow: PreparedFlow, runner: NodeRunner, span: ActiveSpan, error: BaseException, *, is_cut: bool
) -> Problem | None:
    """What went wrong with a line: whatever was raised, it is said as a problem, also on the span.

    ``None`` for what ends more than the line, which the caller raises again: here, its traceback would hold on to it.
    A cancelled line has no result, but what has run of it is a whole trace: its span ends here.
    """
    if isinstance(error, asyncio.CancelledError):
        span.attributes[ERROR_TYPE] = "cancelled"
        span.end()
    if not isinstance(error, Exception):
        return None
    if isinstance(error, HeadraceError):
        problem = error.problems[0]
    elif is_cut and isinstance(error, TimeoutError):
        problem = line_timeout(flow, runner.results).problems[0]
    else:
        problem = value_failure(flow, error).problems[0]
    span.fail(problem.name, f"{problem.code} {problem.name}")
    return problem


async def _make_outputs(
    flow: PreparedFlow,
    values: Values,
    texts: dict[str, str],
    on_piece: OnPiece | None,
    on_outputs: OnOutputs | None,
) -> dict[str, Any]:
    if flow.plan.flow.kind != DAG:
        return await _name_result(flow, values, texts, on_piece, on_outputs)
    outputs: dict[str, Any] = {}
    streams: dict[str, Any] = {}
    for name, output in flow.plan.flow.outputs.items():
        source = output.value
        if isinstance(source, Reference) and source.kind == "node" and source.name in flow.aggregation_nodes:
            continue  # an aggregation node has no value for one line; check warns about it
        with OutputPlace(flow, name):
            value = values.resolve_output(source) if isinstance(source, Reference) else source
            if is_stream(value):
                streams[name] = value
            else:
                outputs[name] = to_plain(value, flow.images.message_format)
    if on_outputs is not None:
        on_outputs(dict(outputs), tuple(streams))
    for name, value in streams.items():
        with OutputPlace(flow, name):
            text = outputs[name] = await _collect_output(flow, name, value, on_piece)
        source = flow.plan.flow.outputs[name].value
        if isinstance(source, Reference):
            texts.setdefault(source.name, text)  # a second output finds the generator at its end
    return {name: outputs[name] for name in flow.plan.flow.outputs if name in outputs} if streams else outputs


async def _name_result(
    flow: PreparedFlow,
    values: Values,
    texts: dict[str, str],
    on_piece: OnPiece | None,
    on_outputs: OnOutputs | None,
) -> dict[str, Any]:
    """The outputs of a flow of one node: what its node returned."""
    (step,) = flow.plan.steps
    node = step.node.name
    with OutputPlace(flow, node):
        value = values.resolve_output(Reference(text="", kind="node", name=node))
        named = {str(name): item for name, item in name_result(value).items()}
        outputs = {
            name: to_plain(item, flow.images.message_format)
            for name, item in named.items()
            if not is_stream(item)
        }
        streams = {name: item for name, item in named.items() if name not in outputs}
        if on_outputs is not None:
            on_outputs(dict(outputs), tuple(streams))
        for name, item in streams.items():
            outputs[name] = await _collect_output(flow, node, item, _hear_as(name, on_piece))
        outputs = {name: outputs[name] for name in named}
    if is_stream(value):
        texts[node] = outputs[RESULT]
    # What an aggregation sees of the line: its outputs, or the result itself where it has no names.
    values.outputs[node] = outputs if has_names(value) else outputs[RESULT]
    return outputs


def _hear_as(name: str, on_piece: OnPiece | None) -> OnPiece | None:
    """``on_piece`` for pieces of an output of another name than its node."""
    return None if on_piece is None else lambda _, piece: on_piece(name, piece)


async def _collect_output(flow: PreparedFlow, name: str, value: Any, on_piece: OnPiece | None) -> str:
    form = flow.images.message_format
    hear = None if on_piece is None else lambda item: on_piece(name, to_piece(item, form))
    try:
        return await collect(value, flow.threads, hear)
    except HeadraceError:
        raise
    except BaseException as error:
        if must_pass(flow, error):
            raise
        declared = flow.plan.flow.outputs.get(name)
        source = declared.value if declared else None
        # In a flow of one node, the node itself.
        maker = source.name if isinstance(source, Reference) else name
        node = flow.plan.flow.node(maker)
        place = flow.plan.flow.source_map.span(node.pointer if node else ("outputs", name))
        raise tool_failure(flow, error, maker, place) from error
