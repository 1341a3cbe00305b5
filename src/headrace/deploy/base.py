"""What a place that flows are deployed to can do, and the names of those that there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from headrace.config import Settings
from headrace.domain.deployment import Change, Deployment, Endpoint, EndpointState
from headrace.errors import Problem, UsageError, nearest

TARGETS: Mapping[str, str] = {
    "aca": "headrace.deploy.container_app:ContainerApp",
    "azureml": "headrace.deploy.managed_endpoint:ManagedEndpoint",
    "local": "headrace.deploy.local:LocalTarget",
}
"""Target to the import string of its adapter. Nothing of it is imported before the first use."""

EXTRAS: Mapping[str, str] = {"azureml": "azureml", "aca": "aca"}
"""Target to the extra that its adapter needs."""

PackageForm: TypeAlias = Literal["flow", "runtime", "image"]
"""What of a deployment is packed: only its flow; the context of an image that serves a flow it is given; or the
context of an image with the flow in it."""

Tell = Callable[[str], None]
"""Takes a line for people about what is being waited for; never a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A packed deployment: the same deployment and headrace give the same bytes.

    Attributes:
        folder: Of the packed files.
        digest: SHA-256 over paths and contents, hexadecimal.
        port: That the server listens on.
        settings: Variables that the server needs, without values: those of connections.
    """

    folder: Path
    digest: str
    port: int = 8080
    settings: tuple[str, ...] = ()


Pack = Callable[[Deployment, PackageForm], Package]
"""Packs a deployment; the folder lives as long as the target is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where requests go.

    Attributes:
        url: Of ``/score``.
        headers: What pins the deployment, and what lets one in; holds secrets, so it is never shown.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What differs among targets, for plans and refusals.

    Attributes:
        can_mirror: Whether requests can be copied to a deployment.
        replaces_in_place: Whether a changed deployment takes the place of the one before only once it is ready; it
            answers all requests of that place from then on.
        tries_beside: Whether it stands beside the one that answers until a move of traffic lets it take over, so that
            it is tried out first, and a deployment with traffic may change.
        most_deployments: Behind one endpoint.
    """

    can_mirror: bool
    replaces_in_place: bool
    tries_beside: bool = False
    most_deployments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSetup:
    """What a target is opened with.

    Attributes:
        endpoint: What is wished for; for everything but ``apply`` only its name and place matter.
        pack: Packs a deployment when a step needs it.
        tell: Takes lines about what is being waited for.
        state_folder: Where a target on this machine keeps what it started.
    """

    endpoint: Endpoint
    settings: Settings
    pack: Pack
    tell: Tell
    state_folder: Path


def no_deployment(endpoint: str, name: str | None = None, known: Sequence[str] = ()) -> UsageError:
    """X143 for a deployment that is not there, or for an endpoint where no name is given.

    Args:
        endpoint: Its name.
        name: Of the deployment.
        known: Names of those that are there.
    """
    if name is None:
        what, fix = f'There is no endpoint "{endpoint}".', "Deploy it: headrace deploy apply"
        return UsageError(Problem(code="X143", what=what, fix=fix))
    near = nearest(name, known)
    there = f"There are: {', '.join(sorted(known))}." if known else "Nothing is deployed there yet."
    fix = f'Did you mean "{near}"? {there}' if near else there
    what = f'There is no deployment "{name}" behind the endpoint "{endpoint}".'
    return UsageError(Problem(code="X143", what=what, fix=fix))


def wished(change: Change, endpoint: Endpoint) -> Deployment:
    """The deployment of the file that a step is about.

    Raises:
        UsageError: X143 where the file names none of that name; plans make no such step.
    """
    found = endpoint.find(change.deployment)
    if found is None:
        raise no_deployment(endpoint.name, change.deployment, [item.name for item in endpoint.deployments])
    return found


class Target(Protocol):
    """A place that flows are deployed to. All of it blocks; nothing of it is used from two threads at once.

    Whatever fails is raised as one of our errors, with a place in the deployment file where one is to blame.
    """

    traits: Traits

    def check(self, endpoint: Endpoint) -> tuple[Problem, ...]:
        """What of the file this target cannot do, with places; asks nobody."""
        ...

    def read_state(self) -> EndpointState:
        """What is there now.

        Raises:
            AccessDeniedError, RemoteError: It cannot be read.
        """
        ...

    def apply(self, change: Change, endpoint: Endpoint) -> None:
        """Make one step of a plan, and return when it is done; made again it does no more.

        A copy that is made is healthy when this returns. Steps of the kind ``smoke test`` do not come here.

        Args:
            change: The step.
            endpoint: What is wished for, with names for all deployments.

        Raises:
            RemoteError, StateError: It was not done, or not within its time.
        """
        ...

    def address(self, deployment: str | None) -> Address:
        """Where requests go; to one deployment whatever its traffic, where one is named.

        Raises:
            UsageError: X143 for a deployment, or an endpoint, that does not exist.
        """
        ...

    def read_logs(self, deployment: str, n_lines: int) -> Iterator[str]:
        """The last lines that the server of a deployment has written."""
        ...

    def close(self) -> None:
        """Give back connections; what was deployed stays."""
        ...
