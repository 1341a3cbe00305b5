"""``python -m tests.conformance.promptflow_records.record STOCK_VENV [PATTERN…]``: keep what stock leaves on disk.

PATTERN is a glob over the names of cases; without one every case is recorded.
"""

from __future__ import annotations

import json
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tests.conformance.promptflow_records.cases import load_cases, load_recordings, recording_path
from tests.conformance.promptflow_records.engines import RecordingStock


def main() -> None:
    """Record the cases that the command line names; drop recordings that no case has any more."""
    stock_environment, *patterns = sys.argv[1:]
    cases = load_cases()
    for name in load_recordings().keys() - cases:
        recording_path(name).unlink()
    with (
        tempfile.TemporaryDirectory() as folder,
        RecordingStock(Path(stock_environment), Path(folder).resolve() / "stock") as stock,
    ):
        for name, case in cases.items():
            if any(fnmatch(name, pattern) for pattern in patterns or ["*"]):
                sys.stdout.write(f"{name}\n")
                sys.stdout.flush()
                recording = [step["records"] for step in stock.run_case(case)["steps"]]
                write_recording(recording_path(name), recording)


def write_recording(path: Path, recording: Any) -> None:
    """Write one recording, readable in a diff."""
    text = json.dumps(recording, ensure_ascii=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
