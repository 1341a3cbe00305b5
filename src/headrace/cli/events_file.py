"""Events of runs as lines of JSON, for programs that watch a run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from headrace.cli.session import fail_usage
from headrace.engine.events import OnEvent, RunEvent

_STREAMS = {Path("/dev/stdout"): 1, Path("/dev/stderr"): 2}
"""Opened by name, a stream that is a file would be emptied and written over."""


@contextmanager
def write_events(path: Path, note: Callable[[str], None]) -> Iterator[OnEvent]:
    """Write every event into ``path`` as soon as it happens; a pipe or ``/dev/stderr`` will do as well.

    A run does not end because its events cannot be written any more: ``note`` is told once.

    A line holds ``event`` (``run_started``, ``line_finished``, ``run_held_up``, ``run_stopping``, ``run_finished``,
    ``arm_dropped``), ``time`` (UTC) and the fields of the event.

    Raises:
        UsageError: C507 when the file cannot be written.
    """
    try:
        if path in _STREAMS:
            stream = os.fdopen(os.dup(_STREAMS[path]), "w", encoding="utf-8", buffering=1)
        else:
            stream = path.open("w", encoding="utf-8", buffering=1)
    except OSError as error:
        fail_usage(f"--events cannot write {path}: {error.strerror}.", "Name a file in a folder that exists.")
    is_broken = False

    def write(event: RunEvent) -> None:
        nonlocal is_broken
        if is_broken:
            return
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
        record = {"event": name, "time": datetime.now(UTC).isoformat(), **asdict(event)}
        try:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        except OSError as error:
            is_broken = True
            note(f"No more events are written into {path}: {error.strerror}.")

    try:
        yield write
    finally:
        with suppress(OSError):  # said already: every line has been written at once
            stream.close()
