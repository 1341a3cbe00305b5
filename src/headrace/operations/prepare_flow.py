"""From a flow file to something that can run: load, choose the arm, load tools, check everything, plan."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace import compat
from headrace.config import load_settings, process_environment
from headrace.domain.connection import Connection
from headrace.domain.flow import AGGREGATE, Flow, Node
from headrace.domain.tool import ToolSpec
from headrace.domain.variant import Arm, Price
from headrace.engine.masking import secret_settings
from headrace.engine.runtime import Limits, PreparedFlow, prepare
from headrace.engine.threads import ToolThreads
from headrace.errors import DefinitionError, Problem, UsageError, raise_if_errors
from headrace.formats.flow_file import read_flow
from headrace.formats.includes import code_folder, open_includes
from headrace.formats.multimedia import ImageReader
from headrace.operations.workspace import Workspace
from headrace.planning.check import check_flow
from headrace.planning.complete import complete_flow
from headrace.planning.override import apply_overrides
from headrace.planning.plan import Plan, make_plan
from headrace.planning.select import apply_arm
from headrace.providers.base import ModelClient
from headrace.telemetry.setup import SilentSink
from headrace.tools.base import StartingTool, Tool
from headrace.tools.literals import read_literals
from headrace.tools.project import loading_turn, project_in_use, working_folder
from headrace.tools.registry import load_tool

_UNSET_VALUES = ("F014", "R103")
_CONNECTION_VALUE = re.compile(r"^\$\{([^.]+)\.([^.]+)\}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFlow:
    """A checked flow with its tools, inside the working directory and environment it wants.

    Attributes:
        limits: Time limits; a flow may set them among its environment variables.
        images: Reads images; relative paths begin at the working directory, else at the flow's folder.
        max_concurrency: Lines in flight at once in a batch run; a flow may set this as well.
        workers: Processes that run them, 0 for none; a flow may set this as well.
        variables: Environment variables that the flow and its caller set.
        warnings: Findings that do not keep it from running.
    """

    flow: Flow
    plan: Plan
    tools: Mapping[str, Tool]
    folder: Path
    price: Price | None
    limits: Limits
    images: ImageReader
    max_concurrency: int
    workers: int
    variables: Mapping[str, str]
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowChoice:
    """A flow and what was chosen for it, as the parameters of :func:`loaded_flow`.

    Attributes:
        cwd: Where ``path`` begins when it is relative.
    """

    path: Path
    arm: Arm | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    copy: Path | None = None
    cwd: Path = field(default_factory=Path.cwd)

    def load(self, workspace: Workspace) -> AbstractContextManager[LoadedFlow]:
        """The flow, loaded during the block."""
        return loaded_flow(
            workspace,
            self.path,
            arm=self.arm,
            overrides=self.overrides,
            environment_variables=self.environment_variables,
            init=self.init,
            copy=self.copy,
        )

    def keep(self, workspace: Workspace) -> AbstractContextManager[KeptFlow]:
        """The flow, loaded once for several blocks within this one."""
        return kept_flow(
            workspace,
            self.path,
            arm=self.arm,
            overrides=self.overrides,
            environment_variables=self.environment_variables,
            init=self.init,
            copy=self.copy,
        )


class KeptFlow:
    """A flow that stays loaded between the blocks in which it runs.

    Args:
        loaded: The flow.
        place: Where its code runs.
    """

    def __init__(self, loaded: LoadedFlow, place: Path) -> None:
        self._loaded = loaded
        self._place = place
        self._is_started = True

    @contextmanager
    def in_place(self) -> Iterator[LoadedFlow]:
        """The flow in its folder and environment; each block begins with instances of its own, in its own event loop.

        Raises:
            DefinitionError: The class of a flex flow cannot be made any more.
        """
        with _at_place(self._loaded.variables, self._place):
            if not self._is_started:
                _start(self._loaded.tools)
            self._is_started = False
            yield self._loaded


@contextmanager
def loaded_flow(
    workspace: Workspace,
    path: Path,
    *,
    arm: Arm | None = None,
    overrides: Mapping[str, str] | None = None,
    environment_variables: Mapping[str, str] | None = None,
    init: Mapping[str, Any] | None = None,
    keeps_environment: bool = False,
    copy: Path | None = None,
) -> Iterator[LoadedFlow]:
    """Load, choose, check and plan a flow; the block runs in the flow's folder with its environment variables.

    ``init`` is what the constructor of a flex flow's class is given, and what is taken for parts of a prompty.
    With ``keeps_environment``, variables that are set already stay as they are, unless ``environment_variables`` says
    otherwise. ``copy`` is where another process keeps the copy of a flow with includes.

    Raises:
        DefinitionError: Everything that is wrong with the flow's files, at once.
        UsageError: The arm or an override does not fit the flow.
    """
    kept = kept_flow(
        workspace,
        path,
        arm=arm,
        overrides=overrides,
        environment_variables=environment_variables,
        init=init,
        keeps_environment=keeps_environment,
        copy=copy,
    )
    with kept as flow, flow.in_place() as loaded:
        yield loaded


@contextmanager
def kept_flow(
    workspace: Workspace,
    path: Path,
    *,
    arm: Arm | None = None,
    overrides: Mapping[str, str] | None = None,
    environment_variables: Mapping[str, str] | None = None,
    init: Mapping[str, Any] | None = None,
    keeps_environment: bool = False,
    copy: Path | None = None,
) -> Iterator[KeptFlow]:
    """Like :func:`loaded_flow`, for several blocks: only these run in the flow's folder with its environment.

    Raises:
        DefinitionError: Everything that is wrong with the flow's files, at once.
        UsageError: The arm or an override does not fit the flow.
    """
    given = _replaced(workspace, environment_variables or {})
    environment = {**workspace.settings.environment, **given}
    flow, unread = _read(path, environment, init)
    flow = replace(
        flow,
        init_values=init or flow.sample_init,
        environment_variables={
            name: text for name, text in flow.environment_variables.items() if name not in given
        },
    )
    flow = _choose(workspace, flow, arm, overrides or {})
    own = _replaced(workspace, flow.environment_variables)
    if keeps_environment:
        own = {name: text for name, text in own.items() if name not in workspace.settings.environment}
    variables = {**own, **given}
    with open_includes(flow, copy) as folder:
        place = code_folder(flow, folder)
        with _at_place(variables, place), loading_turn():
            loaded = _load(workspace, flow, arm, folder, variables)
        yield KeptFlow(replace(loaded, warnings=(*unread, *loaded.warnings)), place)


@contextmanager
def _at_place(variables: Mapping[str, str], place: Path) -> Iterator[None]:
    with process_environment(variables), working_folder(place), project_in_use(place):
        yield


def _start(tools: Mapping[str, Tool]) -> None:
    for tool in tools.values():
        if isinstance(tool, StartingTool):
            tool.start()


def _read(
    path: Path, environment: Mapping[str, str], overrides: Mapping[str, Any] | None
) -> tuple[Flow, tuple[Problem, ...]]:
    """The flow, and the warnings of its file that say what this run has no value for."""
    flow, problems = read_flow(path, environment=environment, overrides=overrides)
    if flow is None:
        raise DefinitionError(*problems)
    raise_if_errors(problems)
    return flow, tuple(problem for problem in problems if problem.code in _UNSET_VALUES)


@contextmanager
def callable_flow(
    workspace: Workspace, flow: Flow, *, arm: Arm | None = None, overrides: Mapping[str, str] | None = None
) -> Iterator[LoadedFlow]:
    """Like :func:`loaded_flow` for a flow that code calls: only loading happens in the flow's folder.

    The caller keeps its working directory and its environment, as under prompt flow.

    Raises:
        DefinitionError: Everything that is wrong with the flow's files, at once.
        UsageError: The arm or an override does not fit the flow.
    """
    flow = _choose(workspace, replace(flow, init_values=flow.sample_init), arm, overrides or {})
    with open_includes(flow) as folder:
        place = code_folder(flow, folder)
        with loading_turn(), working_folder(place, is_brief=True), project_in_use(place):
            loaded = _load(workspace, flow, arm, folder, {})
        yield loaded


def _choose(workspace: Workspace, flow: Flow, arm: Arm | None, overrides: Mapping[str, str]) -> Flow:
    if arm is not None:
        _check_model(workspace, arm)
        flow = apply_arm(flow, arm, _connection_type(workspace))
        overrides = {**arm.overrides, **overrides}
    return apply_overrides(flow, overrides)


def _load(
    workspace: Workspace, flow: Flow, arm: Arm | None, folder: Path, variables: Mapping[str, str]
) -> LoadedFlow:
    settings = load_settings({**workspace.settings.environment, **variables})
    compat.install()
    tools, problems = load_tools(workspace, flow, flow.nodes, folder)
    specs = tool_specs(tools)
    images = image_reader(workspace, flow, folder)
    flow, unread = read_literals(complete_flow(flow, specs), specs, images)
    problems = (*check_environment(workspace, flow), *problems, *unread, *check_flow(flow, specs))
    raise_if_errors(problems)
    _start(tools)
    return LoadedFlow(
        flow=flow,
        plan=make_plan(flow, specs),
        tools=tools,
        folder=folder,
        price=arm.model.price if arm and arm.model else None,
        limits=Limits(
            line_timeout_s=settings.line_timeout_s,
            batch_timeout_s=settings.batch_timeout_s,
            node_timeout_s=settings.node_timeout_s,
        ),
        max_concurrency=settings.max_concurrency,
        workers=settings.workers,
        images=images,
        variables=variables,
        warnings=problems,
    )


def image_reader(workspace: Workspace, flow: Flow, folder: Path) -> ImageReader:
    """What reads the images of a flow; ``folder`` is where its files are while it runs."""
    return ImageReader(
        message_format=flow.message_format,
        folders=(Path(), folder),
        fetch=workspace.fetch_image,
    )


def load_tools(
    workspace: Workspace, flow: Flow, nodes: tuple[Node, ...], folder: Path
) -> tuple[dict[str, Tool], tuple[Problem, ...]]:
    """Load the tools of some nodes; a tool that cannot be loaded is a problem, and the others are loaded still."""
    tools: dict[str, Tool] = {}
    problems: list[Problem] = []
    for node in nodes:
        try:
            tool = tools[node.name] = load_tool(node, flow, folder, workspace.connections)
            if isinstance(tool, StartingTool) and tool.aggregation is not None:
                tools[AGGREGATE] = tool.aggregation
        except DefinitionError as error:
            problems.extend(error.problems)
    return tools, tuple(problems)


def tool_specs(tools: Mapping[str, Tool]) -> dict[str, ToolSpec]:
    """Signatures of loaded tools by node name."""
    return {name: tool.spec for name, tool in tools.items()}


def _check_model(workspace: Workspace, arm: Arm) -> None:
    """Refuse an arm's model whose connection is unknown, before the flow's own nodes are blamed for it."""
    if arm.model is not None and workspace.connections.find(arm.model.connection) is None:
        raise UsageError(workspace.connections.unknown(arm.model.connection))


def _connection_type(workspace: Workspace) -> Callable[[str], str | None]:
    def look_up(name: str) -> str | None:
        connection = workspace.connections.find(name)
        return connection.type if connection else None

    return look_up


def check_environment(workspace: Workspace, flow: Flow) -> tuple[Problem, ...]:
    """C501 for every connection that the flow's environment variables read and that does not exist."""
    problems = []
    for name, text in flow.environment_variables.items():
        match = _CONNECTION_VALUE.match(text)
        if match and workspace.connections.find(match[1]) is None:
            span = flow.source_map.span(("environment_variables", name))
            problems.append(replace(workspace.connections.unknown(match[1]), span=span))
    return tuple(problems)


def _replaced(workspace: Workspace, variables: Mapping[str, str]) -> dict[str, str]:
    """Environment variables with the values of connections that they name filled in."""
    values = {}
    for name, text in variables.items():
        match = _CONNECTION_VALUE.match(text)
        values[name] = (_connection_value(workspace, *match.groups()) or text) if match else text
    return values


def _connection_value(workspace: Workspace, name: str, key: str) -> str | None:
    connection = workspace.connections.find(name)
    if connection is None:
        return None  # as with prompt flow, what the caller gave stays as it is
    if key in connection.secrets:
        return workspace.connections.secret(connection, key)
    value = connection.configs.get(key)
    return value if value is None or isinstance(value, str) else json.dumps(value)


class FlowSession:
    """A loaded flow ready for the engine within one event loop; use as an asynchronous context manager.

    Clients are opened on first use, one per connection, and closed at the end.

    Args:
        workspace: Finds connections and opens their clients.
        loaded: The flow.
        max_threads: Threads for ordinary Python tools.
        attributes: Attributes of every flow span.
        open_client: Opens clients instead; who gives it closes them.
        keeps_nodes: Whether records of lines say what their nodes did; see
            :class:`~headrace.engine.runtime.PreparedFlow`.
    """

    def __init__(
        self,
        workspace: Workspace,
        loaded: LoadedFlow,
        *,
        max_threads: int,
        attributes: Mapping[str, Any],
        open_client: Callable[[str | Connection], ModelClient] | None = None,
        keeps_nodes: bool = True,
    ) -> None:
        self._keeps_nodes = keeps_nodes
        self._workspace = workspace
        self._loaded = loaded
        self._threads = ToolThreads(max_threads)
        self._attributes = attributes
        self._open_client = open_client or self._client
        self._clients: dict[Hashable, ModelClient] = {}
        self._given_secrets = secret_settings(loaded.flow.init_values)

    async def __aenter__(self) -> PreparedFlow:
        sink = self._workspace.span_sink
        return prepare(
            self._loaded.plan,
            tools=self._loaded.tools,
            folder=self._loaded.folder,
            open_client=self._open_client,
            threads=self._threads,
            limits=self._loaded.limits,
            price=self._loaded.price,
            secrets=self._secrets,
            span_sink=None if isinstance(sink, SilentSink) else sink,
            keeps_nodes=self._keeps_nodes,
            attributes=self._attributes,
            scope=sink.scope,
            images=self._loaded.images,
        )

    async def __aexit__(self, *_: object) -> None:
        self._threads.close()
        async with AsyncExitStack() as stack:  # every client is closed, even after one that cannot be
            for client in self._clients.values():
                stack.push_async_callback(client.close)

    def _secrets(self) -> Collection[str]:
        revealed = self._workspace.connections.revealed()
        return revealed.union(self._given_secrets) if self._given_secrets else revealed

    def _client(self, wanted: str | Connection) -> ModelClient:
        key = wanted if isinstance(wanted, str) else _connection_key(wanted)
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = self._workspace.open_client(wanted)
        return client


def _connection_key(connection: Connection) -> Hashable:
    """Connections with the same fields share a client, whatever they are called."""
    configs = tuple(sorted(connection.configs.items()))
    secrets = tuple(sorted((name, *astuple(item)) for name, item in connection.secrets.items()))
    return (connection.type, configs, secrets)
