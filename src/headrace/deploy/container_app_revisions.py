"""Revisions of an app: made once, waited for, labelled when they are healthy, stopped when nobody needs them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import httpx2
from azure.core.exceptions import AzureError

from headrace.deploy.container_app_client import AppClient
from headrace.deploy.container_app_failures import revision_failure
from headrace.deploy.container_app_state import (
    Share,
    health,
    ingress,
    is_final_failure,
    is_unmoved,
    named_shares,
    properties,
    relabelled,
    shares,
    tried_beside,
    variables,
)
from headrace.deploy.container_app_template import (
    LATEST,
    SPEC_VARIABLE,
    RevisionWish,
    Wire,
    is_attempt,
    make_ingress,
    next_suffix,
    revision_name,
    startup_limit_s,
)
from headrace.domain.deployment import Deployment, Endpoint
from headrace.errors import RemoteRequestError

_N_LOG_LINES = 20
_LOG_TIMEOUT_S = 30.0
_NOT_FOUND = 404
_BUSY = (429, 502, 503, 504)
_MOST_LOST = 4
_BAD = {"stopped": "somebody has stopped it", "failed": "it does not answer its probes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRevision:
    """What is needed where a revision is not there yet.

    Attributes:
        template: Of its suffix.
        make: Makes the app with a template.
        change: Changes an app that is there, with a template and the traffic that is to hold meanwhile.
    """

    template: Callable[[str], Wire]
    make: Callable[[Wire], object]
    change: Callable[[Wire, Wire, Sequence[Wire]], object]


class Revisions:
    """The revisions of one app.

    Args:
        client: Of the app.
        endpoint: What is wished for.
    """

    def __init__(self, client: AppClient, endpoint: Endpoint) -> None:
        self._client = client
        self._endpoint = endpoint

    def bring(self, wish: RevisionWish, new: NewRevision, *, takes_over: bool) -> None:
        """Make a revision unless it is there, wait until it is healthy, and let its label point to it.

        Args:
            wish: What it is to be.
            new: What it is made with.
            takes_over: Whether it also takes over the share of the requests, because what it serves has answered.

        Raises:
            RemoteRequestError: X277 or X278, it does not become healthy.
        """
        app = self._client.wait_idle()
        there = self._client.list_revisions() if app is not None else []
        found = self._usable(wish, there)
        if found is not None:
            name = str(found["name"])
            if properties(found).get("active") is False:
                self._client.activate(name)
        else:
            taken = [str(item.get("name")) for item in there]
            suffix = next_suffix(wish.suffix, wish.app, taken)
            name = revision_name(wish.app, suffix)
            template = new.template(suffix)
            if app is None or not there:  # an app of which nothing came to be is made again
                new.make(template)
            else:
                new.change(template, app, self._traffic_meanwhile(app, wish.deployment.name))
        self.wait_healthy(name, wish.deployment)
        self.label(name, wish.deployment.name, takes_over=takes_over)
        self.stop_unneeded()

    def is_there(self, wish: RevisionWish) -> bool:
        """Whether a revision of a wish is there that has not failed."""
        return self._usable(wish, self._client.list_revisions()) is not None

    def _usable(self, wish: RevisionWish, there: Sequence[Wire]) -> Wire | None:
        """The latest revision of the wish that has not failed."""
        found = [
            item
            for item in there
            if is_attempt(str(item.get("name")), wish.app, wish.suffix) and health(item) != "failed"
        ]
        usable = [item for item in found if not is_final_failure(item)]
        return max(usable, key=lambda item: (len(str(item["name"])), str(item["name"])), default=None)

    def _traffic_meanwhile(self, app: Wire, label: str) -> list[Wire]:
        """The traffic while a new revision starts: as it is, with names in place of "the latest".

        Where nobody has moved it yet and it went to an attempt at the same thing, it goes to the next one.
        """
        entries = shares(app)
        is_alone = is_unmoved(app) and all(item.label in ("", label) for item in entries if item.percent)
        if not entries or is_alone:
            return [*(item.to_wire() for item in entries if item.label and item.label != label), LATEST]
        return [item.to_wire() for item in entries]

    def wait_healthy(self, name: str, deployment: Deployment) -> None:
        """Wait until a revision is healthy.

        Raises:
            RemoteRequestError: X277 or X278, with the last lines of its log.
        """
        patience = self._client.patience
        revision, bad_since = None, None
        for _ in patience.looks(startup_limit_s(deployment) + patience.image_s):
            revision = self._client.find_revision(name)
            state = health(revision) if revision is not None else "unknown"
            if state == "healthy":
                return
            if revision is not None and is_final_failure(revision):
                raise self._failure(name, deployment, revision, "it has failed")
            # Also one that was just started again may be called stopped: reads may lag behind.
            bad_since = (bad_since or time.monotonic()) if state in _BAD else None
            if bad_since is not None and time.monotonic() - bad_since >= patience.unhealthy_s:
                raise self._failure(name, deployment, revision, _BAD[state])
        raise self._failure(name, deployment, revision, "it still starts")

    def _failure(
        self, name: str, deployment: Deployment, revision: Wire | None, why: str
    ) -> RemoteRequestError:
        try:
            lines = [*self.read_logs(name, _N_LOG_LINES)]
        except (AzureError, httpx2.HTTPError):
            lines = []
        return revision_failure(self._endpoint, deployment, revision, lines, why)

    def label(self, name: str, label: str, *, takes_over: bool) -> None:
        """Let a label point to a revision, with the share of the traffic that it has or without."""
        app = self._client.wait_idle()
        if app is None:
            return
        if any(item.label == label and item.revision.lower() == name.lower() for item in shares(app)):
            return
        entries = named_shares(app, self._client.list_revisions())
        change = relabelled if takes_over else tried_beside
        self.write_traffic(app, change(entries, label, name))
        self._wait_reachable(app, label)

    def _wait_reachable(self, app: Wire, label: str) -> None:
        """Wait until the ingress knows a new label, which it answers with 404 before; not where we cannot get there."""
        host, _, domain = str(ingress(app).get("fqdn") or "").partition(".")
        if not domain:
            return
        with httpx2.Client(timeout=_LOG_TIMEOUT_S) as http:
            for _ in self._client.patience.looks(self._client.patience.ingress_s):
                try:
                    if http.get(f"https://{host}---{label}.{domain}/healthz").status_code != _NOT_FOUND:
                        return
                except httpx2.HTTPError:
                    return

    def write_traffic(
        self, app: Wire, entries: Sequence[Share], tags: Mapping[str, str] | None = None
    ) -> None:
        """Change labels and weights in one request."""
        wires = [item.to_wire() for item in entries]
        there = ingress(app)
        is_public = bool(there.get("external")) if there else self._endpoint.is_public
        body: Wire = {
            "properties": {
                "configuration": {
                    "activeRevisionsMode": "Multiple",
                    "ingress": make_ingress(there, is_public=is_public, traffic=wires),
                }
            }
        }
        if tags is not None:
            body["tags"] = dict(tags)
        self._client.patch(body)

    def stop_unneeded(self) -> None:
        """Stop revisions of ours that have neither traffic nor a label; Azure keeps listing the last hundred."""
        app = self._client.wait_idle()
        if app is None:
            return
        needed = {item.revision.lower() for item in shares(app) if item.label or item.percent}
        for revision in self._client.list_revisions():
            name = str(revision.get("name", ""))
            is_running = properties(revision).get("active") is not False
            if is_running and name.lower() not in needed and SPEC_VARIABLE in variables(revision):
                self._client.deactivate(name)

    def read_logs(self, name: str, n_lines: int) -> Iterator[str]:
        """The last lines of every copy of a revision.

        Raises:
            AzureError, httpx2.HTTPError: They cannot be read.
        """
        replicas = self._client.list_replicas(name)
        if not replicas:
            return
        headers = {"Authorization": f"Bearer {self._client.log_token()}"}
        parameters = {"follow": "false", "output": "text", "tailLines": str(n_lines)}
        with httpx2.Client(timeout=_LOG_TIMEOUT_S) as http:
            for replica in replicas:
                prefix = f"{replica.get('name')}: " if len(replicas) > 1 else ""
                for container in properties(replica).get("containers") or ():
                    address = container.get("logStreamEndpoint")
                    if not address:
                        continue
                    response = self._asked_again(
                        partial(http.get, str(address), params=parameters, headers=headers)
                    )
                    for line in response.text.splitlines()[-n_lines:]:
                        yield f"{prefix}{line}"

    def _asked_again(self, ask: Callable[[], httpx2.Response]) -> httpx2.Response:
        """An answer, asked for again while the service is busy or a connection breaks, as the package does.

        Raises:
            httpx2.HTTPError: It was refused, or is busy for too long, or nobody was reached several times.
        """
        n_lost = 0
        for passed_s in self._client.patience.looks(_LOG_TIMEOUT_S):
            try:
                response = ask()
            except httpx2.TransportError:
                n_lost += 1
                if n_lost == _MOST_LOST or passed_s >= _LOG_TIMEOUT_S:
                    raise
                continue
            if response.status_code not in _BUSY or passed_s >= _LOG_TIMEOUT_S:
                return response.raise_for_status()
        raise AssertionError  # the last look returns or raises
