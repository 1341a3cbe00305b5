"""What holds for every test."""

from __future__ import annotations

import gc
import os
import urllib.request

import pytest
from hypothesis import HealthCheck, settings

# Thousands of tests keep much alive that is never garbage: looking through all of it so often takes a tenth of their time.
gc.set_threshold(50_000, 20, 50)

# Speed is measured in benchmarks: no test fails because the machine is slow.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "unhurried")

# Nothing can be kept there: what one test does to a service is not shared with the next one on the same port.
os.environ["XDG_STATE_HOME"] = os.devnull


def pytest_collection_finish() -> None:
    """Look for no garbage in what is loaded before the first test: servers in this process look through everything."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _proxies_of_its_own() -> None:
    """Let each test ask through the proxies that it has set: urllib keeps those of its first request for ever."""
    urllib.request.install_opener(None)  # type: ignore[arg-type]
