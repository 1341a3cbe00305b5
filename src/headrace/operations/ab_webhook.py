"""Tells the webhook of an online test about its revisions, each until it has heard of it.

The revisions in the store are the outbox; what was sent is marked in a file of the workspace. So a hook that is away
hears of everything once it is back, also when the watch was started again meanwhile. Watches of several machines may
each send the same revision: test and number in its headers tell.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from headrace.domain.access import is_secure
from headrace.domain.evidence import in_header
from headrace.domain.traffic import Revision
from headrace.errors import StateError
from headrace.operations.ab_revisions import recorded_traffic
from headrace.providers.web import WebError, request
from headrace.store.base import RunStore

KEY_VARIABLE: Final = "HEADRACE_AB_WEBHOOK_KEY"
"""What is sent as ``Authorization: Bearer``, so that the hook knows who asks."""

_TIMEOUT_S = 10.0
_TICK_S = 1.0
_FIRST_WAIT_S = 2.0
_LONGEST_WAIT_S = 300.0
_FRESH = timedelta(hours=1)
"""Without a mark, revisions that are older are taken for known."""

_REFERENCE = re.compile(r"\$\{env:([^}]+)\}")


class Outbox:
    """What webhooks of tests have not heard yet. One thread at a time uses it.

    Args:
        store: Holds the revisions.
        marks: File that says up to which revision each test's hook has heard.
        find: The value of an environment variable, or ``None``.
        tell: Hears, once for each outage, that a hook cannot be reached.
    """

    def __init__(
        self,
        store: RunStore,
        marks: Path,
        find: Callable[[str], str | None],
        tell: Callable[[str], None],
    ) -> None:
        self._store = store
        self._marks = marks
        self._find = find
        self._tell = tell
        self._waits_s: dict[str, float] = {}
        self._next_at: dict[str, datetime] = {}

    def deliver(self, test: str, now: datetime) -> bool:
        """Send what a test's hook has not heard, oldest first, unless it is to be left alone for a while.

        Returns:
            Whether nothing is left to be sent.

        Raises:
            StateError: The store is away.
        """
        if now < self._next_at.get(test, now):
            return False
        history = self._store.list_revisions(test)
        heard = self._read_marks().get(test)
        if heard is None:
            # Marked at once: a hook that is away from the start hears of what grows old meanwhile as well.
            heard = max((item.number for item in history if now - item.at > _FRESH), default=0)
            self._mark(test, heard)
        if history and heard > history[-1].number:
            heard = 0  # the test was deleted and has begun anew
        waiting = [item for item in history if item.number > heard]
        # Where the file says now: an address that was mistaken would keep all revisions behind it from the right one.
        address = recorded_traffic(history[-1]).webhook if waiting else ""
        for revision in waiting:
            reason = self._send(address, revision)
            if reason:
                self._postpone(test, now, reason)
                return False
            self._waits_s.pop(test, None)
            self._mark(test, revision.number)
        return True

    def _postpone(self, test: str, now: datetime, reason: str) -> None:
        wait_s = self._waits_s.get(test, 0.0)
        if not wait_s:
            self._tell(f"The webhook of {test} did not take a revision and is asked again: {reason}.")
        self._waits_s[test] = min(2 * wait_s, _LONGEST_WAIT_S) or _FIRST_WAIT_S
        self._next_at[test] = now + timedelta(seconds=self._waits_s[test])

    def _send(self, given: str, revision: Revision) -> str:
        """Send one revision; why it was not taken, empty where it was or where there is nobody to tell."""
        if not given:
            return ""
        missing = [name for name in _REFERENCE.findall(given) if not self._find(name)]
        if missing:
            return f"the variable {missing[0]} is not set"
        address = _REFERENCE.sub(lambda found: self._find(found[1]) or "", given)
        if not is_secure(address):
            return "its address is neither https:// nor on this machine"
        key = self._find(KEY_VARIABLE)
        headers = {"X-Headrace-Test": in_header(revision.test), "X-Headrace-Revision": str(revision.number)}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        try:
            answer = request(
                address,
                headers=headers,
                body=message_of(revision),
                timeout_s=_TIMEOUT_S,
                may_ask=_nowhere_else,
            )
        except (WebError, ValueError) as error:
            return str(error) if isinstance(error, WebError) else "its address cannot be read"
        return "" if 200 <= answer.status < 300 else f"status {answer.status}"

    def _read_marks(self) -> dict[str, int]:
        try:
            found = json.loads(self._marks.read_bytes())
            return {str(test): int(number) for test, number in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _mark(self, test: str, number: int) -> None:
        marks = {**self._read_marks(), test: number}
        with suppress(OSError):  # then it may hear of the revision twice
            self._marks.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._marks.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps(marks), encoding="utf-8")
            temporary.replace(self._marks)


def _nowhere_else(_: str) -> bool:
    """A redirect would carry the secret along."""
    return False


class Deliveries:
    """Empties an outbox on a thread of its own: a hook that is slow or away holds up nobody.

    Args:
        outbox: What is to be sent.
        clock: The time, in UTC.
    """

    def __init__(self, outbox: Outbox, clock: Callable[[], datetime]) -> None:
        self._outbox = outbox
        self._clock = clock
        self._asked: set[str] = set()
        self._is_asked = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="headrace-webhooks")
        self._thread.start()

    def ask(self, test: str) -> None:
        """See soon whether the hook of a test has something to hear."""
        self._asked.add(test)
        self._is_asked.set()

    def close(self, timeout_s: float) -> None:
        """Send what there is, once, but do not wait longer than ``timeout_s`` seconds."""
        self._is_over = True
        self._is_asked.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            self._is_asked.wait(_TICK_S if self._asked else None)
            self._is_asked.clear()
            is_last = self._is_over
            for test in sorted(self._asked.copy()):
                self._asked.discard(test)
                if not self._deliver(test):
                    self._asked.add(test)
            if is_last:
                return

    def _deliver(self, test: str) -> bool:
        try:
            return self._outbox.deliver(test, self._clock())
        except StateError:  # the watch says so
            return False


def message_of(revision: Revision) -> Mapping[str, Any]:
    """What a hook hears of a revision, as JSON."""
    return {
        "test": revision.test,
        "revision": revision.number,
        "at": revision.at.isoformat(),
        "reason": revision.reason,
        "by": revision.by,
        "arm": revision.arm or None,
        "is_over": revision.is_over,
        "answering": revision.answering,
        "shares": {arm: revision.share(arm) for arm in revision.ranges},
        "evidence": {name: value for name, value in revision.evidence.items() if name != "arm"},
    }
