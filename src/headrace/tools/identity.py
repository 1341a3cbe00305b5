"""What tools are made of, for the fingerprints of their results.

Tools reach this module by name: only runs that use the cache need it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from headrace.domain.cache import Code
from headrace.domain.connection import Connection
from headrace.domain.flow import Flow, ModelPrompt
from headrace.domain.remote import RemoteFlow
from headrace.domain.tool import TOOL_MARK
from headrace.formats.code_files import read_code, read_package_code
from headrace.formats.template import Template
from headrace.planning.fingerprint import Identity, text_digest
from headrace.tools.base import ConnectionLookup
from headrace.tools.connection_types import ConnectionObject
from headrace.tools.model_parameters import PASSED_ON, ModelApi

CACHE_OPTION = "cache"
"""Of the ``tool`` decorator: ``@tool(cache=False)``. Stock promptflow takes options that it does not know."""

CACHE_ATTRIBUTE = "headrace_cache"
"""The same on the entry of a flex flow, which has no decorator: ``entry.headrace_cache = False``."""

_CONNECTION = frozenset(("connection",))


def code_of_file(function: Any, file: Path, folder: Path, arguments: Iterable[Any]) -> Code | None:
    """What the code of a function or class is made of; ``None`` when it says that it must be called every time.

    Args:
        function: The function or class.
        file: Where it stands.
        folder: The project.
        arguments: Of its node; files that they name count as well.
    """
    return read_code(file, folder, _texts(arguments)) if _may_be_kept(function) else None


def code_of_package(function: Any, folder: Path, arguments: Iterable[Any]) -> Code | None:
    """The same for a function of an installed package."""
    if not _may_be_kept(function):
        return None
    return read_package_code(function.__module__, function.__qualname__, folder, _texts(arguments))


def _may_be_kept(function: Any) -> bool:
    options = getattr(function, TOOL_MARK, {})
    return bool(options.get(CACHE_OPTION, True)) and bool(getattr(function, CACHE_ATTRIBUTE, True))


def _texts(arguments: Iterable[Any]) -> list[str]:
    return [value for value in arguments if isinstance(value, str)]


def function_identity(
    code: Code | None,
    fixed: Mapping[str, Any],
    connections: Sequence[ConnectionObject],
    *,
    is_remote: bool = False,
) -> Identity | None:
    """The identity of a Python function or class.

    Args:
        code: What it is made of; ``None`` when it must be called every time.
        fixed: Arguments that replace those of the node, connection objects among them.
        connections: Those that it was given, by whatever way.
        is_remote: Whether it may ask somebody else for its result, besides through a connection.
    """
    if code is None:
        return None
    return Identity(
        code=code.parts,
        changed=code.changed,
        left_out=frozenset(fixed),
        given={name: value for name, value in fixed.items() if not isinstance(value, ConnectionObject)},
        connections=tuple(connections),
        variables=code.variables,
        is_steady=code.is_steady and not connections and not is_remote,
    )


def model_identity(
    api: ModelApi,
    template: Template | None,
    parameters: Collection[str],
    connection: str | Connection,
    lookup: ConnectionLookup,
) -> Identity:
    """The identity of a model node: its template, its API, and where its requests go.

    Args:
        api: Which API of which family.
        template: The prompt; ``None`` when it is an argument.
        parameters: Arguments that are no variables of the template.
        connection: The connection, or its name.
        lookup: Finds it.
    """
    return Identity(
        code=_template_parts(template),
        model={
            "operation": api.operation,
            "family": api.family,
            "defaults": {item.name: item.default for item in api.parameters if not item.is_required},
            "fixed": dict(api.fixed),
        },
        model_arguments=frozenset((*parameters, *PASSED_ON)) - {"prompt", "connection"},
        left_out=_CONNECTION,
        connections=_connection_forms(connection, lookup),
        temperature=("temperature", api.default("temperature")),
    )


def embedding_identity(
    default_model: str, connection_type: str, connection: str | Connection, lookup: ConnectionLookup
) -> Identity:
    """The identity of an embedding node: the API, and where its requests go."""
    return Identity(
        code={},
        model={"operation": "embeddings", "type": connection_type, "default": default_model},
        model_arguments=frozenset(("deployment_name", "model")),
        left_out=_CONNECTION,
        connections=_connection_forms(connection, lookup),
    )


def prompty_identity(
    flow: Flow,
    prompt: ModelPrompt,
    template: Template,
    model: str,
    connection: str | Connection,
    lookup: ConnectionLookup,
) -> Identity | None:
    """The identity of a prompty: its template, the request apart from the messages, and where it goes.

    A prompty that takes images must be called every time: it reads them when it is called.
    """
    if any(item.type == "image" for item in flow.inputs.values()) or template.image_variables:
        return None
    return Identity(
        code=_template_parts(template),
        model={
            "model": model,
            "api": prompt.api,
            "response": prompt.response,
            "parameters": dict(prompt.parameters),
            "outputs": list(flow.outputs),
        },
        given={"defaults": dict(prompt.defaults), "sample": dict(flow.sample)},
        connections=_connection_forms(connection, lookup),
        temperature=("", prompt.parameters.get("temperature", 1.0)),
    )


def _template_parts(template: Template | None) -> Mapping[str, str]:
    """A template as a part of the code of a node; its file is named without its folder, which differs by machine."""
    return {} if template is None else {PurePath(template.file).name: text_digest(template.text)}


def _connection_forms(wanted: str | Connection, lookup: ConnectionLookup) -> tuple[Mapping[str, Any], ...]:
    """Where a connection leads, without what it takes to get in and without its name, which is up to each person."""
    found = lookup.find(wanted) if isinstance(wanted, str) else wanted
    if found is None:
        return ()
    return ({"type": found.type, **{name: str(value) for name, value in sorted(found.configs.items())}},)


def endpoint_identity(remote: RemoteFlow) -> Identity:
    """The identity of a flow that runs elsewhere: its address and which deployment answers, not what runs there."""
    form = {"type": "endpoint", "url": remote.url, "deployment": remote.deployment or ""}
    if remote.version:
        form["version"] = remote.version
    return Identity(code={}, given={"outputs": dict(remote.outputs)}, connections=(form,))
