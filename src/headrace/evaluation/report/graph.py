"""The flow in the HTML report: a drawing in layers, and what every node took in every arm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from headrace.domain.comparison import Comparison
from headrace.domain.report import FlowGraph, GraphNode, NodeUse, ReportContext
from headrace.evaluation import wording
from headrace.evaluation.report.board import UNKNOWN
from headrace.evaluation.report.elements import Head, cut, lead, name, percent, row, table
from headrace.evaluation.report.page import render_section
from headrace.planning.graph import topological_order

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _EDGE = 176, 62, 44, 22, 8
_MAX_NAME = 22


def graph_section(comparison: Comparison, context: ReportContext, shown: str) -> Iterator[str]:
    """The flow with the times of ``shown``, and a table with all arms."""
    graph = context.graph
    if graph is None or not graph.nodes:
        return
    uses = {(use.node, use.arm): use for use in graph.uses}
    text = (
        f"The boxes show {shown}: mean time of each node, and its share of the time of all nodes. "
        "Times and tokens are those that a node takes when it is called; results from the cache are counted with what "
        "their call had taken."
    )
    content = lead(text) + _drawing(graph, uses, shown) + _table(comparison, graph, uses)
    yield render_section("flow", "Where time and tokens go", content)


def layers(nodes: Sequence[GraphNode]) -> tuple[tuple[GraphNode, ...], ...]:
    """The nodes in columns: each stands one column right of the last node that it waits for."""
    known = {node.name: node for node in nodes}
    waits = {node.name: [name for name in node.after if name in known] for node in nodes}
    depth: dict[str, int] = {}
    for node in topological_order(known, waits):
        depth[node] = max((depth[before] + 1 for before in waits[node]), default=0)
    last = max(depth.values(), default=0)
    columns: list[list[GraphNode]] = [[] for _ in range(last + 1)]
    for name_, node_depth in depth.items():
        columns[node_depth].append(known[name_])
    return tuple(tuple(column) for column in columns)


def _drawing(graph: FlowGraph, uses: Mapping[tuple[str, str], NodeUse], arm: str) -> str:
    columns = layers(graph.nodes)
    tallest = max(len(column) for column in columns)
    height = tallest * (_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _EDGE
    width = len(columns) * (_WIDTH + _GAP_X) - _GAP_X + 2 * _EDGE
    places: dict[str, tuple[float, float]] = {}
    for index, column in enumerate(columns):
        top = _EDGE + (tallest - len(column)) * (_HEIGHT + _GAP_Y) / 2
        for rank, node in enumerate(column):
            places[node.name] = (_EDGE + index * (_WIDTH + _GAP_X), top + rank * (_HEIGHT + _GAP_Y))
    total = sum(_spent(use) for (_, of_arm), use in uses.items() if of_arm == arm)
    edges = "".join(
        _edge(places[before], places[node.name])
        for column in columns
        for node in column
        for before in node.after
        if before in places
    )
    boxes = "".join(
        _box(node, uses.get((node.name, arm)), places[node.name], total)
        for column in columns
        for node in column
    )
    label = "Nodes of the flow, in the order in which they run"
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">'
        f'<svg class="graph" width="{width}" height="{height:.0f}" role="img" aria-label="{label}">'
        f"<title>{label}</title>{edges}{boxes}</svg></div>"
    )


def _spent(use: NodeUse) -> float:
    return (use.mean_ms or 0.0) * use.n


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT / 2
    x2, y2 = end[0], end[1] + _HEIGHT / 2
    middle = (x1 + x2) / 2
    return f'<path class="edge" d="M{x1:.0f} {y1:.0f}C{middle:.0f} {y1:.0f} {middle:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"/>'


def _box(node: GraphNode, use: NodeUse | None, place: tuple[float, float], total: float) -> str:
    x, y = place
    share = 0.0 if use is None or not total else _spent(use) / total
    kind = "aggregation" if node.is_aggregation else node.kind
    time = "not executed" if use is None or use.mean_ms is None else wording.duration(use.mean_ms)
    tokens = "" if use is None or not use.tokens else f" \N{MIDDLE DOT} {use.tokens / use.n:,.0f} tokens"
    title = f"{node.name}: {time}{tokens}, {percent(share)} of the time"
    return (
        f'<g transform="translate({x:.0f} {y:.0f})"><title>{escape(title)}</title>'
        f'<rect class="node" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>'
        f'<text class="node-name" x="12" y="22">{escape(cut(node.name, _MAX_NAME))}</text>'
        f'<text class="node-kind" x="12" y="40">{escape(f"{kind} " if kind else "")}{escape(time + tokens)}</text>'
        f'<rect class="bar-back" x="12" y="49" width="{_WIDTH - 24}" height="5" rx="2.5"/>'
        f'<rect class="bar" x="12" y="49" width="{(_WIDTH - 24) * share:.1f}" height="5" rx="2.5"/></g>'
    )


def _table(comparison: Comparison, graph: FlowGraph, uses: Mapping[tuple[str, str], NodeUse]) -> str:
    nodes = [node for node in graph.nodes if any((node.name, arm.arm) in uses for arm in comparison.arms)]
    heads = [Head(text="Arm"), *(Head(text=node.name, css="number") for node in nodes)]
    rows = [
        row(heads, name(arm.arm), [_use_cell(uses.get((node.name, arm.arm))) for node in nodes])
        for arm in comparison.arms
    ]
    caption = "Mean time of each node, below it tokens per execution, the share from the cache, and failures."
    return table("nodes-table", caption, heads, rows) if nodes else ""


def _use_cell(use: NodeUse | None) -> str:
    if use is None or use.mean_ms is None:
        return UNKNOWN
    notes = [f"{use.tokens / use.n:,.0f} tokens"] if use.tokens else []
    if use.n_cached:
        notes.append(f"{percent(use.n_cached / use.n)} cached")
    if use.n_failed:
        notes.append(f"{use.n_failed:,} failed")
    if use.n_bypassed:
        notes.append(f"{use.n_bypassed:,} bypassed")
    lines = "".join(f'<span class="small">{note}</span>' for note in notes)
    return f'<span class="value">{wording.duration(use.mean_ms)}</span>{lines}'
