"""``Microsoft.ContainerRegistry``: registries with their images, and builds by ACR Tasks, which really build.

``add_registry(azure, "myacr")`` makes a registry. The registry itself (``myacr.azurecr.io``) exchanges tokens and
tells of manifests.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.support.azure.arm import Call
from tests.support.azure.images import BuildFailedError, Image, build_image
from tests.support.azure.messages import Refusal, Request, Response, reply
from tests.support.azure.resources import Resource

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

SUFFIX = ".azurecr.io"
TYPE = "Microsoft.ContainerRegistry/registries"
_SUBSCRIPTION_ALL = "/subscriptions/{subscription}/providers/Microsoft.ContainerRegistry/registries"
_ALL = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerRegistry/registries"
_ONE = _ALL + "/{registry}"
_VERSIONS = ("2023-07-01", "2025-04-01", "2025-11-01")
_TASK_VERSIONS = ("2019-06-01-preview", "2025-03-01-preview")
_ACCOUNT, _CONTAINER = "acrtasks", "sources"
_PAGE = 2


@dataclass(kw_only=True)
class Run:
    """One build."""

    id: str
    name: str
    image_name: str
    source: str
    dockerfile: str
    n_looks: int = 1
    status: str = "Queued"
    image: Image | None = None
    log: list[str] = field(default_factory=list)
    error: str = ""


class Registries:
    """All images and builds.

    Attributes:
        images: Server, repository and digest to what was built.
        tags: Server, repository and tag to a digest.
        is_closed: Whether the registries themselves refuse everybody, as those without a public network do.
    """

    def __init__(self, azure: StandIn) -> None:
        self._azure = azure
        self._lock = threading.RLock()
        self.images: dict[tuple[str, str, str], Image] = {}
        self.tags: dict[tuple[str, str, str], str] = {}
        self.runs: dict[str, list[Run]] = {}
        self.is_closed = False
        self._refresh: set[str] = set()
        self._tokens: dict[str, str] = {}

    def find_image(self, reference: str) -> Image | None:
        """The image ``SERVER/REPOSITORY@sha256:…``, or ``SERVER/REPOSITORY:tag``."""
        server, _, path = reference.partition("/")
        repository, _, digest = path.partition("@")
        if not digest:
            repository, _, tag = path.partition(":")
            digest = self.tags.get((server, repository, tag), "")
        return self.images.get((server, repository, digest))

    def add_image(self, reference: str) -> str:
        """Pretend that an image ``SERVER/REPOSITORY@sha256:…`` was pushed."""
        server, _, path = reference.partition("/")
        repository, _, digest = path.partition("@")
        self.images[server, repository, digest] = Image(digest=digest, folder=self._azure.folder)
        return reference

    def schedule(self, registry: Resource, body: dict[str, Any]) -> Run:
        """Begin a build."""
        names = body.get("imageNames") or []
        if body.get("type") != "DockerBuildRequest" or len(names) != 1:
            raise Refusal(400, "BadRequest", "The stand-in builds one image with a DockerBuildRequest.")
        if not body.get("dockerFilePath") or not (body.get("platform") or {}).get("os"):
            raise Refusal(400, "BadRequest", "dockerFilePath and platform are required.")
        runs = self.runs.setdefault(registry.id.lower(), [])
        run = Run(
            id=f"{registry.id}/runs/ca{len(runs) + 1}",
            name=f"ca{len(runs) + 1}",
            image_name=names[0],
            source=body.get("sourceLocation") or "",
            dockerfile=body["dockerFilePath"],
        )
        runs.append(run)
        return run

    def step(self, registry: Resource, run: Run) -> None:
        """Go on with a build by one look: it waits, then it is built."""
        if run.status not in ("Queued", "Running"):
            return
        if run.n_looks > 0:
            run.n_looks -= 1
            run.status = "Running"
            return
        try:
            data = self._azure.blobs.read(_ACCOUNT, _CONTAINER, run.source)
            run.image = build_image(data, self._azure.folder / "images", run.dockerfile, run.log)
        except (BuildFailedError, KeyError) as error:
            run.log.append(str(error))
            run.status, run.error = "Failed", f"failed to run step ID: build: {error}"
            return
        repository, _, tag = run.image_name.partition(":")
        server = registry.properties["loginServer"]
        with self._lock:
            self.images[server, repository, run.image.digest] = run.image
            self.tags[server, repository, tag] = run.image.digest
        run.status = "Succeeded"

    def answer(self, request: Request) -> Response:
        """The registries themselves."""
        if self.is_closed:
            return reply(
                {"errors": [{"code": "DENIED", "message": "client with IP is not allowed access."}]}, 403
            )
        if request.path == "/oauth2/exchange" and request.method == "POST":
            return self._exchange(request)
        if request.path == "/oauth2/token" and request.method == "POST":
            return self._give_token(request)
        parts = request.path.strip("/").split("/")
        if (
            parts[0] == "v2"
            and len(parts) >= 4
            and parts[-2] == "manifests"
            and request.method in ("GET", "HEAD")
        ):
            return self._manifest(request, "/".join(parts[1:-2]), parts[-1])
        return reply({"errors": [{"code": "UNSUPPORTED"}]}, 404)

    def _exchange(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        claims = self._azure.directory.read_token(form.get("access_token", ""))
        if form.get("service") != request.host or "management.azure.com" not in str(claims["aud"]):
            return reply({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}, 401)
        token = uuid.uuid4().hex
        self._refresh.add(token)
        return reply({"refresh_token": token})

    def _give_token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("refresh_token") not in self._refresh:
            return reply({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}, 401)
        token = uuid.uuid4().hex
        self._tokens[token] = form.get("scope", "")
        return reply({"access_token": token})

    def _manifest(self, request: Request, repository: str, reference: str) -> Response:
        if self._tokens.get(request.bearer) != f"repository:{repository}:pull":
            challenge = f'Bearer realm="https://{request.host}/oauth2/token",service="{request.host}"'
            return Response(status=401, headers={"WWW-Authenticate": challenge})
        digest = (
            reference
            if reference.startswith("sha256:")
            else self.tags.get((request.host, repository, reference))
        )
        if digest is None or (request.host, repository, digest) not in self.images:
            body = {
                "errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest tagged by that is not found"}]
            }
            return reply(body, 404)
        return Response(status=200, headers={"Docker-Content-Digest": digest})


def register(azure: StandIn) -> None:
    """Add it."""
    azure.registries = Registries(azure)
    azure.blobs.add_container(_ACCOUNT, _CONTAINER)
    add = azure.arm.add
    add("GET", _SUBSCRIPTION_ALL, _VERSIONS, _list_all)
    add("GET", _ALL, _VERSIONS, _list_all)
    add("GET", _ONE, _VERSIONS, lambda call: reply(call.get().body()))
    add("POST", _ONE + "/listBuildSourceUploadUrl", _TASK_VERSIONS, _upload_url)
    add("POST", _ONE + "/scheduleRun", _TASK_VERSIONS, _schedule)
    add("GET", _ONE + "/runs", _TASK_VERSIONS, _list_runs)
    add("GET", _ONE + "/runs/{run}", _TASK_VERSIONS, _get_run)
    add("POST", _ONE + "/runs/{run}/listLogSasUrl", _TASK_VERSIONS, _log_url)
    azure.add_host(f"*{SUFFIX}", azure.registries.answer)


def add_registry(azure: StandIn, name: str, group_id: str = "") -> Resource:
    """A registry in the group, or in another one."""
    return azure.resources.put(
        Resource(
            id=f"{group_id or azure.group_id}/providers/{TYPE}/{name}",
            location=azure.location,
            properties={"loginServer": f"{name.lower()}{SUFFIX}", "provisioningState": "Succeeded"},
            rest={"sku": {"name": "Standard", "tier": "Standard"}},
        )
    )


def _list_all(call: Call) -> Response:
    """One page after the other, of one registry each."""
    scope = call.id.partition("/providers/")[0]
    found = call.resources.of_type(TYPE, scope + "/")
    at = int(call.request.query.get("skip", "0"))
    data: dict[str, Any] = {"value": [item.body() for item in found[at : at + 1]]}
    if at + 1 < len(found):
        data["nextLink"] = (
            f"https://management.azure.com{call.id}?api-version={call.request.api_version}&skip={at + 1}"
        )
    return reply(data)


def _registry(call: Call) -> Resource:
    return call.get(
        call.id[: call.id.lower().index("/registries/")] + f"/registries/{call.params['registry']}"
    )


def _upload_url(call: Call) -> Response:
    _registry(call)
    name = f"source/{uuid.uuid4().hex}.tar.gz"
    blobs = call.azure.blobs
    url = f"{blobs.url(_ACCOUNT, _CONTAINER, name)}?{blobs.sign(_ACCOUNT, _CONTAINER, name)}"
    return reply({"uploadUrl": url, "relativePath": name})


def _schedule(call: Call) -> Response:
    registry = _registry(call)
    return reply(_run_body(registry, call.azure.registries.schedule(registry, call.json())))


def _run_body(registry: Resource, run: Run) -> dict[str, Any]:
    done = {"Queued": "Creating", "Running": "Updating"}.get(run.status, run.status)
    properties: dict[str, Any] = {
        "runId": run.name,
        "status": run.status,
        "provisioningState": done,
        "runType": "QuickBuild",
    }
    if run.error:
        properties["runErrorMessage"] = run.error
    if run.image is not None:
        repository, _, tag = run.image_name.partition(":")
        server = registry.properties["loginServer"]
        image = {"registry": server, "repository": repository, "tag": tag, "digest": run.image.digest}
        properties["outputImages"] = [image]
    return {"id": run.id, "name": run.name, "type": f"{TYPE}/runs", "properties": properties}


def _list_runs(call: Call) -> Response:
    registry = _registry(call)
    runs = [*reversed(call.azure.registries.runs.get(registry.id.lower(), []))]
    at = int(call.request.query.get("skip", "0"))
    data: dict[str, Any] = {"value": [_run_body(registry, run) for run in runs[at : at + _PAGE]]}
    if at + _PAGE < len(runs):
        link = (
            f"https://management.azure.com{call.id}?api-version={call.request.api_version}&skip={at + _PAGE}"
        )
        data["nextLink"] = link
    return reply(data)


def _find_run(call: Call) -> tuple[Resource, Run]:
    registry = _registry(call)
    for run in call.azure.registries.runs.get(registry.id.lower(), []):
        if run.name == call.params["run"]:
            return registry, run
    raise Refusal(404, "RunNotFound", f"The run '{call.params['run']}' was not found.")


def _get_run(call: Call) -> Response:
    registry, run = _find_run(call)
    if call.fault is not None and call.fault.fail_operation:
        run.status, run.error = "Failed", call.fault.message or call.fault.fail_operation
        run.log.append(run.error)
    call.azure.registries.step(registry, run)
    return reply(_run_body(registry, run))


def _log_url(call: Call) -> Response:
    _, run = _find_run(call)
    name, blobs = f"logs/{run.name}.log", call.azure.blobs
    blobs.write(_ACCOUNT, _CONTAINER, name, "\n".join([*run.log, ""]).encode(), "text/plain")
    return reply(
        {"logLink": f"{blobs.url(_ACCOUNT, _CONTAINER, name)}?{blobs.sign(_ACCOUNT, _CONTAINER, name)}"}
    )
