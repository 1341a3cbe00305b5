"""Events of runs as lines of JSON, for programs that watch a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from headrace.cli.session import fail_usage
from headrace.engine.events import OnEvent, RunEvent


@contextmanager
def write_events(path: Path) -> Iterator[OnEvent]:
    """Write every event into ``path`` as soon as it happens; a pipe or ``/dev/stderr`` will do as well.

    A line holds ``event`` (``run_started``, ``line_finished``, ``run_stopping``, ``run_finished``), ``time`` (UTC) and
    the fields of the event.

    Raises:
        UsageError: C507 when the file cannot be written.
    """
    try:
        stream = path.open("w", encoding="utf-8", buffering=1)
    except OSError as error:
        fail_usage(f"--events cannot write {path}: {error.strerror}.", "Name a file in a folder that exists.")
    with stream:

        def write(event: RunEvent) -> None:
            name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
            record = {"event": name, "time": datetime.now(UTC).isoformat(), **asdict(event)}
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")

        yield write
