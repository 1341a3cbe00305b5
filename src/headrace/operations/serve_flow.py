"""Offer flows as HTTP endpoints."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace import __version__
from headrace.config import Settings
from headrace.domain.access import AccessRules
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.operations.serve_access import AccessChoice, access_rules
from headrace.operations.served_sources import FlowSource, find_sources
from headrace.operations.served_versions import LoadedVersion, ServingChoice
from headrace.operations.workspace import Workspace
from headrace.providers.loading import load_optional

_RUN_SERVER = "headrace.serving.app:run_flow_server"
_SERVED = "headrace.serving.served:Served"
_SERVED_FLOW = "headrace.serving.served:ServedFlow"
_ACCESS_LOG = "headrace.serving.access_log:AccessLog"
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
    """

    sources: Sequence[Path]
    host: str
    port: int
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    access: AccessChoice = field(default_factory=AccessChoice)


def serve_flow(
    workspace: Workspace, request: ServeRequest, on_ready: Callable[[str, Sequence[FlowSource]], None]
) -> None:
    """Serve until interrupted.

    Args:
        workspace: For connections and settings.
        request: What to serve, and where.
        on_ready: Hears the base URL and what is served once requests are answered.

    Raises:
        DefinitionError: Everything that is wrong with the files of the flows.
        UsageError: C505 when the extra ``serve`` is not installed, C506 for a variable that cannot be read, C507 for
            sources that do not fit together.
        StateError: S809 when the address cannot be listened on.
    """
    run_server = load_optional(_RUN_SERVER, extra="serve")
    access = access_rules(request.access, workspace.settings.environment, request.host)
    sources = chosen_sources(workspace.settings, request.sources)
    choice = serving_choice(workspace.settings, request)
    with ExitStack() as stack:
        loaded = load_versions(workspace, sources, choice, stack)

        def announce(address: str) -> None:
            on_ready(address, sources)

        asyncio.run(_serve(workspace, loaded, request, access, run_server, announce))


def chosen_sources(settings: Settings, given: Sequence[Path]) -> tuple[FlowSource, ...]:
    """The flows that are to be served; what the environment says where nothing is given.

    Raises:
        UsageError: C507 when neither says anything, or when two flows have one path.
    """
    path = settings.environment.get(_PROJECT_PATH)
    sources = find_sources([*given] or ([Path(path)] if path else []))
    if not sources:
        what = "No flow to serve was given."
        fix = f"Name one with --source, or in the environment variable {_PROJECT_PATH}."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    return sources


def serving_choice(settings: Settings, request: ServeRequest) -> ServingChoice:
    """What the request and the environment choose for all flows together.

    Raises:
        UsageError: C506 for a variable that cannot be read.
    """
    return ServingChoice(
        environment_variables=request.environment_variables,
        init={**_read_json(settings, "PF_FLOW_INIT_CONFIG", dict, {}), **request.init},
        fields=_read_json(settings, "PROMPTFLOW_RESPONSE_INCLUDED_FIELDS", list, None),
    )


def load_versions(
    workspace: Workspace, sources: Sequence[FlowSource], choice: ServingChoice, stack: ExitStack
) -> Mapping[str, LoadedVersion]:
    """Load the first version of every flow, by path; ``stack`` leaves their folders again.

    Raises:
        DefinitionError: Everything that is wrong with the files of all of them.
    """
    loaded: dict[str, LoadedVersion] = {}
    problems: list[Problem] = []
    for item in sources:
        try:
            version = loaded[item.path] = LoadedVersion(workspace, item.source, choice)
            stack.callback(version.leave)
        except DefinitionError as error:
            problems.extend(error.problems)
    if problems:
        raise DefinitionError(*problems)
    return loaded


async def _serve(
    workspace: Workspace,
    loaded: Mapping[str, LoadedVersion],
    request: ServeRequest,
    access: AccessRules,
    run_server: Callable[..., Any],
    on_ready: Callable[[str], None],
) -> None:
    async with AsyncExitStack() as stack:
        flows = {}
        for path, version in loaded.items():
            stack.push_async_callback(version.close)
            flows[path] = load_optional(_SERVED_FLOW, extra="serve")(path, await version.open())
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
        await run_server(served, workspace.settings.serving, request.host, request.port, on_ready)


def _open_access_log(workspace: Workspace) -> Any:
    """The access log that the settings ask for; ``None`` for none."""
    word = workspace.settings.access_log
    if word == "none":
        return None
    return load_optional(_ACCESS_LOG, extra="serve")(
        _write_stderr if word in ("stderr", "both") else None,
        workspace.span_sink if word in ("otlp", "both") else None,
    )


def _write_stderr(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()


def _read_json(settings: Settings, name: str, kind: type, default: Any) -> Any:
    text = settings.environment.get(name)
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
