"""Server processes of deployments on this machine: what they are given, how they start, and when they are ready."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from headrace.config import Settings
from headrace.deploy.base import Package
from headrace.deploy.processes import LOOPBACK, Launch, ask_port, is_alive, launch, wait_until
from headrace.domain.deployment import VERSION_TAG, Deployment, Endpoint, Setting
from headrace.errors import DefinitionError, Problem, RemoteRequestError
from headrace.formats.deployment_settings import unset_variable
from headrace.formats.local_endpoint import LocalCopy, LocalProcess

LOG_LINES = 20
"""Last lines of a server that an error holds."""

_SERVE = "headrace.operations.served_app:serve_packed"
_NOT_READY_S = 3.0
"""How long a server may say that something is missing: what it is started with does not change by waiting."""
_MOST_LOG_BYTES = 8 * 1024 * 1024
_START_LINE = "--- headrace starts "
_VARIABLE = re.compile(r"\$\{env:([^}]+)\}")
_TAKEN_PORT = "S809"
_MOST_PORTS = 3
_NOT_INHERITED = re.compile(
    r"HEADRACE_SERVE_\w+|HEADRACE_TRAFFIC|HOST|PORT|FLOW_PATH|(PROMPTFLOW|PF)_(PROJECT_PATH|WORKER_NUM)"
)
"""Variables that say what is served, where and to whom; those of whoever applies mean another server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyWish:
    """What a copy is made from.

    Attributes:
        name: Of the deployment.
        made_from: What is written down of it; its process, port and key are those of an earlier one, or none yet.
        log: File that takes what it prints.
        cwd: The workspace, whose connections it reads where the packed ones lack a key.
    """

    name: str
    made_from: LocalCopy
    log: Path
    cwd: Path


def wished_copy(deployment: Deployment, tags: Mapping[str, str], folder: Path, n_workers: int) -> LocalCopy:
    """What is written down of a copy before it has a process.

    Args:
        deployment: What is wished for.
        tags: Which version it is, and what it was made from.
        folder: Of the packed files that it serves.
        n_workers: Processes that share its port.
    """
    probe = deployment.readiness
    return LocalCopy(
        process=LocalProcess(pid=0, started=""),
        port=0,
        key="",
        folder=str(folder),
        tags=dict(tags),
        n_workers=n_workers,
        timeout_s=deployment.limits.timeout_s,
        at_once=deployment.limits.at_once,
        ready_s=probe.initial_delay_s + probe.period_s * probe.failures,
        settings=tuple(_source(item) for item in deployment.settings),
    )


def _source(setting: Setting) -> dict[str, str]:
    sources = {"value": setting.value, "vault_url": setting.vault_url, "variable": setting.variable}
    return {"name": setting.name, **{word: text for word, text in sources.items() if text is not None}}


def find_values(
    copy: LocalCopy,
    environment: Mapping[str, str],
    read_vault: Callable[[str], str],
    wished: Deployment | None = None,
) -> dict[str, str]:
    """The variables of a copy with their values, secrets among them.

    Args:
        copy: Says where they come from.
        environment: Of whoever applies.
        read_vault: From the address of a secret of Key Vault to its value.
        wished: For the places of what is missing.

    Raises:
        DefinitionError: X101 for a variable that is not set.
        UsageError: C505 without the extra ``azure`` for a secret of Key Vault.
        AccessDeniedError, RemoteError: A secret of Key Vault cannot be read.
    """
    spans = {item.name: item.span for item in wished.settings} if wished is not None else {}
    values: dict[str, str] = {}
    for source in copy.settings:
        name = source["name"]
        if "value" in source:
            values[name] = source["value"]
        elif "vault_url" in source:
            values[name] = read_vault(source["vault_url"])
        elif (variable := source.get("variable", "")) in environment:
            values[name] = environment[variable]
        else:
            raise DefinitionError(unset_variable(variable, name, spans.get(name)))
    return values


def copy_package(package: Package, folder: Path, known: Mapping[str, str]) -> None:
    """Lay down packed files.

    A packed connection whose keys are not among the variables is left out: then that of the workspace counts.

    Args:
        package: What was packed.
        folder: Is made; what it holds is replaced.
        known: All variables that the server will have.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(package.folder, folder)
    for file in (folder / "connections").glob("*.yaml"):
        if any(name not in known for name in _VARIABLE.findall(file.read_text(encoding="utf-8"))):
            file.unlink()


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What a server has of the environment of whoever applies."""
    return {name: text for name, text in environment.items() if not _NOT_INHERITED.fullmatch(name)}


def start_copy(
    wish: CopyWish, settings: Settings, values: Mapping[str, str], note: Callable[[LocalCopy], None]
) -> None:
    """Start the server of a deployment, and wait until it is ready.

    Args:
        wish: What it is made from; its files lie in its folder.
        settings: For the environment.
        values: Variables of the deployment.
        note: Writes down that it is there.

    Raises:
        RemoteRequestError: X292 when it does not become ready, with the end of its log.
    """
    for attempt in range(_MOST_PORTS):
        copy = _launch_copy(wish, settings, values, note)
        try:
            wait_ready(wish.name, copy, wish.log)
        except RemoteRequestError as error:
            is_taken = any(_TAKEN_PORT in line for line in error.problems[0].detail)
            if not is_taken or attempt == _MOST_PORTS - 1:
                raise
        else:
            return


def _launch_copy(
    wish: CopyWish, settings: Settings, values: Mapping[str, str], note: Callable[[LocalCopy], None]
) -> LocalCopy:
    made_from, noted = replace(wish.made_from, port=free_port(), key=secrets.token_urlsafe(32)), []
    environment = {
        **inherited(settings.environment),
        **values,
        "HOST": LOOPBACK,
        "PORT": str(made_from.port),
        "HEADRACE_SERVE_KEY": made_from.key,
        "HEADRACE_SERVE_TIMEOUT_S": f"{made_from.timeout_s:g}",
        "HEADRACE_SERVE_REQUESTS": str(made_from.at_once),
        "PROMPTFLOW_WORKER_NUM": str(made_from.n_workers),
    }

    def take(process: LocalProcess) -> None:
        noted.append(replace(made_from, process=process))
        note(noted[0])

    begin_log(wish.log, made_from.tags.get(VERSION_TAG, ""))
    folder = Path(made_from.folder)
    launch(Launch(function=_SERVE, path=folder, cwd=wish.cwd, environment=environment, log=wish.log), take)
    return noted[0]


def free_port() -> int:
    """A port of loopback that nobody listens on at the moment."""
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return int(found.getsockname()[1])


def wait_ready(name: str, copy: LocalCopy, log: Path) -> None:
    """Wait until the server of a deployment is ready.

    Raises:
        RemoteRequestError: X292 when it ends, lacks something, or is not ready within the time of its probe.
    """
    limit_s = copy.ready_s
    lacks: list[str] = []

    def is_settled() -> bool:
        found = ask_ready(copy)
        lacks.extend([found] if found else [])
        return found == "" or not is_alive(copy.process)

    def has_failed() -> bool:
        return is_settled() or bool(lacks)

    wait_until(has_failed, limit_s)
    if lacks:
        wait_until(is_settled, min(limit_s, _NOT_READY_S))
    if ask_ready(copy) == "":
        return
    if not is_alive(copy.process):
        what = f"The server of {name} has ended before it was ready."
    elif lacks:
        what = f"The server of {name} answers that it is not ready: {lacks[-1]}"
    else:
        what = f"The server of {name} was not ready within {limit_s:g} s."
    fix = "Mend what its log says, then: headrace deploy apply. Probes say how long it may take."
    said = tuple(f"log: {line}" for line in last_lines(log, LOG_LINES, is_of_last_start=True))
    raise RemoteRequestError(Problem(code="X292", what=what, fix=fix, detail=said))


def ask_ready(copy: LocalCopy) -> str | None:
    """What a server lacks: empty where it is ready, ``None`` where it does not answer."""
    answer = ask_port(copy.port, "/readyz", copy.key)
    if answer is None or answer[0] == HTTPStatus.OK:
        return None if answer is None else ""
    try:
        flows = json.loads(answer[1]).get("flows", {}).values()
    except ValueError:
        flows = ()
    return " ".join(text for flow in flows for text in flow.get("missing", ())) or "it is stopping"


def begin_log(log: Path, version: str) -> None:
    """Say in a log that a server starts; a long log is put aside first."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > _MOST_LOG_BYTES:
            log.replace(log.with_suffix(".old.log"))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{_START_LINE}{version} at {now}\n".replace("  ", " "))


def last_lines(log: Path, n_lines: int, *, is_of_last_start: bool = False) -> list[str]:
    """The last lines of a log; none where there is no log.

    Args:
        log: The file.
        n_lines: How many at most.
        is_of_last_start: Leave out what earlier processes have written, and the line between.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 1024 * 1024))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    if is_of_last_start:
        starts = [number for number, line in enumerate(lines) if line.startswith(_START_LINE)]
        lines = lines[starts[-1] + 1 :] if starts else lines
    return lines[-n_lines:]


def check_here(endpoint: Endpoint) -> Iterator[Problem]:
    """X291 for what of a deployment file cannot be done on this machine, with places."""

    def refuse(pointer: tuple[str | int, ...], what: str, fix: str) -> Problem:
        return Problem(code="X291", what=what, span=endpoint.span(*pointer), pointer=pointer, fix=fix)

    if endpoint.authentication == "entra":
        what = "A server of this machine knows no tenant whose tokens it could take."
        yield refuse(("authentication",), what, "Write authentication: key.")
    if endpoint.authentication == "none" and endpoint.is_public:
        what = "Other machines would reach it, and nothing asks who they are."
        yield refuse(("authentication",), what, "Write authentication: key, or network: {public: false}.")
    if not endpoint.is_egress_public:
        what = "Nothing keeps a process of this machine from reaching what is outside."
        yield refuse(("network", "egress"), what, "Leave network.egress out.")
    for deployment in endpoint.deployments:
        if deployment.image:
            what = "A deployment on this machine runs the flow itself, not an image."
            yield refuse(
                (*deployment.pointer, "image"), what, "Leave image out, in an overlay with image: null."
            )
        for item in deployment.settings:
            if item.connection is not None:
                what = (
                    f"{item.name} is a workspace connection of Azure, which nothing here reads for the flow."
                )
                fix = f"Write {item.name}: {{env: NAME}}, and set that variable."
                yield Problem(code="X291", what=what, span=item.span, fix=fix)
