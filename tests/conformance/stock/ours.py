"""The cases under headrace, in process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headrace.config import load_settings
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.test_flow import TestRequest, run_test
from headrace.operations.workspace import open_workspace
from tests.conformance.stock.cases import BatchCase, Case, data_path


def run_case(project: Path, case: Case) -> Any:
    """Outputs of one test."""
    with open_workspace(load_settings({"HOME": str(project)}), project) as workspace:
        request = TestRequest(flow=project / case.flow, inputs=case.inputs, variant=case.variant)
        result = run_test(workspace, request)
        assert result.line.problem is None, result.line.problem
        return result.outputs if isinstance(result.outputs, dict) else {"output": result.outputs}


def run_batch_case(project: Path, case: BatchCase) -> dict[str, Any]:
    """Outputs by line of the run and of its evaluation, and the evaluation's metrics."""
    with open_workspace(load_settings({"HOME": str(project)}), project) as workspace:
        data = data_path(project, case)
        request = RunRequest(flow=project / case.flow, data=data, column_mapping=case.column_mapping)
        base = create_run(workspace, request)
        request = RunRequest(
            flow=project / case.evaluation,
            data=data,
            source_run=base.spec.name,
            column_mapping=case.evaluation_mapping,
        )
        judged = create_run(workspace, request)
        return {
            "outputs": [_row(line) for line in workspace.store.read_lines(base.spec.name)],
            "scores": [_row(line) for line in workspace.store.read_lines(judged.spec.name)],
            "metrics": dict(judged.metrics),
        }


def _row(line: Any) -> dict[str, Any]:
    return {"line_number": line.line_number, **line.outputs}
