"""The host ``management.azure.com``: finds who answers a path, after everything that Azure looks at first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.azure.faults import Fault
from tests.support.azure.messages import Refusal, Request, Response
from tests.support.azure.operations import Operation
from tests.support.azure.resources import Resource, Resources

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

ARM_HOST = "management.azure.com"
ARM_URL = f"https://{ARM_HOST}"
ARM_AUDIENCES = (ARM_URL, "https://management.core.windows.net")

_ACTIONS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request to a resource provider, and what it needs to answer.

    Attributes:
        params: What stands in the places of the template.
        fault: That the request met and that is about its operation.
    """

    azure: StandIn
    request: Request
    params: Mapping[str, str]
    fault: Fault | None = None

    @property
    def id(self) -> str:
        """The path, which is the id of what is asked for (actions have their name at the end)."""
        return self.request.path.rstrip("/")

    @property
    def resources(self) -> Resources:
        return self.azure.resources

    def json(self) -> dict[str, Any]:
        """The body.

        Raises:
            Refusal: 400, it is no JSON object.
        """
        try:
            data = self.request.json()
        except ValueError:
            raise Refusal(400, "InvalidRequestContent", "The request content was invalid JSON.") from None
        if not isinstance(data, dict):
            raise Refusal(400, "InvalidRequestContent", "The request content is not an object.")
        return data

    def get(self, resource_id: str = "") -> Resource:
        """The resource of an id, that of the call unless told otherwise.

        Raises:
            Refusal: 404 ``ResourceNotFound`` with Azure's words.
        """
        wanted = resource_id or self.id
        found = self.resources.get(wanted)
        if found is None:
            raise not_found(wanted)
        return found

    def start(self, status_path: str, *, resource_id: str = "", **more: Any) -> Operation:
        """Begin a long-running operation on the resource of the call; see :meth:`Operations.start`.

        ``{name}`` in the path is replaced by the parameters of the call.
        """
        return self.azure.operations.start(
            resource_id or self.id,
            status_path.format(**self.params),
            fault=self.fault,
            api_version=self.request.api_version,
            **more,
        )

    def accept(self, operation: Operation) -> dict[str, str]:
        """Headers that tell of an operation."""
        return self.azure.operations.headers(operation)


Function = Callable[[Call], Response]


def not_found(resource_id: str) -> Refusal:
    """404 of a resource."""
    group = re.search(r"/resourceGroups/([^/]+)", resource_id, re.IGNORECASE)
    resource = Resource(id=resource_id)
    message = (
        f"The Resource '{resource.type}/{resource.name}' under resource group "
        f"'{group[1] if group else ''}' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix"
    )
    return Refusal(404, "ResourceNotFound", message)


@dataclass(frozen=True, kw_only=True)
class _Route:
    method: str
    template: str
    pattern: re.Pattern[str]
    versions: frozenset[str]
    function: Function
    is_kept: bool


@dataclass(kw_only=True)
class Arm:
    """Routes of all providers.

    Attributes:
        is_strict: Whether API versions other than those that a provider was written for are refused.
    """

    azure: StandIn
    is_strict: bool = True
    routes: list[_Route] = field(default_factory=list)

    def add(
        self, method: str, template: str, versions: Iterable[str], function: Function, *, is_kept: bool = True
    ) -> None:
        """Let a function answer a path.

        Args:
            method: Of HTTP.
            template: Path with ``{name}`` for one part and ``{name*}`` for any number of them.
            versions: API versions that it knows; none for whatever comes.
            function: Answers.
            is_kept: Whether what is in it needs it to be there, where the method is GET.
        """
        pattern = re.sub(r"\\{(\w+)\\\*\\}", r"(?P<\1>.*?)", re.escape(template))
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", pattern)
        self.routes.append(
            _Route(
                method=method,
                template=template,
                pattern=re.compile(pattern + "/?", re.IGNORECASE),
                versions=frozenset(versions),
                function=function,
                is_kept=is_kept,
            )
        )

    def answer(self, request: Request, fault: Fault | None) -> Response:
        """Look at the token, the version, the path, the rights and what the path is in; then ask the provider."""
        principal = self.azure.access.identify(request, *ARM_AUDIENCES)
        operation = self.azure.operations.find(request.path)
        if operation is not None and request.method == "GET":
            return self.azure.operations.answer(operation)
        if not request.api_version:
            raise Refusal(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        route, params = self._find(request)
        self.azure.access.authorize(principal, _action(request, route), request.path)
        self._check_surroundings(request.path, request.method)
        self.azure.operations.step_for(request.path)
        call = Call(azure=self.azure, request=request, params=params, fault=fault)
        with self.azure.resources.lock:
            return route.function(call)

    def _find(self, request: Request) -> tuple[_Route, Mapping[str, str]]:
        methods, versions = set(), set()
        for route in self.routes:
            match = route.pattern.fullmatch(request.path)
            if match is None:
                continue
            methods.add(route.method)
            if route.method != request.method:
                continue
            if not self.is_strict or not route.versions or request.api_version in route.versions:
                return route, match.groupdict()
            versions |= route.versions
        kind = Resource(id=request.path).type
        if versions:
            raise Refusal(
                400,
                "NoRegisteredProviderFound",
                f"No registered resource provider found for the type '{kind}' and API version "
                f"'{request.api_version}'. The supported api-versions are '{', '.join(sorted(versions))}'.",
            )
        if methods:
            raise Refusal(405, "MethodNotAllowed", f"{request.method} is not supported for '{kind}'.")
        self.azure.unanswered.append(f"{request.method} {request.path}")
        raise Refusal(404, "InvalidResourceType", f"The resource type '{kind}' could not be found.")

    def _check_surroundings(self, path: str, method: str) -> None:
        parts = path.strip("/").split("/")
        if len(parts) < 2 or parts[0].lower() != "subscriptions":
            return
        if self.azure.resources.get(f"/subscriptions/{parts[1]}") is None:
            raise Refusal(404, "SubscriptionNotFound", f"The subscription '{parts[1]}' could not be found.")
        if len(parts) < 6 or parts[2].lower() != "resourcegroups":
            return
        if self.azure.resources.get("/" + "/".join(parts[:4])) is None:
            raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{parts[3]}' could not be found.")
        # providers/Namespace/type/name/type/name: what a nested resource is in has to be there.
        nested = parts[6:]
        n_outer = (len(nested) - 1) // 2 if method != "POST" else (len(nested) - 2) // 2
        for index in range(1, n_outer + 1):
            outer = "/" + "/".join(parts[: 6 + 2 * index])
            if self.azure.resources.get(outer) is None and self._is_kept(outer):
                code = "ParentResourceNotFound" if method == "PUT" else "ResourceNotFound"
                raise Refusal(404, code, not_found(outer).message)

    def _is_kept(self, path: str) -> bool:
        """Whether something with that path could be there: a provider answers GET for it."""
        return any(
            route.method == "GET" and route.is_kept and route.pattern.fullmatch(path) for route in self.routes
        )


def _action(request: Request, route: _Route) -> str:
    after = route.template.split("/providers/")[-1].split("/")
    types = [part for part in after[1:] if not part.startswith("{")]
    if "/providers/" not in route.template:
        return f"Microsoft.Resources/subscriptions/{_ACTIONS.get(request.method, 'action')}"
    kind = "/".join([after[0], *types])
    return f"{kind}/{_ACTIONS.get(request.method, 'action')}"
