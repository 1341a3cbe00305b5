"""A packed flow as an ASGI app or with headrace's own server: what images, archives and wheels start with."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.config import Settings, load_settings
from headrace.errors import ExitCode, HeadraceError, Problem, UsageError
from headrace.operations.mounted_flow import find_mounted
from headrace.operations.serve_flow import ServeCalls, ServeRequest, open_app, serve_flow
from headrace.operations.workspace import open_workspace
from headrace.providers.variables import Variables

_MOST_PORT = 65535
_KEY = "HEADRACE_SERVE_KEY"
"""The key of callers; like the secrets of connections it may be a file."""


def packed_app(folder: Path) -> Any:
    """The ASGI app of a packed flow; the flow is loaded when the server starts.

    Args:
        folder: Holds the flow in ``flow``, unless ``FLOW_PATH`` or ``PROMPTFLOW_PROJECT_PATH`` says otherwise, and its
            connections in ``connections``, which come after those of ``HEADRACE_CONNECTIONS``. A ``traffic.yaml`` in
            it splits the requests of the flow, unless ``HEADRACE_TRAFFIC`` names other files.
    """
    settings = _settings(folder)
    return open_app(settings, Path.cwd(), _request(settings, folder))


def serve_packed(folder: Path) -> int:
    """Serve a packed flow as ``headrace flow serve`` does until the process is asked to stop.

    Args:
        folder: See :func:`packed_app`; ``HOST`` and ``PORT`` say where.

    Returns:
        The exit code; what went wrong is on standard error by then.
    """
    try:
        settings = _settings(folder)
        calls = ServeCalls(on_ready=lambda *_: None, tell=_tell)
        with open_workspace(settings, Path.cwd()) as workspace:
            serve_flow(workspace, _request(settings, folder), calls)
    except HeadraceError as error:
        _tell("", error.problems)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return int(ExitCode.OK)
    return int(ExitCode.OK)


def _request(settings: Settings, folder: Path) -> ServeRequest:
    environment = settings.environment
    source = environment.get("FLOW_PATH") or environment.get("PROMPTFLOW_PROJECT_PATH") or folder / "flow"
    host, port = environment.get("HOST") or "0.0.0.0", environment.get("PORT") or "8080"  # noqa: S104 - a container
    if not port.isascii() or not port.isdigit() or int(port) > _MOST_PORT:
        what = "The environment variable PORT must be the number of a port."
        raise UsageError(Problem(code="C506", what=what, fix="Set PORT to a number, or unset it for 8080."))
    traffic = folder / "traffic.yaml"
    is_packed = not environment.get("HEADRACE_TRAFFIC") and traffic.is_file()
    return ServeRequest(
        sources=[find_mounted(Path(source))],
        host=host,
        port=int(port),
        traffic=[traffic] if is_packed else [],
    )


def _settings(folder: Path) -> Settings:
    settings = load_settings()
    connections = folder / "connections"
    packed = (connections,) if connections.is_dir() else ()
    key = Variables(settings.environment, settings.secrets_folder).find(_KEY)
    given = {_KEY: key} if key else {}
    return replace(
        settings,
        connection_folders=(*settings.connection_folders, *packed),
        environment={**settings.environment, **given},
    )


def _tell(text: str, problems: Iterable[Problem] = ()) -> None:
    lines = [text, *(f"{problem.headline()} {problem.fix or ''}".rstrip() for problem in problems)]
    sys.stderr.write("".join(f"{line}\n" for line in lines if line))
