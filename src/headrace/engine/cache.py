"""Results of nodes used again: looked up before a call, shared by equal calls in flight, kept afterwards.

Nothing here can fail a line: where a result cannot be looked up or kept, the tool is called.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from headrace.domain.cache import CacheChanges, CachedResult, Fingerprint
from headrace.engine.flights import ABANDONED, Landing, Others
from headrace.engine.kept_values import read_kept, write_kept
from headrace.engine.masking import mask_text
from headrace.errors import StateError
from headrace.planning.fingerprint import Fingerprinter, NoFormError, plain_form
from headrace.providers.turns import paused
from headrace.tools.base import NodeContext

Find = Callable[[Sequence[str]], Mapping[str, CachedResult]]
"""Reads kept results by their keys; blocks; called in a thread."""

_LOOKING_SHARE = 0.05
"""Share of a run's time that may go into looking for changed files; until there is some, results wait."""

_LOOKING_SPARE_S = 0.05
"""What may be saved up of it, and is there at first: a look that the machine held up must not let results wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a node's call came to; ``taken`` is the result that was used in its place."""

    output: Any
    taken: CachedResult | None = None


class NodeCache:
    """The kept results of one run's nodes, within one event loop.

    A result is kept only while the files that its tool's code names are what they were when the run began: what a
    tool reads may have changed by the time that it reads it, also by what it writes itself.

    Args:
        fingerprinters: Those of the nodes that take part, by name.
        find: Reads from the store.
        run: The run, as others will be told where a result is from.
        secrets: Values that must not be kept.
        others: The other processes of the run; they are asked before each call, and what is made here is kept by them.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        fingerprinters: Mapping[str, Fingerprinter],
        *,
        find: Find,
        run: str,
        secrets: Callable[[], Collection[str]] = tuple,
        others: Others | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fingerprinters = dict(fingerprinters)
        self._reader = _Reader(find)
        self._run = run
        self._secrets = secrets
        self._others = others
        self._flights: dict[str, asyncio.Future[Landing]] = {}
        self._fresh: dict[str, CachedResult] = {}
        self._made: list[CachedResult] = []
        self._used: Counter[str] = Counter()
        self._unkept: dict[str, Sequence[str]] = {}
        self._clock = clock
        self._looked_at, self._spare_s = clock(), _LOOKING_SPARE_S
        self._lock = threading.Lock()  # results are committed in another thread than they are made in

    def fingerprint(self, arguments: Mapping[str, Any], context: NodeContext) -> Fingerprint | None:
        """What the result of a node's call depends on; ``None`` when it must be called, whatever it depends on."""
        fingerprinter = self._fingerprinters.get(context.node)
        if fingerprinter is None or context.line_number is None:
            return None
        try:
            return fingerprinter.fingerprint({name: plain_form(value) for name, value in arguments.items()})
        except (NoFormError, ValueError, RecursionError):
            return None

    async def call(self, key: str, context: NodeContext, make: Callable[[], Awaitable[Any]]) -> Answer:
        """What a node gives: a kept result, or that of ``make``, which is kept then.

        Args:
            key: Of the fingerprint.
            context: Of the attempt; its logs become those of the result that is used.
            make: Calls the tool.

        Raises:
            Exception: Whatever ``make`` raises.
        """
        while True:
            found = self._fresh.get(key)
            if found is None and (flight := self._flights.get(key)) is not None:
                with paused():  # the line that makes the call has a time limit of its own
                    landing = await asyncio.shield(flight)
                if landing.is_abandoned:
                    continue
                found = landing.result
                if found is None:
                    return Answer(output=await make())
            if found is not None:
                return self._take(found, context)
            return await self._lead(key, context, make)

    async def _lead(self, key: str, context: NodeContext, make: Callable[[], Awaitable[Any]]) -> Answer:
        """Find or make the result that equal calls wait for."""
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        landing, theirs = Landing(), None
        try:
            if self._others is not None:
                with paused():
                    theirs = await self._others.lead(key)
            found = await self._reader.find(key) if theirs is None else theirs.result
            if found is not None:
                landing = Landing(result=found)
                return self._take(found, context)
            began_ns = time.time_ns()
            output = await make()
            if theirs is None:
                landing = Landing(result=self._keep(key, output, context, began_ns), is_new=True)
            return Answer(output=output)
        except asyncio.CancelledError:
            landing = ABANDONED
            raise
        finally:
            del self._flights[key]
            flight.set_result(landing)
            if self._others is not None and theirs is None:
                self._others.land(key, landing)

    def fresh(self, key: str) -> CachedResult | None:
        """A result that was made or taken over, and may not be committed yet."""
        return self._fresh.get(key)

    def add_made(self, result: CachedResult) -> None:
        """Keep what another process of the run has made, while the files that its code names are what they were."""
        if result.node in self._fingerprinters:
            self._fresh[result.key] = result
            with self._lock:
                self._made.append(result)

    def take_changes(self, *, may_wait: bool = True) -> CacheChanges | None:
        """What is to be committed since the last time; ``None`` for nothing. May be called from any thread.

        Args:
            may_wait: Whether it is called again: then what was made just now may be left for the next time.
        """
        made: list[CachedResult] = []
        with self._lock:
            if not may_wait or self._looking_time_s(self._clock()) > 0:
                made, self._made = self._made, made
            used, self._used = self._used, Counter()
        if made:
            unkept = self.find_unkept({result.node for result in made})
            made = [result for result in made if result.node not in unkept]
        if not made and not used:
            return None
        return CacheChanges(made=tuple(made), used=used, used_ns=time.time_ns())

    def find_unkept(self, nodes: Iterable[str] | None = None) -> Mapping[str, Sequence[str]]:
        """The nodes whose results are not kept any more because files that their code names have changed, and these.

        Args:
            nodes: Those to look at now; ``None`` for all.
        """
        began = self._clock()
        for node in tuple(self._fingerprinters if nodes is None else nodes):
            fingerprinter = self._fingerprinters.get(node)
            changed = fingerprinter.changed() if fingerprinter is not None else ()
            if changed:
                self._unkept[node] = changed
                self._fingerprinters.pop(node, None)
                for key in [key for key, result in tuple(self._fresh.items()) if result.node == node]:
                    self._fresh.pop(key, None)
        ended = self._clock()
        self._spare_s = self._looking_time_s(began) - (ended - began)
        self._looked_at = ended
        return self._unkept

    def _looking_time_s(self, now: float) -> float:
        """How much time for looking there is now; less than nothing after looks that took long."""
        return min(_LOOKING_SPARE_S, self._spare_s + _LOOKING_SHARE * (now - self._looked_at))

    def add_changes(self, changes: CacheChanges) -> None:
        """Take over what another process has learnt, to be committed with what this one has."""
        with self._lock:
            self._made.extend(changes.made)
            self._used.update(changes.used)

    def forget_committed(self, changes: CacheChanges | None) -> None:
        """Hold no longer what the store has by now."""
        for result in changes.made if changes is not None else ():
            self._fresh.pop(result.key, None)

    def _take(self, found: CachedResult, context: NodeContext) -> Answer:
        with self._lock:
            self._used[found.key] += 1
        context.logs.update(found.logs)
        return Answer(output=read_kept(found.output), taken=found)

    def _keep(self, key: str, output: Any, context: NodeContext, began_ns: int) -> CachedResult | None:
        """Keep a result when it reads back as it is and the call left nothing else behind."""
        if context.has_effects or context.metrics:
            return None
        text = write_kept(output)
        if text is None:
            # Equal calls need not wait for each other any more where each of them has to be made.
            self._fingerprinters.pop(context.node, None)
            return None
        secrets = self._secrets()
        if mask_text(text, [json.dumps(secret)[1:-1] for secret in secrets]) != text:
            return None
        ended_ns = time.time_ns()
        result = CachedResult(
            key=key,
            output=text,
            logs={name: mask_text(printed, secrets) for name, printed in context.logs.items()},
            usage=context.usage,
            run=self._run,
            line_number=context.line_number or 0,
            node=context.node,
            duration_ns=ended_ns - began_ns,
            made_ns=ended_ns,
        )
        if self._others is None:
            self.add_made(result)
        return result


class _Reader:
    """Reads in a thread, all that has been asked for meanwhile at once."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._wanted: dict[str, asyncio.Future[CachedResult | None]] = {}
        self._is_reading = False

    async def find(self, key: str) -> CachedResult | None:
        """The kept result of a key; ``None`` as well when the store cannot be read."""
        wanted: asyncio.Future[CachedResult | None] = asyncio.get_running_loop().create_future()
        self._wanted[key] = wanted
        if not self._is_reading:
            self._read()
        return await wanted

    def _read(self) -> None:
        asked, self._wanted = self._wanted, {}
        self._is_reading = bool(asked)
        if asked:
            reading = asyncio.get_running_loop().run_in_executor(None, self._find, tuple(asked))
            reading.add_done_callback(partial(self._hand_out, asked))

    def _hand_out(
        self,
        asked: Mapping[str, asyncio.Future[CachedResult | None]],
        reading: asyncio.Future[Mapping[str, CachedResult]],
    ) -> None:
        try:
            found = reading.result()
        except (
            StateError,
            asyncio.CancelledError,
        ):  # what is recorded next meets the same fault, and says so
            found = {}
        for key, wanted in asked.items():
            if not wanted.done():
                wanted.set_result(found.get(key))
        self._read()
