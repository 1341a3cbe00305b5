from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.runs import a_line, a_spec, a_time

from headrace.config import load_settings
from headrace.domain.run import COMPLETED, FAILED
from headrace.errors import UsageError
from headrace.operations.follow_run import follow_run
from headrace.operations.run_owner import new_owner
from headrace.operations.workspace import Workspace, open_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "memory:"})
    with open_workspace(settings, tmp_path) as opened:
        opened.store.create_run(a_spec(), n_lines=4, created_at=opened.now(), owner=new_owner())
        yield opened


def finish(workspace: Workspace) -> None:
    workspace.store.finish_run("first", status=COMPLETED, finished_at=a_time(1), metrics={})


def test_a_run_that_has_ended_is_given_whole(workspace: Workspace) -> None:
    workspace.store.append_lines("first", [a_line(2), a_line(0, status=FAILED)])
    finish(workspace)
    assert [line and line.line_number for line in follow_run(workspace, "first")] == [0, 2]


def test_a_run_is_followed_until_it_ends(workspace: Workspace) -> None:
    store = workspace.store
    store.append_lines("first", [a_line(1)])
    numbers = []
    waits = 0
    for line in follow_run(workspace, "first"):
        if line is not None:
            numbers.append(line.line_number)
            continue
        waits += 1
        if waits == 2:
            store.append_lines("first", [a_line(3), a_line(0)])
        if waits == 3:
            store.append_lines("first", [a_line(2)])
            finish(workspace)
    assert (numbers, waits) == ([1, 0, 3, 2], 3)


def test_an_unknown_run_is_refused(workspace: Workspace) -> None:
    with pytest.raises(UsageError):
        next(follow_run(workspace, "none"))
