"""What was acknowledged is in the store once, whichever process died and whenever; longer in ``make faults``."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.appending import check_account, kill_appenders


def test_what_killed_processes_had_acknowledged_is_kept_once(tmp_path: Path) -> None:
    location = str(tmp_path / "store.sqlite")
    with closing(sqlite3.connect(location, isolation_level=None, check_same_thread=False)) as connection:

        def lock(n_deaths: int) -> None:
            connection.execute("BEGIN EXCLUSIVE" if n_deaths % 2 else "COMMIT")

        acknowledged = kill_appenders(tmp_path, location, seed=7, n_deaths=4, disturb=lock)
    check_account(tmp_path, location, acknowledged)
