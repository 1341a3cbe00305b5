"""Container Apps through ``azure-mgmt-appcontainers``: one app, its revisions, and waiting for what is under way.

All bodies are plain JSON as :mod:`headrace.deploy.container_app_template` makes it. Requests that were lost are made
again: every one of them does no more when it is made twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.core.polling import LROPoller
from azure.core.rest import HttpRequest
from azure.mgmt.appcontainers import ContainerAppsAPIClient

from headrace import __version__
from headrace.deploy.azure_answers import PlainAnswers, is_lost
from headrace.deploy.container_app_state import ingress, is_busy, properties, word
from headrace.deploy.container_app_template import API_VERSION, Wire
from headrace.deploy.looking import READS_S, looks, seen
from headrace.domain.deployment import AzurePlace
from headrace.errors import Problem, RemoteRequestError, RemoteTimeoutError

_Result = TypeVar("_Result")
_UNDER_WAY = (
    "operationinprogress",
    "conflict",
    "anotheroperation",
    "resourcebusy",
    "revisioninprogress",
    "preempted",
)
_CHANGING, _DELETING = "change", "delete"
_MOST_SENDINGS = 4
_BUSY_S = 60.0
_GONE = (404, 410)
_PASSING, _PASSING_PAUSE_S = (423, 429), 2.0
_IDENTITY_VERSION = "2024-11-30"
_GROUP_VERSION = "2025-04-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited, seconds.

    Attributes:
        operation_s: For one operation on the app.
        image_s: For an image to be there on the machine that runs it, beside what probes allow.
        unhealthy_s: For a copy that does not answer its probes to come back.
        ingress_s: For the ingress to know a label.
        reads_s: For reads of the app to show what was written to it.
        first_look_s: Between the first two looks at what is waited for; each next pause is twice as long.
        longest_look_s: Between later ones.
    """

    operation_s: float = 900.0
    image_s: float = 600.0
    unhealthy_s: float = 30.0
    ingress_s: float = 60.0
    reads_s: float = READS_S
    first_look_s: float = 0.2
    longest_look_s: float = 5.0

    def looks(self, limit_s: float) -> Iterator[float]:
        """As :func:`headrace.deploy.looking.looks`, with these pauses."""
        return looks(limit_s, self.first_look_s, self.longest_look_s)


class AppClient:
    """One app.

    Args:
        credential: Of ``azure-identity``.
        place: Where it is.
        name: Of the app.
        tell: Takes lines about what is being waited for.
        patience: How long is waited.
    """

    def __init__(
        self, credential: Any, place: AzurePlace, name: str, tell: Callable[[str], None], patience: Patience
    ) -> None:
        self._client = ContainerAppsAPIClient(
            credential,
            place.subscription,
            api_version=API_VERSION,
            user_agent=f"headrace/{__version__}",
            polling_interval=5,
            per_call_policies=[PlainAnswers()],
        )
        self._subscription = place.subscription
        self._group = place.resource_group
        self.name = name
        self._tell = tell
        self.patience = patience

    def close(self) -> None:
        """Give back connections."""
        self._client.close()

    def find(self) -> Wire | None:
        """The app; ``None`` where there is none, which is asked twice: planning past an app that is there does harm."""
        for _ in range(2):
            try:
                return self._client.container_apps.get(self._group, self.name).as_dict()
            except ResourceNotFoundError as error:
                if error_code(error) in ("resourcegroupnotfound", "subscriptionnotfound"):
                    raise
        return None

    def find_environment(self, place: AzurePlace) -> Wire:
        """The managed environment that apps live in, which may belong to another resource group."""
        group, _, name = place.environment.rpartition("/")
        parts = group.split("/")
        lower = [part.lower() for part in parts]
        at = lower.index("resourcegroups") + 1 if "resourcegroups" in lower else None
        own_group = parts[at] if at is not None else self._group
        return self._client.managed_environments.get(own_group, name).as_dict()

    def list_environments(self) -> list[str] | None:
        """Names of the environments of the resource group; ``None`` where nobody tells."""
        try:
            pages = self._client.managed_environments.list_by_resource_group(self._group)
            return sorted(str(item.name) for item in pages)
        except HttpResponseError:
            return None

    def find_group(self) -> Wire | None:
        """The resource group; ``None`` where it cannot be read."""
        group = f"/subscriptions/{self._subscription}/resourceGroups/{self._group}"
        return self.find_resource(group, _GROUP_VERSION)

    def list_revisions(self) -> list[Wire]:
        """All revisions, also those that do not run."""
        try:
            pages = self._client.container_apps_revisions.list_revisions(self._group, self.name)
            return [item.as_dict() for item in pages]
        except ResourceNotFoundError:
            return []

    def find_revision(self, name: str) -> Wire | None:
        """One revision; ``None`` where there is none yet."""
        try:
            return self._client.container_apps_revisions.get_revision(self._group, self.name, name).as_dict()
        except ResourceNotFoundError:
            return None

    def list_secrets(self) -> list[Wire]:
        """The secrets of the app with their values."""
        found = asked_again(
            lambda: self._client.container_apps.list_secrets(self._group, self.name), self.patience
        )
        return [dict(item) for item in found.as_dict().get("value") or ()]

    def list_replicas(self, revision: str) -> list[Wire]:
        """The copies of a revision that run."""
        found = self._client.container_apps_revision_replicas.list_replicas(self._group, self.name, revision)
        return [dict(item) for item in found.as_dict().get("value") or ()]

    def log_token(self) -> str:
        """What opens the streams of logs."""
        found = asked_again(
            lambda: self._client.container_apps.get_auth_token(self._group, self.name), self.patience
        )
        return str(properties(found.as_dict()).get("token") or "")

    def find_resource(
        self, resource_id: str, api_version: str = _IDENTITY_VERSION, **query: str
    ) -> Wire | None:
        """Any other resource, or what stands below it; ``None`` where it cannot be read."""
        request = HttpRequest("GET", resource_id, params={"api-version": api_version, **query})
        response = self._client.send_request(request)
        if response.status_code != 200:
            return None
        found: Wire = response.json()
        return found

    def put(self, body: Wire) -> Wire:
        """Make the app."""
        apps: Any = self._client.container_apps
        return self._change(lambda: apps.begin_create_or_update(self._group, self.name, body), body)

    def patch(self, body: Wire) -> Wire:
        """Change what ``body`` names, as a JSON merge patch."""
        apps: Any = self._client.container_apps
        return self._change(lambda: apps.begin_update(self._group, self.name, body), body)

    def activate(self, revision: str) -> None:
        """Let a revision run again."""
        revisions = self._client.container_apps_revisions
        self._send(lambda: revisions.activate_revision(self._group, self.name, revision))

    def deactivate(self, revision: str) -> None:
        """Stop a revision, which stays listed."""
        revisions = self._client.container_apps_revisions
        self._send(lambda: revisions.deactivate_revision(self._group, self.name, revision))

    def delete(self) -> None:
        """Remove the app with all revisions."""
        try:
            self._finish(self._send(lambda: self._client.container_apps.begin_delete(self._group, self.name)))
        except ResourceNotFoundError:
            return
        for _ in self.patience.looks(self.patience.operation_s):
            if self.find() is None:
                return
        raise self._too_long(_DELETING)

    def wait_idle(self) -> Wire | None:
        """Wait until nothing is under way on the app, and return it.

        Raises:
            RemoteTimeoutError: X279, it takes too long.
        """
        told = False
        for _ in self.patience.looks(self.patience.operation_s):
            app = self.find()
            if app is None or not is_busy(app):
                return app
            if not told:
                self._tell(f"An operation on the app {self.name} is under way; waiting for it.")
                told = True
        raise self._too_long()

    def _change(self, begin: Callable[[], LROPoller[Any]], body: Wire) -> Wire:
        """Send a change when nothing else is under way, wait for its end, and return the app."""
        suffix = _suffix(body)

        def is_there(app: Wire | None) -> bool:
            return bool(suffix) and app is not None and _suffix(app) == suffix

        self._finish(self._send(begin, is_there))
        changed = self._seen(body)
        if changed is None or word(properties(changed).get("provisioningState")) in ("failed", "canceled"):
            what = f"Container Apps did not make a change of the app {self.name}, and do not say why."
            fix = "Apply again; the activity log of the app in the portal says more."
            raise RemoteRequestError(Problem(code="X279", what=what, fix=fix))
        return changed

    def _seen(self, body: Wire) -> Wire | None:
        """The app once reads show what was sent, which may lag behind; what they show where that does not come."""
        times = self.patience.looks(self.patience.reads_s)
        return seen(self.wait_idle, lambda app: app is not None and _shows(app, body), times)

    def _send(
        self, send: Callable[[], _Result], is_there: Callable[[Wire | None], bool] = lambda _: False
    ) -> _Result | None:
        """Send when nothing is under way; where somebody else was quicker or the connection broke, again.

        Args:
            send: Makes the request.
            is_there: Whether an app shows that it was made, although its answer was lost.

        Returns:
            What it gave; nothing where the answer was lost, or means no more than "accepted".
        """
        for number in range(_MOST_SENDINGS):
            app = self.wait_idle()
            if number and is_there(app):
                return None
            try:
                return send()
            except AzureError as error:
                if is_accepted(error):
                    return None
                if not (is_lost(error) or _passes(error)) or number + 1 == _MOST_SENDINGS:
                    raise
                if not is_lost(error):
                    time.sleep(_PASSING_PAUSE_S * 2**number)
        return None  # not reached: the last turn returns or raises

    def _finish(self, poller: LROPoller[Any] | None) -> None:
        """Wait for the end of an operation, or until sight of it is lost: whoever looks at the app then sees more.

        Raises:
            HttpResponseError: It failed.
            RemoteTimeoutError: X279, it takes too long.
        """
        if poller is None:
            return
        try:
            poller.wait(self.patience.operation_s)
            if not poller.done():
                raise self._too_long()
            poller.result()
        except HttpResponseError as error:
            # Its address is not known yet, or reads of the app lag behind.
            if error.status_code not in _GONE:
                raise

    def _too_long(self, word_for: str = _CHANGING) -> RemoteTimeoutError:
        minutes = self.patience.operation_s / 60
        return RemoteTimeoutError(
            Problem(
                code="X279",
                what=f"The operation to {word_for} the app {self.name} has not ended within {minutes:g} minutes. "
                "It goes on in Azure.",
                fix="Apply again later: what is done is found, and the rest is made.",
            )
        )


def _shows(app: Wire, body: Wire) -> bool:
    """Whether an app shows the revision and the traffic that were sent."""
    suffix, traffic = _suffix(body), (ingress(body).get("traffic") or ())
    is_made = not suffix or _suffix(app) == suffix
    return is_made and set(_weights(traffic)) <= set(_weights(ingress(app).get("traffic") or ()))


def _weights(traffic: Iterable[Wire]) -> Iterator[tuple[str, int, str]]:
    """Who has which share and label; "the latest" may be shown by its name."""
    for item in traffic:
        name, percent, label = (
            item.get("revisionName") or "",
            item.get("weight") or 0,
            item.get("label") or "",
        )
        if name and (percent or label):
            yield str(name).lower(), int(percent), str(label)


def _suffix(app: Wire) -> str:
    return str((properties(app).get("template") or {}).get("revisionSuffix") or "")


def is_accepted(error: AzureError) -> bool:
    """Whether an answer means that all is well, with another status than the package waits for."""
    is_said = isinstance(error, HttpResponseError) and error.status_code in (200, 201, 202, 204)
    return is_said and not is_lost(error) and not error_code(error)


def error_code(error: AzureError) -> str:
    """Azure's word for what went wrong, in small letters; empty where it says none."""
    said = error.error if isinstance(error, HttpResponseError) else None
    return word(said.code) if said is not None else ""


def _is_under_way(error: HttpResponseError) -> bool:
    """Whether a change was refused because another one is being made."""
    code = error_code(error)
    return error.status_code == 409 and (not code or any(part in code for part in _UNDER_WAY))


def _passes(error: AzureError) -> bool:
    """Whether a refusal passes by itself."""
    if not isinstance(error, HttpResponseError):
        return False
    return error.status_code in _PASSING or _is_under_way(error)


def asked_again(ask: Callable[[], _Result], patience: Patience) -> _Result:
    """Ask with POST, which the package does not do again by itself when the connection breaks.

    Args:
        ask: Asks; asked again it does no more.
        patience: How long is waited where something else is under way.

    Raises:
        AzureError: It was refused, or nobody was reached several times.
    """
    n_lost = 0
    for passed_s in patience.looks(_BUSY_S):
        try:
            return ask()
        except AzureError as error:
            n_lost += is_lost(error)
            if n_lost == _MOST_SENDINGS or passed_s >= _BUSY_S or not (is_lost(error) or _passes(error)):
                raise
    raise AssertionError  # the last look returns or raises
