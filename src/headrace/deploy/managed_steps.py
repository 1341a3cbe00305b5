"""The steps of a plan at Azure Machine Learning.

Every step looks at what is there before it changes anything: it waits for what is under way, does nothing that is done
already, and goes on where an earlier one was cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from azure.ai.ml.entities import ManagedOnlineEndpoint, OnlineDeployment, OnlineEndpoint
from azure.core.exceptions import HttpResponseError

from headrace.deploy.base import TargetSetup, wished
from headrace.deploy.managed_assets import AssetMaker, SecretConnections
from headrace.deploy.managed_clients import ManagedClients
from headrace.deploy.managed_parts import (
    BUSY,
    CANCELED,
    FAILED,
    SUCCEEDED,
    has_same_identities,
    has_same_traffic,
    is_sent_already,
    make_deployment,
    make_endpoint,
    needs_stores,
    positive,
    same_endpoint,
    state_word,
    variables_of,
    with_stores,
)
from headrace.deploy.managed_scale import is_fixed, make_setting, setting_name
from headrace.deploy.managed_waiting import MOST_CONFLICTS, OTHERS, Waiting, Waits
from headrace.deploy.plan import traffic_drifted
from headrace.domain.deployment import SPEC_TAG, Change, Deployment, Endpoint
from headrace.errors import Problem, StateError
from headrace.source import Span

LOG_LINES = 40
"""Last lines of a container that an error holds."""

_UNSETTLED = (*OTHERS, 404, 410, 412)
"""Something else is under way; or what was to be deleted, or the status of the operation, is gone; or somebody has
changed it since."""


class ManagedSteps:
    """Makes the steps of a plan.

    Args:
        clients: To ask Azure with.
        setup: What the target was opened with.
        waiting: Waits for operations.
        waits: How long they may take.
    """

    def __init__(self, clients: ManagedClients, setup: TargetSetup, waiting: Waiting, waits: Waits) -> None:
        self._clients = clients
        self._setup = setup
        self._waiting = waiting
        self._waits = waits
        self._assets = AssetMaker(clients.ml, clients.name, setup, waiting)
        self._secrets = SecretConnections(clients.ml, clients.name, setup.settings.environment)

    def make(self, change: Change, endpoint: Endpoint) -> None:
        """Make one step, and return when it is done."""
        steps: Mapping[str, Callable[[Change, Endpoint], None]] = {
            "wait": self._wait,
            "create endpoint": self._put_endpoint,
            "update endpoint": self._put_endpoint,
            "prepare": self._prepare,
            "create deployment": self._put_deployment,
            "update deployment": self._put_deployment,
            "note": self._note,
            "set mirror": self._set_mirror,
            "move traffic": self._move_traffic,
            "set scale": self._set_scale,
            "delete deployment": self._delete_deployment,
            "delete endpoint": self._delete_endpoint,
        }
        steps[change.action](change, endpoint)

    # The endpoint

    def _wait(self, change: Change, endpoint: Endpoint) -> None:
        if change.deployment:
            self._quiet_deployment(change.deployment)
        else:
            self._quiet_endpoint()

    def _quiet_endpoint(self) -> OnlineEndpoint | None:
        """The endpoint once nothing is under way on it; ``None`` where there is none."""
        what = f"Waiting for endpoint {self._clients.name}"
        found: list[OnlineEndpoint | None] = []

        def read() -> str:
            found[:] = [self._clients.find_endpoint()]
            return state_word(found[0])

        self._waiting.until_quiet(read, what, self._waits.endpoint)
        return found[0]

    def _all_quiet(self) -> OnlineEndpoint | None:
        """The same once nothing is under way on its deployments either."""
        found: list[OnlineEndpoint | None] = []

        def read() -> str:
            found[:] = [self._clients.find_endpoint()]
            if found[0] is None or state_word(found[0]) in BUSY:
                return state_word(found[0])
            words = [state_word(item) for item in self._clients.list_deployments()]
            return next((word for word in words if word in BUSY), "")

        what = f"Waiting for endpoint {self._clients.name} and its deployments"
        self._waiting.until_quiet(read, what, self._waits.deployment)
        return found[0]

    def _quiet_deployment(self, name: str) -> OnlineDeployment | None:
        """A deployment once nothing is under way on it; ``None`` where there is none."""
        found: list[OnlineDeployment | None] = []

        def read() -> str:
            found[:] = [self._clients.find_deployment(name)]
            return state_word(found[0])

        self._waiting.until_quiet(read, f"Waiting for deployment {name}", self._waits.deployment)
        return found[0]

    def _put_endpoint(self, change: Change, endpoint: Endpoint) -> None:
        current = self._quiet_endpoint()
        if current is not None and not has_same_identities(current, endpoint):
            what = f"The identities of {endpoint.name} differ, and Azure never changes those of an endpoint."
            fix = "Give the file another name, or destroy the endpoint first: headrace deploy destroy"
            span = endpoint.span("identities")
            raise StateError(Problem(code="X253", what=what, span=span, pointer=("identities",), fix=fix))
        self._send_endpoint(
            f"Endpoint {endpoint.name}", lambda there: make_endpoint(endpoint, there, change.tags), current
        )

    def _send_endpoint(
        self,
        what: str,
        make: Callable[[OnlineEndpoint | None], ManagedOnlineEndpoint],
        current: OnlineEndpoint | None,
    ) -> None:
        """Send the endpoint that ``make`` makes of the one that is there, unless nothing of it is new."""
        made = make(current)
        if current is not None and is_sent_already(current, made):
            return

        def begin() -> Any:
            return self._clients.ml.online_endpoints.begin_create_or_update(made)

        def settle() -> bool:
            nonlocal made
            there = self._all_quiet()
            made = make(there)
            return there is not None and is_sent_already(there, made)

        def is_shown() -> bool:
            there = self._clients.find_endpoint()
            return there is not None and has_same_traffic(there, made)

        self._see_through(begin, settle, what, self._waits.endpoint)
        self._waiting.until_shown(is_shown)

    def _see_through(
        self,
        begin: Callable[[], Any],
        settle: Callable[[], bool],
        what: str,
        limit_s: float,
        span: Span | None = None,
    ) -> None:
        """Begin an operation and wait for its end, in spite of others.

        Args:
            begin: Begins it.
            settle: Where something else was under way, or sight of the operation was lost: waits until nothing is
                under way, and says whether what was wanted is there.
            what: What is done, for people.
            limit_s: How long it may take.
            span: What the file says of it.
        """
        for attempt in range(MOST_CONFLICTS):
            try:
                self._waiting.finish(begin(), what, limit_s, span)
                return
            except HttpResponseError as error:
                if error.status_code not in _UNSETTLED:
                    raise
                self._waiting.after_conflict(attempt)
                if settle():
                    return
                if attempt == MOST_CONFLICTS - 1:
                    raise

    def _move_traffic(self, change: Change, endpoint: Endpoint) -> None:
        shares = change.shares

        def make(current: OnlineEndpoint | None) -> ManagedOnlineEndpoint:
            there = self._present(current)
            now = positive(there.traffic)
            if now not in (shares, positive(change.shares_before)):
                raise traffic_drifted(endpoint.name, change.shares_before, now)
            # Nobody has requests of his own and copies of others' at once.
            mirror = {
                name: share for name, share in positive(there.mirror_traffic).items() if name not in shares
            }
            return same_endpoint(there, shares, mirror, self._noted(there, shares, change))

        self._send_endpoint(change.what, make, self._quiet_endpoint())

    def _noted(self, current: OnlineEndpoint, shares: Mapping[str, int], change: Change) -> Mapping[str, str]:
        """The tags of a move; those that are there where it is made already, so that they still say what was before."""
        return {} if positive(current.traffic) == shares else change.tags

    def _note(self, change: Change, endpoint: Endpoint) -> None:
        def make(current: OnlineEndpoint | None) -> ManagedOnlineEndpoint:
            there = self._present(current)
            return same_endpoint(there, positive(there.traffic), positive(there.mirror_traffic), change.tags)

        self._send_endpoint(change.what, make, self._quiet_endpoint())

    def _set_mirror(self, change: Change, endpoint: Endpoint) -> None:
        def make(current: OnlineEndpoint | None) -> ManagedOnlineEndpoint:
            there = self._present(current)
            return same_endpoint(there, positive(there.traffic), change.shares, change.tags)

        self._send_endpoint(change.what, make, self._quiet_endpoint())

    def _present(self, current: OnlineEndpoint | None) -> OnlineEndpoint:
        if current is None:
            what = f"The endpoint {self._clients.name} has been deleted since the plan was made."
            raise StateError(Problem(code="X254", what=what, fix="Give the same command again."))
        return current

    def _delete_endpoint(self, change: Change, endpoint: Endpoint) -> None:
        current = self._quiet_endpoint()
        if current is not None:
            for deployment in self._clients.list_deployments():
                self._delete_beside(deployment)
            self._see_through(
                lambda: self._clients.ml.online_endpoints.begin_delete(self._clients.name),
                lambda: self._all_quiet() is None,
                f"Deleting endpoint {self._clients.name}",
                self._waits.deletion,
            )

    # Deployments

    def _prepare(self, change: Change, endpoint: Endpoint) -> None:
        deployment = wished(change, endpoint)
        self._assets.make(deployment, endpoint.span(*deployment.pointer))

    def _put_deployment(self, change: Change, endpoint: Endpoint) -> None:
        deployment = wished(change, endpoint)
        name, span = deployment.name, endpoint.span(*deployment.pointer)
        current = self._quiet_deployment(name)
        if _is_made(current, change):
            return
        if state_word(current) in (FAILED, CANCELED) and not self._has_requests(name):
            self._setup.tell(f"deleting the failed deployment {name}")
            self._remove_deployment(name)
            current = None
        self._let_into_stores(deployment)
        assets = self._assets.make(deployment, span)
        secrets = self._waiting.beside_others(lambda _: self._secrets.make(deployment))
        variables = variables_of(deployment, secrets)
        copies = _copies(deployment, current)
        self._send_deployment(
            name,
            lambda: make_deployment(
                endpoint,
                deployment,
                tags=change.tags,
                model=assets.model,
                environment=assets.environment,
                variables=variables,
                copies=copies,
            ),
            lambda there: _is_made(there, change),
            span,
        )
        if current is not None:
            before = current
            self._waiting.beside_others(lambda _: self._secrets.delete(before, kept=secrets.values()))

    def _let_into_stores(self, deployment: Deployment) -> None:
        """Let the identity of the endpoint read secrets where a deployment is the first to have some."""
        if not needs_stores([deployment]):
            return

        def make(current: OnlineEndpoint | None) -> ManagedOnlineEndpoint:
            return with_stores(self._present(current))

        self._send_endpoint(f"Endpoint {self._clients.name}", make, self._quiet_endpoint())

    def _send_deployment(
        self,
        name: str,
        make: Callable[[], Any],
        is_made: Callable[[OnlineDeployment | None], bool],
        span: Span | None,
    ) -> None:
        def settle() -> bool:
            self._present(self._quiet_endpoint())
            return is_made(self._quiet_deployment(name))

        self._see_through(
            lambda: self._clients.ml.online_deployments.begin_create_or_update(make()),
            settle,
            f"Deployment {name}",
            self._waits.deployment,
            span,
        )

        def is_shown() -> bool:
            listed = self._clients.list_deployments()
            return is_made(self._quiet_deployment(name)) and any(
                is_made(item) for item in listed if item.name == name
            )

        self._waiting.until_shown(is_shown)

    def _has_requests(self, name: str) -> bool:
        current = self._clients.find_endpoint()
        shares = [positive(current.traffic), positive(current.mirror_traffic)] if current else []
        return any(name.lower() in item for item in shares)

    def _delete_deployment(self, change: Change, endpoint: Endpoint) -> None:
        name = change.deployment
        current = self._quiet_deployment(name)
        if current is None:
            return
        if self._has_requests(name):
            what = f"The deployment {name} still gets requests, or copies of them, and is not deleted."
            fix = "Move its traffic to another deployment first: headrace deploy traffic NAME=100"
            raise StateError(Problem(code="X254", what=what, fix=fix))
        self._delete_beside(current)
        self._remove_deployment(name)

    def _remove_deployment(self, name: str) -> None:
        def settle() -> bool:
            self._quiet_endpoint()
            return self._quiet_deployment(name) is None

        self._see_through(
            lambda: self._clients.ml.online_deployments.begin_delete(name, self._clients.name),
            settle,
            f"Deleting deployment {name}",
            self._waits.deletion,
        )

    def _delete_beside(self, current: OnlineDeployment) -> None:
        """Delete what was made for a deployment that goes: first, because nothing else says that it is there."""
        self._delete_scale(str(current.id))
        self._waiting.beside_others(lambda _: self._secrets.delete(current))

    # Scale

    def _set_scale(self, change: Change, endpoint: Endpoint) -> None:
        deployment = wished(change, endpoint)
        current = self._quiet_deployment(deployment.name)
        if current is None:
            what = f"The deployment {deployment.name} has been deleted since the plan was made."
            raise StateError(Problem(code="X254", what=what, fix="Give the same command again."))
        monitor, group = self._clients.monitor, self._clients.resource_group
        deployment_id = str(current.id)
        if not is_fixed(deployment.scale):
            location = self._location()
            setting = make_setting(deployment_id, location, deployment.scale)
            name = setting_name(deployment_id)
            self._waiting.beside_others(
                lambda _: monitor.autoscale_settings.create_or_update(group, name, setting)
            )
            return
        self._delete_scale(deployment_id)
        if current.instance_count != deployment.scale.minimum:
            self._resize(deployment, current, endpoint)

    def _resize(self, deployment: Deployment, current: OnlineDeployment, endpoint: Endpoint) -> None:
        """Change the number of machines: everything is sent anew, because what the package reads lacks the mount."""
        span = endpoint.span(*deployment.pointer)
        assets = self._assets.make(deployment, span)
        variables = variables_of(
            deployment, self._waiting.beside_others(lambda _: self._secrets.make(deployment))
        )
        self._send_deployment(
            deployment.name,
            lambda: make_deployment(
                endpoint,
                deployment,
                tags=current.tags or {},
                model=assets.model,
                environment=assets.environment,
                variables=variables,
                copies=deployment.scale.minimum,
            ),
            lambda there: there is not None and there.instance_count == deployment.scale.minimum,
            span,
        )

    def _location(self) -> str:
        return str(self._present(self._clients.find_endpoint()).location)

    def _delete_scale(self, deployment_id: str) -> None:
        name, group = setting_name(deployment_id), self._clients.resource_group
        if any(setting.name == name for setting in self._clients.autoscale_settings()):
            settings = self._clients.monitor.autoscale_settings
            self._waiting.beside_others(lambda _: settings.delete(group, name))


def _is_made(current: OnlineDeployment | None, change: Change) -> bool:
    """Whether a step that makes a copy is done: the copy is healthy and made from what it is to be made from."""
    tags = current.tags or {} if current is not None else {}
    return state_word(current) == SUCCEEDED and tags.get(SPEC_TAG) == change.tags.get(SPEC_TAG)


def _copies(deployment: Deployment, current: OnlineDeployment | None) -> int:
    """The machines that a copy begins with: those that it has where its scale allows them."""
    now = current.instance_count if current is not None else None
    scale = deployment.scale
    return now if now and scale.minimum <= now <= scale.maximum else scale.minimum
