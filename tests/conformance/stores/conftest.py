from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.postgresql import Server, running_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    with running_server() as server:
        yield server
