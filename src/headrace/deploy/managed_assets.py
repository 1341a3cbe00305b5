"""What a managed online deployment is made from: its flow as a model, its server as an environment, its secrets.

Reached from :mod:`headrace.deploy.managed_endpoint` only. Models and environments never change once they are there:
their versions come from digests, so that what is there already is taken as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from azure.ai.ml.entities import APIKeyConnection, Environment, Model, OnlineDeployment
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from headrace.deploy.base import Package, TargetSetup
from headrace.deploy.managed_parts import (
    DIGEST_TAG,
    environment_version,
    make_environment,
    make_model,
    model_version,
)
from headrace.deploy.managed_waiting import Waiting
from headrace.domain.deployment import Deployment
from headrace.errors import DefinitionError, Problem, StateError
from headrace.formats.deployment_settings import unset_variables
from headrace.source import Span

_MOST_ATTEMPTS = 5
_IGNORING = (".amlignore", ".gitignore")
_OWN = "headrace-"
_OWN_REFERENCE = re.compile(rf"azureml://connections/({_OWN}[0-9a-f]+)/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """What a deployment is made from, as the service knows it."""

    model: Model
    environment: Environment


class AssetMaker:
    """Makes what is not there yet.

    Args:
        client: ``MLClient``.
        endpoint: Name of the endpoint, which names of assets begin with.
        setup: What the target was opened with; packs deployments.
        waiting: Waits for others who are at the same.
    """

    def __init__(self, client: Any, endpoint: str, setup: TargetSetup, waiting: Waiting) -> None:
        self._client = client
        self._endpoint = endpoint
        self._pack = setup.pack
        self._tell = setup.tell
        self._waiting = waiting

    def make(self, deployment: Deployment, span: Span | None) -> Assets:
        """Find or upload the flow and the server of a deployment.

        Raises:
            StateError: X252 when a version is taken by other contents.
        """
        return Assets(model=self._model(deployment, span), environment=self._environment(deployment, span))

    def _model(self, deployment: Deployment, span: Span | None) -> Any:
        package = self._pack(deployment, "flow")
        name, models = f"{self._endpoint}-flow", self._client.models
        for attempt in range(_MOST_ATTEMPTS):
            version = model_version(package.digest, attempt)
            found = _find(models.get, name, version)
            if found is None:
                self._tell(f"uploading the flow as model {name}, version {version}")
                found = self._upload(
                    models,
                    package,
                    partial(_make_model, name, version, deployment),
                    (name, version),
                )
            if (found.tags or {}).get(DIGEST_TAG) == package.digest:
                return found
        which = f"{name}, a model,"
        raise _taken(which, span)

    def _environment(self, deployment: Deployment, span: Span | None) -> Any:
        package = None if deployment.image else self._pack(deployment, "runtime")
        source = package.digest if package else deployment.image
        version = environment_version(source, package.port if package else 0)
        name, environments = f"{self._endpoint}-server", self._client.environments
        found = _find(environments.get, name, version)
        if found is None:
            self._tell(f"making environment {name}, version {version}")
            if package is None:
                made = make_environment(name, version, None, deployment)
                found = self._waiting.beside_others(lambda _: _create(environments, made, name, version))
            else:
                found = self._upload(
                    environments,
                    package,
                    lambda copy: make_environment(name, version, copy, deployment),
                    (name, version),
                )
        if (found.tags or {}).get(DIGEST_TAG) != source:
            which = f"{name}, an environment,"
            raise _taken(which, span)
        return found

    def _upload(
        self, operations: Any, package: Package, make: Callable[[Package], Any], asset: tuple[str, str]
    ) -> Any:
        """Create an asset out of a folder.

        What an upload left behind that was cut off before its first file is in the way of the next one: the package
        would neither take nor replace it. So is a file that the package sends again because the answer was lost. The
        folder is then uploaded under another name.
        """

        def create(attempt: int) -> Any:
            name = package.folder.name + (f"-{uuid4().hex[:8]}" if attempt else "")
            with _whole(package.folder, name) as folder:
                return _create(operations, make(replace(package, folder=folder)), *asset)

        return self._waiting.beside_others(create)


def _make_model(name: str, version: str, deployment: Deployment, package: Package) -> Model:
    return make_model(name, version, package, deployment)


@contextmanager
def _whole(folder: Path, name: str) -> Iterator[Path]:
    """A copy of a packed folder, under a name, that is uploaded as it is.

    The package leaves out what a ``.amlignore``, or else a ``.gitignore``, in the folder names. What belongs to the
    flow was settled when it was packed; a ``.gitignore`` does not speak of that.
    """
    with TemporaryDirectory(prefix="headrace-upload-") as around:
        copy = Path(around) / name
        copytree(folder, copy)
        for ignoring in _IGNORING:
            (copy / ignoring).unlink(missing_ok=True)
        yield copy


def _find(get: Callable[..., Any], name: str, version: str) -> Any:
    try:
        return get(name=name, version=version)
    except ResourceNotFoundError:
        return None


def _create(operations: Any, made: Any, name: str, version: str) -> Any:
    """Create an asset, or find what another process has created at the same time.

    Raises:
        ResourceExistsError: What is there is no asset, but a file of one.
    """
    try:
        # The package writes to the terminal how far it has come.
        with redirect_stderr(StringIO()):
            return operations.create_or_update(made)
    except ResourceExistsError:
        found = _find(operations.get, name, version)
        if found is None:
            raise
        return found


def _taken(which: str, span: Span | None) -> StateError:
    what = f"{which} has versions that headrace would make, with other contents: somebody else has made them."
    fix = "Archive or delete them in the workspace, then apply again."
    return StateError(Problem(code="X252", what=what, span=span, fix=fix))


class SecretConnections:
    """Workspace connections that hold the secrets which whoever applies has in variables.

    A managed online deployment keeps no secrets of its own: its variables can be read by everybody who can read the
    deployment. So each secret becomes a connection, which the service reads with the identity of the endpoint.

    Args:
        client: ``MLClient``.
        endpoint: Name of the endpoint.
        environment: Variables of whoever applies.
    """

    def __init__(self, client: Any, endpoint: str, environment: Mapping[str, str]) -> None:
        self._client = client
        self._endpoint = endpoint
        self._environment = environment

    def make(self, deployment: Deployment) -> dict[str, str]:
        """Setting to the connection that now holds its value.

        Raises:
            DefinitionError: X101 for a variable that is not set, or holds nothing, which is no key.
        """
        given = {name: value for name, value in self._environment.items() if value}
        missing = unset_variables([deployment], given)
        if missing:
            raise DefinitionError(*missing)
        made: dict[str, str] = {}
        for item in deployment.settings:
            if item.variable:
                target = f"https://{self._endpoint}.headrace.invalid/{deployment.name}/{item.name}"
                name = f"{_OWN}{hashlib.sha256(target.encode()).hexdigest()[:16]}"
                key = self._environment[item.variable]
                connection = APIKeyConnection(name=name, api_base=target, api_key=key)
                self._client.connections.create_or_update(connection)
                made[item.name] = name
        return made

    def delete(self, found: OnlineDeployment, kept: Collection[str] = ()) -> None:
        """Delete the connections of a deployment, which its variables name.

        Args:
            found: The deployment.
            kept: Names of those that stay.
        """
        values = (found.environment_variables or {}).values()
        named = {match[1] for value in values if (match := _OWN_REFERENCE.search(str(value)))}
        for name in sorted(named - set(kept)):
            try:
                self._client.connections.delete(name)
            except ResourceNotFoundError:
                continue
