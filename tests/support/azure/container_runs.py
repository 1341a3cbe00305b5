"""Apps that run: revisions with their processes and health, and the ingress that shares requests among them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.support.azure.forwarding import forward
from tests.support.azure.images import Container
from tests.support.azure.messages import Refusal, Request, Response
from tests.support.azure.resources import Resource

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

_START_LIMIT_S = 30.0
_LOOK_EVERY_S = 0.05
_MOST_STARTS = 2


@dataclass(kw_only=True)
class Revision:
    """One revision.

    Attributes:
        template: As it was sent; never changes.
        is_active: Whether it may run.
        container: Its copy; ``None`` where it has none at the moment.
        failure: Why it cannot run at all.
        was_healthy: Whether it ever was.
        n_starts: How often a copy was started since it was last healthy.
        is_ill: A test says that its probes fail.
    """

    name: str
    template: dict[str, Any]
    created: datetime
    is_active: bool = True
    container: Container | None = None
    failure: str = ""
    was_healthy: bool = False
    n_starts: int = 0
    is_ill: bool = False
    replica: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def least(self) -> int:
        return (self.template.get("scale") or {}).get("minReplicas") or 0

    def probe_path(self, kind: str) -> str:
        for probe in self.template["containers"][0].get("probes") or ():
            if probe["type"] == kind:
                return str(probe["httpGet"].get("path", "/"))
        return "/"


@dataclass(kw_only=True)
class App:
    """One app.

    Attributes:
        resource: As the resource manager knows it; secrets with their values are in ``hidden``.
        credit: Of each revision, for sharing requests evenly.
    """

    resource: Resource
    revisions: dict[str, Revision] = field(default_factory=dict)
    credit: dict[str, float] = field(default_factory=dict)
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def name(self) -> str:
        return self.resource.name

    @property
    def configuration(self) -> dict[str, Any]:
        return self.resource.properties["configuration"]  # type: ignore[no-any-return]

    @property
    def traffic(self) -> list[dict[str, Any]]:
        """The weights, with names in place of "the latest"."""
        ingress = self.configuration.get("ingress") or {}
        given = ingress.get("traffic") or [{"latestRevision": True, "weight": 100}]
        latest = self.resource.properties.get("latestReadyRevisionName") or self.resource.properties.get(
            "latestRevisionName"
        )
        return [{**item, "revisionName": item.get("revisionName") or latest} for item in given]

    def weight(self, revision: str) -> int:
        return sum(item.get("weight") or 0 for item in self.traffic if _same(item["revisionName"], revision))


def _same(one: Any, other: str) -> bool:
    return str(one).lower() == other.lower()


class Apps:
    """All apps, and the processes behind them.

    Attributes:
        by_id: Apps by their ids in small letters.
        is_inside: Whether requests come from inside of the environments.
        statuses: What changes are answered with; 0 for 201 or 200.
        are_ill: The probes of all new revisions fail.
        is_pretending: Nothing runs, and every revision whose image is there is healthy: for tests of requests alone.
    """

    def __init__(self, azure: StandIn) -> None:
        self._azure = azure
        self._lock = threading.RLock()
        self.by_id: dict[str, App] = {}
        self.is_inside = False
        self.is_pretending = False
        self.are_ill = False
        self.statuses = {"PUT": 0, "PATCH": 202}

    def find(self, name: str) -> App:
        """The app of a name."""
        return next(app for app in self.by_id.values() if app.name == name)

    def key(self, name: str) -> str:
        """The key that headrace made for the callers of an app."""
        secrets = self.find(name).resource.hidden["secrets"]
        return next(str(item["value"]) for item in secrets if item["name"] == "headrace-serve-key")

    def close(self) -> None:
        """End all processes."""
        for app in self.by_id.values():
            for revision in app.revisions.values():
                self.stop(revision)

    def idle(self, name: str) -> None:
        """Nobody has asked for a while: revisions that may have no copy have none."""
        for revision in self.find(name).revisions.values():
            if revision.least == 0:
                self.stop(revision)

    def stop(self, revision: Revision) -> None:
        """End the copy of a revision."""
        with revision.lock:
            if revision.container is not None:
                revision.container.stop()
                revision.container = None

    def look(self, app: App, revision: Revision) -> dict[str, Any]:
        """What a revision is like now; a copy that is missing is started."""
        with revision.lock:
            state = self._state(app, revision)
        if state["healthState"] == "Healthy" and not revision.was_healthy:
            revision.was_healthy = True
            app.resource.properties["latestReadyRevisionName"] = revision.name
        return state

    def _state(self, app: App, revision: Revision) -> dict[str, Any]:
        if revision.failure:
            return _said("Failed", "Failed", "None", provisioningError=revision.failure)
        if not revision.is_active:
            return _said("Deprovisioned", "Stopped", "None")
        if self.is_pretending:
            bad = revision.is_ill or (self.are_ill and not revision.was_healthy)
            return _said(
                "Provisioned", "Degraded" if bad else "Running", "Unhealthy" if bad else "Healthy", replicas=1
            )
        needs_copy = revision.least > 0 or not revision.was_healthy
        if revision.container is None and not needs_copy:
            return _said("Provisioned", "ScaledToZero", "None")
        if revision.container is None or revision.container.exit_code is not None:
            if revision.n_starts >= _MOST_STARTS:
                code = revision.container.exit_code if revision.container else "?"
                details = (
                    f"Container '{self._container_name(revision)}' was terminated with exit code '{code}'."
                )
                return _said("Provisioned", "Failed", "Unhealthy", replicas=1, runningStateDetails=details)
            self.start(app, revision)
        assert revision.container is not None
        paths = {revision.probe_path(kind) for kind in ("Liveness", "Readiness")}
        if not revision.is_ill and all(revision.container.answers(path) for path in paths):
            revision.n_starts = 0
            return _said("Provisioned", "Running", "Healthy", replicas=1)
        if revision.was_healthy or revision.is_ill:
            return _said("Provisioned", "Degraded", "Unhealthy", replicas=1)
        return _said("Provisioned", "Processing", "None", replicas=1)

    def _container_name(self, revision: Revision) -> str:
        return str(revision.template["containers"][0]["name"])

    def start(self, app: App, revision: Revision) -> None:
        """Start a copy.

        Raises:
            Refusal: Its image is not there, or a secret cannot be read.
        """
        container = revision.template["containers"][0]
        image = self._azure.registries.find_image(container["image"])
        if image is None:
            raise Refusal(
                400, "ImagePullFailure", f"Failed to pull image {container['image']}: MANIFEST_UNKNOWN."
            )
        secrets = {item["name"]: item for item in app.resource.hidden["secrets"]}
        values = {}
        for item in container.get("env") or ():
            values[item["name"]] = (
                self.secret_value(secrets[item["secretRef"]])
                if "secretRef" in item
                else item.get("value") or ""
            )
        log = self._azure.folder / "logs" / f"{revision.name}.log"
        revision.replica = f"{revision.name}-{uuid.uuid4().hex[:10]}"
        if revision.container is not None:  # has ended
            revision.container.stop()
        revision.container = Container(image, values, log)
        revision.n_starts += 1

    def secret_value(self, secret: dict[str, Any]) -> str:
        """What a secret holds; a reference is resolved.

        Raises:
            Refusal: The vault does not say.
        """
        url = secret.get("keyVaultUrl")
        if not url:
            return str(secret["value"])
        host, _, rest = url.removeprefix("https://").partition("/")
        parts = rest.split("/")
        vault = host.partition(".")[0]
        body = self._azure.vaults._body(vault, parts[1], parts[2] if len(parts) > 2 else "")
        return str(body["value"])

    def answer(self, request: Request) -> Response:
        """The hosts of all apps."""
        if ".azurecontainerapps.dev" in request.host:
            return self._stream_log(request)
        app, revision = self._route(request.host)
        if self.is_pretending:
            return Response(status=200, body=revision.name.encode())
        container = self._running(app, revision)
        return forward(
            request, container.url, headers={"x-forwarded-host": request.host, "x-forwarded-proto": "https"}
        )

    def _route(self, host: str) -> tuple[App, Revision]:
        first, _, domain = host.partition(".")
        name, is_labelled, label = first.partition("---")
        suffix = ""
        if not is_labelled:
            name, _, suffix = first.partition("--")
        for app in self.by_id.values():
            fqdn = str((app.configuration.get("ingress") or {}).get("fqdn") or "")
            if app.name != name or fqdn.partition(".")[2] != domain:
                continue
            if ".internal." in f".{domain}" and not self.is_inside:
                break
            if label:
                found = next(
                    (item["revisionName"] for item in app.traffic if item.get("label") == label), None
                )
            else:
                found = f"{name}--{suffix}" if suffix else self._choose(app)
            revision = next((item for key, item in app.revisions.items() if _same(key, str(found))), None)
            if revision is not None and revision.is_active and not revision.failure:
                return app, revision
            break
        message = "The container app you have attempted to reach is unavailable or does not exist."
        raise Refusal(404, "NotFound", f"Error 404 - {message}")

    def _choose(self, app: App) -> str:
        """The next revision by weight: each has its share in any run of a hundred requests."""
        with self._lock:
            weights = {str(item["revisionName"]): 0 for item in app.traffic}
            for item in app.traffic:
                weights[str(item["revisionName"])] += item.get("weight") or 0
            for name, weight in weights.items():
                app.credit[name] = app.credit.get(name, 0) + weight
            chosen = max((name for name in weights if weights[name]), key=lambda name: app.credit[name])
            app.credit[chosen] -= 100
            return chosen

    def _running(self, app: App, revision: Revision) -> Container:
        """The copy of a revision; one is started where there is none, and waited for."""
        end = time.monotonic() + _START_LIMIT_S
        pause = threading.Event()
        while time.monotonic() < end:
            with revision.lock:
                container = revision.container
                if container is None or container.exit_code is not None:
                    if revision.n_starts >= _MOST_STARTS:
                        break
                    self.start(app, revision)
                    container = revision.container
            if container is not None and container.answers(revision.probe_path("Readiness")):
                revision.n_starts = 0
                return container
            pause.wait(_LOOK_EVERY_S)
        raise Refusal(503, "ServiceUnavailable", "upstream connect error or disconnect/reset before headers.")

    def _stream_log(self, request: Request) -> Response:
        parts = request.path.strip("/").split("/")
        fields = dict(zip(parts[::2], parts[1::2], strict=False))
        app = self.find(fields["containerApps"])
        if request.bearer != app.token:
            raise Refusal(401, "Unauthorized", "The log stream needs the token of getAuthToken.")
        revision = app.revisions[fields["revisions"]]
        n_lines = int(request.query.get("taillines", "20"))
        if revision.container is None or not 0 <= n_lines <= 300:
            raise Refusal(404, "ReplicaNotFound", "There is no such replica.")
        text = "".join(f"{line}\n" for line in revision.container.lines(n_lines))
        return Response(status=200, headers={"Content-Type": "text/plain"}, body=_pieces(text))


def _pieces(text: str) -> Iterator[bytes]:
    yield text.encode()


def _said(provisioning: str, running: str, health: str, *, replicas: int = 0, **more: str) -> dict[str, Any]:
    return {
        "provisioningState": provisioning,
        "runningState": running,
        "healthState": health,
        "replicas": replicas,
        **more,
    }


Clock = Callable[[], datetime]


def now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)
