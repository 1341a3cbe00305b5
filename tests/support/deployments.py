"""Deployments to plan with, and a remembered place to apply plans to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace import __version__
from headrace.config import load_settings
from headrace.deploy.base import Package, TargetSetup, Tell
from headrace.deploy.memory import FILE, MemoryTarget, change_memory
from headrace.domain.deployment import (
    OWNER_TAG,
    PREVIOUS_TAG,
    SPEC_TAG,
    VERSION_TAG,
    Deployment,
    Endpoint,
    FlowChoice,
    Scale,
)
from headrace.domain.deployment_notes import render_previous

RUNTIME = "headrace 1"


def a_deployment(name: str = "", version: int = 1, **parts: Any) -> Deployment:
    """A deployment of a version of ``triage``."""
    flow = FlowChoice(
        source="flows/triage",
        version=f"triage@{version}",
        digest=f"{version:064x}",
        is_versioned=True,
    )
    return Deployment(name=name, arm=name, flow=flow, **parts)


def an_endpoint(*deployments: Deployment, **parts: Any) -> Endpoint:
    """An endpoint ``triage``; without deployments, its file has no arms and wishes for version 1."""
    return Endpoint(name="triage", target="local", deployments=deployments or (a_deployment(),), **parts)


def spec_of(version: int) -> str:
    """What a plain deployment of a version is made from."""
    return a_deployment("any", version).spec_digest(RUNTIME)


def remembered(
    version: int = 1, *, health: str = "healthy", is_busy: bool = False, is_ours: bool = True, **parts: Any
) -> dict[str, Any]:
    """A deployment as :class:`MemoryTarget` remembers it."""
    tags = {OWNER_TAG: __version__, SPEC_TAG: spec_of(version), VERSION_TAG: f"triage@{version}"}
    scale = Scale()
    return {
        "tags": tags if is_ours else {},
        "health": health,
        "busy": is_busy,
        "message": "",
        "instance_type": "",
        "scale": {
            "minimum": scale.minimum,
            "maximum": scale.maximum,
            "requests_at_once": scale.requests_at_once,
            "cpu_percent": scale.cpu_percent,
        },
        **parts,
    }


def remember(
    folder: Path,
    deployments: Mapping[str, Mapping[str, Any]],
    traffic: Mapping[str, int],
    *,
    mirror: Mapping[str, int] | None = None,
    previous: Mapping[str, int] | None = None,
    previous_specs: Mapping[str, str] | None = None,
    faults: list[dict[str, str]] | None = None,
    is_busy: bool = False,
    beside: bool = False,
    url: str = "http://127.0.0.1:9/score",
) -> Path:
    """Lay down what :class:`MemoryTarget` remembers in a folder; returns its file."""

    def change(memory: dict[str, Any]) -> None:
        tags = {PREVIOUS_TAG: render_previous(previous or {}, previous_specs or {})}
        settings = an_endpoint().own_settings()
        memory["endpoint"] = {
            "settings": settings,
            "tags": tags,
            "traffic": dict(traffic),
            "mirror": dict(mirror or {}),
            "busy": is_busy,
        }
        memory["deployments"] = {name: dict(item) for name, item in deployments.items()}
        memory["faults"] = faults or []
        memory["url"] = url
        memory["beside"] = beside

    change_memory(folder / FILE, change)
    return folder / FILE


def open_memory_target(folder: Path, endpoint: Endpoint, tell: Tell = lambda _: None) -> MemoryTarget:
    """The remembered place of a folder."""

    def pack(deployment: Deployment, form: str) -> Package:
        del form
        return Package(folder=folder, digest=deployment.flow.digest)

    setup = TargetSetup(
        endpoint=endpoint, settings=load_settings({}), pack=pack, tell=tell, state_folder=folder
    )
    return MemoryTarget(setup)
