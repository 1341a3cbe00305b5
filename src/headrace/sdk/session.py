"""The workspace of code that runs flows: that of the run it belongs to, or its own."""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from pathlib import Path

from headrace.config import load_settings
from headrace.operations.workspace import Workspace, workspace_at_work


def join_workspace(owner: object) -> Workspace:
    """The workspace in which this process runs flows already; else the one of the working directory.

    Args:
        owner: What uses it: the workspace is closed when it is gone, or when the process ends.
    """
    running = workspace_at_work()
    if running is not None:
        return running
    stack = ExitStack()
    weakref.finalize(owner, stack.close)
    return Workspace(load_settings(), Path.cwd(), stack)
