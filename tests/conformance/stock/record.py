"""``python -m tests.conformance.stock.record STOCK_VENV``: keep what stock promptflow answers."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.conformance.stock.cases import BATCH_CASES, CASES, make_project
from tests.conformance.stock.stock import Stock, baseline_server

RECORDED = Path(__file__).parent / "recorded"


def write(name: str, data: Any) -> None:
    """Write one recording, readable in a diff."""
    text = json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    (RECORDED / name).write_text(text, encoding="utf-8")


def main() -> None:
    """Record every case."""
    with tempfile.TemporaryDirectory() as folder, baseline_server() as url:
        stock = Stock(Path(sys.argv[1]), make_project(Path(folder) / "project"), url)
        write("tests.json", {case.name: stock.test(case) for case in CASES})
        write("batches.json", {case.name: stock.batch(case) for case in BATCH_CASES})


if __name__ == "__main__":
    main()
