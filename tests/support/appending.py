"""Processes that record evidence and are killed, and an account of it: ``python -m tests.support.appending``.

Each record that a process has appended is acknowledged in a file of its own, which outlives it as a caller would.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

from tests.support.evidence import a_completion, a_feedback, an_exposure

from headrace.domain.evidence import Completion, Evidence
from headrace.store.base import RunStore
from headrace.store.journal import Journal, JournalMover
from headrace.store.opening import open_store
from headrace.store.postgresql import PostgresqlDatabase, parse_address
from headrace.store.postgresql import make_store as make_postgresql
from headrace.store.sqlite import SqliteDatabase
from headrace.store.sqlite import make_store as make_sqlite

ROOT = Path(__file__).parents[2]
_FLUSH_S = 120.0


def impatient_store(location: str) -> RunStore:
    """The store at a location, which says soon when it is away."""
    scheme, _, address = location.rpartition("://")
    if scheme:
        return make_postgresql(PostgresqlDatabase(parse_address(address), patience_s=0.2))
    return make_sqlite(SqliteDatabase(Path(location), busy_timeout_s=0.05))


def records_of(name: str) -> Sequence[Evidence]:
    """What is recorded of one request, in this order: feedback that names no test comes first."""
    return (a_feedback(name, test=""), an_exposure(name), a_completion(name))


def name_of(record: Evidence) -> str:
    """What a record is acknowledged by."""
    return record.exposure + " c" if isinstance(record, Completion) else record.id


def main(folder: str, location: str, name: str) -> None:
    """Record requests without end, moving journals beside it."""
    journal = Journal(Path(folder), file_bytes=30_000)
    JournalMover(Path(folder), impatient_store(location), 0.02)
    for number in count():
        for record in records_of(f"{name}.{number}"):
            journal.append(record)
            os.write(1, f"{name_of(record)}\n".encode())
        time.sleep(0.001)


def kill_appenders(
    folder: Path, location: str, *, seed: int, n_deaths: int, disturb: Callable[[int], None]
) -> Counter[str]:
    """Start processes, two at a time, and kill each at a random moment.

    Args:
        folder: Where journals and acknowledgements are.
        location: Of the store.
        seed: Of moments and victims.
        n_deaths: How many are killed.
        disturb: Called before each death with how many there were; does something to the store.

    Returns:
        What was acknowledged.
    """
    draw = random.Random(seed)
    alive: list[subprocess.Popen[bytes]] = []
    acknowledged = [folder / f"acknowledged.{number}" for number in range(n_deaths + 1)]
    try:
        for number in range(n_deaths + 1):
            with acknowledged[number].open("wb") as file:
                alive.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "tests.support.appending", str(folder / "journal"), location, f"p{number}"],
                        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}, stdout=file,
                    )
                )  # fmt: skip
            _wait_for_records(acknowledged[number], alive[-1])
            if len(alive) == 2:
                disturb(number)
                time.sleep(draw.uniform(0, 0.4))
                victim = alive.pop(draw.randrange(2))
                assert victim.poll() is None
                victim.kill()
                victim.wait()
    finally:
        for process in alive:
            process.kill()
            process.wait()
    return Counter(line for file in acknowledged for line in file.read_text("utf-8").splitlines())


def _wait_for_records(acknowledged: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while not acknowledged.stat().st_size:
        assert process.poll() is None, "it cannot record"
        assert time.monotonic() < end
        time.sleep(0.01)


def check_account(folder: Path, location: str, acknowledged: Counter[str]) -> None:
    """Move what is left, and see that what was acknowledged is in the store, once and in whole, and nothing else.

    What was appended and not acknowledged any more, at most one record of each process, may be there.
    """
    store = open_store(location)
    mover = JournalMover(folder / "journal", store, 0.01)
    assert mover.flush(_FLUSH_S)
    end = time.monotonic() + _FLUSH_S
    while list((folder / "journal").iterdir()):
        assert time.monotonic() < end
        time.sleep(0.01)
    mover.close()
    settled, waiting = list(_read_all(store, "checkout")), list(_read_all(store, ""))
    store.close()
    found = Counter(map(name_of, [*settled, *waiting]))
    assert set(acknowledged.values()) == set(found.values()) == {1}
    assert acknowledged.keys() <= found.keys()
    more = [_request(name).partition(".")[0] for name in found.keys() - acknowledged.keys()]
    assert len(more) == len(set(more))
    assert not [record for record in waiting if f"r{_request(name_of(record))}" in found]
    assert all(record in records_of(_request(name_of(record))) for record in waiting)
    for record in settled:
        name = _request(name_of(record))
        assert record in (a_feedback(name), *records_of(name)[1:])


def _request(name: str) -> str:
    return name[1:].removesuffix(" c")


def _read_all(store: RunStore, test: str) -> Iterator[Evidence]:
    place = 0
    while page := store.read_arrivals(test, after=place):
        yield from (arrival.evidence for arrival in page)
        place = page[-1].place


if __name__ == "__main__":
    main(*sys.argv[1:])
