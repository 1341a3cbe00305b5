"""Chains: prompt flow's experiments, flows that run one after another over the same lines (promptflow-format: 12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.source import Pointer, SourceMap

DATA, INPUT, NODE_INPUT, NODE_OUTPUT = "data", "input", "node input", "node output"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReference:
    """Where an input of a node comes from.

    Attributes:
        text: As written, ``${…}`` included.
        kind: :data:`DATA`, :data:`INPUT`, :data:`NODE_INPUT` or :data:`NODE_OUTPUT`.
        name: Name of the data, of the chain's input or of the node.
        column: Column of the data, input or output of the node; empty for a chain's input.
    """

    text: str
    kind: str
    name: str
    column: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainNode:
    """One flow of a chain.

    Attributes:
        path: Flow folder or file, absolute.
        inputs: Flow input to a reference or a literal.
        connections: ``node.field`` to value.
        pointer: Where it stands in the file.
    """

    name: str
    path: str
    inputs: Mapping[str, ChainReference | Any]
    variant: str | None = None
    connections: Mapping[str, str] = field(default_factory=dict)
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    display_name: str | None = None
    pointer: Pointer = ()

    def awaited(self) -> tuple[str, ...]:
        """Names of the nodes that it takes something from."""
        references = (value for value in self.inputs.values() if isinstance(value, ChainReference))
        kinds = (NODE_INPUT, NODE_OUTPUT)
        return tuple(dict.fromkeys(item.name for item in references if item.kind in kinds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What a file describes.

    Attributes:
        data: Name to absolute path.
        inputs: Name to value, its default.
        nodes: In an order in which they can run.
    """

    file: str
    description: str | None
    data: Mapping[str, str]
    inputs: Mapping[str, Any]
    nodes: tuple[ChainNode, ...]
    source_map: SourceMap
