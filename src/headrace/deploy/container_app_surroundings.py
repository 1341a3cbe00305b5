"""What an app needs to be there before it: its environment, and an identity that may pull from the registry."""

from __future__ import annotations

from collections.abc import Callable

from azure.core.exceptions import AzureError, HttpResponseError

from headrace.deploy.container_app_client import AppClient, error_code
from headrace.deploy.container_app_rules import find_place
from headrace.deploy.container_app_state import properties, word
from headrace.deploy.container_app_template import Wire
from headrace.domain.deployment import AzurePlace, Endpoint
from headrace.errors import Problem, StateError

_NOT_READY = (
    "failed",
    "canceled",
    "scheduledfordelete",
    "infrastructuresetupinprogress",
    "initializationinprogress",
)
_NO_GROUP = ("resourcegroupnotfound", "subscriptionnotfound")
_ROLES_VERSION = "2022-04-01"
_PULLING = frozenset(
    {
        "7f951dda-4ed3-4680-a7ca-43fe172d538d",  # AcrPull
        "8311e382-0749-4cb8-b61a-304f252e45ec",  # AcrPush
        "b93aa761-3e63-49ed-ac28-beffa264f7ac",  # Container Registry Repository Reader
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",  # Owner
        "b24988ac-6180-42a0-ab88-20f7382dd24c",  # Contributor
    }
)
"""Roles that let an identity pull images (learn.microsoft.com/azure/role-based-access-control/built-in-roles)."""


class Surroundings:
    """What is around an app; all of it is only read, and each thing once.

    Args:
        client: Of the app.
        endpoint: What is wished for.
        tell: Takes what people should know.
    """

    def __init__(self, client: AppClient, endpoint: Endpoint, tell: Callable[[str], None]) -> None:
        self._client = client
        self._endpoint = endpoint
        self._tell = tell
        self._environment: Wire | None = None
        self._identities: dict[str, Wire | None] = {}

    def environment(self, place: AzurePlace) -> Wire:
        """The environment of Container Apps; where we may not look at it, what the file says of it.

        Raises:
            StateError: X274, there is none, or it is not ready.
            HttpResponseError: We may not look at it, and the file does not say where it is.
        """
        if self._environment is None:
            try:
                found = self._client.find_environment(place)
            except HttpResponseError as error:
                found = self._unseen(place, error)
            said = properties(found).get("provisioningState")
            if word(said) in _NOT_READY:
                what = f"The environment {place.environment} is not ready: {said}."
                raise StateError(self._problem(what, "Apply again when it is."))
            self._environment = found
        return self._environment

    def _unseen(self, place: AzurePlace, error: HttpResponseError) -> Wire:
        """What the file says of an environment that we may not look at.

        Raises:
            StateError: X274, it is not there.
            HttpResponseError: Its region is not known, which an app needs.
        """
        is_missing = error.status_code == 404 and error_code(error) not in _NO_GROUP
        known = self._client.list_environments() if is_missing else None
        if known is not None:
            what = f"There is no environment {place.environment} of Container Apps in {place.resource_group}."
            there = f"There are: {', '.join(known)}. " if known else ""
            fix = f"{there}Make it first, or correct azure.environment; one elsewhere is named by its resource id."
            raise StateError(self._problem(what, fix)) from error
        location = place.location or str((self._client.find_group() or {}).get("location") or "")
        if not location:
            raise error
        own = f"/subscriptions/{place.subscription}/resourceGroups/{place.resource_group}"
        given = place.environment if place.environment.startswith("/") else ""
        environment_id = given or f"{own}/providers/Microsoft.App/managedEnvironments/{place.environment}"
        return {"id": environment_id, "location": location}

    def environment_id(self, place: AzurePlace) -> str:
        """Its resource id."""
        return str(self.environment(place)["id"])

    def location(self, place: AzurePlace) -> str:
        """The region of the app: that of its environment."""
        return str(self.environment(place).get("location") or place.location)

    def check_app(self, app: Wire, place: AzurePlace) -> None:
        """Stop where the app lives elsewhere, for apps do not move.

        Raises:
            StateError: X274.
        """
        there = str(properties(app).get("environmentId") or properties(app).get("managedEnvironmentId") or "")
        name = place.environment.rpartition("/")[2]
        if there and there.rpartition("/")[2].lower() != name.lower():
            what = f"The app {self._client.name} lives in the environment {there.rpartition('/')[2]}, not in {name}."
            fix = "Apps do not move: correct azure.environment, or choose another name, or destroy the app first."
            raise StateError(self._problem(what, fix))

    def client_id(self, identity: str) -> str:
        """The client id of a user-assigned identity; empty where nobody may see it."""
        return str(properties(self._identity(identity) or {}).get("clientId") or "")

    def tell_missing_role(self, identity: str, registry_id: str) -> None:
        """Say where an identity does not seem to be allowed to pull images."""
        principal = properties(self._identity(identity) or {}).get("principalId")
        if not principal:
            return
        path = f"{registry_id}/providers/Microsoft.Authorization/roleAssignments"
        found = self._read(path, _ROLES_VERSION, **{"$filter": f"assignedTo('{principal}')"})
        if found is None:
            return
        roles = {
            str(properties(item).get("roleDefinitionId")).rpartition("/")[2].lower()
            for item in found.get("value") or ()
        }
        if not roles & _PULLING:
            self._tell(
                f"The identity {identity.rpartition('/')[2]} does not seem to have the role AcrPull on the registry "
                f"{registry_id.rpartition('/')[2]}: without it the image cannot be pulled."
            )

    def _identity(self, identity: str) -> Wire | None:
        if identity not in self._identities:
            self._identities[identity] = self._read(identity)
        return self._identities[identity]

    def _read(self, resource_id: str, version: str = "2024-11-30", **query: str) -> Wire | None:
        try:
            return self._client.find_resource(resource_id, version, **query)
        except AzureError:
            return None

    def _problem(self, what: str, fix: str) -> Problem:
        span, pointer = find_place(self._endpoint, ("azure", "environment"))
        return Problem(code="X274", what=what, span=span, pointer=pointer, fix=fix)
