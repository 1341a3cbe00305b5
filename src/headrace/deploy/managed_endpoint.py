"""The target ``azureml``: managed online endpoints of Azure Machine Learning, through the package ``azure-ai-ml``.

Requests to the flow never go through that package, which remembers the deployment that one of them was pinned to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import TypeVar

from azure.ai.ml import MLClient
from azure.ai.ml.entities import OnlineEndpoint
from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.core.polling.arm_polling import ARMPolling
from azure.mgmt.monitor import MonitorManagementClient

from headrace.deploy.azure_answers import PlainAnswers, SameVersion
from headrace.deploy.azure_failures import azure_failures
from headrace.deploy.base import Address, TargetSetup, no_deployment
from headrace.deploy.managed_clients import ManagedClients
from headrace.deploy.managed_limits import TRAITS, check_managed
from headrace.deploy.managed_parts import (
    BUSY,
    deployment_state,
    endpoint_settings,
    positive,
    state_word,
)
from headrace.deploy.managed_scale import read_scales
from headrace.deploy.managed_steps import LOG_LINES, ManagedSteps
from headrace.deploy.managed_waiting import Waiting, Waits
from headrace.domain.deployment import (
    PREVIOUS_TAG,
    UNTRIED_TAG,
    Change,
    Deployment,
    Endpoint,
    EndpointState,
)
from headrace.domain.deployment_notes import read_previous, read_untried
from headrace.domain.remote import PIN, SCORING_SCOPE
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.providers.azure_credential import AzureCredential
from headrace.providers.loading import load_by_name

_Result = TypeVar("_Result")

_LOOK_EVERY_S = 5
"""How often the package looks at an operation on an endpoint where the service does not say; 30 unless it is told."""

_POLLING = "azure.ai.ml._utils._azureml_polling:AzureMLPolling"


class ManagedEndpoint:
    """A :class:`~headrace.deploy.base.Target`: one endpoint of one workspace.

    Args:
        setup: What the target is opened with.
        waits: How long anything may take.
    """

    traits = TRAITS

    def __init__(self, setup: TargetSetup, waits: Waits | None = None) -> None:
        self._setup = setup
        self._waits = waits or Waits()
        self._opened: ManagedClients | None = None

    def check(self, endpoint: Endpoint) -> tuple[Problem, ...]:
        """What of the file no managed online endpoint takes; asks nobody."""
        return tuple(check_managed(endpoint))

    def read_state(self) -> EndpointState:
        """What is there now."""
        with self._failures():
            clients = self._clients()
            current = clients.find_endpoint()
            if current is None:
                return EndpointState()
            found = clients.list_deployments()
            scales = read_scales(clients.autoscale_settings())
            tags = current.tags or {}
            previous, specs = read_previous(str(tags.get(PREVIOUS_TAG, "")))
            return EndpointState(
                exists=True,
                address=current.scoring_uri or "",
                deployments=tuple(deployment_state(item, scales.get(str(item.id).lower())) for item in found),
                traffic=positive(current.traffic),
                mirror=positive(current.mirror_traffic),
                previous=previous,
                previous_specs=specs,
                untried=read_untried(str(tags.get(UNTRIED_TAG, ""))),
                is_busy=state_word(current) in BUSY,
                settings=endpoint_settings(current),
                location=str(current.location or ""),
            )

    def apply(self, change: Change, endpoint: Endpoint) -> None:
        """Make one step of a plan, and return when it is done; made again it does no more."""
        deployment = endpoint.find(change.deployment)
        with self._failures(change.deployment, endpoint, deployment):
            waiting = Waiting(self._setup.tell)
            steps = ManagedSteps(self._clients(), self._setup, waiting, self._waits)
            waiting.past_hindrances(lambda: steps.make(change, endpoint), change.what)

    def address(self, deployment: str | None) -> Address:
        """Where requests go, with a key of the endpoint or a token of whoever asks."""
        with self._failures():
            clients = self._clients()
            current = clients.find_endpoint()
            if current is None or not current.scoring_uri:
                raise no_deployment(clients.name)
            names = [str(item.name) for item in clients.list_deployments()]
            if deployment is not None and deployment not in names:
                raise no_deployment(clients.name, deployment, names)
            headers = {"Authorization": f"Bearer {self._key(current)}"}
            if deployment is not None:
                headers[PIN] = deployment
            return Address(url=current.scoring_uri, headers=headers)

    def _key(self, current: OnlineEndpoint) -> str:
        clients = self._clients()
        if endpoint_settings(current)["authentication"] == "entra":
            return str(clients.credential.get_token(SCORING_SCOPE).token)
        found = self._ask(
            lambda: clients.ml.online_endpoints.get_keys(clients.name), "the key of the endpoint"
        )
        return str(getattr(found, "primary_key", None) or getattr(found, "access_token", ""))

    def _ask(self, ask: Callable[[], _Result], what: str) -> _Result:
        """What is told on POST, which the package does not send again; nothing is changed, so busy passes as well."""
        found: list[_Result] = []
        waiting = Waiting(self._setup.tell)
        waiting.past_hindrances(lambda: found.append(ask()), what, passing=(409, 429))
        return found[0]

    def read_logs(self, deployment: str, n_lines: int) -> Iterator[str]:
        """The last lines that the server of a deployment has written."""
        with self._failures():
            try:
                read = partial(self._clients().read_logs, deployment, n_lines)
                lines = self._ask(read, f"the log of {deployment}")
            except ResourceNotFoundError as error:
                raise self._missing(deployment) from error
        yield from lines

    def _missing(self, deployment: str) -> UsageError:
        clients = self._clients()
        if clients.find_endpoint() is None:
            return no_deployment(clients.name)
        return no_deployment(
            clients.name, deployment, [str(item.name) for item in clients.list_deployments()]
        )

    def close(self) -> None:
        """Give back connections; what was deployed stays."""
        if self._opened is not None:
            self._opened.monitor.close()
            self._opened.credential.close()
            self._opened = None

    def _failures(
        self, name: str = "", endpoint: Endpoint | None = None, deployment: Deployment | None = None
    ) -> AbstractContextManager[None]:
        """Turns what the packages of Azure raise into errors with a place, and with the log of a deployment."""
        endpoint = endpoint or self._setup.endpoint
        what = f"deployment {name}" if name else f"endpoint {endpoint.name}"
        log = partial(self._last_lines, name) if name else None
        return azure_failures(what, endpoint, deployment, log=log)

    def _last_lines(self, deployment: str) -> list[str]:
        return self._clients().read_logs(deployment, LOG_LINES)

    def _clients(self) -> ManagedClients:
        """Both clients; opened when they are needed first, because a check needs neither."""
        if self._opened is None:
            place = self._setup.endpoint.place
            if place is None:  # only where no file was read
                what, fix = (
                    "There is no place in Azure.",
                    "Name subscription, group and workspace under azure.",
                )
                raise DefinitionError(Problem(code="F006", what=what, fix=fix))
            _keep_quiet()
            credential = AzureCredential()
            ml = MLClient(
                credential,
                place.subscription,
                place.resource_group,
                place.workspace,
                enable_telemetry=False,
                # Nobody sees it, see managed_assets; without it the package waits for ever for a file that was refused.
                show_progress=True,
                polling_interval=_LOOK_EVERY_S,
                per_call_policies=[PlainAnswers(), SameVersion()],
            )
            monitor = MonitorManagementClient(
                credential, place.subscription, per_call_policies=[PlainAnswers()]
            )
            self._opened = ManagedClients(
                ml=ml,
                monitor=monitor,
                credential=credential,
                name=self._setup.endpoint.name,
                resource_group=place.resource_group,
            )
        return self._opened


def _keep_quiet() -> None:
    """Keep ``azure-ai-ml`` from writing: a dot on standard output at every look, and what it calls experimental."""
    with suppress(ImportError):  # a later version may do without
        load_by_name(_POLLING).update_status = ARMPolling.update_status
    logging.getLogger("azure.ai.ml").setLevel(logging.ERROR)
