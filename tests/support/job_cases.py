"""What goes wrong with jobs of Azure Machine Learning, made from the plain data of a problem's case."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.azure import StandIn

from headrace.config import load_settings
from headrace.errors import Problem
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import open_workspace


def job_case(folder: Path, case: Mapping[str, Any]) -> Sequence[Problem]:
    """The problem of the first line of ``data.jsonl`` over ``flow``; ``cancels`` the job while it waits."""
    with pytest.MonkeyPatch.context() as patch, StandIn(folder) as azure:
        azure.enter(patch)
        azure.jobs.is_held = bool(case.get("cancels"))

        def cancel() -> None:
            if azure.jobs.wait_for(1):
                azure.jobs.held.pop().properties["status"] = "Canceled"

        cancelling = threading.Thread(target=cancel)
        if azure.jobs.is_held:
            cancelling.start()
        on = f"azureml:/{azure.machine_learning.workspace_id}?compute=cpu&environment=python:3.12"
        request = RunRequest(
            flow=folder / "flow", data=folder / "data.jsonl", name="jobs", on=on, workers=1, max_concurrency=1
        )
        settings = load_settings({**os.environ, "HOME": str(folder)})
        with open_workspace(settings, folder) as workspace:
            create_run(workspace, request)
            return [line.problem for line in workspace.store.read_lines("jobs") if line.problem is not None]
