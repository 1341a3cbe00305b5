"""A project as ``headrace init`` writes it, and a runner for its workflows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from headrace.operations.init_project import init_project
from tests.support.own_project import ROOT
from tests.support.pipeline_programs import install, kept
from tests.support.workflow_steps import Job, Runner

GITHUB = {
    "event": {
        "pull_request": {"number": "12", "head": {"repo": {"full_name": "owner/project"}}},
        "repository": {"visibility": "public"},
    },
    "event_name": "pull_request",
    "ref": "refs/pull/12/merge",
    "repository": "owner/project",
    "run_id": "99",
    "server_url": "https://github.com",
    "token": "token-of-the-job",
}
FORK = {
    "github": {
        **GITHUB,
        "event": {
            "pull_request": {"number": "12", "head": {"repo": {"full_name": "somebody/project"}}},
            "repository": {"visibility": "public"},
        },
    }
}
MAIN = {"github": {**GITHUB, "event_name": "push", "ref": "refs/heads/main"}}


@dataclass
class Pipeline:
    """A project, what runs its workflows, and what they have done."""

    project: Path
    runner: Runner
    folder: Path

    @property
    def flow(self) -> Path:
        return self.project / "flows" / "my_flow"

    def run(self, file: str, *names: str, **more: Any) -> dict[str, Job]:
        return self.runner.run(file, *names, **more)

    def comments(self) -> list[dict[str, Any]]:
        return kept(self.folder, "comments")

    def own_runner(self, project: Path | None = None) -> Runner:
        """A runner of the workflows that are this repository's alone."""
        folder = self.folder / "own"
        return replace(self.runner, github=ROOT / ".github", project=project or self.project, folder=folder)


def make_pipeline(folder: Path, environment: Mapping[str, str] | None = None) -> Pipeline:
    """A project in ``folder``; scripts have ``environment`` besides what a runner of GitHub gives them."""
    project = folder / "project"
    init_project(project, "my_project")
    programs, variables = install(folder / "programs")
    path = os.pathsep.join((str(programs), "/usr/local/bin", "/usr/bin", "/bin"))
    given = {"PATH": path, "HOME": str(folder / "home"), "CI": "true", "GITHUB_ACTIONS": "true", **variables}
    runner = Runner(
        github=project / ".github",
        project=project,
        folder=folder / "runs",
        environment={**given, **(environment or {})},
        contexts={"github": GITHUB, "vars": {}, "secrets": {}},
    )
    return Pipeline(project, runner, folder / "programs")


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)
