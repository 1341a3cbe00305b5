"""Topological order and circles."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.planning.graph import find_cycle, find_cycles, topological_order


def test_keeps_the_order_where_it_can() -> None:
    assert topological_order(["c", "a", "b"], {}) == ("c", "a", "b")
    assert topological_order(["c", "a", "b"], {"c": ["b"]}) == ("a", "b", "c")
    assert topological_order(["a", "b", "c", "d"], {"a": ["d"], "b": ["unknown"]}) == ("b", "c", "d", "a")


def test_names_the_whole_circle_from_its_first_node() -> None:
    waits = {"a": ["b"], "c": ["d", "a"], "d": ["e"], "e": ["c"], "f": ["c"]}
    assert find_cycle("abcdef", waits) == ("c", "d", "e")
    assert find_cycle("edcbaf", waits) == ("e", "c", "d")
    assert topological_order("abcdef", waits) == ("b", "a")


def test_names_every_circle_that_shares_no_node_with_another() -> None:
    waits = {"a": ["b"], "b": ["a"], "c": ["c"], "d": ["a", "e"], "e": ["b"]}
    assert find_cycles("abcde", waits) == (("a", "b"), ("c",))
    assert find_cycles("ab", {"a": ["b"]}) == ()


def test_a_node_can_wait_for_itself() -> None:
    assert find_cycle(["a", "b"], {"b": ["b"]}) == ("b",)


names = st.lists(st.integers(0, 12).map(str), unique=True, max_size=12)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], dict[str, list[str]]]:
    nodes = draw(names)
    waits = {node: draw(st.lists(st.sampled_from([*nodes, "unknown"]), max_size=3)) for node in nodes}
    return nodes, waits


@given(graphs())
def test_order_is_topological_and_a_circle_is_one(graph: tuple[list[str], dict[str, list[str]]]) -> None:
    nodes, waits = graph
    order = topological_order(nodes, waits)
    place = {name: position for position, name in enumerate(order)}
    assert len(place) == len(order)
    for name in order:
        assert all(place[wait] < place[name] for wait in waits[name] if wait in nodes)
    circle = find_cycle(nodes, waits)
    assert (circle is None) == (len(order) == len(nodes))
    if circle is not None:
        assert len(set(circle)) == len(circle)
        assert all(
            following in waits[name] for name, following in zip(circle, (*circle[1:], circle[0]), strict=True)
        )


@given(names, st.data())
def test_a_graph_without_circles_is_ordered_completely(nodes: list[str], data: st.DataObject) -> None:
    waits = {
        node: data.draw(st.lists(st.sampled_from(nodes[:at]), max_size=3)) if at else []
        for at, node in enumerate(nodes)
    }
    assert topological_order(nodes, waits) == tuple(nodes)
    assert sorted(topological_order(nodes[::-1], waits)) == sorted(nodes)
