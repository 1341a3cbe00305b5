"""The node of a flow that runs elsewhere: one request with the inputs of the line (promptflow-format: 10)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.domain.connection import Connection, Secret
from headrace.domain.flow import Flow, Node
from headrace.domain.remote import (
    ANSWER,
    AUTH,
    DEPLOYED,
    ENTRA,
    HEADER,
    KEY,
    PIN,
    SCOPE,
    RemoteFlow,
    is_private,
    scope_of,
)
from headrace.domain.tool import ToolParameter, ToolSpec
from headrace.errors import DefinitionError, HeadraceError, Problem, RemoteRequestError
from headrace.formats.remote import REFERENCE
from headrace.providers.base import ModelRequest
from headrace.providers.loading import load_by_name
from headrace.telemetry.attributes import endpoint_answer_attributes, endpoint_request_attributes
from headrace.tools.base import ASYNC, ConnectionLookup, NodeContext
from headrace.tools.current_span import parent_span

if TYPE_CHECKING:
    from headrace.planning.fingerprint import Identity

_IDENTITY = "headrace.tools.identity:endpoint_identity"


class EndpointTool:
    """Posts the inputs of a line to an address and takes the outputs from what it answers.

    Args:
        flow: A flow that runs elsewhere.
        remote: Where it answers.
        connection: What its client is opened with.

    Attributes:
        mode: Always :data:`~headrace.tools.base.ASYNC`.
    """

    mode = ASYNC

    def __init__(self, flow: Flow, remote: RemoteFlow, connection: Connection) -> None:
        self.spec = ToolSpec(
            name=flow.name,
            parameters=tuple(
                ToolParameter(name=item.name, types=(item.type,)) for item in flow.inputs.values()
            ),
        )
        self._flow = flow
        self._remote = remote
        self._connection = connection

    async def call(self, arguments: Mapping[str, Any], context: NodeContext) -> Any:
        """Ask the endpoint.

        Returns:
            What it answers; of that the declared outputs, where there are some.

        Raises:
            RemoteError: No usable answer came; P711 where it lacks a declared output.
            DefinitionError: C503 where a key is not there any more.
        """
        client = context.open_client(self._connection)
        span = parent_span(context).child(
            f"invoke_workflow {self._flow.name}",
            kind="client",
            attributes=endpoint_request_attributes(self._flow.name, client.address, client.port),
        )
        headers = {"traceparent": f"00-{span.trace_id}-{span.span_id}-01"}
        if self._remote.deployment:
            headers[PIN] = self._remote.deployment
        request = ModelRequest(
            operation="score", model=self._remote.deployment or "", body=dict(arguments), headers=headers
        )
        try:
            response = await client.send(request)
            said = endpoint_answer_attributes(response.model, response.retries, response.waited_s)
            span.attributes.update(said)
            context.add_usage(response.usage)
            return self._outputs(response.body[ANSWER])
        except HeadraceError as error:
            problem = error.problems[0]
            span.fail(problem.name, f"{problem.code} {problem.name}")
            raise
        finally:
            span.end()

    def identity(self, connections: ConnectionLookup) -> Identity | None:
        """Where it answers, where the user says that the same inputs get the same answer; else ``None``."""
        del connections
        if not self._remote.is_steady:
            return None
        identity: Identity = load_by_name(_IDENTITY)(self._remote)
        return identity

    def _outputs(self, answer: Any) -> Any:
        places = self._remote.outputs
        if not places:
            return answer
        return {name: self._find(answer, name, place) for name, place in places.items()}

    def _find(self, answer: Any, name: str, place: str) -> Any:
        """The value at a place of the answer; a key may have dots of its own.

        Raises:
            RemoteRequestError: P711.
        """
        value = answer
        words = [place] if isinstance(answer, Mapping) and place in answer else place.split(".")
        for word in words:
            if isinstance(value, Mapping) and word in value:
                value = value[word]
            elif isinstance(value, list) and word.isascii() and word.isdecimal() and int(word) < len(value):
                value = value[int(word)]
            else:
                has = ", ".join(list(answer)[:12]) if isinstance(answer, Mapping) else type(answer).__name__
                what = (
                    f"The answer of the endpoint has no {place!r}, which the output {name!r} is taken from."
                )
                pointer = ("outputs", name)
                span = self._flow.source_map.span(pointer)
                fix = f"Correct the place; the answer has: {has or 'nothing'}."
                raise RemoteRequestError(Problem(code="P711", what=what, span=span, pointer=pointer, fix=fix))
        return value


def load_endpoint_tool(node: Node, flow: Flow, folder: Path, connections: ConnectionLookup) -> EndpointTool:
    """Load the only node of a flow that runs elsewhere; its keys are looked at, and nothing is sent.

    Raises:
        DefinitionError: C501 for an unknown connection, C502 for one without that field, C503 for a key or a variable
            that is not there.
    """
    del folder
    remote = flow.remote
    if remote is None:
        message = f"{flow.file} is behind no address"
        raise ValueError(message)
    if node.connection != remote.connection:
        remote = replace(remote, connection=node.connection)
    connection = _Access(flow, connections).connection(remote)
    for name, secret in connection.secrets.items():
        try:
            value = connections.secret(connection, name)
        except DefinitionError:
            if not name.startswith("env:"):
                raise
            value = None
        if not value:
            raise DefinitionError(_no_key(flow, connection, name, secret))
    return EndpointTool(flow, remote, connection)


class _Access:
    """Finds what lets requests in; values stay where they are kept."""

    def __init__(self, flow: Flow, connections: ConnectionLookup) -> None:
        self._flow = flow
        self._connections = connections

    def connection(self, remote: RemoteFlow) -> Connection:
        """The connection that the client is opened with."""
        configs = {"url": remote.url}
        if remote.timeout_s is not None:
            configs["timeout_s"] = f"{remote.timeout_s:g}"
        if remote.deployed is not None:
            configs[DEPLOYED] = json.dumps(asdict(remote.deployed))
        secrets: dict[str, Secret] = {}
        name, origin = self._flow.name, self._flow.file
        auth, scope = remote.auth, remote.scope
        if remote.connection:
            found = self._connection(remote.connection, ("connection",))
            name, origin = found.name, found.origin
            auth, scope = found.configs.get(AUTH), found.configs.get(SCOPE) or scope
            if auth != ENTRA:
                secrets[KEY] = self._key(found)
        if auth == ENTRA:
            configs |= {AUTH: ENTRA, SCOPE: self._scope(remote, scope)}
        for header, text in remote.headers.items():
            secrets |= self._named_in(header, text)
            configs[f"{HEADER}{header}"] = text
        return Connection(name=name, type="endpoint", configs=configs, secrets=secrets, origin=origin)

    def _connection(self, name: str, pointer: tuple[str, ...]) -> Connection:
        found = self._connections.find(name)
        if found is None:
            near = ", ".join(self._connections.names())
            what = f'There is no connection "{name}".'
            span = self._flow.source_map.span(pointer)
            fix = f"Make it with headrace connection create, or name one of {near}."
            raise DefinitionError(Problem(code="C501", what=what, span=span, pointer=pointer, fix=fix))
        return found

    def _named_in(self, header: str, text: str) -> dict[str, Secret]:
        """What a header takes from elsewhere."""
        secrets: dict[str, Secret] = {}
        for match in REFERENCE.finditer(text):
            variable, owner, field_name = match.groups()
            place = match[0][2:-1]
            if variable:
                secrets[place] = Secret(variable=variable)
                continue
            found = self._connection(owner, ("headers", header))
            if field_name in found.secrets:
                secrets[place] = found.secrets[field_name]
            elif field_name in found.configs:
                secrets[place] = Secret(value=str(found.configs[field_name]))
            else:
                raise DefinitionError(_no_field(self._flow, found, field_name, header))
        return secrets

    def _scope(self, remote: RemoteFlow, scope: str | None) -> str:
        """What the token is for.

        Raises:
            DefinitionError: C502 where nothing says so, or the token would be readable on its way.
        """
        found = scope or scope_of(remote.url)
        if found is not None and is_private(remote.url):
            return found
        what, fix = (
            f"Nothing says what a token for {remote.url} is for.",
            "Write scope: api://APPLICATION/.default.",
        )
        if found is not None:
            what = f"A token for {remote.url} would go over the network for everybody to read."
            fix = "Write https:// in place of http://."
        pointer = ("url",)
        span = self._flow.source_map.span(pointer)
        raise DefinitionError(Problem(code="C502", what=what, span=span, pointer=pointer, fix=fix))

    def _key(self, connection: Connection) -> Secret:
        """The key of a connection of any type: its ``api_key``, else its only secret."""
        if KEY in connection.secrets:
            return connection.secrets[KEY]
        if len(connection.secrets) == 1:
            return next(iter(connection.secrets.values()))
        raise DefinitionError(_no_key(self._flow, connection, KEY, Secret()))


def _no_key(flow: Flow, connection: Connection, name: str, secret: Secret) -> Problem:
    pointer: tuple[str, ...] = ("connection",)
    what = f'Connection "{connection.name}" ({connection.origin}) has no {name}.'
    fix = (
        f"Set its secret api_key: headrace connection update --name {connection.name} --set secrets.api_key=…"
    )
    if name.startswith("env:") and secret.variable:
        header = next(
            (
                key
                for key, text in connection.configs.items()
                if f"${{{name}}}" in text and key.startswith(HEADER)
            ),
            "",
        ).removeprefix(HEADER)
        pointer = ("headers", header)
        what = (
            f"The environment variable {secret.variable} is not set, which the header {header} is taken from."
        )
        fix = f"Set {secret.variable}."
    return Problem(code="C503", what=what, span=flow.source_map.span(pointer), pointer=pointer, fix=fix)


def _no_field(flow: Flow, connection: Connection, field_name: str, header: str) -> Problem:
    pointer = ("headers", header)
    known = ", ".join((*connection.configs, *connection.secrets))
    what = f'Connection "{connection.name}" has no field {field_name!r}.'
    return Problem(
        code="C502", what=what, span=flow.source_map.span(pointer), pointer=pointer, fix=f"It has: {known}."
    )
