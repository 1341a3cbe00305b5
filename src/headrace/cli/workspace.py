"""The workspace of one command, and what closing it has to report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.cli.session import Session
from headrace.operations.workspace import Workspace, open_workspace


@contextmanager
def command_workspace(session: Session) -> Iterator[Workspace]:
    """Open the workspace of the working directory; warnings of closing it are shown after the block."""
    with open_workspace(session.settings, session.folder) as workspace:
        yield workspace
    if workspace.warnings:
        session.show_problems(*workspace.warnings)
