from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.stock.cases import BATCH_CASES, CASES, BatchCase, Case, make_project
from tests.conformance.stock.ours import run_batch_case, run_case
from tests.conformance.stock.stock import Stock, baseline_server

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("live") / "project")


@pytest.fixture(scope="module")
def stock(project: Path) -> Iterator[Stock]:
    with baseline_server() as url:
        yield Stock(Path(os.environ["HEADRACE_STOCK"]), project, url)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_test_gives_what_stock_gives(project: Path, stock: Stock, case: Case) -> None:
    assert run_case(project, case) == stock.test(case)


@pytest.mark.parametrize("case", BATCH_CASES, ids=lambda case: case.name)
def test_a_run_and_its_evaluation_give_what_stock_gives(project: Path, stock: Stock, case: BatchCase) -> None:
    assert run_batch_case(project, case) == stock.batch(case)
