"""The arm that was chosen for one request, and what came of it."""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, TypedDict, Unpack, cast
from urllib.parse import urlsplit

from headrace.domain.evidence import Completion, Role
from headrace.domain.traffic import TrafficArm
from headrace.planning.assignment import Assignment


class Ending(TypedDict, total=False):
    """How a request ended, as far as somebody knows.

    Attributes:
        problem: What went wrong in the arm, in a word, also where another arm answered in its place.
        answered_by: The arm that did; else the arm itself.
        latency_ms: To the end of the arm's answer; else the time since it began.
        first_token_ms: To the first piece of a stream.
        prompt_tokens, completion_tokens: Of the models that were asked.
        cost_usd: Of the same.

    What is no number from 0 to 1e15 is taken as not known.
    """

    problem: str
    answered_by: str
    latency_ms: float
    first_token_ms: float
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float


_NUMBERS: Final[Mapping[str, type[float] | type[int]]] = {
    "latency_ms": float,
    "first_token_ms": float,
    "cost_usd": float,
    "prompt_tokens": int,
    "completion_tokens": int,
}


_MOST: Final = 1e15
"""What no number of one request is beyond: milliseconds, tokens, dollars. More is a mistake of whoever says it."""


class Choice:
    """The arm of one request. As a context manager it records how the request ended, unless :meth:`complete` has.

    Args:
        test: Name of the test.
        assignment: Which arm, and why.
        arm: The arm as the traffic file has it.
        fallback: The arm that is to answer when this one fails.
        exposure_id: Empty where nothing was recorded.
        keep: Takes the completion; raises nothing.
        began: When the request began, by ``time.perf_counter``.

    Attributes:
        test: Name of the test.
        exposure_id: Names the request in :meth:`headrace.ab.Split.feedback`; empty where nothing was recorded of it.
    """

    def __init__(
        self,
        test: str,
        assignment: Assignment,
        arm: TrafficArm,
        *,
        fallback: TrafficArm | None,
        exposure_id: str,
        keep: Callable[[Completion], object],
        began: float,
    ) -> None:
        self.test = test
        self.exposure_id = exposure_id
        self._assignment = assignment
        self._arm = arm
        self._fallback = fallback
        self._keep = keep
        self._ending: Ending = {}
        self._began = began
        self._is_complete = False

    def __repr__(self) -> str:
        return f"Choice(arm={self.arm!r}, role={self.role!r}, exposure_id={self.exposure_id!r})"

    @property
    def arm(self) -> str:
        """Name of the arm."""
        return self._arm.name

    @property
    def source(self) -> str:
        """What answers, as the arm's ``flow`` in the traffic file says."""
        return self._arm.source

    @property
    def url(self) -> str | None:
        """The address of the arm; ``None`` where its ``flow`` is none."""
        return _address(self._arm)

    @property
    def fallback_url(self) -> str | None:
        """The address to ask when the arm fails: the baseline's where the file says ``fall_back``, else ``None``."""
        return None if self._fallback is None else _address(self._fallback)

    @property
    def fallback(self) -> str | None:
        """Name of the arm at :attr:`fallback_url`; record it as ``answered_by`` when it has answered."""
        return None if self._fallback is None else self._fallback.name

    @property
    def role(self) -> Role:
        """Why the arm was chosen; only "assigned" is evidence about an effect."""
        return self._assignment.role

    @property
    def propensity(self) -> float:
        """Chance of the arm for a unit in the test; 1 for every role but "assigned"."""
        return self._assignment.propensity

    @property
    def unit(self) -> str:
        """Whoever keeps one arm for all requests; empty for a request that named nobody."""
        return self._assignment.unit

    @property
    def shadows(self) -> tuple[str, ...]:
        """Arms that the request may be mirrored to; nothing is recorded of that here."""
        return self._assignment.shadows

    def note(self, **ending: Unpack[Ending]) -> None:
        """Say what is known by now; it is recorded when the request ends.

        Args:
            ending: See :class:`Ending`.
        """
        self._ending.update(ending)

    def note_problem(self, problem: str) -> None:
        """Say what went wrong, unless the program has noted a problem, or that there was none, before."""
        self._ending.setdefault("problem", problem)

    def complete(self, *, is_gone: bool = False, **ending: Unpack[Ending]) -> None:
        """Record how the request ended, by this and by what was noted before; a second call does nothing.

        Args:
            is_gone: Whether the client went before the answer had ended: neither a success nor a failure.
            ending: See :class:`Ending`.
        """
        if self._is_complete:
            return
        self._is_complete = True
        if not self.exposure_id:
            return
        elapsed_ms = (time.perf_counter() - self._began) * 1000
        known: Ending = {"answered_by": self.arm, "latency_ms": elapsed_ms}
        known.update(_plain({**self._ending, **ending}))
        self._keep(
            Completion(
                exposure=self.exposure_id, test=self.test, at_ns=time.time_ns(), is_gone=is_gone, **known
            )
        )

    def __enter__(self) -> Choice:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.complete()
        elif isinstance(error, Exception):
            self.complete(problem=type(error).__name__)
        else:
            self.complete(is_gone=isinstance(error, CancelledError | GeneratorExit))


def _plain(said: Ending) -> Ending:
    """What can be kept of what a program says: numbers from 0 to 1e15; what is none of them is not known."""
    known: dict[str, str | float | int] = {}
    if "problem" in said:
        known["problem"] = str(said["problem"] or "")
    if said.get("answered_by"):
        known["answered_by"] = str(said["answered_by"])
    for name, kind in _NUMBERS.items():
        if (number := _number(said.get(name))) is not None:
            known[name] = kind(number)
    return cast("Ending", known)


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number <= _MOST else None


def _address(arm: TrafficArm) -> str | None:
    return arm.source if urlsplit(arm.source).scheme in ("http", "https") else None
