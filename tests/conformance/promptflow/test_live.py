from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.promptflow.case import Case, load_cases
from tests.conformance.promptflow.comparing import run_and_expect
from tests.conformance.promptflow.stock import Stock

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    with Stock(Path(os.environ["HEADRACE_STOCK"]), tmp_path_factory.mktemp("live") / "stock") as stock:
        yield stock


@pytest.mark.parametrize("case", load_cases(), ids=lambda case: case.path)
def test_a_case_gives_what_stock_gives(case: Case, stock: Stock, tmp_path: Path) -> None:
    sides = run_and_expect(case, stock.run_case(case), tmp_path)
    assert sides.given == sides.expected
