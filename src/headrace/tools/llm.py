"""Model nodes: ``llm`` with a template of the flow, and the package tools that call the same APIs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.domain.connection import Connection
from headrace.domain.flow import Flow, Node
from headrace.domain.tool import ModelName, ToolParameter, ToolSpec
from headrace.errors import DefinitionError, Problem
from headrace.formats.positions import read_text
from headrace.formats.template import Template, load_template
from headrace.providers.loading import load_by_name
from headrace.source import Pointer
from headrace.tools.base import ASYNC, ConnectionLookup, NodeContext, Tool
from headrace.tools.chat import Message
from headrace.tools.chat_prompt import make_messages
from headrace.tools.connections import find_connection
from headrace.tools.escape import PromptText
from headrace.tools.model_call import answer_message, answer_text, answer_vector, call_model, stream_model
from headrace.tools.model_parameters import (
    APIS,
    AZURE,
    BASELINE,
    CHAT,
    COMPLETION,
    FAMILIES,
    PACKAGE_LLM_PARAMETERS,
    PASSED_ON,
    ModelApi,
    name_of_model,
)
from headrace.tools.model_request import (
    asks_for_stream,
    chat_request,
    completion_request,
    embedding_request,
    has_tools,
)
from headrace.tools.sources import source_file

if TYPE_CHECKING:
    from headrace.planning.fingerprint import Identity

_IDENTITY = "headrace.tools.identity:model_identity"
_EMBEDDING_IDENTITY = "headrace.tools.identity:embedding_identity"
_EMBEDDING_MODEL = "text-embedding-ada-002"
_PROMPT = ToolParameter(name="prompt", types=("prompt_template",))
_CONNECTION = ToolParameter(name="connection", types=("object",))


class ModelTool:
    """Calls a chat or completion API with a rendered prompt.

    Args:
        spec: What the node may set.
        api: Which API of which family.
        connection: The connection, or its name.
        template: The prompt; ``None`` when only the node's input ``prompt`` can hold it.
    """

    mode = ASYNC

    def __init__(
        self, spec: ToolSpec, api: ModelApi, connection: str | Connection, template: Template | None
    ) -> None:
        self.spec = spec
        self._api = api
        self._connection = connection
        self._template = template
        self._parameters = frozenset(item.name for item in (_PROMPT, *spec.parameters, *api.parameters))

    @property
    def can_stream(self) -> bool:
        """Whether the answer may come piece by piece, where the caller wants that."""
        return self._api.operation == CHAT

    async def call(self, arguments: Mapping[str, Any], context: NodeContext) -> Any:
        """Ask the model.

        Returns:
            The answer's text; the whole message when the model was given tools or functions; an asynchronous
            generator of pieces when the caller streams.

        Raises:
            NodeError: E602, E605 or T201 for the prompt or a parameter.
            RemoteError: The service does not give a usable answer.
        """
        template, marks = self._prompt(arguments, context)
        values = {name: value for name, value in arguments.items() if name not in self._parameters}
        settings = self._settings(arguments, template)
        client = context.open_client(self._connection)
        if self._api.operation == COMPLETION:
            prompt = template.render(values)
            return answer_text(
                await call_model(client, completion_request(self._api, prompt, settings), context)
            )
        messages = self.make_messages(template, values, context, marks)
        is_stream = (context.is_streaming or asks_for_stream(settings)) and not has_tools(settings)
        request = chat_request(self._api, messages, settings, is_stream=is_stream)
        if is_stream:
            return stream_model(client, request, context)
        message = answer_message(await call_model(client, request, context))
        return message if has_tools(settings) else message["content"]

    def identity(self, connections: ConnectionLookup) -> Identity:
        """Its template, its API, and where its requests go."""
        identity: Identity = load_by_name(_IDENTITY)(
            self._api, self._template, self._parameters, self._connection, connections
        )
        return identity

    def make_messages(
        self, template: Template, values: Mapping[str, Any], context: NodeContext, marks: frozenset[str]
    ) -> list[Message]:
        """The messages of a rendered prompt; ``marks`` are those of the template, which may be a rendered prompt."""
        return make_messages(
            template,
            values,
            family=self._api.family,
            inputs_to_escape=context.inputs_to_escape,
            marks=marks,
        )

    def _prompt(self, arguments: Mapping[str, Any], context: NodeContext) -> tuple[Template, frozenset[str]]:
        """The node's input ``prompt`` where it has one, also in place of the template of ``source.path``.

        Prompt flow hands the template to its tool as the parameter ``prompt``, which the input of that name
        takes over: projects render a prompt in a node of its own and give it to the model like this.

        Returns:
            The prompt, and the marks that keep text from outside in it from opening a message.
        """
        given = arguments.get("prompt")
        if given is None and self._template is not None:
            return self._template, frozenset()
        name = f"{context.node}.prompt"
        if isinstance(given, PromptText) and self._api.operation == CHAT:
            return load_template(given.marked, name), given.marks
        return load_template("" if given is None else str(given), name), frozenset()

    def _settings(self, arguments: Mapping[str, Any], template: Template) -> Mapping[str, Any]:
        """The arguments that are parameters, without those that only the template has a use for."""
        variables = template.variables
        return {
            name: value
            for name, value in arguments.items()
            if name in self._parameters or (name in PASSED_ON and name not in variables)
        }


class EmbeddingTool:
    """Calls an embedding API for one text."""

    mode = ASYNC

    def __init__(self, spec: ToolSpec, connection: str | Connection, connection_type: str) -> None:
        self.spec = spec
        self._connection = connection
        self._connection_type = connection_type

    def identity(self, connections: ConnectionLookup) -> Identity:
        """The API, and where its requests go."""
        identity: Identity = load_by_name(_EMBEDDING_IDENTITY)(
            _EMBEDDING_MODEL, self._connection_type, self._connection, connections
        )
        return identity

    async def call(self, arguments: Mapping[str, Any], context: NodeContext) -> list[float]:
        """The vector of the input.

        Raises:
            RemoteError: The service does not give a usable answer.
        """
        model = str(arguments.get("model") or _EMBEDDING_MODEL)
        if FAMILIES[self._connection_type] == AZURE:
            model = str(arguments.get("deployment_name") or "")
        request = embedding_request(self._connection_type, model, arguments.get("input"))
        return answer_vector(await call_model(context.open_client(self._connection), request, context))


def load_llm_tool(node: Node, flow: Flow, folder: Path, connections: ConnectionLookup) -> Tool:
    """Load an ``llm`` node.

    Raises:
        DefinitionError: F001, F009 or F011 for the template; C501 or C504 for the connection.
    """
    if not node.connection:
        raise DefinitionError(_no_connection(node, flow, node.pointer))
    pointer = (*node.pointer, "connection")
    try:
        template = _load_template(node, flow, folder)
    except DefinitionError as error:
        raise DefinitionError(*error.problems, *_connection_problems(node, flow, connections)) from error
    connection = find_connection(node.connection, tuple(FAMILIES), flow, node, pointer, connections)
    # Another api is refused by planning.check, which sees the node whether its tool loads or not.
    api = _api_of(connection, node.api if node.api in (CHAT, COMPLETION) else CHAT)
    spec = ToolSpec(
        name=node.name,
        parameters=api.parameters,
        takes_any=True,
        reserved=api.reserved,
        template_variables=template.variables,
        image_variables=template.image_variables,
        model=_model_name(api, connection),
    )
    return ModelTool(spec, api, connection.name, template)


def _connection_problems(node: Node, flow: Flow, connections: ConnectionLookup) -> tuple[Problem, ...]:
    """What is wrong with the node's connection, beside a template that is wrong already."""
    try:
        pointer = (*node.pointer, "connection")
        find_connection(node.connection or "", tuple(FAMILIES), flow, node, pointer, connections)
    except DefinitionError as error:
        return error.problems
    return ()


def load_package_llm(node: Node, flow: Flow, folder: Path, connections: ConnectionLookup) -> Tool:
    """Load ``promptflow.tools.llm.llm``: any model connection, the API chosen by the input ``api``.

    Raises:
        DefinitionError: As :func:`load_llm_tool`; F007 for another api.
    """
    connection = input_connection(node, flow, tuple(FAMILIES), connections)
    operation = node.inputs.get("api") or CHAT
    if operation not in (CHAT, COMPLETION):
        pointer = (*node.pointer, "inputs", "api")
        what = f"The node {node.name!r} asks for an api that does not exist."
        place = flow.source_map.span(pointer)
        fix = "Write chat or completion."
        raise DefinitionError(Problem(code="F007", what=what, span=place, pointer=pointer, fix=fix))
    api = _api_of(connection, str(operation))
    # The package tool sends null where a completion node sends 16 tokens, and an empty name where that has a model.
    defaults = {"max_tokens": None, **({} if connection.type == BASELINE else {api.model_parameter: ""})}
    api = _with_defaults(api, defaults)
    template = _load_template(node, flow, folder)
    spec = ToolSpec(
        name=node.name,
        parameters=PACKAGE_LLM_PARAMETERS,
        takes_any=True,
        reserved=("prompt", *(item.name for item in PACKAGE_LLM_PARAMETERS)),
        template_variables=template.variables,
        image_variables=template.image_variables,
        model=_model_name(api, connection),
    )
    return ModelTool(spec, api, connection.name, template)


def load_package_api(node: Node, flow: Flow, folder: Path, connections: ConnectionLookup) -> Tool:
    """Load ``promptflow.tools.aoai.chat`` and its kin; the input ``prompt`` holds the template's text.

    Raises:
        DefinitionError: C501 or C504 for the connection.
    """
    _, _, module, operation = (node.source.tool or "").split(".")
    types = ("azure_open_ai",) if module == "aoai" else ("open_ai", "serverless", "baseline")
    connection = input_connection(node, flow, types, connections)
    api = _api_of(connection, operation)
    spec = ToolSpec(
        name=node.name,
        parameters=(_CONNECTION, _PROMPT, *api.parameters),
        takes_any=True,
        model=_model_name(api, connection),
    )
    return ModelTool(spec, api, connection.name, None)


def load_embedding(node: Node, flow: Flow, folder: Path, connections: ConnectionLookup) -> Tool:
    """Load ``promptflow.tools.embedding.embedding``.

    Raises:
        DefinitionError: C501 or C504 for the connection.
    """
    connection = input_connection(node, flow, tuple(FAMILIES), connections)
    parameters = (
        _CONNECTION,
        ToolParameter(name="input", types=("string",)),
        ToolParameter(name="deployment_name", types=("string",), default=""),
        ToolParameter(name="model", types=("string",), default=_EMBEDDING_MODEL),
    )
    default = "" if FAMILIES[connection.type] == AZURE else _EMBEDDING_MODEL
    model = name_of_model(connection.type, default)
    spec = ToolSpec(name=node.name, parameters=parameters, model=model)
    return EmbeddingTool(spec, connection.name, connection.type)


def _load_template(node: Node, flow: Flow, folder: Path) -> Template:
    source = source_file(node, flow, folder)
    return load_template(read_text(source.path, source.shown), source.shown)


def input_connection(
    node: Node, flow: Flow, types: tuple[str, ...], connections: ConnectionLookup
) -> Connection:
    """The connection that a node names by its input ``connection``.

    Raises:
        DefinitionError: C501 when it names none or an unknown one, C504 for another type.
    """
    name = node.inputs.get("connection")
    pointer = (*node.pointer, "inputs", "connection")
    if not isinstance(name, str) or not name:
        raise DefinitionError(_no_connection(node, flow, pointer))
    return find_connection(name, types, flow, node, pointer, connections)


def _api_of(connection: Connection, operation: str) -> ModelApi:
    api = APIS[FAMILIES[connection.type], operation]
    if connection.type != BASELINE:
        return api
    # The embedded reader is one model: a node that was written for another service need not name it.
    return _with_defaults(api, {"model": BASELINE})


def _model_name(api: ModelApi, connection: Connection) -> ModelName | None:
    return None if connection.type == BASELINE else api.model_name(connection.type)


def _no_connection(node: Node, flow: Flow, pointer: Pointer) -> Problem:
    return Problem(
        code="C501",
        what=f"The node {node.name!r} calls a model but names no connection.",
        span=flow.source_map.span(pointer),
        pointer=pointer,
        fix="Add the name of a connection; `connection: baseline` needs no key.",
    )


def _with_defaults(api: ModelApi, defaults: Mapping[str, Any]) -> ModelApi:
    parameters = (
        replace(item, default=defaults[item.name]) if item.name in defaults else item
        for item in api.parameters
    )
    return replace(api, parameters=tuple(parameters))
