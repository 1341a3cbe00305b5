"""A budget that several openings of one file share, whatever happens to them."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.providers.allowance import Allowance, Allowances
from headrace.providers.pace import Rules, Ticket
from headrace.providers.shared_pace import SharedPace


class Clock:
    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def ticket_of(pace: SharedPace, tokens: float = 0) -> Ticket:
    ticket = pace.take(tokens)
    assert isinstance(ticket, Ticket)
    return ticket


def test_what_one_sends_the_other_does_not(tmp_path: Path) -> None:
    clock, rules = Clock(), Rules(requests_per_minute=300)
    one, two = (SharedPace(tmp_path / "quota" / "key", rules, clock) for _ in range(2))
    n = 0
    while isinstance((one, two)[n % 2].take(0), Ticket):
        n += 1
    assert n == 5  # a fiftieth of what a minute allows
    assert one.is_shared
    assert (tmp_path / "quota").stat().st_mode & 0o777 == 0o700
    one.close()
    two.close()


def test_refusal_of_one_holds_the_other(tmp_path: Path) -> None:
    clock = Clock()
    one, two = (SharedPace(tmp_path / "key", Rules(), clock) for _ in range(2))
    ticket = ticket_of(one)
    ticket_of(two)
    one.refuse(ticket, 7.0)
    assert two.take(0) == pytest.approx(7)
    one.close()
    two.close()


def test_limit_that_one_reads_is_known_to_the_other(tmp_path: Path) -> None:
    clock = Clock()
    one, two = (SharedPace(tmp_path / "key", Rules(), clock) for _ in range(2))
    stated = Allowances(requests=Allowance(limit=60, remaining=0), tokens=Allowance())
    one.hear(ticket_of(one), stated)
    wait_s = two.take(0)
    assert isinstance(wait_s, float)
    assert 0.9 < wait_s < 1.1
    one.close()
    two.close()


def test_requests_without_a_limit_are_counted_now_and_then(tmp_path: Path) -> None:
    clock = Clock()
    one, two = (SharedPace(tmp_path / "key", Rules(), clock) for _ in range(2))
    for number in range(50):
        clock.now = 1_000 + number / 100
        ticket_of(one)
    clock.now += 1
    ticket_of(one)
    assert ticket_of(two).taken[0] == 52
    one.close()
    two.close()


@pytest.mark.parametrize("now", [1_000 + 3_600, 5.0], ids=["an hour later", "after a restart of the machine"])
def test_old_state_is_forgotten(tmp_path: Path, now: float) -> None:
    clock = Clock()
    one = SharedPace(tmp_path / "key", Rules(), clock)
    one.refuse(ticket_of(one), 7.0)
    one.close()
    clock.now = now
    two = SharedPace(tmp_path / "key", Rules(), clock)
    assert isinstance(two.take(0), Ticket)
    two.close()


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 4096])
def test_file_that_is_none_of_ours_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    pace = SharedPace(tmp_path / "key", Rules(requests_per_minute=60), Clock())
    assert isinstance(pace.take(0), Ticket)
    assert not isinstance(pace.take(0), Ticket)
    pace.close()


def test_folder_that_cannot_be_made_leaves_each_process_to_itself(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    pace = SharedPace(tmp_path / "file" / "quota" / "key", Rules(requests_per_minute=60), Clock())
    assert not pace.is_shared
    assert isinstance(pace.take(0), Ticket)
    assert not isinstance(pace.take(0), Ticket)


def test_state_of_one_process_gets_old_as_well() -> None:
    clock = Clock()
    pace = SharedPace(None, Rules(), clock)
    pace.refuse(ticket_of(pace), 7.0)
    clock.now += 3_600
    assert isinstance(pace.take(0), Ticket)


def test_lock_that_is_never_given_back_stops_nobody(tmp_path: Path) -> None:
    pace = SharedPace(tmp_path / "key", Rules(requests_per_minute=60), Clock())
    holder = os.open(tmp_path / "key", os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    assert isinstance(pace.take(0), Ticket)
    os.close(holder)
    pace.close()


HOLDER = """
import fcntl, os, sys
from pathlib import Path
from headrace.providers.pace import Rules
from headrace.providers.shared_pace import SharedPace
pace = SharedPace(Path(sys.argv[1]), Rules(requests_per_minute=60), lambda: 1000.0)
pace.take(0)
fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_process_that_is_killed_leaves_its_count_and_no_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "key")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder.stdin, holder.stdout:
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    pace = SharedPace(tmp_path / "key", Rules(requests_per_minute=60), Clock())
    descriptor = os.open(tmp_path / "key", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
    assert not isinstance(pace.take(0), Ticket)
    pace.close()
