"""The workspace of one command, and what it warns of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.cli.session import Session
from headrace.operations.workspace import Workspace, open_workspace


@contextmanager
def command_workspace(session: Session) -> Iterator[Workspace]:
    """Open the workspace of the working directory; its warnings are shown after the block, except with ``-q``."""
    with open_workspace(session.settings, session.folder) as workspace:
        yield workspace
    if workspace.warnings and not session.is_quiet:
        session.show_problems(*workspace.warnings)
