"""Real processes, real HTTP, and a service that refuses what is over its limit; a minute takes some seconds.

How much of a limit is used to the percent is shown in virtual time (``tests/unit/providers``) and, in real time, by
``make quota``. The tests that always run have bounds that a machine with other work to do keeps as well: they fail when
processes do not share a budget, or when requests find out about a limit each for itself.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.support.limited_calls import call, measure_use
from tests.support.limited_service import BUCKET, FIXED, SLIDING, Limit, Places
from tests.support.model_server import ModelServer, Reply, Request, broken, error, hang

MINUTE_S = 0.8
ALLOWED = 160
LONG_MINUTE_S = 20.0
ALLOWED_IN_LONG_MINUTE = 300
LATENCY_S = 0.1


@pytest.mark.parametrize("n_processes", [1, 3])
@pytest.mark.parametrize(("kind", "has_headers"), [(BUCKET, True), (FIXED, False)])
def test_limit_is_shared_and_kept_by_processes(
    tmp_path: Path, n_processes: int, kind: str, *, has_headers: bool
) -> None:
    limit = Limit(kind=kind, allowed=ALLOWED, has_headers=has_headers, minute_s=MINUTE_S)
    found = measure_use(limit, tmp_path, n_processes)
    assert found.n_lost == 0
    # A minute is so short that a tenth of a second that the machine is busy elsewhere costs seven percent of it.
    assert found.used >= 0.5
    assert found.refused < 0.1


@pytest.mark.quota
@pytest.mark.parametrize("n_processes", [1, 3])
@pytest.mark.parametrize(
    ("kind", "has_headers", "has_retry_after"),
    [
        (BUCKET, True, True),
        (FIXED, False, True),
        (FIXED, False, False),
        (SLIDING, False, False),
        (BUCKET, False, False),
    ],
)
def test_limit_is_used_whole_in_minutes_that_are_long_enough(
    tmp_path: Path, n_processes: int, kind: str, *, has_headers: bool, has_retry_after: bool
) -> None:
    limit = Limit(
        kind=kind,
        allowed=ALLOWED_IN_LONG_MINUTE,
        has_headers=has_headers,
        has_retry_after=has_retry_after,
        minute_s=LONG_MINUTE_S,
    )
    found = measure_use(limit, tmp_path, n_processes)
    assert found.n_lost == 0
    assert found.used >= 0.95
    assert found.refused < 0.02


@pytest.mark.parametrize(
    ("n", "least", "most_refused"), [(160, 0.5, 0.1), pytest.param(640, 0.8, 0.03, marks=pytest.mark.quota)]
)
@pytest.mark.parametrize("asked_s", [None, 0.05])
def test_places_of_a_service_are_used_and_hardly_overrun(
    tmp_path: Path, asked_s: float | None, n: int, least: float, most_refused: float
) -> None:
    places = Places(allowed=8)
    seen: list[tuple[bool, int]] = []

    def reply(_: Request) -> Reply:
        is_let_in = places.arrive(time.monotonic())
        seen.append((is_let_in, places.n))
        if not is_let_in:
            return Reply(
                status=429, headers={} if asked_s is None else {"retry-after": str(asked_s)}, body={}
            )
        asyncio.get_running_loop().call_later(LATENCY_S, places.leave)
        return Reply(delay_s=LATENCY_S)

    with ModelServer(default=reply, is_recording=False) as server:
        (done,) = call(server.base_url, tmp_path, 1, n, MINUTE_S)
    assert (done["answered"], done["refused"]) == (n, len(places.refused))
    # After the first burst: how many were there when one more came, which nobody's clock has a part in.
    later = [in_flight for is_let_in, in_flight in seen[80:] if is_let_in]
    assert sum(later) >= least * 8 * len(later)
    assert sum(not is_let_in for is_let_in, _ in seen[80:]) < most_refused * len(later)


def test_no_call_is_lost_to_faults(tmp_path: Path) -> None:
    arrived = 0

    def reply(_: Request) -> Reply:
        nonlocal arrived
        arrived += 1
        if arrived % 100 == 50:
            return hang()
        if arrived % 20 == 7:
            return broken()
        return error(500) if arrived % 10 == 3 else Reply()

    with ModelServer(default=reply, is_recording=False) as server:
        (done,) = call(server.base_url, tmp_path, 1, 300, MINUTE_S, HEADRACE_MODEL_TIMEOUT_S="1")
    assert done["answered"] == 300
    assert done["sent"] == arrived
