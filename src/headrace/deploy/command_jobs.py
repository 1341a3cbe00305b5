"""Command jobs of Azure Machine Learning that run the shards of a run, through the package ``azure-ai-ml``.

A job is known by its name alone: it is submitted once, however often that is asked for, and it writes below a path of
the workspace's blob store that follows from the name. So whoever knows the name finds the job, and what it has written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from azure.ai.ml import MLClient, Output, command
from azure.ai.ml.entities import BuildContext, Environment, ManagedIdentityConfiguration
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContainerClient

from headrace.deploy.azure_answers import PlainAnswers
from headrace.deploy.azure_failures import azure_failures, plain_message
from headrace.deploy.managed_waiting import Waiting
from headrace.domain.azure_workspace import AzureWorkspace
from headrace.domain.deployment import AzurePlace, Endpoint
from headrace.providers.azure_credential import AzureCredential

ENDED = frozenset(("Completed", "Failed", "Canceled"))
"""What a job says when nothing more comes of it."""

LOG = "log.txt"
"""What a job writes its output into, beside its results."""

_Told = TypeVar("_Told")

_PASSING = (409, 429)
_STORE = "workspaceblobstore"
_FOLDER = "headrace"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlace:
    """Where jobs run.

    Attributes:
        workspace: Keeps the jobs, their code and their results.
        compute: Name of a compute cluster.
        environment: ``azureml:NAME@latest`` or an image; empty for one that is built.
    """

    workspace: AzureWorkspace
    compute: str
    environment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job to submit.

    Attributes:
        code: Folder that it begins in.
        command: With ``{results}`` where the folder of its results belongs.
        context: Context of the image to build; ``None`` where the place names an environment.
        variables: Its environment; everybody who can read the job can read them.
        tags: What people find it by.
    """

    name: str
    title: str
    code: Path
    command: str
    context: Path | None
    variables: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class CommandJobs:
    """The jobs of a workspace; every method blocks, and one is called at a time.

    Every method raises what :func:`~headrace.deploy.azure_failures.azure_failures` does.
    """

    def __init__(self, place: JobPlace) -> None:
        logging.getLogger("azure.ai.ml").setLevel(logging.ERROR)  # it tells of what it calls experimental
        self._place = place
        workspace = place.workspace
        self._credential = AzureCredential()
        self._client = MLClient(
            self._credential,
            workspace.subscription,
            workspace.resource_group,
            workspace.name,
            enable_telemetry=False,
            # Nobody sees it; without it the package waits for ever for a file that was refused.
            show_progress=True,
            per_call_policies=[PlainAnswers()],
        )
        self._waiting = Waiting(lambda _: None)
        self._blobs: ContainerClient | None = None

    def status(self, name: str) -> str | None:
        """What a job says of itself, such as ``Queued`` or one of :data:`ENDED`; ``None`` when there is none."""
        with self._failures(name):
            try:
                job: Any = self._asked(lambda: self._client.jobs.get(name), name)
            except ResourceNotFoundError:  # where the workspace is missing, submitting says so
                return None
            return str(getattr(job.status, "value", job.status))  # an enumeration that prints its own name

    def _asked(self, ask: Callable[[], _Told], name: str) -> _Told:
        """What is told, asked again where Azure takes no more requests for now or a connection is lost."""
        told: list[_Told] = []
        self._waiting.past_hindrances(lambda: told.append(ask()), name, _PASSING)
        return told[0]

    def submit(self, job: Job) -> None:
        """Submit a job, unless it has been submitted."""
        environment: Any = self._place.environment
        if job.context is not None:
            environment = Environment(build=BuildContext(path=str(job.context)))
        elif not environment.startswith("azureml:"):
            environment = Environment(image=environment)
        made = command(
            name=job.name,
            display_name=job.title,
            experiment_name=_FOLDER,
            code=str(job.code),
            command=job.command.format(results="${{outputs.results}}"),
            environment=environment,
            environment_variables=dict(job.variables),
            compute=self._place.compute,
            identity=ManagedIdentityConfiguration(),
            outputs={
                "results": Output(
                    type="uri_folder",
                    mode="rw_mount",
                    path=f"azureml://datastores/{_STORE}/paths/{_folder(job.name)}",
                )
            },
            tags=dict(job.tags),
        )
        with self._failures(job.name):
            self._asked(lambda: self._create(made), job.name)
            # Reads may lag behind; a job that is not there is taken for one that has died.
            self._waiting.until_shown(lambda: self.status(job.name) is not None)

    def _create(self, made: Any) -> None:
        try:
            # The package colours the terminal as it uploads, whether or not it shows how far it has come. All threads
            # lose what they write meanwhile, so nothing else is done in here.
            with redirect_stderr(StringIO()):
                self._client.jobs.create_or_update(made)
        except ResourceExistsError:
            # Somebody who resumes the same run has been quicker, or something else is under way.
            if self.status(str(made.name)) is None:
                raise

    def read_new(self, name: str, start: str, seen: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Files of a job's results whose names begin with ``start``, but for those that were seen."""
        with self._failures(name):
            blobs, folder = self._asked(self._open_blobs, name), _folder(name)
            paths = self._asked(lambda: sorted(blobs.list_blob_names(name_starts_with=folder + start)), name)
            for path in paths:
                file = path.removeprefix(folder)
                if file not in seen:
                    yield file, self._asked(partial(_download, blobs, path), name)

    def last_lines(self, name: str, n_lines: int) -> tuple[str, ...]:
        """The end of what a job has written; nothing where it never began."""
        found = [data for file, data in self.read_new(name, LOG, ()) if file == LOG]
        text = found[0].decode("utf-8", "replace") if found else ""
        lines = [line for line in text.splitlines() if line.strip()]
        return tuple(plain_message(line) for line in lines[-n_lines:])

    def close(self) -> None:
        """Give back connections; jobs go on."""
        if self._blobs is not None:
            self._blobs.close()
        self._credential.close()

    def _open_blobs(self) -> ContainerClient:
        if self._blobs is None:
            store: Any = self._client.datastores.get(_STORE, include_secrets=True)
            secrets = store.credentials
            credential = getattr(secrets, "sas_token", None) or getattr(secrets, "account_key", None)
            address = f"{store.protocol}://{store.account_name}.blob.{store.endpoint}"
            self._blobs = ContainerClient(address, store.container_name, credential or self._credential)
        return self._blobs

    @contextmanager
    def _failures(self, name: str) -> Iterator[None]:
        workspace = self._place.workspace
        place = AzurePlace(
            subscription=workspace.subscription,
            resource_group=workspace.resource_group,
            workspace=workspace.name,
        )
        wished = Endpoint(name=name, target="azureml", deployments=(), place=place)
        with azure_failures(f"job {name}", wished):
            yield


def _download(blobs: ContainerClient, path: str) -> bytes:
    return blobs.download_blob(path).readall()


def _folder(name: str) -> str:
    return f"{_FOLDER}/{name}/"
