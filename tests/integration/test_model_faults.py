"""A run over a model service that fails one request in six: no line is lost, and its results are those of any other run."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.support.deadly import story
from tests.support.faulty_model import SETTINGS, faulty, make_flow, model_service

from headrace.config import load_settings
from headrace.domain.run import COMPLETED
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import open_workspace


@pytest.mark.parametrize("workers", [0, 2])
def test_faults_of_a_service_change_no_result(tmp_path: Path, workers: int) -> None:
    (tmp_path / ".headrace").mkdir()
    settings = load_settings({"HOME": str(tmp_path), **SETTINGS})
    with open_workspace(settings, tmp_path) as workspace, model_service(workspace) as server:
        request = make_flow(tmp_path, 200)
        create_run(workspace, request)
        server.default = faulty(random.Random(7))  # noqa: S311
        done = create_run(
            workspace,
            RunRequest(flow=request.flow, data=request.data, name="hit", max_concurrency=32, workers=workers),
        )
        assert (done.status, done.n_completed) == (COMPLETED, 200)
        assert done.metrics == {"n": 200, "different": 200}
        assert story(workspace, "hit") == story(workspace, "whole")
        assert [line.usage.total_tokens for line in workspace.store.read_lines("hit")] == [
            line.usage.total_tokens for line in workspace.store.read_lines("whole")
        ]
