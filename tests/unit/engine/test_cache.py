"""One node's calls at the same time: made once where that is possible, never waited for in vain."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from headrace.domain.cache import CachedResult
from headrace.engine.cache import Answer, NodeCache
from headrace.errors import Problem, StateError
from headrace.planning.fingerprint import Fingerprinter, Identity
from headrace.store.memory import MemoryStore
from headrace.telemetry.spans import ActiveSpan
from headrace.tools.base import NodeContext

Make = Callable[[], Awaitable[Any]]


def nothing(_: Sequence[str]) -> Mapping[str, CachedResult]:
    return {}


def a_cache(
    find: Callable[[Sequence[str]], Mapping[str, CachedResult]] = nothing, *secrets: str
) -> NodeCache:
    fingerprinter = Fingerprinter(Identity(code={}))
    return NodeCache({"node": fingerprinter}, find=find, run="this", secrets=lambda: secrets)


def a_context(**changes: Any) -> NodeContext:
    span = ActiveSpan("node", trace_id="1" * 32, parent_id=None, sink=lambda _: None)
    fields: dict[str, Any] = {
        "node": "node",
        "line_number": 3,
        "span": span,
        "loop": asyncio.get_running_loop(),
    }
    return NodeContext(**{"open_client": lambda _: None, **fields, **changes})


async def ask(cache: NodeCache, make: Make, question: object = "q", **changes: Any) -> Answer:
    context = a_context(**changes)
    fingerprint = cache.fingerprint({"q": question}, context)
    assert fingerprint is not None
    return await cache.call(fingerprint.key, context, make)


class Tool:
    """Counts its calls; each waits until it is let go."""

    def __init__(self, output: Any = "out") -> None:
        self.n_calls = 0
        self.gate = asyncio.Event()
        self.output = output

    async def __call__(self) -> Any:
        self.n_calls += 1
        await self.gate.wait()
        if isinstance(self.output, Exception):
            raise self.output
        return self.output


async def started(n: int, cache: NodeCache, tool: Make) -> list[asyncio.Future[Answer]]:
    tasks = [asyncio.ensure_future(ask(cache, tool)) for _ in range(n)]
    await asyncio.sleep(0.05)
    return tasks


def test_whoever_waits_gets_the_result_of_the_call() -> None:
    async def main() -> None:
        cache, tool = a_cache(), Tool({"a": [1]})
        tasks = await started(3, cache, tool)
        tool.gate.set()
        answers = await asyncio.gather(*tasks)
        assert tool.n_calls == 1
        assert [answer.output for answer in answers] == [{"a": [1]}] * 3
        assert len({id(answer.output) for answer in answers}) == 3
        assert [answer.taken and answer.taken.run for answer in answers] == [None, "this", "this"]

    asyncio.run(main())


def test_a_result_is_taken_before_it_is_committed_and_read_from_the_store_afterwards() -> None:
    async def main() -> None:
        store = MemoryStore()
        cache, tool = a_cache(store.read_cached), Tool()
        tool.gate.set()
        await ask(cache, tool)
        await ask(cache, tool)
        changes = cache.take_changes()
        assert changes is not None
        assert ([item.node for item in changes.made], list(changes.used.values())) == (["node"], [1])
        await ask(cache, tool)  # while it is being committed
        store.change_cache(changes)
        cache.forget_committed(changes)
        answer = await ask(cache, tool)
        assert (tool.n_calls, answer.taken) == (1, changes.made[0])
        assert await ask(a_cache(store.read_cached), tool) == answer
        assert cache.take_changes() is not None
        assert cache.take_changes() is None

    asyncio.run(main())


def test_those_who_waited_for_a_call_that_fails_call_for_themselves() -> None:
    async def main() -> None:
        cache, tool = a_cache(), Tool(ValueError("no"))
        tasks = await started(3, cache, tool)
        tool.gate.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(item) for item in found] == [ValueError] * 3
        assert tool.n_calls == 3
        assert cache.take_changes() is None

    asyncio.run(main())


def test_the_next_one_calls_when_a_call_is_cancelled() -> None:
    async def main() -> None:
        cache, tool = a_cache(), Tool()
        tasks = await started(3, cache, tool)
        tasks[0].cancel()
        await asyncio.sleep(0.05)
        tool.gate.set()
        assert [(await task).output for task in tasks[1:]] == ["out", "out"]
        assert tool.n_calls == 2

    asyncio.run(main())


def test_the_call_goes_on_when_one_who_waits_is_cancelled() -> None:
    async def main() -> None:
        cache, tool = a_cache(), Tool()
        tasks = await started(3, cache, tool)
        tasks[1].cancel()
        await asyncio.sleep(0)
        tool.gate.set()
        assert [(await task).output for task in (tasks[0], tasks[2])] == ["out", "out"]
        assert tool.n_calls == 1

    asyncio.run(main())


def test_calls_whose_results_cannot_be_kept_stop_waiting_for_each_other() -> None:
    async def main() -> None:
        cache, tool = a_cache(), Tool(object())
        tasks = await started(2, cache, tool)
        tool.gate.set()
        await asyncio.gather(*tasks)
        assert tool.n_calls == 2
        assert cache.fingerprint({"q": "other"}, a_context()) is None

    asyncio.run(main())


def test_lookups_that_come_in_while_one_is_under_way_are_read_together() -> None:
    async def main() -> None:
        gate, asked = threading.Event(), list[int]()

        def find(keys: Sequence[str]) -> Mapping[str, CachedResult]:
            asked.append(len(keys))
            gate.wait(10)
            return {}

        cache, tool = a_cache(find), Tool()
        tool.gate.set()
        tasks = [asyncio.ensure_future(ask(cache, tool, number)) for number in range(20)]
        await asyncio.sleep(0.05)
        gate.set()
        await asyncio.gather(*tasks)
        assert asked == [1, 19]
        assert tool.n_calls == 20

    asyncio.run(main())


def test_a_store_that_cannot_be_read_does_not_keep_tools_from_being_called() -> None:
    def find(_: Sequence[str]) -> Mapping[str, CachedResult]:
        raise StateError(Problem(code="S803", what="gone"))

    async def main() -> None:
        tool = Tool()
        tool.gate.set()
        assert (await ask(a_cache(find), tool)).output == "out"

    asyncio.run(main())


@pytest.mark.parametrize("changes", [{"has_effects": True}, {"metrics": {"n": 1}}])
def test_a_call_with_an_effect_is_not_kept(changes: dict[str, Any]) -> None:
    async def main() -> None:
        cache, tool = a_cache(), Tool()
        tool.gate.set()
        await ask(cache, tool, **changes)
        assert cache.take_changes() is None

    asyncio.run(main())


def test_secrets_are_kept_neither_in_outputs_nor_in_prints() -> None:
    async def main() -> None:
        cache, tool = a_cache(nothing, 'my "secret" key'), Tool({"a": 'my "secret" key'})
        tool.gate.set()
        await ask(cache, tool)
        assert cache.take_changes() is None
        tool.output = "harmless"
        await ask(cache, tool, logs={"stdout": 'it is my "secret" key'})
        changes = cache.take_changes()
        assert changes is not None
        assert [item.logs for item in changes.made] == [{"stdout": "it is ******"}]

    asyncio.run(main())


def test_aggregation_nodes_and_unknown_nodes_have_no_fingerprint() -> None:
    async def main() -> None:
        cache = a_cache()
        assert cache.fingerprint({}, a_context(line_number=None)) is None
        assert cache.fingerprint({}, a_context(node="other")) is None
        assert cache.fingerprint({"q": object()}, a_context()) is None
        assert cache.fingerprint({"q": 10**5000}, a_context()) is None

    asyncio.run(main())


class Watch:
    """Named files that change when they are told to."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.n_looks = 0

    def __call__(self) -> Sequence[str]:
        self.n_looks += 1
        return self.names


async def made(cache: NodeCache, question: str) -> None:
    async def make() -> str:
        return question

    await ask(cache, make, question)


def test_what_was_made_since_a_named_file_changed_is_not_committed() -> None:
    watch = Watch()
    fingerprinters = {"node": Fingerprinter(Identity(code={}, changed=watch))}
    cache = NodeCache(fingerprinters, find=nothing, run="this")

    async def work() -> None:
        await made(cache, "a")
        changes = cache.take_changes(may_wait=False)
        assert changes is not None
        assert [item.output for item in changes.made] == ['"a"']
        await made(cache, "b")
        watch.names = ("words.txt",)
        assert cache.take_changes(may_wait=False) is None
        assert cache.find_unkept() == {"node": ("words.txt",)}
        assert cache.fingerprint({"q": "b"}, a_context()) is None

    asyncio.run(work())


class SlowWatch(Watch):
    """Looks that take their time, by a clock of its own."""

    def __init__(self, *seconds: float) -> None:
        super().__init__()
        self.now = 0.0
        self.took_s = 0.0
        self._seconds = itertools.cycle(seconds)

    def __call__(self) -> Sequence[str]:
        seconds = next(self._seconds)
        self.now += seconds
        self.took_s += seconds
        return super().__call__()

    def cache(self) -> NodeCache:
        fingerprinters = {"node": Fingerprinter(Identity(code={}, changed=self))}
        return NodeCache(fingerprinters, find=nothing, run="this", clock=lambda: self.now)


async def n_committed(watch: SlowWatch, cache: NodeCache, n: int, *every_s: float) -> list[int]:
    """How many results go with each of ``n`` commits, of one that was made before each."""
    found = []
    for number, pause_s in zip(range(n), itertools.cycle(every_s), strict=False):
        await made(cache, str(number))
        changes = cache.take_changes()
        found.append(len(changes.made) if changes is not None else 0)
        watch.now += pause_s
    return found


def test_looking_for_changed_files_takes_a_small_part_of_the_time() -> None:
    watch = SlowWatch(0.02)  # there are very many
    cache = watch.cache()

    async def work() -> None:
        found = await n_committed(watch, cache, 2_000, 0.005)
        assert watch.took_s <= 0.05 * watch.now + 0.05 + 0.02
        assert max(found[100:]) < 100  # results wait, but not for long
        assert sum(found) > 1_900
        await made(cache, "last")
        changes = cache.take_changes(may_wait=False)
        assert changes is not None
        assert sum(found) + len(changes.made) == 2_001

    asyncio.run(work())


@pytest.mark.parametrize("seconds", [(0.0001,), (0.0001,) * 70 + (0.04,)], ids=["always", "mostly"])
def test_what_was_made_goes_with_the_next_commit_where_looking_is_quick(seconds: Sequence[float]) -> None:
    """Also with one that comes right behind another, or behind a look that the machine has held up."""
    watch = SlowWatch(*seconds)
    cache = watch.cache()
    assert asyncio.run(n_committed(watch, cache, 1_000, 0.0005, 0.03)) == [1] * 1_000
