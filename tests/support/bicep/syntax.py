"""A Bicep file as declarations, over the tree of tree-sitter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong, and where."""

    rule: str
    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: [{self.rule}] {self.text}"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A parameter, a variable or an output.

    Attributes:
        type: As it is written, empty for variables.
        value: Default or value.
        decorators: Names to their arguments.
    """

    name: str
    node: Node
    type: str = ""
    value: Node | None = None
    decorators: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)

    @property
    def is_optional(self) -> bool:
        """Whether nobody has to give it."""
        return self.value is not None or self.type.endswith("?")


@dataclass(frozen=True, kw_only=True)
class Made:
    """A resource or a module.

    Attributes:
        target: Type and API version of a resource, path of a module.
        body: The object, inside of its loop and condition.
    """

    name: str
    node: Node
    target: str
    body: Node
    is_existing: bool = False

    @property
    def kind(self) -> str:
        """Type of the resource."""
        return self.target.partition("@")[0]


@dataclass(kw_only=True)
class BicepFile:
    """One file."""

    path: Path
    root: Node
    scope: str = "resourceGroup"
    parameters: dict[str, Declared] = field(default_factory=dict)
    variables: dict[str, Declared] = field(default_factory=dict)
    outputs: dict[str, Declared] = field(default_factory=dict)
    resources: dict[str, Made] = field(default_factory=dict)
    modules: dict[str, Made] = field(default_factory=dict)

    def finding(self, rule: str, node: Node, text: str) -> Finding:
        """Say that something is wrong at a node."""
        return Finding(rule=rule, file=self.path, line=node.start_point[0] + 1, text=text)

    @property
    def declared(self) -> Mapping[str, Declared | Made]:
        """Everything that has a name in the file."""
        return {**self.parameters, **self.variables, **self.resources, **self.modules}


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_bicep.language()))


def read(path: Path) -> BicepFile:
    """Parse a file."""
    file = BicepFile(path=path, root=_parser().parse(path.read_bytes()).root_node)
    decorators: dict[str, tuple[Node, ...]] = {}
    for node in file.root.named_children:
        if node.type == "decorators":
            decorators = dict(_decorators(node))
            continue
        if node.type != "comment":
            _declare(file, node, decorators)
            decorators = {}
    return file


def _decorators(node: Node) -> Iterator[tuple[str, tuple[Node, ...]]]:
    for decorator in node.named_children:
        call = decorator.named_children[0]
        if call.type == "call_expression":
            name, arguments = call.named_children[0], call.named_children[-1]
            yield text_of(name).rpartition(".")[2], tuple(arguments.named_children)


def _declare(file: BicepFile, node: Node, decorators: Mapping[str, tuple[Node, ...]]) -> None:
    if node.type == "target_scope_assignment":
        file.scope = str(literal(node.named_children[-1]))
        return
    tables: dict[str, dict[str, Declared]] = {
        "parameter_declaration": file.parameters,
        "variable_declaration": file.variables,
        "output_declaration": file.outputs,
    }
    made = {"resource_declaration": file.resources, "module_declaration": file.modules}
    children = [child for child in node.children if child.type != "comment"]
    name = next((text_of(child) for child in children if child.type == "identifier"), "")
    if node.type in tables:
        declared_type = next((text_of(child) for child in children if child.type == "type"), "")
        if not declared_type and node.type != "variable_declaration":
            declared_type = next((text_of(child) for child in children[2:3]), "")
        has_value = any(child.type == "=" for child in children)
        tables[node.type][name] = Declared(
            name=name,
            node=node,
            type=declared_type,
            value=children[-1] if has_value else None,
            decorators=decorators,
        )
    elif node.type in made:
        target = next(child for child in children if child.type == "string")
        body = body_of(children[-1])
        if body is not None:
            made[node.type][name] = Made(
                name=name,
                node=node,
                target=str(literal(target)),
                body=body,
                is_existing=any(child.type == "existing" for child in children),
            )


def body_of(node: Node) -> Node | None:
    """The object inside of a loop, of a condition, or of both."""
    while node.type in ("for_statement", "if_statement"):
        node = node.named_children[-1]
    return node if node.type == "object" else None


def text_of(node: Node) -> str:
    """The source of a node."""
    return (node.text or b"").decode()


def walk(node: Node) -> Iterator[Node]:
    """A node and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


UNKNOWN: Any = object()
"""What an expression is worth, which nobody here knows."""


def literal(node: Node) -> Any:
    """The value of a literal text, number, boolean or null; :data:`UNKNOWN` for everything else."""
    if node.type == "string":
        if any(child.type == "interpolation" for child in node.named_children):
            return UNKNOWN
        return "".join(text_of(child) for child in node.named_children).replace("\\'", "'")
    if node.type == "number":
        return int(text_of(node))
    if node.type == "boolean":
        return text_of(node) == "true"
    return None if node.type == "null" else UNKNOWN


def alternatives(node: Node) -> list[Node]:
    """What an expression can become: both ends of a condition, else itself."""
    while node.type == "parenthesized_expression" and node.named_child_count == 1:
        node = node.named_children[0]
    if node.type == "ternary_expression":
        _, yes, no = (child for child in node.named_children if child.type != "comment")
        return [*alternatives(yes), *alternatives(no)]
    return [node]


def entries(node: Node) -> dict[str, tuple[Node, Node]]:
    """Keys of an object to the node of the key and that of the value."""
    found = {}
    for item in node.named_children:
        children = [child for child in item.named_children if child.type != "comment"]
        if item.type == "object_property" and len(children) == 2:
            key, value = children
            name = str(literal(key)) if key.type == "string" else text_of(key)
            found[name] = (key, value)
    return found


def elements(node: Node) -> list[Node]:
    """What stands in an array; the body, once, of a loop that makes one."""
    if node.type == "array":
        return [child for child in node.named_children if child.type != "comment"]
    return [node.named_children[-1]] if node.type == "for_statement" else []


def value_of(node: Node, *names: str) -> Node | None:
    """What stands at a path of keys in an object."""
    for name in names:
        if node.type != "object":
            return None
        found = entries(node).get(name)
        if found is None:
            return None
        node = found[1]
    return node


def member_path(node: Node) -> tuple[str, ...]:
    """``a.b.c``, with ``!`` and ``?`` left away, as its names; empty for anything else."""
    if node.type == "identifier":
        return (text_of(node),)
    if node.type == "member_expression":
        inner = [child for child in node.named_children if child.type != "comment"]
        if len(inner) == 2 and inner[1].type == "property_identifier":
            before = member_path(inner[0])
            return (*before, text_of(inner[1])) if before else ()
    return ()
