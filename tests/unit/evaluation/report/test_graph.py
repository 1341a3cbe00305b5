"""The drawing of a flow: columns, lanes, and nodes that nobody drew over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.report import GraphNode
from headrace.evaluation.report.graph import layers, place_nodes


def nodes(**after: str) -> list[GraphNode]:
    return [
        GraphNode(name=name, kind="python", after=tuple(before.split())) for name, before in after.items()
    ]


def test_nodes_stand_right_of_what_they_wait_for_and_close_to_what_waits_for_them() -> None:
    columns = layers(
        nodes(rewrite="", history="", search="rewrite", compose="search history", cite="compose search")
    )
    assert [[node.name for node in column] for column in columns] == [
        ["rewrite"],
        ["history", "search"],
        ["compose"],
        ["cite"],
    ]


def test_an_edge_that_passes_a_column_has_a_lane_beside_its_nodes() -> None:
    layout = place_nodes(nodes(search="", compose="search", cite="compose search"))
    long = next(edge for edge in layout.edges if len(edge) == 3)
    assert long[0] == layout.nodes["search"]
    assert long[2] == layout.nodes["cite"]
    assert long[1][0] == layout.nodes["compose"][0]
    assert abs(long[1][1] - layout.nodes["compose"][1]) > 31


def test_nodes_in_a_circle_or_behind_it_are_left_out_and_unknown_names_ignored() -> None:
    layout = place_nodes(nodes(a="b", b="a", c="gone"))
    assert list(layout.nodes) == ["c"]
    assert place_nodes([]).nodes == {}


@given(st.lists(st.sets(st.integers(0, 7), max_size=4), min_size=1, max_size=9))
def test_no_two_nodes_overlap_and_all_lie_inside(waits: list[set[int]]) -> None:
    graph = [
        GraphNode(name=f"n{index}", kind="llm", after=tuple(f"n{at}" for at in sorted(before) if at < index))
        for index, before in enumerate(waits)
    ]
    layout = place_nodes(graph)
    assert set(layout.nodes) == {node.name for node in graph}
    places = list(layout.nodes.values())
    for index, (x, y) in enumerate(places):
        assert 0 <= x <= layout.width - 176
        assert 31 <= y <= layout.height - 31
        assert all(other_x != x or abs(other_y - y) >= 62 for other_x, other_y in places[index + 1 :])
    assert len(layout.edges) == sum(len(node.after) for node in graph)
