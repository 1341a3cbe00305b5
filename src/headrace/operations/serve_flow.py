"""Offer a flow as an HTTP endpoint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace import __version__
from headrace.config import Settings
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.flow_file import find_flow_file
from headrace.formats.paths import is_folder
from headrace.operations.prepare_flow import FlowSession, LoadedFlow, loaded_flow
from headrace.operations.workspace import Workspace
from headrace.providers.loading import load_optional

_SERVER = "headrace.serving.flow_endpoint:run_flow_server"
_SERVED = "headrace.serving.flow_endpoint:Served"
_MAX_THREADS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """What ``headrace flow serve`` was asked for.

    Attributes:
        source: Flow folder or file; a folder may also hold a single prompty.
        host: Address to listen on.
        port: 0 takes a free one.
        environment_variables: Set for the tools, whatever the environment says. Those of the flow's file are only set
            where the environment has none of the name.
        init: What the constructor of a flex flow's class is given.
    """

    source: Path
    host: str
    port: int
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)


def serve_flow(workspace: Workspace, request: ServeRequest, on_ready: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        workspace: For connections and settings.
        request: What to serve, and where.
        on_ready: Hears the base URL once requests are answered.

    Raises:
        DefinitionError: Everything that is wrong with the flow's files.
        UsageError: C505 when the extra ``serve`` is not installed, C506 for a variable that cannot be read.
        StateError: S809 when the address cannot be listened on.
    """
    run_server = load_optional(_SERVER, extra="serve")
    settings = workspace.settings
    init = {**_read_json(settings, "PF_FLOW_INIT_CONFIG", dict, {}), **request.init}
    fields = _read_json(settings, "PROMPTFLOW_RESPONSE_INCLUDED_FIELDS", list, None)
    with loaded_flow(
        workspace,
        find_served_file(request.source),
        environment_variables=request.environment_variables,
        keeps_environment=True,
        init=init,
    ) as loaded:
        workspace.warn(loaded.warnings)
        asyncio.run(_serve(workspace, loaded, request, fields, run_server, on_ready))


def find_served_file(source: Path) -> Path:
    """The flow file of a folder, which may also be its single prompty, or the file itself."""
    if is_folder(source):
        prompties = sorted(source.glob("*.prompty"))
        try:
            return find_flow_file(source)
        except DefinitionError:
            if len(prompties) == 1:
                return prompties[0]
            raise
    return find_flow_file(source)


async def _serve(
    workspace: Workspace,
    loaded: LoadedFlow,
    request: ServeRequest,
    fields: Sequence[str] | None,
    run_server: Callable[..., Any],
    on_ready: Callable[[str], None],
) -> None:
    session = FlowSession(workspace, loaded, max_threads=_MAX_THREADS, attributes={})
    build_info = workspace.settings.environment.get("BUILD_INFO", "")
    async with session as flow:
        served = load_optional(_SERVED, extra="serve")(
            flow=flow,
            version=__version__,
            build_info=build_info,
            fields=fields,
            example=_read_example(loaded.folder),
        )
        await run_server(served, request.host, request.port, on_ready)


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


def _read_example(folder: Path) -> Mapping[str, Any]:
    """The first of the examples beside the flow; none where they cannot be read, for nothing depends on them."""
    try:
        samples = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    first = samples[0] if isinstance(samples, list) and samples else {}
    return first if isinstance(first, dict) else {}
