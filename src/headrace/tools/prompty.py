"""The node of a prompty: one model call with a rendered template (promptflow-format: 7.3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.domain.connection import Connection
from headrace.domain.flow import Flow, ModelPrompt, Node
from headrace.domain.multimedia import Image
from headrace.domain.tool import ModelName, ToolParameter, ToolSpec
from headrace.errors import DefinitionError, NodeError, Problem, RemoteRequestError
from headrace.formats.template import Template, load_template
from headrace.providers.base import ModelRequest, ModelResponse
from headrace.providers.loading import load_by_name
from headrace.source import Pointer
from headrace.tools.base import ASYNC, ConnectionLookup, NodeContext
from headrace.tools.chat import Message, parse_chat
from headrace.tools.chat_prompt import make_messages
from headrace.tools.image_lines import give_images_lines, place_images
from headrace.tools.model_call import answer_message, answer_text, call_model, stream_model
from headrace.tools.model_parameters import (
    BASELINE,
    CHAT,
    COMPLETION,
    DEPLOYMENT_NAME,
    OPENAI,
    name_of_model,
)
from headrace.tools.model_request import check_function_call, check_functions, check_tool_choice, check_tools
from headrace.tools.prompty_connection import find_model
from headrace.tools.prompty_images import has_images, read_images

if TYPE_CHECKING:
    from headrace.planning.fingerprint import Identity

_IDENTITY = "headrace.tools.identity:prompty_identity"
_CALLS = ("tool_calls", "function_call", "function_calls")
# Arguments of the openai package's methods, not parameters of a request.
_PACKAGE_ARGUMENTS = ("extra_headers", "extra_body", "extra_query", "timeout")


class PromptyTool:
    """Asks a model what a prompty says.

    Args:
        flow: The prompty.
        connection: Where requests go.
        model: Model or deployment.
        template: What is rendered.
        model_name: How the configuration names the model; ``None`` where it need not.

    Attributes:
        mode: Always :data:`~headrace.tools.base.ASYNC`.
    """

    mode = ASYNC

    def __init__(
        self,
        flow: Flow,
        connection: str | Connection,
        model: str,
        template: Template,
        model_name: ModelName | None,
    ) -> None:
        self.spec = ToolSpec(
            name=flow.name,
            parameters=tuple(
                ToolParameter(name=item.name, types=(item.type,), default=item.default)
                for item in flow.inputs.values()
            ),
            model=model_name,
        )
        self._flow = flow
        self._prompt = _prompt_of(flow)
        self._connection = connection
        self._model = model
        self._template = template

    async def call(self, arguments: Mapping[str, Any], context: NodeContext) -> Any:
        """Ask the model.

        Returns:
            The answer's text; what it holds, where JSON is asked for; the whole message, where the model asks for a
            call; an asynchronous generator of pieces, where the prompty or the caller streams; the service's whole
            answer with ``response: all``.

        Raises:
            NodeError: E602 or E605 for the prompt, T210 or C509 for an image.
            DefinitionError: T202 for an input without a value.
            RemoteError: The service does not give a usable answer; P709 when it is not what the prompty declares.
        """
        values = take_inputs(self._flow, arguments)
        if has_images(values):
            values = await asyncio.to_thread(read_images, self._flow, values)
        request = self.request(self._render(values))
        client = context.open_client(self._connection)
        if self._is_streamed(context):
            pieces = stream_model(client, request, context)
            return self._read_json("".join([piece async for piece in pieces])) if self._is_json else pieces
        return self._read_answer(await call_model(client, request, context))

    def identity(self, connections: ConnectionLookup) -> Identity | None:
        """Its template, the request apart from the messages, and where it goes."""
        identity: Identity | None = load_by_name(_IDENTITY)(
            self._flow, self._prompt, self._template, self._model, self._connection, connections
        )
        return identity

    def render(self, arguments: Mapping[str, Any]) -> list[Message] | str:
        """The messages, or the text of a completion, for the given inputs.

        Raises:
            NodeError: E602 or E605 for the prompt, T210 or C509 for an image.
            DefinitionError: T202 for an input without a value.
        """
        values = take_inputs(self._flow, arguments)
        return self._render(read_images(self._flow, values) if has_images(values) else values)

    def _render(self, values: Mapping[str, Any]) -> list[Message] | str:
        if self._prompt.api == COMPLETION:
            return self._template.render(values)
        messages = make_messages(
            self._template,
            values,
            family=OPENAI,
            inputs_to_escape=tuple(values),
            parse=partial(parse_chat, is_call_last=True),
        )
        return place_images(messages, (value for value in values.values() if isinstance(value, Image)))

    def request(self, prompt: list[Message] | str) -> ModelRequest:
        """The request: the parameters as they are written, the model, and the prompt."""
        parameters = self._prompt.parameters
        body = {
            name: value for name, value in parameters.items() if name not in (*_PACKAGE_ARGUMENTS, "model")
        }
        if not self._model:
            body["model"] = self._prompt.configuration.get("model")  # null, or the empty text that it says
        body |= _choices(parameters)
        body |= _mapping(parameters.get("extra_body"))
        body["prompt" if self._prompt.api == COMPLETION else "messages"] = prompt
        headers = _mapping(parameters.get("extra_headers"))
        return ModelRequest(
            operation=self._prompt.api,
            model=self._model,
            body=body,
            headers={str(name): str(value) for name, value in headers.items()},
        )

    @property
    def can_stream(self) -> bool:
        """Whether the answer comes piece by piece: where the prompty says ``stream: true``, as under prompt flow."""
        return bool(self._prompt.parameters.get("stream")) and not self._is_json

    @property
    def _is_json(self) -> bool:
        form = self._prompt.parameters.get("response_format")
        is_object = isinstance(form, Mapping) and form.get("type") == "json_object"
        return is_object and self._prompt.response == "first" and self._prompt.api == CHAT

    def _is_streamed(self, context: NodeContext) -> bool:
        parameters = self._prompt.parameters
        if "stream" in parameters:
            return bool(parameters["stream"])
        is_plain = self._prompt.response == "first" and not self._is_json
        return (
            context.is_streaming and is_plain and not (parameters.get("tools") or parameters.get("functions"))
        )

    def _read_answer(self, response: ModelResponse) -> Any:
        if self._prompt.response == "all":
            return dict(response.body)
        if self._prompt.api == COMPLETION:
            return answer_text(response)
        message = answer_message(response)
        has_call = bool(message["tool_calls"] or message["function_call"])
        is_call = any(reason in _CALLS for reason in response.finish_reasons[:1])
        if is_call or (has_call and message["content"] is None):
            return message
        return self._read_json(message["content"]) if self._is_json else message["content"]

    def _read_json(self, text: Any) -> Any:
        """What a JSON answer holds; of the declared outputs only, where there are some.

        Raises:
            RemoteRequestError: P709.
        """
        try:
            answer = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            pointer = ("model", "parameters", "response_format")
            what = "The prompty asks for JSON, but the model answered with something else."
            fix = "Say in the prompt that the answer has to be JSON and what is in it; a longer max_tokens may help."
            raise RemoteRequestError(self._not_as_declared(pointer, what, fix)) from error
        if not self._flow.outputs:
            return answer
        for name in self._flow.outputs:
            if not isinstance(answer, Mapping) or name not in answer:
                what = f"The answer of the model does not have the declared output {name!r}."
                fix = f"Name {name} in the prompt as a key of the JSON, or take it out of outputs."
                raise RemoteRequestError(self._not_as_declared(("outputs", name), what, fix))
        return {name: answer[name] for name in self._flow.outputs}

    def _not_as_declared(self, pointer: Pointer, what: str, fix: str) -> Problem:
        place = self._flow.source_map.key_span(pointer)
        return Problem(code="P709", what=what, span=place, pointer=pointer, fix=fix)


def take_inputs(flow: Flow, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the template gets: as given, not converted; the sample, when nothing at all is given.

    Where no inputs are declared, those of the sample are; what is not declared is dropped.

    Raises:
        DefinitionError: T202 with every input that has no value.
    """
    given = given or flow.sample
    defaults = _prompt_of(flow).defaults
    names = tuple(flow.inputs or flow.sample)
    missing = [name for name in names if name not in given and name not in defaults]
    if missing:
        pointer = ("inputs", missing[0])
        raise DefinitionError(
            Problem(
                code="T202",
                what=f"The prompty {flow.name!r} needs a value for {', '.join(map(repr, missing))}.",
                span=flow.source_map.key_span(pointer),
                pointer=pointer,
                fix="Give a value, or declare a default for it.",
            )
        )
    return {name: given[name] if name in given else defaults[name] for name in names}


def load_prompty_tool(node: Node, flow: Flow, folder: Path, connections: ConnectionLookup) -> PromptyTool:
    """Load the only node of a prompty.

    Raises:
        DefinitionError: Everything that keeps it from asking the model: F009, T203 for parameters, and C501 to C504.
    """
    del folder
    prompt = _prompt_of(flow)
    problems = list(_check_parameters(flow, prompt.parameters))
    template: Template | None = None
    connection: str | Connection | None = None
    model = ""
    try:
        template = load_template(give_images_lines(prompt.template), flow.file, prompt.first_line)
    except DefinitionError as error:
        problems += error.problems
    try:
        connection, model = find_model(flow, node, connections)
    except DefinitionError as error:
        problems += error.problems
    if template is None or connection is None or problems:
        raise DefinitionError(*problems)
    return PromptyTool(flow, connection, model, template, _model_name(connection, connections))


def _model_name(wanted: str | Connection, connections: ConnectionLookup) -> ModelName | None:
    connection = connections.find(wanted) if isinstance(wanted, str) else wanted
    if connection is None or connection.type == BASELINE:
        return None
    name = name_of_model(connection.type)
    # Whatever the service is, both keys are read; the right one is what to write.
    return replace(name, key="azure_deployment" if name.key == DEPLOYMENT_NAME else name.key, unread="")


def _prompt_of(flow: Flow) -> ModelPrompt:
    if flow.prompt is None:
        message = f"{flow.file} is no prompty"
        raise ValueError(message)
    return flow.prompt


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _choices(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """``auto`` where tools or functions are given without a choice; with both, the tools count."""
    if "tools" in parameters:
        return {"tool_choice": check_tool_choice(parameters.get("tool_choice"))}
    if "functions" in parameters:
        return {"function_call": check_function_call(parameters.get("function_call"))}
    return {}


def _check_parameters(flow: Flow, parameters: Mapping[str, Any]) -> Iterator[Problem]:
    """T201 for definitions of tools and functions that prompt flow refuses as well."""
    for name, check, choice_name, check_choice in _DEFINITIONS:
        if name not in parameters:
            continue
        yield from _found(flow, name, check, parameters[name])
        yield from _found(flow, choice_name, check_choice, parameters.get(choice_name))


def _found(flow: Flow, name: str, check: Callable[[Any], object], value: Any) -> Iterator[Problem]:
    pointer = ("model", "parameters", name)
    try:
        check(value)
    except NodeError as error:
        for problem in error.problems:
            span = flow.source_map.span(pointer)
            yield replace(problem, span=span, pointer=pointer, fix=f"Correct {name}.")


def _filled(check: Callable[[Any], object]) -> Callable[[Any], object]:
    """As ``check``, refusing what is no list or has no items."""

    def checked(value: Any) -> object:
        if isinstance(value, list) and value:
            return check(value)
        what = "The definitions of what the model may call should be a list with at least one item."
        raise NodeError(Problem(code="T201", what=what))

    return checked


_DEFINITIONS = (
    ("tools", _filled(check_tools), "tool_choice", check_tool_choice),
    ("functions", _filled(check_functions), "function_call", check_function_call),
)
