"""A process that works on a store, for tests of several processes: ``python -m tests.support.store_process``.

It speaks by lines: it writes one when it has done a step, and waits for one where a test has to go first.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys

from tests.support.runs import a_line, a_spec, a_time

from headrace.store.opening import open_store


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["write", "create", "hold"])
    parser.add_argument("path")
    parser.add_argument("run")
    parser.add_argument("--batches", type=int, default=50)
    parser.add_argument("--batch", type=int, default=4)
    arguments = parser.parse_args()
    {"write": write, "create": create, "hold": hold}[arguments.action](arguments)


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def write(arguments: argparse.Namespace) -> None:
    """Append batch after batch; after each, say how many lines are committed, and wait for a line to go on."""
    store = open_store(arguments.path)
    for start in range(0, arguments.batches * arguments.batch, arguments.batch):
        store.append_lines(arguments.run, [a_line(start + offset) for offset in range(arguments.batch)])
        say(start + arguments.batch)
        if not sys.stdin.readline():
            return
    store.close()


def create(arguments: argparse.Namespace) -> None:
    """Wait for a line, create a run as the first thing done to the store, and close it."""
    say("ready")
    sys.stdin.readline()
    store = open_store(arguments.path)
    store.create_run(a_spec(arguments.run), n_lines=1, created_at=a_time())
    store.append_lines(arguments.run, [a_line(0)])
    store.close()
    say("done")


def hold(arguments: argparse.Namespace) -> None:
    """Delete every line in a transaction that is never committed."""
    connection = sqlite3.connect(arguments.path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM line")
    say("holding")
    sys.stdin.readline()


if __name__ == "__main__":
    main()
