"""Connections that nodes name: found, checked against what the tool takes, and made into objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.domain.connection import Connection
from headrace.domain.flow import Flow, Node
from headrace.domain.reference import Reference
from headrace.errors import DefinitionError, HeadraceError, Problem, at_place, nearest
from headrace.source import Pointer
from headrace.tools.base import ConnectionLookup
from headrace.tools.connection_types import connection_type, make_connection_object


def find_connection(
    name: str, types: Sequence[str], flow: Flow, node: Node, pointer: Pointer, lookup: ConnectionLookup
) -> Connection:
    """The connection that a node names.

    Args:
        name: Its name.
        types: Connection types that the node can use.
        flow: For the place of a problem.
        node: The node.
        pointer: Where the name stands in the flow file.
        lookup: Finds connections.

    Raises:
        DefinitionError: C501 when there is none of this name, C504 when it is of another type.
    """
    connection = lookup.find(name)
    if connection is None:
        names = lookup.names()
        near = nearest(name, names)
        fix = f'Did you mean "{near}"? ' if near else ""
        raise DefinitionError(
            Problem(
                code="C501",
                what=f"The node {node.name!r} uses the connection {name!r}, which does not exist.",
                span=flow.source_map.span(pointer),
                pointer=pointer,
                fix=f"{fix}Create it with `headrace connection create --file FILE`, or use one of: "
                f"{', '.join(names)}.",
            )
        )
    if connection.type not in types:
        raise DefinitionError(
            Problem(
                code="C504",
                what=f"The connection {name!r} is of type {connection.type}, "
                f"but the node {node.name!r} needs {_words(types)}.",
                span=flow.source_map.span(pointer),
                pointer=pointer,
                fix="Name another connection, or create one of that type.",
            )
        )
    return connection


def inject_connections(
    parameters: Mapping[str, tuple[type, ...]], flow: Flow, node: Node, lookup: ConnectionLookup
) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Connection objects for the parameters that name one by a literal.

    Args:
        parameters: Parameters that take a connection, with the classes they are annotated with.
        flow: For places.
        node: Names the connections among its inputs.
        lookup: Finds connections and their secrets.

    Returns:
        Objects by parameter, and the problems C501, C502, C503, C504 and T203.
    """
    objects: dict[str, Any] = {}
    problems: list[Problem] = []
    for parameter, classes in parameters.items():
        given = node.inputs.get(parameter)
        if given in (None, "") or isinstance(given, Reference):
            continue  # left out, or fed by a reference: then the text arrives as it is
        pointer = (*node.pointer, "inputs", parameter)
        if isinstance(given, (list, dict)):
            problems.append(_no_name(parameter, flow, node, pointer))
            continue
        name = str(given)  # YAML reads a name such as 5 as a number
        by_type = {connection_type(cls): cls for cls in reversed(classes)}
        types = [type_name for type_name in by_type if type_name]
        try:
            connection = find_connection(name, types, flow, node, pointer, lookup)
            objects[parameter] = make_connection(connection, by_type[connection.type], lookup)
        except HeadraceError as error:
            problems.extend(at_place(error, flow.source_map.span(pointer), pointer).problems)
    return objects, tuple(problems)


def make_connection(connection: Connection, cls: type, lookup: ConnectionLookup) -> Any:
    """The object of class ``cls`` for a connection.

    Raises:
        DefinitionError: C503 for secrets without a value, C502 when the class needs a field that it lacks.
    """
    unset = [name for name in connection.secrets if lookup.secret(connection, name) is None]
    if unset:
        raise DefinitionError(
            Problem(
                code="C503",
                what=f"The connection {connection.name!r} ({connection.origin}) has no value for "
                f"{', '.join(unset)}.",
                fix="Put the secret into the connection, or name an environment variable there: ${env:NAME}.",
            )
        )
    try:
        return make_connection_object(connection, cls, lookup.secret)
    except TypeError as error:
        raise DefinitionError(_incomplete(connection, error)) from error


def _no_name(parameter: str, flow: Flow, node: Node, pointer: Pointer) -> Problem:
    return Problem(
        code="T203",
        what=f"The node {node.name!r} sets {parameter!r}, which takes a connection, to something else than its name.",
        span=flow.source_map.span(pointer),
        pointer=pointer,
        fix="Write the name of a connection.",
    )


def _incomplete(connection: Connection, error: TypeError) -> Problem:
    return Problem(
        code="C502",
        what=f"The connection {connection.name!r} ({connection.origin}) is not complete: {error}",
        fix="Add the missing field to the connection.",
    )


def _words(types: Sequence[str]) -> str:
    return f"the type {types[0]}" if len(types) == 1 else "one of the types " + ", ".join(types)
