"""Single steps of a prompty, under the private names of promptflow that projects import."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.compat.exception_families import exception_family
from headrace.config import find_workspace, load_settings
from headrace.domain.multimedia import Image
from headrace.formats.template import load_template
from headrace.providers.azure_sources import AzureSources
from headrace.providers.lookup import Connections
from headrace.tools.chat import Message
from headrace.tools.chat_prompt import make_messages
from headrace.tools.connection_types import (
    CONNECTION_CLASSES,
    AzureOpenAIConnection,
    OpenAIConnection,
    make_connection_object,
)
from headrace.tools.image_lines import give_images_lines, place_images
from headrace.tools.model_parameters import COMPLETION, OPENAI

_NAME = "<prompt>"


def convert_prompt_template(template: str, inputs: Mapping[str, Any], api: str) -> list[Message] | str:
    """The messages that a prompty's template gives for some inputs, or the text of a completion.

    Raises:
        DefinitionError: F009 when the template cannot be parsed.
        NodeError: E602 or E605 when it fails or has no roles.
    """
    compiled = load_template(give_images_lines(template), _NAME)
    if api == COMPLETION:
        return compiled.render(inputs)
    messages = make_messages(compiled, inputs, family=OPENAI, inputs_to_escape=tuple(inputs))
    return place_images(messages, (value for value in inputs.values() if isinstance(value, Image)))


def build_messages(
    prompt: str, images: Sequence[Image] | None = None, image_detail: str = "auto", **kwargs: Any
) -> list[Message]:
    """The messages of a chat template, with the given images where their tokens stand on lines of their own.

    Raises:
        DefinitionError: F009 when the template cannot be parsed.
        NodeError: E602 or E605 when it fails or has no roles.
    """
    del image_detail
    escaped = tuple(kwargs.pop("_inputs_to_escape", ()) or ())
    compiled = load_template(give_images_lines(str(prompt)), _NAME)
    messages = make_messages(compiled, kwargs, family=OPENAI, inputs_to_escape=escaped)
    return place_images(messages, images or ())


def convert_model_configuration_to_connection(model_configuration: Any) -> Any:
    """The connection object of a model configuration, given as an object or as a mapping.

    Raises:
        PromptflowException: Of a kind that promptflow raises: the configuration names an unknown connection or no known
            type, or the environment does not have what it leaves out.
    """
    given = dict(model_configuration) if isinstance(model_configuration, Mapping) else None
    kind = str(given.get("type")) if given else type(model_configuration).__name__
    if given is None:
        given = {
            field.name: getattr(model_configuration, field.name)
            for field in dataclasses.fields(model_configuration)
        }
    if given.get("connection"):
        return _stored(str(given["connection"]))
    if kind.lower().startswith("azure"):
        return _described(
            AzureOpenAIConnection, given, {"azure_endpoint": "api_base", "api_version": "", "api_key": ""}
        )
    if kind.lower().startswith("openai"):
        return _described(OpenAIConnection, given, {"base_url": "", "api_key": "", "organization": ""})
    message = f"The type {kind} is none that a model configuration can have; write azure_openai or openai."
    raise _kind("UnknownConnectionType")(message)


def _described(cls: Any, given: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    fields = {own or name: given[name] for name, own in names.items() if given.get(name)}
    if fields:
        return cls(**fields)
    try:
        return cls.from_env()
    except ValueError as error:
        raise _kind("RequiredEnvironmentVariablesNotSetError")(str(error)) from error


def _stored(name: str) -> Any:
    settings = load_settings()
    connections = Connections(find_workspace(Path.cwd()), settings, azure=AzureSources(settings, Path.cwd()))
    connection = connections.find(name)
    cls = CONNECTION_CLASSES.get(connection.type) if connection else None
    if connection is None or cls is None:
        message = f"There is no connection {name!r}."
        raise _kind("ConnectionNotFound")(message)
    return make_connection_object(connection, cls, connections.secret)


def _kind(name: str) -> Any:
    return exception_family("promptflow.core._errors")[name]
