"""What stands for the containers of online deployments: processes on loopback, made from what was uploaded.

A build context is laid out as its Dockerfile says, as far as the image that headrace writes needs it: ``WORKDIR``,
``ENV``, ``COPY`` from the context, ``CMD``; the wheel that pip would install is unpacked, the other packages are those
of this Python. The model comes to lie below its mount, in a folder that stands for the root of the container. Probes
are asked as often as the deployment says, in a quicker time.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support.azure.messages import Refusal
from tests.support.azure.resources import Resource
from tests.support.ports import HeldPort

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

_REFERENCE = re.compile(r"\$\{\{\s*(keyvault:|azureml://connections/)([^}\s]+)\s*\}\}")
_SECRET_STORES = "enforce_access_to_default_secret_stores"
_MOST_LINES = 2000
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?")


@dataclass(frozen=True, kw_only=True)
class _Probe:
    path: str
    delay_s: float
    period_s: float
    timeout_s: float
    successes: int
    failures: int


@dataclass(kw_only=True)
class Container:
    """One running copy."""

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    held: HeldPort
    probe: _Probe
    process: subprocess.Popen[str] | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_LINES))
    n_good: int = 0
    n_bad: int = 0
    next_look: float = 0.0
    in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    readers: list[threading.Thread] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.held.number

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process; :meth:`stop` ends it."""
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()
        self.readers.append(reader)
        self.next_look = time.monotonic() + self.probe.delay_s

    def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        with suppress(ValueError):
            for line in self.process.stdout:
                self.lines.append(line.rstrip("\n"))

    def is_ready(self) -> bool:
        """Whether the readiness probe has succeeded as often as is asked for.

        Raises:
            Refusal: It failed too often, or the process has ended.
        """
        if self.process is None:
            self.start()
        assert self.process is not None
        if self.process.poll() is not None:
            self.readers[0].join(5)
            message = f"User container has crashed or terminated: exit code {self.process.returncode}."
            raise Refusal(400, "ResourceNotReady", message)
        if time.monotonic() < self.next_look:
            return False
        self.next_look = time.monotonic() + self.probe.period_s
        if self._answers():
            self.n_good += 1
            return self.n_good >= self.probe.successes
        self.n_good, self.n_bad = 0, self.n_bad + 1
        if self.n_bad >= self.probe.failures:
            message = f"Readiness probe failed {self.n_bad} times: GET {self.probe.path}. Please troubleshoot with the logs."
            raise Refusal(400, "ResourceNotReady", message)
        return False

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + self.probe.path, timeout=self.probe.timeout_s) as answer:
                return bool(200 <= answer.status < 300)
        except (OSError, urllib.error.URLError):
            return False

    def log_lines(self) -> list[str]:
        """What it has written."""
        return list(self.lines)

    def stop(self) -> None:
        """End the process."""
        self.held.close()
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        for reader in self.readers:
            reader.join(5)
        if self.process.stdout is not None:
            self.process.stdout.close()


def prepare(azure: StandIn, endpoint: Resource, deployment: Resource) -> Container:
    """Lay out what a deployment is made from; nothing runs yet.

    Raises:
        Refusal: A secret cannot be had, or the image cannot be built or pulled.
    """
    root = azure.folder / "containers" / f"{deployment.name}-{uuid.uuid4().hex[:8]}"
    root.mkdir(parents=True)
    properties = deployment.properties
    environment = azure.resources.get(str(properties["environmentId"]))
    assert environment is not None
    folder, command, variables = _image(azure, environment, root)
    _mount_model(azure, deployment, root)
    given = {
        name: _resolve(azure, endpoint, value)
        for name, value in (properties.get("environmentVariables") or {}).items()
    }
    mount = str(properties.get("modelMountPath") or "/var/azureml-app/azureml-models")
    held = HeldPort()
    merged = {**variables, **given}
    merged = {name: _below(root, mount, value) for name, value in merged.items()}
    route = environment.properties["inferenceConfig"]["readinessRoute"]
    return Container(
        command=[_below(root, mount, part) for part in command],
        folder=folder,
        environment={
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "HOME": str(root),
            **merged,
            "PORT": str(held.number),
            "HOST": "127.0.0.1",
        },
        held=held,
        probe=_probe(properties.get("readinessProbe") or {}, route["path"], azure.machine_learning.speed),
    )


def _below(root: Path, mount: str, text: str) -> str:
    return str(root / text.lstrip("/")) if text == mount or text.startswith(mount.rstrip("/") + "/") else text


def read_seconds(text: str) -> float:
    """Seconds of a duration such as ``PT1M30.5S``.

    Raises:
        Refusal: 400, it is none.
    """
    match = _DURATION.fullmatch(text)
    if match is None or text in ("P", "PT"):
        raise Refusal(400, "BadRequest", f"'{text}' is no duration.")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _probe(said: Mapping[str, Any], path: str, speed: float) -> _Probe:
    return _Probe(
        path=path,
        delay_s=read_seconds(said.get("initialDelay") or "PT10S") / speed,
        period_s=read_seconds(said.get("period") or "PT10S") / speed,
        timeout_s=read_seconds(said.get("timeout") or "PT2S"),
        successes=int(said.get("successThreshold") or 1),
        failures=int(said.get("failureThreshold") or 30),
    )


def _mount_model(azure: StandIn, deployment: Resource, root: Path) -> None:
    model = azure.resources.get(str(deployment.properties["model"]))
    assert model is not None
    prefix = _blob_prefix(str(model.properties["modelUri"]))
    mount = str(deployment.properties.get("modelMountPath") or "/var/azureml-app/azureml-models")
    name, version = model.id.split("/")[-3], model.name
    target = root / mount.lstrip("/") / name / version
    if azure.machine_learning.keeps_folder:
        target = target / prefix.rstrip("/").rpartition("/")[2]
    target.mkdir(parents=True)
    azure.machine_learning.files_of(prefix, target)
    if not any(target.iterdir()):
        raise Refusal(400, "BadArgument", f"The model {name}:{version} has no files.")


def _blob_prefix(uri: str) -> str:
    """Path in the container of ``azureml://…/paths/X`` or of the address of a blob."""
    if "/paths/" in uri:
        return uri.partition("/paths/")[2]
    return urlsplit(uri).path.lstrip("/").partition("/")[2]


def _image(azure: StandIn, environment: Resource, root: Path) -> tuple[Path, list[str], dict[str, str]]:
    """Working directory, command and variables of the image."""
    image = environment.properties.get("image")
    if image:
        command = azure.machine_learning.images.get(str(image))
        if command is None:
            raise Refusal(400, "BadArgument", f"Unable to pull the image {image}: it was not found.")
        return root, list(command), {}
    build = environment.properties["build"]
    context = root / "context"
    context.mkdir()
    azure.machine_learning.files_of(_blob_prefix(str(build["contextUri"])), context)
    try:
        text = (context / (build.get("dockerfilePath") or "Dockerfile")).read_text("utf-8")
        return build_image(text, context, root)
    except (OSError, ValueError, KeyError) as error:
        raise Refusal(400, "ImageBuildFailure", f"The image could not be built: {error}") from error


def build_image(text: str, context: Path, root: Path) -> tuple[Path, list[str], dict[str, str]]:
    """What a Dockerfile makes of a context: working directory, command and variables of its last stage.

    Raises:
        ValueError: It has no command.
        OSError: It copies what is not there.
    """
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [
        line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    last = max(index for index, line in enumerate(lines) if line.upper().startswith("FROM "))
    folder, command, variables = root, [], {}
    for line in lines[last + 1 :]:
        word, _, rest = line.partition(" ")
        if word == "WORKDIR":
            folder = root / rest.strip().lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
        elif word == "ENV":
            variables |= dict(part.split("=", 1) for part in shlex.split(rest))
        elif word == "COPY" and not rest.startswith("--from"):
            _copy(shlex.split(rest), context, folder, root)
        elif word == "CMD":
            command = json.loads(rest)
    if not command:
        raise ValueError("no CMD")
    variables.pop("PATH", None)
    paths = [str(_unpack(wheel, root)) for wheel in sorted(context.glob("*.whl"))]
    if paths:
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    return folder, command, variables


def _copy(parts: Sequence[str], context: Path, folder: Path, root: Path) -> None:
    *sources, target = parts
    into = root / target.lstrip("/") if target.startswith("/") else folder / target
    into.mkdir(parents=True, exist_ok=True)
    for source in sources:
        found = context / source
        names = found.iterdir() if found.is_dir() else [found]
        for path in names:
            subprocess.run(["cp", "-R", str(path), str(into)], check=True)


def _unpack(wheel: Path, root: Path) -> Path:
    target = root / "site-packages" / wheel.stem
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def _resolve(azure: StandIn, endpoint: Resource, value: str) -> str:
    """A variable with its references resolved, by the identity of the endpoint.

    Raises:
        Refusal: It may not, or there is no such secret.
    """

    def secret(match: re.Match[str]) -> str:
        kind, rest = match.groups()
        identity = str(endpoint.rest["identity"]["type"])
        allowed = (endpoint.properties.get("properties") or {}).get(_SECRET_STORES) == "enabled"
        if identity == "SystemAssigned" and not allowed:
            message = f"The identity of the endpoint has no access to the secret stores: {match[0]}."
            raise Refusal(400, "SecretsInjectionError", message)
        found = _vault_secret(azure, rest) if kind == "keyvault:" else _connection_field(azure, rest)
        if found is None:
            raise Refusal(400, "SecretsInjectionError", f"Secret injection failed: {match[0]} was not found.")
        return found

    return _REFERENCE.sub(secret, value)


def _vault_secret(azure: StandIn, address: str) -> str | None:
    parts = urlsplit(address)
    vault, path = str(parts.hostname).partition(".")[0], parts.path.strip("/").split("/")
    try:
        body = azure.vaults._body(vault, path[1], path[2] if len(path) > 2 else "")
    except (Refusal, IndexError):
        return None
    return str(body["value"])


def _connection_field(azure: StandIn, rest: str) -> str | None:
    name, _, field_path = rest.partition("/")
    found = azure.resources.get(f"{azure.machine_learning.workspace_id}/connections/{name}")
    if found is None:
        return None
    kind, _, key = field_path.partition("/")
    if kind == "target":
        return str(found.properties.get("target"))
    values = found.hidden if kind == "credentials" else found.properties.get("metadata") or {}
    value = values.get(key, (values.get("keys") or {}).get(key))
    return None if value is None else str(value)
