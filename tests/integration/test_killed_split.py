"""Programs that split requests themselves: what was recorded outlives them, and two of them count together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.new_stores import new_postgresql, new_sqlite
from tests.support.postgresql import Server, running_server
from tests.support.split_elsewhere import write_traffic

from headrace.ab import Split
from headrace.domain.evidence import Completion, Exposure, Feedback
from headrace.store.opening import open_store

PROGRAM = """\
import sys
from headrace.ab import Split

split = Split.open("traffic.yaml", follow_s=3600)
for number in range(int(sys.argv[1])):
    choice = split.choose(f"user {number % 50}")
    choice.complete()
    split.feedback("helpful", 1.0, exposure_id=choice.exposure_id)
    print(choice.arm, choice.exposure_id, flush=True)
split.close()
"""


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Server]:
    with running_server() as server:
        yield server


def running(n_requests: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(n_requests)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("new_store", [new_sqlite, new_postgresql])
def test_two_programs_on_one_store_lose_nothing_when_one_is_killed(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    new_store: Callable[[pytest.FixtureRequest], str],
) -> None:
    location = new_store(request)
    if "://" not in location:
        Path(location).parent.mkdir(exist_ok=True)
    write_traffic(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_STORE", location)
    said: list[list[str]] = [[], []]
    with running(1_000_000) as killed, running(300) as ended:
        assert killed.stdout is not None
        assert ended.stdout is not None
        said[0] += [killed.stdout.readline() for _ in range(300)]
        os.kill(killed.pid, signal.SIGKILL)
        said[0] += [line for line in killed.stdout if line.endswith("\n")]
        said[1] += ended.stdout
    assert (killed.returncode, ended.returncode) == (-signal.SIGKILL, 0)
    with Split.open("traffic.yaml") as split:
        assert split.flush(60)
    arms = [[line.split()[0] for line in lines] for lines in said]
    assert arms[0][:300] == arms[1]
    answered = {line.split()[1] for lines in said for line in lines}
    store = open_store(location)
    place, kept = 0, []
    while arrivals := store.read_arrivals("elsewhere", after=place):
        kept += [arrival.evidence for arrival in arrivals]
        place = arrivals[-1].place
    store.close()
    exposures = Counter(record.id for record in kept if isinstance(record, Exposure))
    completions = Counter(record.exposure for record in kept if isinstance(record, Completion))
    feedback = Counter(record.exposure for record in kept if isinstance(record, Feedback))
    assert len(answered) == len(said[0]) + 300
    assert answered <= set(exposures)
    assert answered <= set(completions)
    assert answered <= set(feedback)
    assert {*exposures.values(), *completions.values(), *feedback.values()} == {1}
    assert len(exposures) <= len(answered) + 1
