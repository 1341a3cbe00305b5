"""Calling a model from a project's own Python code, under the names of promptflow's tools.

The functions are ordinary ones: they wait for the answer. Inside a node they use the run's client, and the call is a
span of the node and counts towards its tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from headrace.compat.exception_families import exception_family
from headrace.compat.exceptions import PromptflowException
from headrace.compat.model_calls import wait_for_model
from headrace.compat.translation import translated
from headrace.config import load_settings
from headrace.domain.connection import Connection
from headrace.domain.tool import ToolSpec
from headrace.errors import DefinitionError, NodeError, RemoteError
from headrace.formats.template import load_template
from headrace.providers.registry import open_client
from headrace.tools.connection_types import connection_type, is_stored, stored_connection
from headrace.tools.llm import EmbeddingTool, ModelTool
from headrace.tools.model_parameters import APIS, AZURE, CHAT, COMPLETION, FAMILIES, OPENAI

_NO_ROLE = "E605"


def azure_chat(connection: Any, prompt: str, deployment_name: str, **arguments: Any) -> Any:
    """Ask a chat deployment of Azure OpenAI; further arguments are parameters and template variables."""
    return _ask(AZURE, CHAT, connection, prompt, {**arguments, "deployment_name": deployment_name})


def azure_completion(connection: Any, prompt: str, deployment_name: str, **arguments: Any) -> Any:
    """Ask a completion deployment of Azure OpenAI."""
    return _ask(AZURE, COMPLETION, connection, prompt, {**arguments, "deployment_name": deployment_name})


def openai_chat(connection: Any, prompt: str, model: str = "", **arguments: Any) -> Any:
    """Ask a chat model of OpenAI or of a service that speaks its protocol."""
    return _ask(OPENAI, CHAT, connection, prompt, {**arguments, "model": model})


def openai_completion(connection: Any, prompt: str, model: str = "", **arguments: Any) -> Any:
    """Ask a completion model of OpenAI or of a service that speaks its protocol."""
    return _ask(OPENAI, COMPLETION, connection, prompt, {**arguments, "model": model})


def llm(connection: Any, prompt: str, api: str = CHAT, **arguments: Any) -> Any:
    """Ask any model; the connection's type says which service.

    Raises:
        TypeError: The connection leads to no model service.
    """
    family = FAMILIES.get(connection_type(type(connection)) or "", OPENAI)
    unused = "model" if family == AZURE else "deployment_name"
    given = {name: value for name, value in arguments.items() if name != unused}
    return _ask(family, api, connection, prompt, given)


class EmbeddingModel(str, Enum):  # noqa: UP042 - projects print it, and StrEnum prints differently
    """Models for embeddings that OpenAI had."""

    TEXT_EMBEDDING_ADA_002 = "text-embedding-ada-002"
    TEXT_SEARCH_ADA_DOC_001 = "text-search-ada-doc-001"
    TEXT_SEARCH_ADA_QUERY_001 = "text-search-ada-query-001"


def embedding(connection: Any, input: str, deployment_name: str = "", model: str = "") -> Any:  # noqa: A002 - the signature that projects call
    """The embedding of a text."""
    kind = connection_type(type(connection)) or ""
    name = model.value if isinstance(model, Enum) else model
    arguments = {"input": input, "deployment_name": deployment_name, "model": name}
    return _call(EmbeddingTool(_spec("embedding"), _target(connection), kind), connection, arguments)


class AzureOpenAI:
    """Azure OpenAI with a connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def chat(self, prompt: str, deployment_name: str, **arguments: Any) -> Any:
        """As :func:`azure_chat`."""
        return azure_chat(self.connection, prompt, deployment_name, **arguments)

    def completion(self, prompt: str, deployment_name: str, **arguments: Any) -> Any:
        """As :func:`azure_completion`."""
        return azure_completion(self.connection, prompt, deployment_name, **arguments)


class OpenAI:
    """OpenAI with a connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def chat(self, prompt: str, model: str = "", **arguments: Any) -> Any:
        """As :func:`openai_chat`."""
        return openai_chat(self.connection, prompt, model, **arguments)

    def completion(self, prompt: str, model: str = "", **arguments: Any) -> Any:
        """As :func:`openai_completion`."""
        return openai_completion(self.connection, prompt, model, **arguments)


def _ask(family: str, operation: str, connection: Any, prompt: str, arguments: dict[str, Any]) -> Any:
    kind = connection_type(type(connection))
    if kind is None or FAMILIES.get(kind) != family:
        message = f"{type(connection).__name__} is not a connection that this function can use."
        raise TypeError(message)
    with _known_errors():
        template = load_template(str(prompt), "<prompt>")
    tool = ModelTool(_spec(operation), APIS[family, operation], _target(connection), template)
    return _call(tool, connection, arguments)


def _spec(name: str) -> ToolSpec:
    return ToolSpec(name=name, parameters=(), takes_any=True)


@contextmanager
def _known_errors() -> Iterator[None]:
    """Let a project catch what goes wrong by the names that promptflow's tools raise."""
    try:
        yield
    except RemoteError as error:
        raise translated(error, _kind("WrappedOpenAIError")) from error
    except (DefinitionError, NodeError) as error:
        is_role = error.problems[0].code == _NO_ROLE
        raise translated(error, _kind("ChatAPIInvalidRole" if is_role else "JinjaTemplateError")) from error


def _kind(name: str) -> type[PromptflowException]:
    return exception_family("promptflow.tools.exception")[name]


def _call(tool: ModelTool | EmbeddingTool, connection: Any, arguments: dict[str, Any]) -> Any:
    stored = stored_connection(connection)
    escaped = tuple(arguments.pop("_inputs_to_escape", ()) or ())
    with _known_errors():
        return wait_for_model(
            lambda context: tool.call(arguments, context),
            lambda _: open_client(stored, _secret, load_settings()),
            escaped=escaped,
        )


def _target(connection: Any) -> str | Connection:
    """What leads to a run's client: the name of a stored connection, else what the object holds."""
    return str(connection.name) if is_stored(connection) else stored_connection(connection)


def _secret(connection: Connection, field_name: str) -> str | None:
    stored = connection.secrets.get(field_name)
    return stored.value if stored else None
