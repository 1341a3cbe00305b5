"""Evidence of live traffic while processes die and the store is locked, killed and back: see ``make faults``."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.appending import check_account, kill_appenders
from tests.support.postgresql import running_server

pytestmark = pytest.mark.faults

SEED = int(os.environ.get("HEADRACE_TEST_SEED", "20260108"))
N_DEATHS = 25


def test_appenders_are_killed_while_others_lock_the_file_of_the_store(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    location = str(tmp_path / "store.sqlite")

    def lock(_: int) -> None:
        if draw.random() < 0.5:
            with closing(sqlite3.connect(location, timeout=10, isolation_level=None)) as connection:
                connection.execute("BEGIN EXCLUSIVE")
                time.sleep(draw.uniform(0.1, 1))

    acknowledged = kill_appenders(tmp_path, location, seed=SEED, n_deaths=N_DEATHS, disturb=lock)
    assert len(acknowledged) > 10 * N_DEATHS
    check_account(tmp_path, location, acknowledged)


def test_appenders_are_killed_while_the_server_of_the_store_stops_and_starts(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    with running_server() as server:
        location = server.new_location()
        is_over = threading.Event()
        n_restarts = [0]

        def restart() -> None:
            while not is_over.wait(draw.uniform(0.5, 3)):
                server.stop()
                is_over.wait(draw.uniform(0, 1.5))
                server.start()
                n_restarts[0] += 1

        def keep_pace(death: int) -> None:  # on a slow machine the deaths would be over first
            while thread.is_alive() and n_restarts[0] * 4 < death:
                time.sleep(0.05)

        thread = threading.Thread(target=restart)
        thread.start()
        try:
            acknowledged = kill_appenders(tmp_path, location, seed=SEED, n_deaths=N_DEATHS, disturb=keep_pace)
        finally:
            is_over.set()
            thread.join()
        server.restart()  # the kernel stops one that a thread has started when that ends
        assert n_restarts[0] > 5
        assert len(acknowledged) > 10 * N_DEATHS
        check_account(tmp_path, location, acknowledged)
