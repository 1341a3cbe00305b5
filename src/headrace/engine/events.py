"""What progress displays listen to. Events are given out on the event loop's thread, after the fact is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headrace.domain.run import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run was created; ``n_finished`` of its lines are taken over from the run ``resume_from``."""

    run: str
    arm: str | None
    n_lines: int
    n_finished: int = 0
    resume_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFinished:
    """A line's result is committed.

    Attributes:
        n_cached: Nodes whose result was used again in place of a call.
        n_waiting: Model requests that wait for their turn under a quota, in all processes of the run.
    """

    run: str
    line_number: int
    status: str
    usage: Usage
    duration_ms: float
    n_cached: int = 0
    n_waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStopping:
    """A run takes no further lines; those in flight may go on for ``grace_s`` seconds."""

    run: str
    grace_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeldUp:
    """No line of a run has ended for a while, because model requests wait for a quota; said again while that is so.

    Attributes:
        n_waiting: Model requests that wait for their turn.
        service: Host of the service that most of them wait for.
        model: Its model or deployment.
        refused: How many requests this model has refused there so far, in all processes of the run.
        since_s: For how long no line has ended, seconds.
    """

    run: str
    n_waiting: int
    service: str
    model: str
    refused: int
    since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """A run was closed with its final status."""

    run: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmDropped:
    """An arm left a race.

    Attributes:
        n_lines: Lines that it has answered.
        n_left: Lines that it will not answer.
        ahead: The arm that it was behind.
        deficit: By how much, summed over the lines, in units of the metric.
    """

    arm: str
    block: int
    n_lines: int
    n_left: int
    ahead: str
    deficit: float


RunEvent = RunStarted | LineFinished | RunHeldUp | RunStopping | RunFinished | ArmDropped
OnEvent = Callable[[RunEvent], None]


def ignore_event(_: RunEvent) -> None:
    """Nobody listens."""
