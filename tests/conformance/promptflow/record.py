"""``python -m tests.conformance.promptflow.record STOCK_VENV [PATTERN…] [--spawn]``: keep what stock promptflow does.

PATTERN is a glob over ``section/name``; without one every case is recorded. ``--spawn`` lets stock start the workers
of runs as new interpreters, as it does by itself; slower, with the same results.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from fnmatch import fnmatch
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.conformance.promptflow.case import RECORDED, load_cases, load_recordings
from tests.conformance.promptflow.stock import Stock


def main() -> None:
    """Record the cases that the command line names; drop recordings that no case has any more."""
    parser = argparse.ArgumentParser()
    parser.add_argument("stock", type=Path)
    parser.add_argument("patterns", nargs="*", default=["*"])
    parser.add_argument("--spawn", action="store_true")
    options = parser.parse_args()
    cases = load_cases()
    kept = {case.path for case in cases}
    recordings = {path: recording for path, recording in load_recordings().items() if path in kept}
    with (
        tempfile.TemporaryDirectory() as folder,
        Stock(options.stock, Path(folder).resolve() / "stock", forks=not options.spawn) as stock,
    ):
        wanted = [case for case in cases if any(fnmatch(case.path, item) for item in options.patterns)]
        for _, section in groupby(wanted, lambda case: case.path.partition("/")[0]):
            for case in section:
                start = time.monotonic()
                recordings[case.path] = stock.run_case(case)
                sys.stdout.write(f"{case.path}  {time.monotonic() - start:.1f} s\n")
                sys.stdout.flush()
            write_recordings(recordings)  # what is recorded stays, whatever happens to the next section
    write_recordings(recordings)


def write_recordings(recordings: Mapping[str, Any]) -> None:
    """Write one file per section, readable in a diff."""
    sections: dict[str, dict[str, Any]] = {}
    for path, recording in recordings.items():
        section, _, name = path.partition("/")
        sections.setdefault(section, {})[name] = recording
    for path in RECORDED.glob("*.json"):
        if path.stem not in sections:
            path.unlink()
    for section, data in sections.items():
        text = json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        (RECORDED / f"{section}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
