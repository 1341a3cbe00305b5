"""A process that works on a store, for tests of several processes: ``python -m tests.support.store_process``.

It speaks by lines: it writes one when it has done a step, and waits for one where a test has to go first.
"""

from __future__ import annotations

import argparse
import sys

from tests.support.evidence import a_completion, a_feedback, an_exposure
from tests.support.runs import a_line, a_spec, a_time

from headrace.domain.run import COMPLETED
from headrace.store.database import Connection
from headrace.store.opening import open_store
from headrace.store.sql import SqlStore


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["write", "commit", "create", "hold", "evidence"])
    parser.add_argument("location")
    parser.add_argument("run")
    parser.add_argument("--batches", type=int, default=50)
    parser.add_argument("--batch", type=int, default=4)
    arguments = parser.parse_args()
    actions = {"write": write, "commit": commit, "create": create, "hold": hold, "evidence": evidence}
    actions[arguments.action](arguments)


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def write(arguments: argparse.Namespace) -> None:
    """Append batch after batch; after each, say how many lines are committed, and wait for a line to go on."""
    store = open_store(arguments.location)
    for start in range(0, arguments.batches * arguments.batch, arguments.batch):
        store.append_lines(arguments.run, [a_line(start + offset) for offset in range(arguments.batch)])
        say(start + arguments.batch)
        if not sys.stdin.readline():
            return
    store.close()


def commit(arguments: argparse.Namespace) -> None:
    """Wait for a line, create a run and append batch after batch to it, reading it back now and then."""
    store = open_store(arguments.location)
    n_lines = arguments.batches * arguments.batch
    say("ready")
    sys.stdin.readline()
    store.create_run(a_spec(arguments.run), n_lines=n_lines, created_at=a_time())
    for start in range(0, n_lines, arguments.batch):
        store.append_lines(arguments.run, [a_line(start + offset) for offset in range(arguments.batch)])
        if start % 100 == 0:
            assert len(store.line_statuses(arguments.run)) == start + arguments.batch
    store.finish_run(arguments.run, status=COMPLETED, finished_at=a_time(), metrics={})
    store.close()
    say("done")


def create(arguments: argparse.Namespace) -> None:
    """Wait for a line, create a run as the first thing done to the store, and close it."""
    say("ready")
    sys.stdin.readline()
    store = open_store(arguments.location)
    store.create_run(a_spec(arguments.run), n_lines=1, created_at=a_time())
    store.append_lines(arguments.run, [a_line(0)])
    store.close()
    say("done")


def evidence(arguments: argparse.Namespace) -> None:
    """Wait for a line, then append evidence of as many requests; half of them are everybody's, half this process's."""
    store = open_store(arguments.location)
    say("ready")
    sys.stdin.readline()
    n_new = 0
    for start in range(0, arguments.batches * arguments.batch, arguments.batch):
        numbers = [f"{arguments.run if n % 2 else 'all'} {start + n}" for n in range(arguments.batch)]
        feedback = [a_feedback(number, test="") for number in numbers]
        n_new += store.append_evidence(feedback)
        n_new += store.append_evidence([an_exposure(number) for number in numbers])
        n_new += store.append_evidence([*feedback, *map(a_completion, numbers)])
    store.close()
    say(n_new)


def hold(arguments: argparse.Namespace) -> None:
    """Delete a run in a transaction that is never committed."""
    store = open_store(arguments.location)
    assert isinstance(store, SqlStore)

    def delete(connection: Connection) -> None:
        connection.execute("delete_run", {"name": arguments.run})
        say("holding")
        sys.stdin.readline()

    store._database.write(delete, is_repeatable=False)


if __name__ == "__main__":
    main()
