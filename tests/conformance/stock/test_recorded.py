from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.stock.cases import BATCH_CASES, CASES, BatchCase, Case, make_project, recorded
from tests.conformance.stock.ours import run_batch_case, run_case


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("stock") / "project")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_test_gives_what_stock_gave(project: Path, case: Case) -> None:
    assert run_case(project, case) == recorded("tests.json")[case.name]


@pytest.mark.parametrize("case", BATCH_CASES, ids=lambda case: case.name)
def test_a_run_and_its_evaluation_give_what_stock_gave(project: Path, case: BatchCase) -> None:
    assert run_batch_case(project, case) == recorded("batches.json")[case.name]


def test_every_flow_of_the_repository_is_among_the_cases(project: Path) -> None:
    flows = {str(path.parent.relative_to(project)) for path in (project / "flows").rglob("flow.dag.yaml")}
    assert flows == {case.flow for case in CASES if case.flow.startswith("flows/")}
