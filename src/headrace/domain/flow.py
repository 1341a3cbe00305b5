"""A flow as its file says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from headrace.domain.multimedia import BASIC
from headrace.domain.reference import Reference
from headrace.domain.remote import RemoteFlow
from headrace.domain.variant import ModelSpec
from headrace.source import SourceMap

NO_DEFAULT: Any = type("NoDefault", (), {"__repr__": lambda _: "<no default>"})()
"""Marks an input or parameter without a default; ``default: null`` in a file means the same."""


DAG = "dag"
FLEX = "flex"
PROMPTY = "prompty"
ENDPOINT = "endpoint"

AGGREGATE = "__aggregate__"
"""Method of a flex flow's class that sees all lines; as a node of the flow it has the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowInput:
    """One flow input.

    Attributes:
        default: :data:`NO_DEFAULT` when a value must be given.
        prefers_column: A data column of its name counts in place of the default, without a mapping.
        is_type_guessed: Neither file nor code says a type: text of data is read as JSON, text of a request is not.
        shown_type: What file or code says where ``type`` is any type, because the default is ``None``; else empty.
    """

    name: str
    type: str
    default: Any = NO_DEFAULT
    description: str | None = None
    is_chat_input: bool = False
    is_chat_history: bool = False
    prefers_column: bool = False
    is_type_guessed: bool = False
    shown_type: str = ""

    @property
    def has_default(self) -> bool:
        """Whether the input may be left out."""
        return self.default is not NO_DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowOutput:
    """One flow output; ``value`` is a reference or a literal."""

    name: str
    type: str
    value: Reference | Any
    description: str | None = None
    is_chat_output: bool = False
    is_evaluation_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSource:
    """Where a node's tool comes from: ``type`` is code, package or package_with_prompt."""

    type: str
    path: str | None = None
    tool: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate:
    """The condition of a node: it runs when ``when`` equals ``equals`` (Python equality)."""

    when: Reference | Any
    equals: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node. ``inputs`` maps parameter names to literals or references.

    Attributes:
        type: python, prompt, llm or custom_llm; flex, prompty or endpoint for the only node of a flow of that kind.
        connection: Connection name of an llm node.
        api: chat or completion, for an llm node.
        is_aggregation: Runs once after all lines, over lists.
        pointer: Where the node's mapping stands in the flow file (inside ``node_variants`` for a variant).
    """

    name: str
    type: str
    source: ToolSource
    inputs: Mapping[str, Any]
    connection: str | None = None
    provider: str | None = None
    api: str | None = None
    module: str | None = None
    activate: Activate | None = None
    is_aggregation: bool = False
    pointer: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeVariants:
    """The alternatives that a file offers for one node, in file order, and the default one."""

    node: str
    default: str
    variants: Mapping[str, Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrompt:
    """What a prompty asks, and which model.

    Attributes:
        api: chat or completion.
        configuration: Names a connection, or says itself where the model is; it may hold a key.
        variables: Those of the process's environment that stand in where the configuration says nothing.
        parameters: Parameters of the request, exactly as they are sent.
        response: first for the text of the answer, all for everything that the service answers.
        template: The text below the front matter.
        first_line: Line of the file on which the template begins.
        defaults: Inputs that a call may leave out, null ones included: a call by code is less strict than a run.
    """

    api: str
    configuration: Mapping[str, Any] = field(repr=False)
    variables: Mapping[str, str] = field(repr=False)
    parameters: Mapping[str, Any]
    response: str
    template: str
    first_line: int
    defaults: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A flow of any kind.

    A flex flow, a prompty or a flow behind an address stands here as a flow of one node that takes all inputs: its tool
    is the entry, the model call, or the request. What that node returns *is* the result of the line
    (:mod:`headrace.engine.outputs`), so its ``outputs`` only declare names.

    Attributes:
        name: Name of the folder; of a prompty, its own name.
        kind: :data:`DAG`, :data:`FLEX`, :data:`PROMPTY` or :data:`ENDPOINT`.
        file: Path of the flow file as given.
        folder: Absolute path of the flow folder.
        type: standard, chat or evaluation; metadata.
        given_name: What the file itself calls the flow, if it does.
        nodes: Nodes in file order. A node with ``use_variants`` stands here as its default variant.
        node_variants: By node name.
        environment_variables: Names to texts; a text may be ``${connection.key}``.
        additional_includes: Paths relative to the folder, merged into a copy of it before running.
        source_map: Where each value of the file stands.
        entry: ``module:callable`` of a flex flow.
        code: Folder of a flex flow's modules, relative to ``folder``.
        init: Parameters of the constructor of a flex flow's class, as its file declares them.
        init_values: What the constructor is given.
        sample_init: What it is given when nothing else is.
        unread_nodes: Names of nodes that the file lists and that are not in ``nodes``, because they are broken.
        model: What the model configurations of a flex flow's constructor are pointed at; ``None`` leaves them as given.
        sample: Inputs to try a flex flow or prompty with when none are given.
        prompt: What a prompty asks.
        remote: Where a flow that runs elsewhere answers.
    """

    name: str
    file: str
    folder: str
    inputs: Mapping[str, FlowInput]
    outputs: Mapping[str, FlowOutput]
    nodes: tuple[Node, ...]
    node_variants: Mapping[str, NodeVariants]
    environment_variables: Mapping[str, str]
    additional_includes: tuple[str, ...]
    source_map: SourceMap
    kind: str = DAG
    type: str = "standard"
    given_name: str | None = None
    message_format: str = BASIC
    entry: str | None = None
    code: str = "."
    init: Mapping[str, FlowInput] = field(default_factory=dict)
    init_values: Mapping[str, Any] = field(default_factory=dict)
    sample_init: Mapping[str, Any] = field(default_factory=dict)
    model: ModelSpec | None = None
    unread_nodes: tuple[str, ...] = ()
    sample: Mapping[str, Any] = field(default_factory=dict)
    prompt: ModelPrompt | None = None
    remote: RemoteFlow | None = None

    @property
    def knows_outputs(self) -> bool:
        """Whether ``outputs`` names all outputs that a line may have; a flow of one node need not say."""
        return self.kind == DAG or bool(self.outputs)

    @property
    def title(self) -> str:
        """What a chat calls the flow: by its file, else by its folder, written like an identifier."""
        if self.given_name:
            return self.given_name
        words = re.split(r"[\W_]+", PurePath(self.folder).stem.lower())
        name = "_".join(filter(None, words))
        return f"n{name}" if name[:1].isdigit() else name

    def node(self, name: str) -> Node | None:
        """The node of that name, if there is one."""
        return next((node for node in self.nodes if node.name == name), None)
