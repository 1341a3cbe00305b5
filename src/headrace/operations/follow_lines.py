"""Follow lines through a flow without a call: from one kept result to the next, and past those that are yet to be made.

A result that is not kept is stood in for by a text made of its key. What is made of such a text has a key of its own
again, so equal calls are known for equal before any of them is made: those that arms, repeats and lines share.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as changed
from itertools import count, islice
from typing import Any

from headrace.domain.dataset import SourceLine
from headrace.domain.flow import PROMPTY
from headrace.domain.run import COMPLETED, Usage, sum_usage
from headrace.domain.tool import ToolSpec
from headrace.engine.cache import Answer, Find, NodeCache
from headrace.engine.line import run_line
from headrace.engine.shards import PendingLine
from headrace.operations.cache_nodes import CachedNodes
from headrace.operations.prepare_flow import FlowSession, LoadedFlow
from headrace.operations.run_lines import as_source_line
from headrace.operations.workspace import Workspace
from headrace.tools.base import ASYNC, NodeContext

MOST_LINES = 5_000
"""Lines that are followed; of more it is an even sample."""

_AT_ONCE = 64
"""Lines that are followed at the same time, so that the store is asked for many results at once."""

_UNKNOWN = "\0result "
_numbers = count()
"""Of results that have no key: no two of them are taken for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What need not be asked of a model.

    Attributes:
        kept: What results save that are kept.
        shared: Node to the calls of its that equal calls before it make, of this run or of another one.
        answers: The answers of lines that came to their end, known ones or not; none of a sample.
    """

    kept: Usage = Usage()
    shared: Mapping[str, int] = field(default_factory=dict)
    answers: tuple[SourceLine, ...] = ()


async def follow_lines(
    workspace: Workspace,
    loaded: LoadedFlow,
    lines: Collection[PendingLine],
    cached: CachedNodes,
    expected: set[str],
) -> Followed:
    """Follow every line as far as it can be told which node runs next and with what.

    Args:
        workspace: For the store.
        loaded: The flow.
        lines: Of the run.
        cached: The nodes whose results are kept.
        expected: Keys of results that are made by then, which equal calls share; grows.
    """
    if not cached.fingerprinters or not lines:
        return Followed()
    types = {step.node.name: step.node.type for step in loaded.plan.steps}
    tools = {
        name: tool if types.get(name) == "prompt" else _Uncalled(tool.spec)
        for name, tool in loaded.tools.items()
    }
    step = -(-len(lines) // MOST_LINES)
    n_followed = 0
    saved: list[Usage] = []
    answers: list[SourceLine] = []
    session = FlowSession(workspace, changed(loaded, tools=tools), max_threads=1, attributes={})
    async with session as flow:
        flow.cache = cache = _Symbolic(cached, workspace.store.read_cached, expected)
        sample = islice(lines, 0, None, step)
        while group := list(islice(sample, _AT_ONCE)):
            n_followed += len(group)
            async with asyncio.TaskGroup() as following:
                tasks = [
                    following.create_task(run_line(flow, line.inputs, line_number=line.line.number))
                    for line in group
                    if line.problem is None
                ]
            for result in (task.result() for task in tasks):
                saved.append(sum_usage([node.saved for node in result.nodes]))
                if result.status == COMPLETED:
                    answers.append(as_source_line(result))
    share = len(lines) / n_followed
    asking = [name for name, kind in types.items() if kind in ("llm", PROMPTY)]
    return Followed(
        kept=_scaled(sum_usage(saved), share),
        shared={name: round(cache.shared[name] * share) for name in asking},
        answers=tuple(answers) if step == 1 else (),
    )


class _Uncalled:
    """Stands for a tool: nothing is called."""

    mode = ASYNC

    def __init__(self, spec: ToolSpec) -> None:
        self.spec = spec

    async def call(self, arguments: Mapping[str, Any], context: NodeContext) -> Any:
        """A text for a result that nobody can know, and that no other call gives."""
        del arguments, context
        return f"{_UNKNOWN}without a key {next(_numbers)}"


class _Symbolic(NodeCache):
    """A cache that gives kept results, and texts in place of those that are yet to be made.

    Attributes:
        shared: Node to how often its result was expected already.
    """

    def __init__(self, cached: CachedNodes, find: Find, expected: set[str]) -> None:
        super().__init__(cached.fingerprinters, find=find, run="")
        self.shared: Counter[str] = Counter()
        self._expected = expected

    async def call(self, key: str, context: NodeContext, make: Callable[[], Awaitable[Any]]) -> Answer:
        """The kept result, else a text made of the key."""
        del make
        if key not in self._expected:
            try:
                return await super().call(key, context, _not_kept)
            except LookupError:
                pass
        if key in self._expected:  # by now: an equal call may have been looked up at the same time
            self.shared[context.node] += 1
        self._expected.add(key)
        return Answer(output=f"{_UNKNOWN}{key}")


async def _not_kept() -> Any:
    raise LookupError


def _scaled(usage: Usage, share: float) -> Usage:
    return Usage(
        calls=round(usage.calls * share),
        prompt_tokens=round(usage.prompt_tokens * share),
        completion_tokens=round(usage.completion_tokens * share),
        cost_usd=usage.cost_usd * share if usage.cost_usd is not None else None,
    )
