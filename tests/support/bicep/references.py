"""The rules for what is referred to by a dot: members of functions, resources, modules, variables and elements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.bicep.agreed import agreed, properties
from tests.support.bicep.syntax import (
    BicepFile,
    Finding,
    Made,
    elements,
    entries,
    text_of,
)
from tree_sitter import Node

_OF_EVERY_RESOURCE = frozenset(("id", "name", "type", "apiVersion"))
_OF_EVERY_MODULE = frozenset(("outputs", "name"))
_BOUND_LATE = ("binary_expression", "lambda_expression", "unary_expression")
"""What the grammar takes a member of as a whole: `x => x.y` and `a && b.c` end in `x.y` and `b.c`."""
_OVER_ELEMENTS = frozenset(("filter", "map", "toObject"))
"""Functions whose lambdas get the elements of their first argument."""


@dataclass(frozen=True)
class Elements:
    """What a local name stands for, one after the other.

    Attributes:
        parameter: Name of the parameter whose elements they are; empty for those of a literal.
        objects: The objects themselves, where they stand in the file.
    """

    parameter: str = ""
    objects: tuple[Node, ...] = ()


Scope = Mapping[str, Elements | None]


def check_members(file: BicepFile) -> Iterator[Finding]:
    """What stands after a dot is there."""
    for node, scope in _members(file, file.root, {}):
        root, names = _chain(node)
        text = _missing(file, scope, root, names)
        if text:
            yield file.finding("member", node, text)


def check_elements(file: BicepFile) -> Iterator[Finding]:
    """The objects of an array have the same keys, with values of the same types."""
    for name, variable in file.variables.items():
        objects = (
            [item for item in elements(variable.value) if item.type == "object"] if variable.value else []
        )
        for item in objects[1:]:
            for key in sorted(entries(item).keys() ^ entries(objects[0]).keys()):
                yield file.finding("element", item, f"not every element of {name} has {key}")
        for key in entries(objects[0]) if objects else ():
            kinds = {
                kind
                for item in objects
                if key in entries(item) and (kind := kind_of(file, entries(item)[key][1]))
            }
            if len(kinds) > 1:
                yield file.finding("element", objects[0], f"{key} of {name} is {' and '.join(sorted(kinds))}")


def asked_of_elements(file: BicepFile) -> dict[str, set[str]]:
    """Parameters that are arrays to the keys that the file asks each of their elements for."""
    asked: dict[str, set[str]] = {}
    for node, scope in _members(file, file.root, {}):
        root, names = _chain(node)
        found = scope.get(text_of(root))
        if found is not None and found.parameter:
            asked.setdefault(found.parameter, set()).add(names[0])
    return asked


def kind_of(file: BicepFile, node: Node) -> str:
    """The type of what is plain enough to tell, as Bicep calls it; else empty."""
    plain = {
        "string": "string",
        "number": "int",
        "boolean": "bool",
        "array": "array",
        "object": "object",
        "null": "null",
    }
    if node.type == "identifier" and text_of(node) in file.parameters:
        return file.parameters[text_of(node)].type.rstrip("?")
    if node.type == "member_expression":
        root, names = _chain(node)
        known = known_keys(file, root)
        if known is not None and len(names) == 1 and names[0] in known:
            return kind_of(file, known[names[0]])
    return plain.get(node.type, "")


def known_keys(file: BicepFile, node: Node, depth: int = 0) -> dict[str, Node] | None:
    """Keys of an expression to their values, where it is an object, or several in one; ``None`` where nobody knows."""
    if depth > len(file.variables):
        return None
    if node.type == "object":
        return {key: value for key, (_, value) in entries(node).items()}
    if node.type == "identifier" and text_of(node) in file.variables:
        value = file.variables[text_of(node)].value
        return known_keys(file, value, depth + 1) if value is not None else None
    if called(node) == "union":
        # What a parameter adds, a file cannot count on.
        parts = [known_keys(file, part, depth + 1) for part in arguments_of(node)]
        known = [part for part in parts if part is not None]
        return {key: value for part in known for key, value in part.items()} if known else None
    return None


def called(node: Node) -> str:
    """The name of the function that is called; empty for anything else."""
    return text_of(node.named_children[0]) if node.type == "call_expression" else ""


def arguments_of(node: Node) -> list[Node]:
    """The arguments of a call."""
    return [child for child in node.named_children[-1].named_children if child.type != "comment"]


def _chain(node: Node) -> tuple[Node, list[str]]:
    """What a chain of members begins with, and their names."""
    names: list[str] = []
    while node.type in ("member_expression", *_BOUND_LATE):
        inner = [child for child in node.named_children if child.type != "comment"]
        if node.type == "member_expression":
            names.insert(0, text_of(inner[-1]))
        node = inner[0] if node.type == "member_expression" else inner[-1]
    return node, names


def _members(file: BicepFile, node: Node, scope: Scope) -> Iterator[tuple[Node, Scope]]:
    """Every whole chain of members, with the local names there."""
    if node.type == "for_statement":
        head, items = node.children[2], node.named_children[-2]
        name = text_of(head.named_children[0] if head.named_children else head)
        yield from _members(file, items, scope)
        yield from _members(file, node.named_children[-1], {**scope, name: _elements_of(file, items)})
        return
    if node.type == "lambda_expression":
        scope = {**dict.fromkeys(_lambda_names(node)), **scope}
    is_chain = node.type == "member_expression"
    if is_chain and (node.parent is None or node.parent.type != "member_expression"):
        yield node, {**dict.fromkeys(_names_inside(node)), **scope}
    if called(node) in _OVER_ELEMENTS:
        first, *others = arguments_of(node)
        yield from _members(file, first, scope)
        found = _elements_of(file, first)
        for other in others:
            given = dict.fromkeys(_names_inside(other)[:1], found)
            yield from _members(file, other, {**scope, **given})
        return
    for child in node.named_children:
        yield from _members(file, child, scope)


def _names_inside(node: Node) -> list[str]:
    """The local names of the lambda that an argument is."""
    while node.type == "member_expression":
        node = node.named_children[0]
    return _lambda_names(node) if node.type == "lambda_expression" else []


def _lambda_names(node: Node) -> list[str]:
    head = node.named_children[0]
    return [text_of(item) for item in ([head] if head.type == "identifier" else head.named_children)]


def _elements_of(file: BicepFile, node: Node) -> Elements | None:
    if called(node) == "filter":
        return _elements_of(file, arguments_of(node)[0])
    if node.type == "identifier" and text_of(node) in file.parameters:
        return Elements(parameter=text_of(node))
    if node.type == "identifier" and text_of(node) in file.variables:
        value = file.variables[text_of(node)].value
        return _elements_of(file, value) if value is not None else None
    objects = tuple(item for item in elements(node) if item.type == "object")
    return Elements(objects=objects) if node.type == "array" and objects else None


def _missing(file: BicepFile, scope: Scope, root: Node, names: list[str]) -> str:
    """What is wrong with a chain; empty for nothing."""
    base = text_of(root)
    if root.type == "call_expression":
        return _missing_in_tree(called(root), agreed().answers.get(called(root)), names)
    if root.type != "identifier":
        return ""
    if base in scope:
        local = scope[base]
        objects = local.objects if local is not None else ()
        return "" if all(names[0] in entries(item) for item in objects) else f"{base} has no {names[0]}"
    if base in file.modules and names[0] not in _OF_EVERY_MODULE:
        return f"a module has outputs, and no {names[0]}"
    if base in file.resources:
        return _missing_in_resource(file.resources[base], names)
    known = known_keys(file, root) if base in file.variables else None
    return "" if known is None or names[0] in known else f"{base} has no {names[0]}"


def _missing_in_tree(name: str, tree: Any, names: list[str]) -> str:
    if tree is None:
        return ""
    for place, member in enumerate(names):
        if not isinstance(tree, dict) or member not in tree:
            return f"{name}() answers with no {'.'.join(names[: place + 1])}"
        tree = tree[member]
    return ""


def _missing_in_resource(made: Made, names: list[str]) -> str:
    path = ".".join(names)
    if names[0] in _OF_EVERY_RESOURCE or path in agreed().answers.get(made.kind, ()):
        return ""
    known = properties().get(made.target, {}).get("objects", {}).get("", ())
    is_written = len(names) == 1 and names[0] in known
    return "" if is_written else f"{path} is not among what {made.kind} answers with: see agreed.yaml"
