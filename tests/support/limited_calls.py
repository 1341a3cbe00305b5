"""Real processes that call a limited service over real HTTP, and how much of what it allows they use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.limited_service import Limit
from tests.support.model_server import ModelServer, Reply, Request

CONCURRENCY = 32
LATENCY_S = 0.05
N_MINUTES = 5
WARM_UP_MINUTES = 2
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """What came of the calls.

    Attributes:
        n_lost: Calls without an answer.
        used: Share of what was allowed after the warm-up.
        refused: Refusals per call that was let in, after the warm-up.
        n_refused: Refusals in all.
    """

    n_lost: int
    used: float
    refused: float
    n_refused: int


def call(
    url: str, home: Path, n_processes: int, n: int, minute_s: float, **environment: str
) -> list[dict[str, int]]:
    """What each of the processes has to say, which make ``n`` calls each."""
    command = [
        sys.executable, "-m", "tests.support.quota_calls", url, str(n), str(CONCURRENCY), str(minute_s)
    ]  # fmt: skip
    inherited = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    inherited |= {"HOME": str(home), "XDG_STATE_HOME": "", **environment}
    processes = [
        subprocess.Popen(command, env=inherited, stdout=subprocess.PIPE, text=True)
        for _ in range(n_processes)
    ]
    return [
        json.loads(process.communicate(timeout=200 + 2 * N_MINUTES * minute_s)[0]) for process in processes
    ]


def measure_use(limit: Limit, home: Path, n_processes: int) -> LimitUse:
    """Make as many calls as are allowed in five minutes; the first two of them are the warm-up."""

    def reply(_: Request) -> Reply:
        is_let_in, headers = limit.arrive(time.monotonic())
        if is_let_in:
            return Reply(headers=headers, delay_s=LATENCY_S)
        return Reply(status=429, headers=headers, body={})

    n = N_MINUTES * limit.allowed // n_processes
    with ModelServer(default=reply, is_recording=False) as server:
        done = call(server.base_url, home, n_processes, n, limit.minute_s)
    begin = limit.admitted[0] + WARM_UP_MINUTES * limit.minute_s
    # What no request was there to use at the very end is not counted.
    end = limit.admitted[-1] - max(4 * LATENCY_S, 0.02 * limit.minute_s)
    n_refused = sum(at >= begin for at in limit.refused)
    return LimitUse(
        n_lost=n * n_processes - sum(each["answered"] for each in done),
        used=limit.use(begin, end),
        refused=n_refused / sum(at >= begin for at in limit.admitted),
        n_refused=len(limit.refused),
    )
