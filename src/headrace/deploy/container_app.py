"""The target ``aca``: a flow as an app of Azure Container Apps, which may have no copy while nobody asks.

Every deployment is a revision with a label of its name; weights are the traffic. Container Apps know no app without a
revision, so the app appears with the first deployment. A changed deployment is a new revision beside the old one, which
the label goes to when it is healthy, so that it is tried out; requests follow with a move of traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from headrace.deploy.base import Address, TargetSetup, Traits, no_deployment
from headrace.deploy.container_app_client import AppClient, Patience
from headrace.deploy.container_app_failures import container_app_failures
from headrace.deploy.container_app_revisions import Revisions
from headrace.deploy.container_app_rules import check_container_app
from headrace.deploy.container_app_state import (
    ingress,
    owned_shares,
    properties,
    read_authentication,
    read_endpoint,
    shares,
    variables,
)
from headrace.deploy.container_app_steps import Steps
from headrace.deploy.container_app_surroundings import Surroundings
from headrace.deploy.container_app_template import (
    AUDIENCE_VARIABLE,
    ISSUER_VARIABLE,
    KEY_SECRET,
    KEY_VARIABLE,
    Wire,
)
from headrace.deploy.registry_build import RegistryBuild
from headrace.domain.deployment import AzurePlace, Change, Endpoint, EndpointState
from headrace.errors import Problem, UsageError
from headrace.providers.azure_credential import AzureCredential

_MOST_REVISIONS = 100


class ContainerApp:
    """One app; see :class:`~headrace.deploy.base.Target`. Azure is asked only when something is wanted of it.

    Args:
        setup: What it is opened with.
        patience: How long is waited; the times that Azure needs unless told otherwise.

    Attributes:
        traits: What Container Apps can do.
    """

    traits = Traits(
        can_mirror=False,
        replaces_in_place=True,
        tries_beside=True,
        most_deployments=_MOST_REVISIONS,
    )

    def __init__(self, setup: TargetSetup, patience: Patience | None = None) -> None:
        self._setup = setup
        self._patience = patience or Patience()
        self._opened: list[Any] = []

    @cached_property
    def _credential(self) -> AzureCredential:
        credential = AzureCredential()
        self._opened.append(credential)
        return credential

    @property
    def _place(self) -> AzurePlace:
        place = self._setup.endpoint.place
        if place is None:
            what = "Nothing says where in Azure the app is to live."
            raise UsageError(
                Problem(code="X104", what=what, fix="Add azure: {subscription: …, resource_group: …}.")
            )
        return place

    @cached_property
    def _client(self) -> AppClient:
        name = self._setup.endpoint.name
        client = AppClient(self._credential, self._place, name, self._setup.tell, self._patience)
        self._opened.append(client)
        return client

    @cached_property
    def _registry(self) -> RegistryBuild:
        registry = RegistryBuild(self._credential, self._place, self._setup.tell, self._patience)
        self._opened.append(registry)
        return registry

    @cached_property
    def _surroundings(self) -> Surroundings:
        return Surroundings(self._client, self._setup.endpoint, self._setup.tell)

    @cached_property
    def _steps(self) -> Steps:
        return Steps(self._setup, self._place, self._client, self._surroundings, lambda: self._registry)

    def check(self, endpoint: Endpoint) -> tuple[Problem, ...]:
        """What of the file Container Apps cannot do."""
        return check_container_app(endpoint)

    def read_state(self) -> EndpointState:
        """The app and its revisions.

        Raises:
            AccessDeniedError, RemoteError: They cannot be read.
        """
        with container_app_failures(self._setup.endpoint):
            app = self._client.find()
            revisions = self._client.list_revisions() if app is not None else ()
            return read_endpoint(app, revisions, self._setup.endpoint.identities)

    def apply(self, change: Change, endpoint: Endpoint) -> None:
        """Make one step of a plan.

        Raises:
            RemoteError: X201 to X216 and X276 to X279, it was not done, or not within its time.
            StateError: X274 for what has to be there first, X275 for traffic that has nowhere to go.
            DefinitionError: X101 for a variable that is not set.
        """
        deployment = endpoint.find(change.deployment)
        with container_app_failures(endpoint, deployment):
            self._steps.make(change, endpoint)

    def address(self, deployment: str | None) -> Address:
        """Where requests go, with the key or a token.

        Raises:
            UsageError: X143, there is no such deployment.
        """
        with container_app_failures(self._setup.endpoint):
            app = self._client.find()
            host = str(ingress(app).get("fqdn") or "") if app is not None else ""
            if app is None or not host:
                raise no_deployment(self._setup.endpoint.name)
            revisions = self._client.list_revisions()
            if deployment is not None:
                name = self._revision_of(app, revisions, deployment)
                if any(item.label == deployment for item in shares(app)):
                    first, _, rest = host.partition(".")
                    host = f"{first}---{deployment}.{rest}"
                else:
                    host = str(
                        next(
                            (properties(item).get("fqdn") for item in revisions if item["name"] == name), host
                        )
                    )
            return Address(url=f"https://{host}/score", headers=self._access_headers(app, revisions))

    def _revision_of(self, app: Wire, revisions: Sequence[Wire], deployment: str) -> str:
        """The revision that a deployment is at the moment: the one with its label, also while that is only tried.

        Raises:
            UsageError: X143, there is none.
        """
        owned = owned_shares(app, revisions)
        for name, item in owned:
            if name == deployment:
                return item.revision
        raise no_deployment(self._setup.endpoint.name, deployment, sorted({name for name, _ in owned}))

    def _access_headers(self, app: Wire, revisions: Sequence[Wire]) -> dict[str, str]:
        """What lets one in: the key of the app, or a token for it."""
        running = {item.revision.lower() for item in shares(app)}
        ours = [item for item in revisions if str(item.get("name", "")).lower() in running]
        authentication = read_authentication(ours) or self._setup.endpoint.authentication
        if authentication == "none":
            return {}
        if authentication == "entra":
            given = [
                variables(item).get(AUDIENCE_VARIABLE, "")
                for item in ours
                if ISSUER_VARIABLE in variables(item)
            ]
            audience = given[0].replace(",", " ").split()[0] if given and given[0].strip() else ""
            return {"Authorization": f"Bearer {self._credential.get_token(f'{audience}/.default').token}"}
        key = self._key(ours)
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _key(self, revisions: Sequence[Wire]) -> str:
        """A key that the servers take: what the secret behind their variable holds, or the variable of whoever asks."""
        values = [variables(item).get(KEY_VARIABLE, "") for item in revisions]
        names = {KEY_SECRET, *filter(None, values)}
        found = [
            str(item["value"])
            for item in self._client.list_secrets()
            if item.get("name") in names and item.get("value")
        ]
        given = self._setup.settings.environment.get(KEY_VARIABLE, "")
        keys = (found[0] if found else given).replace(",", " ").split()
        return keys[0] if keys else ""

    def read_logs(self, deployment: str, n_lines: int) -> Iterator[str]:
        """The last lines of every copy of a deployment; none where none runs.

        Raises:
            UsageError: X143, there is no such deployment.
        """
        with container_app_failures(self._setup.endpoint):
            app = self._client.find()
            if app is None:
                raise no_deployment(self._setup.endpoint.name, deployment)
            name = self._revision_of(app, self._client.list_revisions(), deployment)
            revisions = Revisions(self._client, self._setup.endpoint)
            if not self._client.list_replicas(name):
                self._setup.tell(
                    f"No copy of {deployment} runs at the moment; its earlier logs are in Log Analytics."
                )
            yield from revisions.read_logs(name, n_lines)

    def close(self) -> None:
        """Give back connections; what was deployed stays."""
        for item in reversed(self._opened):
            item.close()
        self._opened.clear()
