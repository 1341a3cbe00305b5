"""Watch a run: what is recorded of it, then what another process records, until it ends."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.domain.run import LineResult
from headrace.operations.run_owner import is_at_work
from headrace.operations.workspace import Workspace


def follow_run(workspace: Workspace, name: str) -> Iterator[LineResult | None]:
    """The lines of a run, each once, in order of their number as far as they are there.

    Yields:
        A line; or ``None`` whenever all that is recorded has been given out and the run has not ended: the caller
        waits before it asks again.

    Raises:
        UsageError: S801 for an unknown run.
        StateError: The store failed.
    """
    store = workspace.store
    seen: set[int] = set()
    while True:
        # The status first: a run is closed after its last line, so what is read after that is all of it.
        has_ended = not is_at_work(store.read_run(name), workspace.now())
        for number in sorted(store.line_statuses(name).keys() - seen):
            seen.add(number)
            line = store.read_line(name, number)
            if line is not None:
                yield line
        if has_ended:
            return
        yield None
