"""What has to be known when: names, loops and conditions before anything is made, and nothing in a circle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.support.bicep.syntax import BicepFile, Finding, Made, body_of, member_path, text_of, value_of, walk
from tree_sitter import Node

_AT_ONCE = frozenset(("id", "name", "type", "apiVersion"))
"""What is known of a resource before it is made."""


def check_order(file: BicepFile) -> Iterator[Finding]:
    """Names, loops and conditions do not wait for what is made only then."""
    for name, made in {**file.resources, **file.modules}.items():
        for what, node in _first_needed(made):
            late = _late(file, node)
            if late:
                yield file.finding(
                    "late", node, f"the {what} of {name} has to be known at once, and {late} is not"
                )


def _first_needed(made: Made) -> Iterator[tuple[str, Node]]:
    node = made.node.children[-1]
    while node.type in ("for_statement", "if_statement"):
        named = node.named_children
        yield ("loop", named[-2]) if node.type == "for_statement" else ("condition", named[0])
        node = named[-1]
    name = value_of(body, "name") if (body := body_of(node)) is not None else None
    if name is not None:
        yield "name", name


def _late(file: BicepFile, node: Node, depth: int = 0) -> str:
    """What in an expression, variables included, is known only once something is made; empty for nothing."""
    for item in walk(node):
        path = member_path(item)
        if len(path) > 1 and path[0] in file.modules and path[1] == "outputs":
            return ".".join(path)
        if len(path) > 1 and path[0] in file.resources and path[1] not in _AT_ONCE:
            return ".".join(path)
        if item.type == "identifier" and text_of(item) in file.variables and depth < len(file.variables):
            value = file.variables[text_of(item)].value
            late = _late(file, value, depth + 1) if value is not None else ""
            if late:
                return late
    return ""


def check_circles(file: BicepFile) -> Iterator[Finding]:
    """Nothing waits for itself."""
    waits = {name: set(_references(file, item.node, name)) for name, item in file.declared.items()}
    for name in file.declared:
        circle = _circle(waits, name)
        if circle and min(circle) == name:
            yield file.finding("circle", file.declared[name].node, f"{' waits for '.join(circle)}")


def _references(file: BicepFile, node: Node, own: str) -> Iterator[str]:
    for item in walk(node):
        name = text_of(item) if item.type == "identifier" else ""
        is_key = (
            item.parent is not None
            and item.parent.type == "object_property"
            and item == item.parent.children[0]
        )
        if name in file.declared and not is_key and not (name == own and item.parent == node):
            yield name


def _circle(waits: Mapping[str, set[str]], start: str) -> list[str]:
    """A way from a name back to it."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for name in sorted(waits[way[-1]]):
            if name == start:
                return [*way, start]
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []
