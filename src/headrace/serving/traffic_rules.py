"""What holds of an online test in this process: its rules, the revision that is followed, and the arms that run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from headrace.domain.traffic import Revision, Traffic
from headrace.errors import Problem, UsageError
from headrace.planning.asked_facts import AskedFacts
from headrace.planning.assignment import Assigner, Assignment
from headrace.serving.request_log import RequestLogRule
from headrace.serving.served import ServedFlow


class TrafficRules:
    """One state of a test; another one takes its place when anything changes. Its arms stay open during a block of it.

    Args:
        traffic: The rules.
        revision: What holds.
        arms: What answers, by name; every arm of the rules.

    Attributes:
        traffic, revision, arms: See above.
        log: Which requests are kept whole.
    """

    __slots__ = ("_assigner", "_idle", "_n_held", "arms", "log", "revision", "traffic")

    def __init__(self, traffic: Traffic, revision: Revision, arms: Mapping[str, ServedFlow]) -> None:
        self.traffic = traffic
        self.revision = revision
        self.arms = arms
        self.log = RequestLogRule(traffic)
        self._assigner = Assigner(traffic, revision)
        self._n_held = 0
        self._idle = asyncio.Event()

    @property
    def baseline(self) -> ServedFlow:
        """The arm that the others are compared with."""
        return self.arms[self.traffic.baseline]

    def __enter__(self) -> TrafficRules:
        """Keep the arms open during the block."""
        self._n_held += 1
        return self

    def __exit__(self, *_: object) -> None:
        """Need them no longer."""
        self._n_held -= 1
        if not self._n_held:
            self._idle.set()

    @property
    def is_held(self) -> bool:
        """Whether anybody needs the arms to stay open."""
        return self._n_held > 0

    async def wait_idle(self) -> None:
        """Wait until nobody holds them; to be asked once others have taken their place."""
        while self._n_held:
            self._idle.clear()
            await self._idle.wait()

    def assign(self, facts: AskedFacts) -> Assignment:
        """The arm of a request.

        Raises:
            UsageError: V305 when a tester asks for an arm that there is not.
        """
        forced = facts.forced
        if forced is not None and not self.revision.is_over:
            names = [arm.name for arm in self.traffic.answering]
            if forced not in names:
                what = f"The test {self.traffic.name} has no arm of the name in {self.traffic.forced_by}."
                fix = f"Its arms are: {', '.join(names)}."
                raise UsageError(Problem(code="V305", what=f"{what} {fix}", fix=fix))
        return self._assigner.assign(facts)
