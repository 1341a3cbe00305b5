"""Online tests and their revisions as people and programs read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from headrace.cli.run_view import age
from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Terminal
from headrace.domain.traffic import Reason, Revision
from headrace.evaluation.report.revisions import say_reason, say_shares

_STYLES: Mapping[Reason, tuple[str, ...]] = {
    "rolled back": ("red", "bold"),
    "stopped": ("yellow",),
    "promoted": ("green", "bold"),
}


def revision_to_json(revision: Revision) -> dict[str, Any]:
    """A revision with all that it holds."""
    return {
        "test": revision.test,
        "number": revision.number,
        "at": revision.at.isoformat(),
        "reason": revision.reason,
        "by": revision.by,
        "is_over": revision.is_over,
        "answering": revision.answering,
        "shares": {arm: revision.share(arm) for arm in revision.ranges},
        "ranges": {arm: [list(part) for part in parts] for arm, parts in revision.ranges.items()},
        "digest": revision.digest,
        "evidence": dict(revision.evidence),
        "definition": dict(revision.definition),
    }


def render_revisions(history: Sequence[Revision], terminal: Terminal, now: datetime) -> str:
    """One row per revision; what it moved stands below it."""
    columns = (
        Column(title="#", is_right=True),
        Column(title="made", leaves=2),
        Column(title="what", least=16, wraps=True),
        Column(title="by", least=8, leaves=1),
        Column(title="shares", least=20, wraps=True),
    )
    rows = [
        [
            Cell(f"{revision.number}"),
            Cell(age(revision.at, now), ("dim",)),
            Cell(say_reason(revision), _STYLES.get(revision.reason, ())),
            Cell(revision.by, ("dim",)),
            Cell(say_shares(revision)),
        ]
        for revision in history
    ]
    width = terminal.width if terminal.has_tty_out else None
    return render_table(columns, rows, ink=terminal.out, width=width)
