"""The cases under both engines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.cli.main import run_command_line
from headrace.config import load_settings
from headrace.operations.export_run import export_run
from headrace.operations.workspace import open_workspace
from tests.conformance.promptflow.case import Case, Step, filled
from tests.conformance.promptflow.ours import _this_process
from tests.conformance.promptflow.results import make_places
from tests.conformance.promptflow.stock import Stock
from tests.conformance.promptflow_records.records import (
    Records,
    clear_test_records,
    records_of_run,
    records_of_test,
)
from tests.support.commands import ListeningSession


class RecordingStock(Stock):
    """Stock promptflow that keeps what it leaves on disk."""

    def _run_step(self, step: Step, folder: Path, environment: Mapping[str, str], url: str) -> dict[str, Any]:
        clear_test_records(folder)
        self._drive(Step(words=tuple(filled(word, url) for word in step.words)), folder, environment)
        places = make_places(folder, self._home, url)
        if step.kind == "run":
            run = self._home / ".promptflow" / ".runs" / run_name(step)
            return {"records": records_of_run(run, {str(run): "{run}", **places})}
        return {"records": records_of_test(step, folder, places)}


def run_ours(case: Case, folder: Path) -> list[Records]:
    """What headrace leaves after every step, in an empty folder."""
    project, home = folder / "project", folder / "home"
    project.mkdir()
    found = []
    with case.serve_model() as server:
        case.write_files(project, server.url)
        variables = {"HOME": str(home), "PATH": os.environ["PATH"], **case.environment}
        places = make_places(project, home, server.url)
        for path in case.write_connections(folder / "connections", server.url):
            words = ["connection", "create", "--file", str(path), "--user"]
            with _this_process(project, variables):
                assert run_command_line(words, ListeningSession(project, variables)) == 0
        for number, step in enumerate(case.steps):
            clear_test_records(project)
            with _this_process(project, variables):
                words = [filled(word, server.url) for word in step.words]
                run_command_line(words, ListeningSession(project, variables))
            if step.kind == "run":
                target = folder / f"run_{number}"
                with open_workspace(load_settings(variables), project) as workspace:
                    assert export_run(workspace, run_name(step), target) == ()
                found.append(records_of_run(target, {str(target): "{run}", **places}))
            else:
                found.append(records_of_test(step, project, places))
    return found


def run_name(step: Step) -> str:
    """The name that a step gives to its run."""
    name = step.option("--name")
    assert name is not None
    return name
