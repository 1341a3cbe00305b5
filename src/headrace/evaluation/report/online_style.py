"""What the live page of an online test adds to the style sheet that all pages share."""

from __future__ import annotations

ONLINE_STYLE = """
.course { display: grid; grid-template-columns: 62px minmax(0, 1fr); align-items: start; max-width: 60rem; }
.course-plot { border-left: 1px solid var(--line); border-bottom: 1px solid var(--line); }
.course-times { grid-column: 2; display: flex; justify-content: space-between; flex-wrap: wrap; gap: 0 18px;
  color: var(--soft); font-size: 0.78rem; padding-top: 4px; font-variant-numeric: tabular-nums; }
.course .band { fill: var(--tone); opacity: 0.18; }
.course .middle { fill: none; stroke: var(--tone); stroke-width: 2; vector-effect: non-scaling-stroke; }
.course .zero { vector-effect: non-scaling-stroke; }
td.verdict { min-width: 13rem; }
.board td.verdict { grid-column: 1 / -1; }
.board td.verdict .small { display: block; white-space: normal; margin-top: 3px; }
.board td.plot { grid-column: 1 / -1; }
.board td .track-cell { min-width: 150px; }
#history-table-caption + thead + tbody th { min-width: 4rem; }
"""
