"""``flow.flex.yaml`` → :class:`~headrace.domain.flow.Flow` (promptflow-format: 6)."""

from __future__ import annotations

from pathlib import Path

from headrace.domain.flow import Flow
from headrace.formats.shape import Block


def read_flex(root: Block, file: Path) -> Flow | None:
    """Read the mapping of a flex flow; findings go to the block."""
    del file
    what = "A flex flow (entry: …) cannot be run yet."
    root.findings.add("F010", ("entry",), what, "Use a DAG flow.", at_key=True)
    return None
