"""The cases against the stock promptflow that is installed (``make conformance``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.promptflow_records.cases import expected_records, load_cases
from tests.conformance.promptflow_records.engines import RecordingStock, run_ours

pytestmark = pytest.mark.live
CASES = load_cases()


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordingStock]:
    environment = Path(os.environ["HEADRACE_STOCK"])
    with RecordingStock(environment, tmp_path_factory.mktemp("live") / "stock") as running:
        yield running


@pytest.mark.parametrize("name", CASES)
def test_a_case_leaves_what_stock_leaves(stock: RecordingStock, name: str, tmp_path: Path) -> None:
    recording = [step["records"] for step in stock.run_case(CASES[name])["steps"]]
    assert run_ours(CASES[name], tmp_path) == expected_records(CASES[name], recording)
