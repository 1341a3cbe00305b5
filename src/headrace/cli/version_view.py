"""Versions and differences of flows as people and programs read them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from headrace.cli.run_view import age
from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Ink
from headrace.domain.flow_diff import ABSENT, Change, FlowDiff
from headrace.domain.version import FlowVersion, TagMove
from headrace.operations.versions import VersionView

SHORT_DIGEST = 12
"""Digits of a digest that people see."""

_COLUMNS = (
    Column(title="version", least=16),
    Column(title="tags", least=8),
    Column(title="digest", leaves=2),
    Column(title="first run", leaves=1),
    Column(title="files", is_right=True, leaves=3),
    Column(title="runs", is_right=True),
)
_LONGEST_VALUE = 200


def render_versions(views: Sequence[VersionView], *, ink: Ink, width: int | None, now: datetime) -> str:
    """One row per version."""
    rows = [
        [
            Cell(view.version.name),
            Cell(", ".join(view.tags), ("green",)),
            Cell(view.version.digest[:SHORT_DIGEST], ("dim",)),
            Cell(age(view.version.created_at, now), ("dim",)),
            Cell(f"{len(view.version.manifest.files):,}"),
            Cell(f"{len(view.runs):,}"),
        ]
        for view in views
    ]
    return render_table(_COLUMNS, rows, ink=ink, width=width)


def versions_to_json(views: Sequence[VersionView], moves: Sequence[TagMove]) -> list[dict[str, Any]]:
    """Versions with their tags, when these were put there, and the runs."""
    return [
        {
            **version_to_json(view.version),
            "tags": list(view.tags),
            "tag_history": [
                {"tag": move.tag, "at": move.at.isoformat()}
                for move in moves
                if (move.flow, move.number) == (view.version.flow, view.version.number)
            ],
            "runs": list(view.runs),
        }
        for view in views
    ]


def version_to_json(version: FlowVersion) -> dict[str, Any]:
    """One version with its files."""
    manifest = version.manifest
    return {
        "version": version.name,
        "flow": version.flow,
        "number": version.number,
        "digest": version.digest,
        "created_on": version.created_at.isoformat(),
        "file": manifest.file or manifest.entry,
        "files": [
            {
                "path": file.path,
                "kind": file.kind,
                "bytes": file.n_bytes,
                "digest": file.digest,
                "is_kept": file.content is not None,
            }
            for file in manifest.files
        ],
        "left_out": [{"path": item.path, "reason": item.reason} for item in manifest.skipped],
    }


def render_version(version: FlowVersion, graph: str, *, ink: Ink) -> str:
    """One version: its id, its files, and its flow file."""
    manifest = version.manifest
    columns = (Column(title="file", least=16), Column(title="kind"), Column(title="bytes", is_right=True))
    rows = [[file.path, file.kind, f"{file.n_bytes:,}"] for file in manifest.files]
    parts = [
        f"{ink.paint(version.name, 'bold')}  {version.digest}",
        render_table(columns, rows, ink=ink, indent="  "),
    ]
    if manifest.skipped:
        lines = [f"  {item.path}: {item.reason}" for item in manifest.skipped]
        parts.append("\n".join(["left out", *lines]))
    if graph:
        parts.append(f"{ink.paint(manifest.file, 'bold')}\n{graph.rstrip()}")
    return "\n\n".join(parts)


def diff_to_json(diff: FlowDiff) -> dict[str, Any]:
    """All differences; what one version does not have is left out."""
    return {
        "before": diff.before,
        "after": diff.after,
        "before_digest": diff.before_digest,
        "after_digest": diff.after_digest,
        "is_same": diff.is_same,
        "changes": [_change_to_json(change) for change in diff.changes],
    }


def _change_to_json(change: Change) -> dict[str, Any]:
    values = {"before": change.before, "after": change.after}
    return {
        "kind": change.kind,
        "node": change.node or None,
        "what": change.what,
        **{name: value for name, value in values.items() if value is not ABSENT},
        **({"diff": list(change.text)} if change.text else {}),
    }


def render_diff(diff: FlowDiff, *, ink: Ink) -> str:
    """The differences by node."""
    head = f"{diff.before} {diff.before_digest[:SHORT_DIGEST]} -> {diff.after} {diff.after_digest[:SHORT_DIGEST]}"
    if not diff.changes:
        same = (
            "Nothing differs that can change an answer." if diff.is_same else "Only the files' places differ."
        )
        return f"{head}\n{same}"
    parts = [head]
    for node, changes in groupby(sorted(diff.changes, key=_node_place(diff)), key=lambda change: change.node):
        title = ink.paint(f"node {node}" if node else "flow", "bold")
        parts.append(
            "\n".join([title, *(line for change in changes for line in _render_change(change, ink))])
        )
    return "\n\n".join(parts)


def _node_place(diff: FlowDiff) -> Any:
    order = {name: place for place, name in enumerate(dict.fromkeys(change.node for change in diff.changes))}
    return lambda change: order[change.node]


def _render_change(change: Change, ink: Ink) -> list[str]:
    if change.text:
        return [
            f"  {change.kind} {change.what}",
            *(f"    {ink.paint(line, *_style(line))}" for line in change.text),
        ]
    if change.what in ("added", "removed"):
        value = change.after if change.what == "added" else change.before
        return [f"  {change.kind} {change.what}: {value}"]
    return [f"  {change.kind} {change.what}: {_value(change.before)} -> {_value(change.after)}"]


def _style(line: str) -> tuple[str, ...]:
    if line.startswith(("---", "+++", "@@")):
        return ("dim",)
    return {"+": ("green",), "-": ("red",)}.get(line[:1], ())


def _value(value: Any) -> str:
    if value is ABSENT:
        return "(none)"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
