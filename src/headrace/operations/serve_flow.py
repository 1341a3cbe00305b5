"""Offer flows as HTTP endpoints."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from socket import socket
from typing import Any

from headrace import __version__
from headrace.config import Settings, load_settings, serving_variable
from headrace.domain.access import AccessRules
from headrace.domain.traffic import Traffic
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.operations.kept_requests import KeptRequests, keep_rule, kept_requests
from headrace.operations.renew_flows import Renewals, ServedSource, Tell, source_state
from headrace.operations.serve_access import AccessChoice, access_rules
from headrace.operations.serve_traffic import SplitTraffic, read_tests, tests_by_path, watched
from headrace.operations.served_sources import FlowSource, find_sources
from headrace.operations.served_versions import LoadedVersion, ServingChoice
from headrace.operations.traffic_arms import tested_sources
from headrace.operations.versions import chosen_flow
from headrace.operations.workspace import Workspace, open_workspace
from headrace.providers.loading import load_optional

_BIND = "headrace.serving.server:bind"
_RUN_IN_LOOP = "headrace.serving.server:run_in_loop"
_ADDRESS_OF = "headrace.serving.server:address_of"
_RUN_SERVER = "headrace.serving.app:run_flow_server"
_BUILD_APP = "headrace.serving.app:build_app"
_OPENED_APP = "headrace.serving.opened_app:OpenedApp"
_SERVED = "headrace.serving.served:Served"
_SERVED_FLOW = "headrace.serving.served:ServedFlow"
_ACCESS_LOG = "headrace.serving.access_log:AccessLog"
_WORKERS = "headrace.serving.workers:Workers"
_ANY_HOST = "0.0.0.0"  # noqa: S104 - where a server listens that only has the app is not known
_LOGGER = logging.getLogger(__name__)
_PROJECT_PATH = "PROMPTFLOW_PROJECT_PATH"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """What ``headrace flow serve`` was asked for.

    Attributes:
        sources: Flow folders or files, folders of flows, names of stored versions, each with or without ``NAME=``
            before it; empty for what ``PROMPTFLOW_PROJECT_PATH`` says.
        host: Address to listen on.
        port: 0 takes a free one.
        environment_variables: Set for the tools, whatever the environment says. Those of the flow's file are only set
            where the environment has none of the name.
        init: What the constructor of a flex flow's class is given.
        access: Who may ask.
        workers: Processes; ``None`` for what ``PROMPTFLOW_WORKER_NUM`` says, else 1.
        is_watching: Take over new versions as they come.
        traffic: Files of the tests that split the requests of flows; empty for what ``HEADRACE_TRAFFIC`` says.
        is_judging: Watch these tests beside the server, and roll back what breaches a guardrail.
        keep: Which requests are kept in the store; see :func:`~headrace.operations.kept_requests.keep_rule`.
    """

    sources: Sequence[Path]
    host: str
    port: int
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    access: AccessChoice = field(default_factory=AccessChoice)
    workers: int | None = None
    is_watching: bool = False
    traffic: Sequence[Path] = ()
    is_judging: bool = True
    keep: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeCalls:
    """Who hears of a server.

    Attributes:
        on_ready: Hears the base URL and what is served once requests are answered.
        tell: Hears what happens later, with the problems behind it.
    """

    on_ready: Callable[[str, Sequence[FlowSource]], None]
    tell: Tell


@dataclass(frozen=True, slots=True)
class _WorkerJob:
    """What one of several processes does: everything that a single one does, on a socket that it is given."""

    request: ServeRequest
    settings: Settings
    folder: Path

    def __call__(self, listener: socket, parent: Any) -> None:
        with open_workspace(self.settings, self.folder) as workspace:
            _serve_on(workspace, self.request, listener, parent.say_ready, parent.tell, is_worker=True)


def serve_flow(workspace: Workspace, request: ServeRequest, calls: ServeCalls) -> None:
    """Serve until asked to stop.

    Args:
        workspace: For connections and settings.
        request: What to serve, and where.
        calls: Who hears of it.

    Raises:
        DefinitionError: Everything that is wrong with the files of the flows.
        UsageError: C505 when the extra ``serve`` is not installed, C506 for a variable that cannot be read, C507 for
            sources that do not fit together.
        StateError: S809 when the address cannot be listened on.
        KeyboardInterrupt: Ctrl-C, after requests in flight have ended.
    """
    settings = workspace.settings
    sources, tests = chosen_flows(workspace, request)
    access_rules(request.access, settings.environment, request.host)  # refused before anything is started
    keep_rule(settings, request.keep)
    n_workers = request.workers or _count(settings, "PROMPTFLOW_WORKER_NUM") or 1
    with ExitStack() as stack:
        listener = stack.enter_context(load_optional(_BIND, extra="serve")(request.host, request.port))
        address = load_optional(_ADDRESS_OF, extra="serve")(request.host, listener)

        def announce() -> None:
            calls.on_ready(address, sources)

        def announce_all() -> None:
            announce()
            if request.is_judging:
                stack.enter_context(watched(workspace, tests.values(), calls.tell))

        if n_workers == 1:
            _serve_on(workspace, request, listener, announce, calls.tell)
            return
        load_optional(_WORKERS, extra="serve")(
            _WorkerJob(request, settings, workspace.cwd),
            listener,
            n_workers=n_workers,
            grace_s=settings.grace_s + settings.serving.stop_delay_s,
            tell=calls.tell,
        ).run(announce_all)


def create_app(
    engine: str | None = None,
    flow_file_path: str | PathLike[str] | None = None,
    environment_variables: Mapping[str, Any] | None = None,
    init: Mapping[str, Any] | None = None,
    **_: Any,
) -> Any:
    """The ASGI app of a flow, for servers that are given a factory, and for code that puts its own layers around it.

    ``uvicorn --factory headrace.operations.serve_flow:create_app`` serves as ``headrace flow serve`` does on an address
    that others reach.

    Args:
        engine: Taken as prompt flow's function takes it; there is one.
        flow_file_path: The flow's folder or file; ``None`` for what ``PROMPTFLOW_PROJECT_PATH`` names.
        environment_variables: As of :class:`ServeRequest`.
        init: As of :class:`ServeRequest`.
    """
    del engine
    request = ServeRequest(
        sources=() if flow_file_path is None else (Path(flow_file_path),),
        host=_ANY_HOST,
        port=0,
        environment_variables={name: str(value) for name, value in (environment_variables or {}).items()},
        init=init or {},
    )
    return open_app(load_settings(), Path.cwd(), request)


def open_app(settings: Settings, folder: Path, request: ServeRequest) -> Any:
    """The ASGI app of a request for any server, which opens the flows when it starts.

    Args:
        settings: The environment.
        folder: Where relative paths begin.
        request: What to serve; its host says whether others reach the server, where the app does not run itself.
    """

    @asynccontextmanager
    async def opening(host: str | None) -> AsyncIterator[Any]:
        access = access_rules(request.access, settings.environment, host or request.host)
        async with AsyncExitStack() as stack:
            workspace = stack.enter_context(open_workspace(settings, folder))
            kept = stack.enter_context(kept_requests(workspace, request.keep))
            choice = serving_choice(settings, request, kept)
            flows = load_flows(workspace, request, choice, stack.enter_context(ExitStack()), _log)
            served = await stack.enter_async_context(opened(workspace, flows.loaded, access, flows.splits))
            group = await stack.enter_async_context(asyncio.TaskGroup())
            following = group.create_task(flows.splits.follow(group))
            try:
                yield load_optional(_BUILD_APP, extra="serve")(served, settings.serving)
            finally:
                following.cancel()
                flows.splits.stop()

    return load_optional(_OPENED_APP, extra="serve")(opening)


def chosen_flows(
    workspace: Workspace, request: ServeRequest
) -> tuple[tuple[FlowSource, ...], Mapping[str, Traffic]]:
    """The flows that are to be served, and the tests that split their requests, by the path of the flow.

    Args:
        workspace: For the environment, and the folder where relative paths begin.
        request: What to serve; where it names no flow, and neither does the environment, those of the tests.

    Raises:
        DefinitionError: Everything that is wrong with a traffic file.
        UsageError: C507 when no flow is named, or what is named does not fit together.
    """
    settings, folder = workspace.settings, workspace.cwd
    tests = read_tests(settings, folder, request.traffic)
    is_named = request.sources or serving_variable(settings, _PROJECT_PATH)
    given = request.sources if is_named else tested_sources(workspace, tests)
    sources = chosen_sources(settings, folder, given)
    return sources, tests_by_path(tests, sources)


def chosen_sources(settings: Settings, folder: Path, given: Sequence[Path]) -> tuple[FlowSource, ...]:
    """The flows that are to be served; what the environment says where nothing is given.

    Args:
        settings: The environment.
        folder: Where relative paths begin.
        given: See :attr:`ServeRequest.sources`.

    Raises:
        UsageError: C507 when neither says anything, or when two flows have one path.
    """
    path = serving_variable(settings, _PROJECT_PATH)
    sources = find_sources([*given] or ([Path(path)] if path else []), folder)
    if not sources:
        what = "No flow to serve was given."
        fix = f"Name one with --source, or in the environment variable {_PROJECT_PATH}."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    return sources


def serving_choice(
    settings: Settings, request: ServeRequest, kept: KeptRequests | None = None
) -> ServingChoice:
    """What the request and the environment choose for all flows together.

    Args:
        settings: The environment.
        request: What was asked for.
        kept: Keeps requests; ``None`` where none are kept.

    Raises:
        UsageError: C506 for a variable that cannot be read.
    """
    chosen = ServingChoice(
        environment_variables=request.environment_variables,
        init={**_read_json(settings, "PF_FLOW_INIT_CONFIG", dict, {}), **request.init},
        fields=_read_json(settings, "PROMPTFLOW_RESPONSE_INCLUDED_FIELDS", list, None),
        kept=kept,
    )
    n_threads = _count(settings, "PROMPTFLOW_WORKER_THREADS")
    return replace(chosen, max_threads=n_threads) if n_threads else chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFlows:
    """What is going to be served.

    Attributes:
        sources: All flows.
        loaded: By path, those whose requests are not split.
        splits: The others.
    """

    sources: tuple[FlowSource, ...]
    loaded: Mapping[str, LoadedVersion]
    splits: SplitTraffic


def load_flows(
    workspace: Workspace,
    request: ServeRequest,
    choice: ServingChoice,
    stack: ExitStack,
    tell: Tell,
    *,
    is_watched: bool = False,
) -> LoadedFlows:
    """Load the first version of every flow, and of every arm of those that are split.

    Args:
        workspace: For connections, stored versions and the store.
        request: What to serve.
        choice: What was chosen for all of them.
        stack: Leaves their folders again.
        tell: Hears what happens to the tests later.
        is_watched: Whether the tests are watched beside this process.

    Raises:
        DefinitionError: Everything that is wrong with the files of all of them.
        UsageError: As :func:`serve_flow`.
        StateError: The store is away, and a test needs it.
    """
    sources, tests = chosen_flows(workspace, request)
    whole = [item for item in sources if item.path not in tests]
    loaded = load_versions(workspace, whole, choice, stack)
    splits = SplitTraffic(workspace, choice, tell, is_watched=is_watched)
    splits.load(tests, sources, stack)
    return LoadedFlows(sources=sources, loaded=loaded, splits=splits)


def load_versions(
    workspace: Workspace, sources: Sequence[FlowSource], choice: ServingChoice, stack: ExitStack
) -> Mapping[str, LoadedVersion]:
    """Load the first version of every flow, by path; ``stack`` leaves their folders again.

    Raises:
        DefinitionError: Everything that is wrong with the files of all of them.
        UsageError: S831 or S834 for the name of a version.
    """
    loaded: dict[str, LoadedVersion] = {}
    problems: list[Problem] = []
    for item in sources:
        try:
            path = chosen_flow(workspace, item.source)
            version = loaded[item.path] = LoadedVersion(workspace, path, choice)
            stack.callback(version.leave)
        except DefinitionError as error:
            problems.extend(error.problems)
    if problems:
        raise DefinitionError(*problems)
    return loaded


@asynccontextmanager
async def opened(
    workspace: Workspace,
    loaded: Mapping[str, LoadedVersion],
    access: AccessRules,
    splits: SplitTraffic | None = None,
) -> AsyncIterator[Any]:
    """What is served, ready in this event loop: a :class:`~headrace.serving.served.Served`.

    Args:
        workspace: For settings and telemetry.
        loaded: Flows by path.
        access: Who may ask.
        splits: Flows whose requests are split; ``None`` for none.
    """
    async with AsyncExitStack() as stack:
        flows = {}
        for path, version in loaded.items():
            stack.push_async_callback(version.close)
            flows[path] = load_optional(_SERVED_FLOW, extra="serve")(path, await version.open())
        if splits is not None:
            flows |= await stack.enter_async_context(splits.opened())
        access_log = _open_access_log(workspace)
        if access_log is not None:
            stack.callback(access_log.close)
        served = load_optional(_SERVED, extra="serve")(
            flows=flows,
            headrace_version=__version__,
            build_info=workspace.settings.environment.get("BUILD_INFO", ""),
            access=access,
            span_sink=workspace.span_sink,
            access_log=access_log,
        )
        if splits is not None:
            splits.drain_with(served)
        yield served


def _serve_on(
    workspace: Workspace,
    request: ServeRequest,
    listener: socket,
    on_ready: Callable[[], None],
    tell: Tell,
    *,
    is_worker: bool = False,
) -> None:
    """Serve in this process; a worker's tests are watched beside its parent."""
    access = access_rules(request.access, workspace.settings.environment, request.host)
    with ExitStack() as stack:
        kept = stack.enter_context(kept_requests(workspace, request.keep))
        choice = serving_choice(workspace.settings, request, kept)
        flows = load_flows(workspace, request, choice, stack, tell, is_watched=request.is_judging)
        splits = flows.splits
        if request.is_judging and not is_worker:
            stack.enter_context(watched(workspace, splits.tests(), tell))

        async def run() -> None:
            async with (
                opened(workspace, flows.loaded, access, splits) as served,
                asyncio.TaskGroup() as group,
            ):
                renewals = Renewals(workspace, choice, tell, group)
                whole = _watched(workspace, flows, served)
                tasks = [
                    group.create_task(
                        renewals.run(lambda: (*whole, *splits.sources()), is_watching=request.is_watching)
                    ),
                    group.create_task(splits.follow(group)),
                ]
                run_server = load_optional(_RUN_SERVER, extra="serve")
                try:
                    await run_server(
                        served,
                        workspace.settings,
                        listener,
                        on_ready=on_ready,
                        on_reload=renewals.ask,
                    )
                finally:
                    for task in tasks:
                        task.cancel()
                    renewals.stop()
                    splits.stop()
                    for item in whole:
                        await item.loaded.close()

        load_optional(_RUN_IN_LOOP, extra="serve")(run())


def _watched(workspace: Workspace, flows: LoadedFlows, served: Any) -> tuple[ServedSource, ...]:
    """The flows that are served whole, with what tells their versions from newer ones."""
    return tuple(
        ServedSource(
            source,
            served.flows[source.path],
            flows.loaded[source.path],
            source_state(workspace, source, flows.loaded[source.path].flow),
        )
        for source in flows.sources
        if source.path in flows.loaded
    )


def _count(settings: Settings, name: str) -> int | None:
    text = serving_variable(settings, name)
    if not text:
        return None
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    what = f"The environment variable {name} must be a whole number of at least 1."
    raise UsageError(Problem(code="C506", what=what, fix=f"Correct {name}, or unset it."))


def _open_access_log(workspace: Workspace) -> Any:
    """The access log that the settings ask for; ``None`` for none."""
    word = workspace.settings.access_log
    if word == "none":
        return None
    return load_optional(_ACCESS_LOG, extra="serve")(
        _write_stderr if word in ("stderr", "both") else None,
        workspace.span_sink if word in ("otlp", "both") else None,
    )


def _log(text: str, problems: tuple[Problem, ...]) -> None:
    """Say what happens where only a log is there to say it."""
    _LOGGER.warning("%s", " ".join((text, *(problem.headline() for problem in problems))))


def _write_stderr(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()


def _read_json(settings: Settings, name: str, kind: type, default: Any) -> Any:
    text = serving_variable(settings, name)
    if not text:
        return default
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, kind):
        return value
    wanted = "an object" if kind is dict else "a list"
    what = f"The environment variable {name} must hold {wanted} in JSON."
    raise UsageError(Problem(code="C506", what=what, fix=f"Correct {name}, or unset it."))
