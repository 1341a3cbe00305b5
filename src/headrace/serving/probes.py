"""What a platform asks: ``/health`` and ``/version`` as under prompt flow, ``/healthz``, ``/readyz``."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from headrace.serving.access import CALLER
from headrace.serving.routes import Routes, answering
from headrace.serving.served import Served, ServedFlow


def routes(served: Served) -> Routes:
    """The probes of a process."""
    probes = _Probes(served)
    return {
        "/health": {"GET": answering(probes.health)},
        "/healthz": {"GET": answering(probes.health)},
        "/version": {"GET": answering(probes.version)},
        "/readyz": {"GET": answering(probes.ready)},
    }


class _Probes:
    """Answers the probes."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def health(self, _: Request) -> Response:
        """That the process answers; it runs nothing."""
        return JSONResponse({"status": "Healthy", "version": self._served.headrace_version})

    async def version(self, _: Request) -> Response:
        """Which build serves; the version of headrace where none is known."""
        build_info = self._served.build_info
        version = _build_number(build_info) or self._served.headrace_version
        return JSONResponse({"build_info": build_info, "status": "Healthy", "version": version})

    async def ready(self, request: Request) -> Response:
        """Whether requests should be sent here: flows are loaded, connections resolve, and the process stays.

        Which flows, and what they lack, is told to those who may ask them.
        """
        flows = {flow.path or "/": _readiness(flow) for flow in self._served.flows.values()}
        is_ready = not self._served.is_draining and all(not flow["missing"] for flow in flows.values())
        status = "Draining" if self._served.is_draining else "Ready" if is_ready else "NotReady"
        told = {"status": status, "flows": flows} if CALLER in request.scope else {"status": status}
        return JSONResponse(told, 200 if is_ready else 503)


def _readiness(flow: ServedFlow) -> dict[str, Any]:
    """What is served at a path, and what it lacks."""
    version = flow.version
    found: dict[str, Any] = {
        "flow": version.flow.plan.flow.name,
        "version": version.name,
        "missing": [f"{problem.code} {problem.what}" for problem in version.find_missing()],
    }
    if flow.refused:
        found["refused"] = [problem.code for problem in flow.refused]
    return found


def _build_number(build_info: str) -> Any:
    """``build_number`` of a JSON object; ``None`` where it is none, or has none."""
    try:
        build = json.loads(build_info)
    except ValueError:
        return None
    return build.get("build_number") if isinstance(build, dict) else None
