"""Waiting for what Azure Machine Learning does: with a limit, and with a word to whoever waits."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError

from headrace.deploy.azure_answers import is_lost
from headrace.deploy.base import Tell
from headrace.deploy.looking import READS_S, looks, seen
from headrace.deploy.managed_parts import BUSY
from headrace.errors import Problem, RemoteTimeoutError
from headrace.source import Span

_Made = TypeVar("_Made")

MOST_CONFLICTS = 6
"""How often something is tried that somebody else is in the way of."""

OTHERS = (409, 423)
"""Statuses that say so."""

_LOOK_S = 1.0
_TELL_EVERY_S = 30.0
_THROTTLED = 429
_MOST_THROTTLED = 8
_LONGEST_THROTTLED_S = 60.0
_MOST_LOST = 4
_LOST_PAUSE_S = 0.5
_CONFLICT_PAUSE_S, _LONGEST_CONFLICT_PAUSE_S = 0.5, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long anything may take, seconds.

    Attributes:
        endpoint: Creating, changing or deleting an endpoint.
        deployment: Creating or changing a deployment, with the image that is built for it.
        deletion: Deleting a deployment.
    """

    endpoint: float = 1200.0
    deployment: float = 5400.0
    deletion: float = 1800.0


class Waiting:
    """Waits for operations of the service.

    Args:
        tell: Takes a line now and then.
        clock: Seconds that only grow.
        sleep: Waits.
    """

    def __init__(
        self,
        tell: Tell,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._sleep = sleep

    def finish(self, poller: Any, what: str, limit_s: float, span: Span | None = None) -> Any:
        """The result of a long-running operation.

        Args:
            poller: Of ``azure.core``; it looks by itself, as often as the service says.
            what: What is done, for people.
            limit_s: How long it may take.
            span: What the file says of it.

        Raises:
            RemoteTimeoutError: X213.
        """
        begun = told = self._clock()
        while not poller.done():
            now = self._clock()
            if now - begun >= limit_s:
                _too_long(what, limit_s, span)
            if now - told >= _TELL_EVERY_S:
                told = now
                self._tell(f"{what}: {round(now - begun)} s")
            poller.wait(min(_LOOK_S, limit_s - (now - begun)))
        return poller.result()

    def until_quiet(
        self, read_state: Callable[[], str], what: str, limit_s: float, span: Span | None = None
    ) -> None:
        """Wait until nothing is under way on a resource, whoever began it.

        Args:
            read_state: Its provisioning state, small letters.
            what: What is waited for, for people.
            limit_s: How long that may take.
            span: What the file says of it.

        Raises:
            RemoteTimeoutError: X213.
        """
        told_s: float | None = None
        for passed_s in looks(limit_s, clock=self._clock, sleep=self._sleep):
            state = read_state()
            if state not in BUSY:
                return
            if told_s is None or passed_s - told_s >= _TELL_EVERY_S:
                told_s = passed_s
                self._tell(f"{what}: {state}, {round(passed_s)} s")
        _too_long(what, limit_s, span)

    def until_shown(self, is_shown: Callable[[], bool], limit_s: float = READS_S) -> None:
        """Wait until reads show what was written, which may lag behind; within limits, for they may never show it.

        Args:
            is_shown: Reads, and says whether it does.
            limit_s: How long that may take.
        """
        times = looks(limit_s, clock=self._clock, sleep=self._sleep)
        seen(is_shown, bool, times)

    def after_conflict(self, number: int) -> None:
        """Wait after the conflict of that number, from 0, with what somebody else does: ever longer."""
        self._sleep(min(_CONFLICT_PAUSE_S * 2**number, _LONGEST_CONFLICT_PAUSE_S))

    def beside_others(self, make: Callable[[int], _Made]) -> _Made:
        """What is made, or deleted, in one request, once nobody else is at it any more.

        Args:
            make: Makes it; takes the number of the attempt, from 0.

        Raises:
            HttpResponseError: It failed, or somebody has been at it for too long.
        """
        for number in range(MOST_CONFLICTS):
            try:
                return make(number)
            except HttpResponseError as error:
                # What the package finds there by itself has no status.
                is_other = isinstance(error, ResourceExistsError) or error.status_code in OTHERS
                if not is_other or number == MOST_CONFLICTS - 1:
                    raise
                self.after_conflict(number)
        raise AssertionError  # the last attempt returns or raises

    def past_hindrances(
        self, make: Callable[[], None], what: str, passing: Collection[int] = (_THROTTLED,)
    ) -> None:
        """Make a step, again where Azure takes no more requests for now or a connection is lost.

        Not all requests of the package are sent again by itself: none to the store of files after 429, no POST.

        Args:
            make: Makes it; made again it does no more.
            what: What is done, for people.
            passing: The statuses that pass by themselves.

        Raises:
            AzureError: It failed, or was hindered for too long.
        """
        for number in itertools.count(1):
            try:
                make()
            except AzureError as error:
                if is_lost(error) and number < _MOST_LOST:
                    self._tell(f"{what}: the connection was lost, once more")
                    self._sleep(_LOST_PAUSE_S)
                elif (
                    isinstance(error, HttpResponseError)
                    and error.status_code in passing
                    and number < _MOST_THROTTLED
                ):
                    self._tell(f"{what}: Azure takes no more requests for now")
                    self._sleep(_pause_s(error, number))
                else:
                    raise
            else:
                return


def _pause_s(error: HttpResponseError, number: int) -> float:
    """How long to wait after the refusal of that number: as long as Azure says, within reason."""
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    said = headers.get("Retry-After", "")
    return min(float(said) if said.isdecimal() else 2.0**number, _LONGEST_THROTTLED_S)


def _too_long(what: str, limit_s: float, span: Span | None) -> NoReturn:
    problem = Problem(
        code="X213",
        what=f"{what}: this has not ended after {round(limit_s)} seconds.",
        span=span,
        fix="It may still go on in Azure. Give the same command again: it waits for what is under way and goes on.",
    )
    raise RemoteTimeoutError(problem)
