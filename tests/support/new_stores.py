"""Locations of stores that are not there yet, for tests over several kinds of store."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from tests.support.postgresql import Server


def new_sqlite(request: pytest.FixtureRequest) -> str:
    """A file in a folder of its own below the test's."""
    folder: Path = request.getfixturevalue("tmp_path")
    return str(Path(tempfile.mkdtemp(dir=folder)) / ".headrace" / "headrace.sqlite")


def new_postgresql(request: pytest.FixtureRequest) -> str:
    """A schema of the session's server; skips the test where PostgreSQL is not installed."""
    server: Server = request.getfixturevalue("postgresql")
    return server.new_location()
