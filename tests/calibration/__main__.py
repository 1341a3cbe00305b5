"""Run the studies on all cores, print what they find, and write docs/calibration.md; fails where a check does not hold.

Usage: python -m tests.calibration [--only NAME]... [--write]

A name stands for all studies that begin with it and an underscore as well; with names only their tables are written.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from tests.calibration import STUDIES
from tests.calibration.study import Study

PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"


def run(name: str) -> Study:
    return STUDIES[name]()


def merged(studies: list[Study]) -> list[Study]:
    """Studies of one title that follow each other as one table."""
    tables = []
    for _, group in groupby(studies, key=lambda study: study.title):
        first, *others = group
        rows = tuple(row for study in (first, *others) for row in study.rows)
        tables.append(replace(first, rows=rows))
    return tables


def with_tables(page: str, studies: list[Study]) -> str:
    """The page with the tables of these studies in place of those of the same titles, new ones at the end."""
    head, *sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    tables = {section.partition("\n")[0]: section.rstrip("\n") + "\n" for section in sections}
    tables.update((f"## {study.title}", study.markdown()) for study in studies)
    return head + "\n".join(tables.values())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.calibration", description=__doc__)
    groups = {name.partition("_")[0] for name in STUDIES}
    choices = [*STUDIES, *sorted(groups - set(STUDIES))]
    parser.add_argument(
        "--only", action="append", choices=choices, help="a study, or some; all when not given"
    )
    parser.add_argument("--write", action="store_true", help="write docs/calibration.md")
    parser.add_argument("--processes", type=int, default=None)
    arguments = parser.parse_args()
    wanted = tuple(arguments.only or STUDIES)
    names = [name for name in STUDIES if name in wanted or name.partition("_")[0] in wanted]
    started = time.perf_counter()
    # The longest first, so that no core is left with one at the end.
    with ProcessPoolExecutor(arguments.processes) as pool:
        jobs = {name: pool.submit(run, name) for name in reversed(names)}
        found = [jobs[name].result() for name in names]
    for study in merged(found):
        sys.stdout.write(study.markdown() + "\n")
    checks = [check for study in found for check in study.checks]
    broken = [check for check in checks if not check.holds]
    for check in broken:
        sys.stdout.write(f"NOT AS PROMISED {check}\n")
    sys.stdout.write(
        f"{len(checks) - len(broken)} of {len(checks)} checks hold, {time.perf_counter() - started:.0f} s\n"
    )
    if arguments.write:
        PAGE.write_text(with_tables(PAGE.read_text("utf-8"), merged(found)), "utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
