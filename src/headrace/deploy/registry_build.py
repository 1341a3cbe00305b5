"""Images by digest: built in the registry that keeps them, with ACR Tasks, so that nobody needs Docker here.

A packed deployment is the same bytes whenever it is packed, and its digest is the tag: what was built once is found
again. Requests: ``azure-mgmt-containerregistrytasks`` (Microsoft.ContainerRegistry 2025-03-01-preview), and of the
registry itself the token exchange and the manifests of the OCI distribution protocol
(learn.microsoft.com/azure/container-registry/container-registry-authentication, .../container-registry-tasks-overview).
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.rest import HttpRequest
from azure.mgmt.containerregistrytasks import ContainerRegistryTasksMgmtClient

from headrace import __version__
from headrace.deploy.azure_answers import PlainAnswers
from headrace.deploy.base import Package
from headrace.deploy.container_app_client import Patience, asked_again, is_accepted
from headrace.deploy.container_app_template import Wire
from headrace.domain.deployment import AzurePlace
from headrace.errors import Problem, RemoteRequestError, RemoteTimeoutError, RemoteUnavailableError

_REGISTRY_VERSION = "2025-04-01"
_SCOPE = "https://management.azure.com/.default"
_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_TIME_S = 315532800
"""The first of January 1980, as in everything that is packed."""

_BUILD_LIMIT_S = 3600
_TIMEOUT_S = 60.0
_UPLOAD_LIMIT_S = 900.0
_N_LOG_LINES = 20
_N_RUNS = 50
_ENDED = frozenset({"succeeded", "failed", "canceled", "error", "timeout"})
_TAG_LENGTH = 40


class RegistryBuild:
    """The registry of one place.

    Args:
        credential: Of ``azure-identity``.
        place: Whose registry it is.
        tell: Takes lines about what is being waited for.
        patience: How often is looked.
    """

    def __init__(
        self, credential: Any, place: AzurePlace, tell: Callable[[str], None], patience: Patience
    ) -> None:
        self._credential = credential
        self._client = ContainerRegistryTasksMgmtClient(
            credential,
            place.subscription,
            user_agent=f"headrace/{__version__}",
            per_call_policies=[PlainAnswers()],
        )
        self._http = httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False)
        self._subscription = place.subscription
        self._group = place.resource_group
        self._name = place.registry.rpartition("/")[2].partition(".")[0]
        self._tell = tell
        self._patience = patience
        self._registry: Wire | None = None
        self._built: dict[str, str] = {}

    def close(self) -> None:
        """Give back connections."""
        self._client.close()
        self._http.close()

    @property
    def id(self) -> str:
        """Resource id of the registry."""
        return str(self._find_registry()["id"])

    @property
    def server(self) -> str:
        """Host of the registry, as images are called after it."""
        return str(self._find_registry()["properties"]["loginServer"])

    def image(self, package: Package, repository: str) -> str:
        """The image of a packed deployment, ``SERVER/REPOSITORY@sha256:…``; it is built if it is not there.

        Raises:
            RemoteRequestError: X276, the build failed; with the last lines of its log.
            RemoteTimeoutError: X276, it takes too long.
        """
        tag = package.digest[:_TAG_LENGTH]
        digest = self._built.get(tag) or self._find_image(repository, tag)
        if digest is None:
            digest = self._build(package, repository, tag)
        self._built[tag] = digest
        return f"{self.server}/{repository}@{digest}"

    def _find_registry(self) -> Wire:
        """The registry, in the resource group or anywhere in the subscription; guessed where nobody may look."""
        if self._registry is None:
            own = (
                f"/subscriptions/{self._subscription}/resourceGroups/{self._group}/providers/"
                f"Microsoft.ContainerRegistry/registries/{self._name}"
            )
            guessed: Wire = {"id": own, "properties": {"loginServer": f"{self._name.lower()}.azurecr.io"}}
            found: Wire = self._get(own) or next(self._elsewhere(), None) or guessed
            if not (found.get("properties") or {}).get("loginServer"):
                found = {**found, "properties": guessed["properties"]}
            self._registry = found
            parts = str(found["id"]).split("/")
            lower = [part.lower() for part in parts]
            self._group = parts[lower.index("resourcegroups") + 1]
        return self._registry

    def _elsewhere(self) -> Iterator[Wire]:
        address: str | None = (
            f"/subscriptions/{self._subscription}/providers/Microsoft.ContainerRegistry/registries"
        )
        while address:
            page = self._get(address) or {}
            for item in page.get("value") or ():
                if str(item.get("name", "")).lower() == self._name.lower():
                    yield item
            address = page.get("nextLink")

    def _get(self, address: str) -> Wire | None:
        parameters = {} if "api-version=" in address else {"api-version": _REGISTRY_VERSION}
        response = self._client.send_request(HttpRequest("GET", address, params=parameters))
        if response.status_code != 200:
            return None
        found: Wire = response.json()
        return found

    def _find_image(self, repository: str, tag: str) -> str | None:
        """The digest behind a tag; from what was built lately where the registry itself may not be asked."""
        try:
            return self._ask_registry(repository, tag)
        except (httpx2.HTTPError, AzureError, ValueError, KeyError):
            return self._ask_runs(repository, tag)

    def _ask_registry(self, repository: str, tag: str) -> str | None:
        """The digest of a manifest.

        Raises:
            ValueError: The registry does not say.
        """
        base = f"https://{self.server}"
        given = self._credential.get_token(_SCOPE).token
        exchange = {"grant_type": "access_token", "service": self.server, "access_token": given}
        refresh = self._form(f"{base}/oauth2/exchange", exchange)["refresh_token"]
        wanted = {
            "grant_type": "refresh_token",
            "service": self.server,
            "scope": f"repository:{repository}:pull",
            "refresh_token": refresh,
        }
        token = self._form(f"{base}/oauth2/token", wanted)["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Accept": _MANIFESTS}
        response = self._http.head(f"{base}/v2/{repository}/manifests/{tag}", headers=headers)
        if response.status_code == 404:
            return None
        digest = response.headers.get("docker-content-digest", "")
        if response.status_code != 200 or not digest.startswith("sha256:"):
            what = f"The registry answered {response.status_code}."
            raise ValueError(what)
        return str(digest)

    def _form(self, address: str, data: Mapping[str, str]) -> Wire:
        response = self._http.post(address, data=dict(data))
        response.raise_for_status()
        found: Wire = response.json()
        return found

    def _ask_runs(self, repository: str, tag: str) -> str | None:
        with suppress(HttpResponseError):
            for run in islice(self._client.runs.list(self._group, self._name), _N_RUNS):
                digest = _output(run.as_dict(), repository, tag)
                if (
                    digest
                    and str((run.as_dict().get("properties") or {}).get("status")).lower() == "succeeded"
                ):
                    return digest
        return None

    def _build(self, package: Package, repository: str, tag: str) -> str:
        self._find_registry()
        self._tell(f"Building {repository}:{tag} in the registry {self._name}.")
        source = asked_again(
            lambda: self._client.registries.get_build_source_upload_url(self._group, self._name),
            self._patience,
        )
        self._upload(str(source.upload_url), tar_bytes(package.folder))
        request = {
            "type": "DockerBuildRequest",
            "imageNames": [f"{repository}:{tag}"],
            "isPushEnabled": True,
            "isArchiveEnabled": False,
            "noCache": False,
            "dockerFilePath": "Dockerfile",
            "platform": {"os": "Linux", "architecture": "amd64"},
            "agentConfiguration": {"cpu": 2},
            "sourceLocation": source.relative_path,
            "timeout": _BUILD_LIMIT_S,
        }
        run = self._follow(self._schedule(request))
        digest = _output(run, repository, tag) or self._find_image(repository, tag)
        if digest is None:
            what = f"The registry {self._name} has built {repository}:{tag}, and does not tell its digest."
            raise RemoteRequestError(Problem(code="X276", what=what, fix="Apply again."))
        return digest

    def _schedule(self, request: Wire) -> str:
        registries: Any = self._client.registries
        try:
            run = asked_again(
                lambda: registries.schedule_run(self._group, self._name, request), self._patience
            ).as_dict()
        except HttpResponseError as error:
            if not is_accepted(error) or error.response is None:
                raise
            run = error.response.json()  # type: ignore[attr-defined]
        return str((run.get("properties") or {}).get("runId") or run.get("name"))

    def _upload(self, address: str, data: bytes) -> None:
        """Put the context where the registry wants it; the address holds a signature and is never shown."""
        status: int | str = "nothing"
        for wait_s in self._patience.looks(_UPLOAD_LIMIT_S):
            try:
                response = self._http.put(address, content=data, headers={"x-ms-blob-type": "BlockBlob"})
            except httpx2.HTTPError as error:
                status = type(error).__name__
            else:
                status = response.status_code
                if response.status_code < 300:
                    return
                if response.status_code not in (408, 429) and response.status_code < 500:
                    break
            if wait_s > _TIMEOUT_S:
                break
        what = f"The context of the image could not be uploaded to the registry {self._name}: {status}."
        fix = "Apply again; a registry that is closed to this network needs a machine inside of it, or image: DIGEST."
        raise RemoteUnavailableError(Problem(code="X276", what=what, fix=fix))

    def _follow(self, run_id: str) -> Wire:
        for _ in self._patience.looks(_BUILD_LIMIT_S):
            run = self._client.runs.get(self._group, self._name, run_id).as_dict()
            status = str((run.get("properties") or {}).get("status") or "").lower()
            if status == "succeeded":
                return run
            if status in _ENDED:
                raise self._failure(run_id, run, status)
        what = f"The registry {self._name} still builds after {_BUILD_LIMIT_S // 60} minutes: run {run_id}."
        raise RemoteTimeoutError(
            Problem(code="X276", what=what, fix="Apply again later: what is built is found.")
        )

    def _failure(self, run_id: str, run: Wire, status: str) -> RemoteRequestError:
        said = str((run.get("properties") or {}).get("runErrorMessage") or "").strip()
        what = f"The registry {self._name} could not build the image: run {run_id} ended as {status}."
        lines = self._log(run_id)
        return RemoteRequestError(
            Problem(
                code="X276",
                what=f"{what} {said}".strip(),
                fix="Read the last lines of its log; mostly a package of requirements.txt cannot be installed.",
                detail=tuple(lines),
            )
        )

    def _log(self, run_id: str) -> list[str]:
        try:
            link = asked_again(
                lambda: self._client.runs.get_log_sas_url(self._group, self._name, run_id), self._patience
            ).log_link
            response = self._http.get(str(link))
            response.raise_for_status()
        except (httpx2.HTTPError, AzureError):
            return []
        lines = [line.rstrip() for line in response.text.splitlines() if line.strip()]
        return lines[-_N_LOG_LINES:]


def _output(run: Wire, repository: str, tag: str) -> str | None:
    """The digest of an image that a run has made."""
    for item in (run.get("properties") or {}).get("outputImages") or ():
        if str(item.get("repository")) == repository and str(item.get("tag")) == tag and item.get("digest"):
            return str(item["digest"])
    return None


def tar_bytes(folder: Path) -> bytes:
    """A folder as ``tar.gz``: the same files make the same bytes."""
    stream = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=stream, mode="wb", filename="", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(folder.rglob("*")):
            entry = archive.gettarinfo(path, path.relative_to(folder).as_posix())
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = _TIME_S
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            if entry.isreg():
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                archive.addfile(entry)
    return stream.getvalue()
