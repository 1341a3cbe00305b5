"""The file in which an endpoint of this machine is kept: what answers, who gets which share, what was started.

Whoever deploys writes it, and the process in front of the deployments reads it again whenever it has changed. It holds
keys, so only its owner can read it. It is replaced as a whole, so that a process that is killed leaves the file from
before or the one after.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headrace.domain.values import JsonValue
from headrace.errors import Problem, StateError
from headrace.source import file_span

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalProcess:
    """A process of this machine that is never mistaken for another one with the same number.

    Attributes:
        pid: Its number.
        started: When it started, in the words of the system; empty where the system does not say.
    """

    pid: int
    started: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCopy:
    """A server process of one deployment.

    Attributes:
        port: On loopback, where it answers.
        key: That it asks for; only the process in front knows it.
        folder: Of the packed files that it serves.
        tags: Which version it is, and what it was made from.
        n_workers: Processes that share its port.
        timeout_s: For one answer, seconds.
        at_once: Requests that it takes at the same time.
        ready_s: How long it may take to become ready, seconds.
        settings: Where its variables come from, as ``name`` and one of ``value``, ``vault_url`` and ``variable``; no
            secret.
    """

    process: LocalProcess
    port: int
    key: str = field(repr=False)
    folder: str
    tags: Mapping[str, str]
    n_workers: int = 1
    timeout_s: float = 60.0
    at_once: int = 10
    ready_s: float = 60.0
    settings: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDeployment:
    """One deployment.

    Attributes:
        copy: What answers; ``None`` before the first one has been ready.
        coming: What is to take its place once it is ready, or did not become ready.
        scale: As it was wished for last, in the words of a plan.
    """

    copy: LocalCopy | None = None
    coming: LocalCopy | None = None
    scale: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFront:
    """The process in front of the deployments; ``None`` for one that is about to be started."""

    process: LocalProcess | None
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLeaving:
    """Something that is to end: a process, and the folder that goes with it, where it has one."""

    process: LocalProcess
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEndpoint:
    """An endpoint of this machine.

    Attributes:
        settings: What the deployment file says of it, in the words of a plan.
        tags: What was noted with it.
        key_file: Of the keys that callers show; empty where nobody is asked.
        front: The process that has its address; ``None`` before the first.
        deployments: By name.
        traffic: Deployment to percent; without those that get none.
        mirror: Likewise.
        leaving: What is still to be ended.
    """

    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    key_file: str = ""
    front: LocalFront | None = None
    deployments: Mapping[str, LocalDeployment] = field(default_factory=dict)
    traffic: Mapping[str, int] = field(default_factory=dict)
    mirror: Mapping[str, int] = field(default_factory=dict)
    leaving: tuple[LocalLeaving, ...] = ()


def read_local_endpoint(file: Path) -> LocalEndpoint | None:
    """What a file holds; ``None`` where there is none.

    Raises:
        StateError: X293 when it cannot be read, or is none of ours.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return _endpoint(data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(_broken(file, error)) from error


def write_local_endpoint(file: Path, endpoint: LocalEndpoint) -> None:
    """Write a file in place of what it held, whole or not at all, for its owner to read.

    Raises:
        StateError: X293 when it cannot be written.
    """
    text = json.dumps({"format": _FORMAT, **asdict(endpoint)}, indent=1)
    part = file.with_name(f"{file.name}.{secrets.token_hex(4)}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
        _force_names(file.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StateError(_broken(file, error)) from error


def _force_names(folder: Path) -> None:
    with suppress(PermissionError):  # not every system opens folders for that
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _broken(file: Path, error: Exception) -> Problem:
    reason = (getattr(error, "strerror", None) or "it is not in the form that headrace writes").lower()
    what = f"What is deployed on this machine is written in {file}, which cannot be used: {reason}."
    fix = (
        "Make it readable and writable. If it is damaged, end the processes that are named in it, delete its folder, "
        "then: headrace deploy apply"
    )
    return Problem(code="X293", what=what, fix=fix, span=file_span(str(file)))


def _endpoint(data: Any) -> LocalEndpoint:
    if data["format"] != _FORMAT:
        raise ValueError
    front = data["front"]
    return LocalEndpoint(
        settings=dict(data["settings"]),
        tags=dict(data["tags"]),
        key_file=str(data["key_file"]),
        front=front
        and LocalFront(process=_process(front["process"]), host=str(front["host"]), port=int(front["port"])),
        deployments={
            str(name): LocalDeployment(
                copy=_copy(item["copy"]), coming=_copy(item["coming"]), scale=dict(item["scale"])
            )
            for name, item in data["deployments"].items()
        },
        traffic={str(name): int(share) for name, share in data["traffic"].items()},
        mirror={str(name): int(share) for name, share in data["mirror"].items()},
        leaving=tuple(
            LocalLeaving(process=LocalProcess(**item["process"]), folder=str(item["folder"]))
            for item in data["leaving"]
        ),
    )


def _process(data: Any) -> LocalProcess | None:
    return None if data is None else LocalProcess(pid=int(data["pid"]), started=str(data["started"]))


def _copy(data: Any) -> LocalCopy | None:
    if data is None:
        return None
    return LocalCopy(
        **{
            **data,
            "process": LocalProcess(**data["process"]),
            "tags": dict(data["tags"]),
            "settings": tuple(data["settings"]),
        }
    )
