"""The flow in the HTML report: a drawing in layers, and what every node took in every arm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from statistics import fmean
from typing import TypeAlias

from headrace.domain.comparison import Comparison
from headrace.domain.report import FlowGraph, GraphNode, NodeUse, ReportContext
from headrace.evaluation import wording
from headrace.evaluation.report.board import UNKNOWN
from headrace.evaluation.report.elements import Head, cut, lead, name, percent, row, table
from headrace.evaluation.report.page import render_section
from headrace.planning.graph import topological_order

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _EDGE = 176, 62, 44, 22, 8
_LANE = 6.0
_MAX_NAME = 22

Slot: TypeAlias = tuple[str, int]
"""A node, or the lane of its edges, in the column of that number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where nodes and edges are drawn, in pixels.

    Attributes:
        nodes: Left end and middle height by name.
        edges: Left ends and middle heights of the columns that each edge passes, from node to node.
    """

    width: int
    height: float
    nodes: Mapping[str, tuple[float, float]]
    edges: tuple[tuple[tuple[float, float], ...], ...]


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
    """The nodes in columns, each right of all that it waits for and as close to what waits for it as it can be."""
    known = {node.name: node for node in nodes}
    waits = {node.name: [name for name in node.after if name in known] for node in nodes}
    order = topological_order(known, waits)
    depth: dict[str, int] = {}
    for node in order:
        depth[node] = max((depth[before] + 1 for before in waits[node]), default=0)
    for node in reversed(order):
        followers = [depth[name] for name in order if node in waits[name]]
        depth[node] = min(followers, default=depth[node] + 1) - 1
    columns: list[list[GraphNode]] = [[] for _ in range(max(depth.values(), default=0) + 1)]
    for node in order:
        columns[depth[node]].append(known[node])
    return tuple(tuple(column) for column in columns)


def place_nodes(nodes: Sequence[GraphNode]) -> Layout:
    """Give every node a place, and every edge that passes a column a lane of its own through it.

    In a column, nodes and lanes are ordered by the mean height of what leads to them (the barycentre method of
    Sugiyama, Tagawa and Toda, 1981), so that few edges cross.
    """
    columns = layers(nodes)
    depth = {node.name: index for index, column in enumerate(columns) for node in column}
    lanes: list[dict[Slot, list[Slot]]] = [{} for _ in columns]
    paths: list[list[Slot]] = []
    for index, column in enumerate(columns):
        for node in column:
            sources = lanes[index].setdefault((node.name, index), [])
            for before in node.after:
                if before not in depth:
                    continue
                path = [(before, at) for at in range(depth[before], index)]
                paths.append([*path, (node.name, index)])
                sources.append(path[-1])
                for earlier, slot in pairwise(path):
                    lanes[slot[1]].setdefault(slot, [earlier])
    return _stack(lanes, depth, paths)


def _stack(
    lanes: Sequence[Mapping[Slot, Sequence[Slot]]], depth: Mapping[str, int], paths: list[list[Slot]]
) -> Layout:
    middles: dict[Slot, float] = {}
    bottom = 0.0
    for lane in lanes:
        heights = {slot: _HEIGHT if depth[slot[0]] == slot[1] else _LANE for slot in lane}
        ordered = sorted(
            lane, key=lambda slot: fmean(middles[item] for item in lane[slot]) if lane[slot] else 0.0
        )
        top = -(sum(heights.values()) + _GAP_Y * (len(lane) - 1)) / 2
        for slot in ordered:
            middles[slot] = top + heights[slot] / 2
            top += heights[slot] + _GAP_Y
        bottom = max(bottom, top - _GAP_Y)
    places = {
        slot: (_EDGE + slot[1] * (_WIDTH + _GAP_X), middle + bottom + _EDGE)
        for slot, middle in middles.items()
    }
    return Layout(
        width=len(lanes) * (_WIDTH + _GAP_X) - _GAP_X + 2 * _EDGE,
        height=2 * bottom + 2 * _EDGE,
        nodes={name: places[name, index] for name, index in depth.items()},
        edges=tuple(tuple(places[slot] for slot in path) for path in paths),
    )


def _drawing(graph: FlowGraph, uses: Mapping[tuple[str, str], NodeUse], arm: str) -> str:
    layout = place_nodes(graph.nodes)
    known = {node.name: node for node in graph.nodes}
    total = sum(_spent(use) for (_, of_arm), use in uses.items() if of_arm == arm)
    edges = "".join(_edge(path) for path in layout.edges)
    boxes = "".join(
        _box(known[node], uses.get((node, arm)), (x, y - _HEIGHT / 2), total)
        for node, (x, y) in layout.nodes.items()
    )
    label = "Nodes of the flow, in the order in which they run"
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">'
        f'<svg class="graph" width="{layout.width}" height="{layout.height:.0f}" role="img" aria-label="{label}">'
        f"<title>{label}</title>{edges}{boxes}</svg></div>"
    )


def _spent(use: NodeUse) -> float:
    return (use.mean_ms or 0.0) * use.n


def _edge(path: Sequence[tuple[float, float]]) -> str:
    x, y = path[0][0] + _WIDTH, path[0][1]
    parts = [f"M{x:.0f} {y:.0f}"]
    for left, next_y in path[1:]:
        middle = (x + left) / 2
        parts.append(f"C{middle:.0f} {y:.0f} {middle:.0f} {next_y:.0f} {left:.0f} {next_y:.0f}")
        x, y = left + _WIDTH, next_y
        if (left, next_y) != path[-1]:
            parts.append(f"H{x:.0f}")
    return f'<path class="edge" d="{"".join(parts)}"/>'


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
