"""Ways of answering that Azure may have as well: a second reading of the same documents, mostly a stricter one.

``azure.manners += [lagging_reads(2), extra_fields]`` lets every request go through them, the first one first. Each is a
function of a request and of what answers it. They count requests and no time, so that nobody waits.
"""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.support.azure.arm import ARM_HOST
from tests.support.azure.directory import AUTHORITY
from tests.support.azure.messages import Request, Response, refuse, reply

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

Ask = Callable[[Request], Response]
Manner = Callable[[Request, Ask], Response]

_WRITES = ("PUT", "PATCH", "DELETE")
_STATUS = re.compile(
    r"/(mfeOperationsStatus|containerappOperation\w+|operationResults)/[^/]+$", re.IGNORECASE
)
_WHOLE = re.compile(r"/(replicas|usages)$", re.IGNORECASE)
"""Lists that come whole by their documents."""
_RESOURCE = re.compile(r"/(onlineEndpoints|deployments|containerApps)/[^/]+$", re.IGNORECASE)


def is_arm(request: Request) -> bool:
    """Whether the resource manager is asked."""
    return request.host == ARM_HOST


def is_status(request: Request) -> bool:
    """Whether an operation is asked for."""
    return is_arm(request) and request.method == "GET" and _STATUS.search(request.path) is not None


def data_of(response: Response) -> Any:
    """What an answer says, as JSON."""
    assert isinstance(response.body, bytes)
    return json.loads(response.body) if response.body else None


def changed(response: Response, data: Any = None, status: int = 0, **headers: str | None) -> Response:
    """An answer with another body, status or headers; ``None`` takes a header away."""
    names = {name.replace("_", "-").lower() for name in headers}
    kept = {name: value for name, value in response.headers.items() if name.lower() not in names}
    new = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    body = response.body if data is None else json.dumps(data).encode()
    kind = {"Content-Type": "application/json"} if data is not None else {}
    return Response(status=status or response.status, headers={**kept, **kind, **new}, body=body)


# Long-running operations


class OnlyLocation:
    """Operations have a ``Location`` only: 202 until the end, then the resource; a failed one answers with its error."""

    def __init__(self) -> None:
        self._resources: dict[str, Request] = {}

    def __call__(self, request: Request, ask: Ask) -> Response:
        response = ask(request)
        address = response.headers.get("Azure-AsyncOperation")
        if request.method in _WRITES and address:
            self._resources[address] = replace(request, method="GET", body=b"")
            status = 202 if request.method != "PUT" else response.status
            return changed(response, status=status, Azure_AsyncOperation=None, Location=address)
        began = self._resources.get(request.url)
        if not is_status(request) or began is None or response.status != 200:
            return response
        said = data_of(response)
        if said["status"] == "InProgress":
            return changed(response, data={}, status=202, Location=request.url)
        if said["status"] != "Succeeded":
            return reply({"error": said["error"]}, 409)
        found = ask(replace(began, headers=request.headers))
        return found if found.status == 200 else Response(status=204)


def accepted(request: Request, ask: Ask) -> Response:
    """Every change is answered with 202, both addresses and no body."""
    response = ask(request)
    if request.method not in _WRITES or not is_arm(request) or response.status not in (200, 201, 202):
        return response
    address = response.headers.get("Azure-AsyncOperation")
    if address is None:
        return response
    return changed(response, data={}, status=202, Location=address)


def no_address(request: Request, ask: Ask) -> Response:
    """No change says where its operation is: whoever waits looks at the resource."""
    response = ask(request)
    if request.method not in ("PUT", "PATCH"):
        return response
    if response.headers.get("Location") and response.status == 202:
        found = ask(replace(request, method="GET", body=b""))
        return changed(found, status=200)
    return changed(response, Azure_AsyncOperation=None, Location=None)


def elsewhere(request: Request, ask: Ask) -> Response:
    """Operations are at a regional host, and their addresses are signed."""
    if request.host == "westeurope.management.azure.com":
        assert "&t=1&c=A%2FB" in request.target
        target = request.target.partition("&t=1")[0]
        return _moved(ask(replace(request, host=ARM_HOST, target=target)))
    return _moved(ask(request))


def _moved(response: Response) -> Response:
    names = [name for name in ("Azure-AsyncOperation", "Location") if response.headers.get(name)]
    headers = dict(response.headers)
    for name in names:
        headers[name] = headers[name].replace(ARM_HOST, f"westeurope.{ARM_HOST}") + "&t=1&c=A%2FB&h=x%3D"
    return replace(response, headers=headers)


def retry_after(text: str | None) -> Manner:
    """What answers of operations say of when to come again; ``None`` for nothing, ``date`` for a date."""

    def manner(request: Request, ask: Ask) -> Response:
        response = ask(request)
        if "retry-after-ms" not in response.headers:
            return response
        said = format_datetime(datetime.now(UTC), usegmt=True) if text == "date" else text
        return changed(response, retry_after_ms=None, Retry_After=said)

    return manner


class LateOperations:
    """The address of an operation is not known for the first looks at it.

    Args:
        n_looks: How many.
        status: They are answered with.
    """

    def __init__(self, n_looks: int = 1, status: int = 404) -> None:
        self._n_looks = n_looks
        self._status = status
        self._seen: dict[str, int] = {}

    def __call__(self, request: Request, ask: Ask) -> Response:
        if is_status(request):
            number = self._seen[request.path] = self._seen.get(request.path, 0) + 1
            if number <= self._n_looks:
                return refuse(self._status, "OperationNotFound", "The operation was not found.")
        return ask(request)


def spelled(change: Callable[[str], str]) -> Manner:
    """States of operations and resources are spelled another way."""

    def manner(request: Request, ask: Ask) -> Response:
        response = ask(request)
        if not is_arm(request) or not response.body or response.status >= 400:
            return response
        return changed(response, data=_respelled(data_of(response), change))

    return manner


_STATES = ("status", "provisioningState", "runningState", "healthState")


def _respelled(data: Any, change: Callable[[str], str]) -> Any:
    if isinstance(data, list):
        return [_respelled(item, change) for item in data]
    if not isinstance(data, dict):
        return data
    return {
        key: change(value) if key in _STATES and isinstance(value, str) else _respelled(value, change)
        for key, value in data.items()
    }


class LaggingState:
    """The state of a resource stays "Updating" for some looks after its operation has succeeded."""

    def __init__(self, n_looks: int = 2, word: str = "Updating") -> None:
        self._n_looks = n_looks
        self._word = word
        self._left: dict[str, int] = {}

    def __call__(self, request: Request, ask: Ask) -> Response:
        response = ask(request)
        if not is_arm(request) or not _RESOURCE.search(request.path):
            return response
        path = request.path.lower()
        if request.method in ("PUT", "PATCH") and response.status < 300:
            self._left[path] = self._n_looks
        if request.method != "GET" or response.status != 200:
            return response
        data = data_of(response)
        if data["properties"].get("provisioningState") == "Succeeded" and self._left.get(path, 0) > 0:
            self._left[path] -= 1
            data["properties"]["provisioningState"] = self._word
            return changed(response, data=data)
        return response


# Reads


class LaggingReads:
    """Reads of a resource, and of the list it is in, answer for a while what was before it was written.

    Args:
        n_reads: How many of each.
        kinds: Which resources; a regular expression for the end of their path.
    """

    def __init__(self, n_reads: int = 2, kinds: str = _RESOURCE.pattern) -> None:
        self._n_reads = n_reads
        self._kinds = re.compile(kinds, re.IGNORECASE)
        self._stale: dict[str, list[Response]] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Request, ask: Ask) -> Response:
        path = request.path.lower()
        if not is_arm(request):
            return ask(request)
        if request.method in _WRITES and self._kinds.search(path):
            reads = [replace(request, method="GET", body=b"")]
            parent, _, _ = path.rpartition("/")
            reads.append(
                replace(
                    reads[0],
                    target=f"{request.target.partition('?')[0].rpartition('/')[0]}?api-version={request.api_version}",
                )
            )
            if request.method == "DELETE" or path.endswith("/containerapps/" + path.rpartition("/")[2]):
                reads = reads[:1]  # nobody lists apps
            before = [ask(read) for read in reads]
            response = ask(request)
            if response.status < 300:
                with self._lock:
                    for key, old in zip((path, parent), before, strict=False):
                        if old.status in (200, 404):
                            self._stale[key] = [old] * self._n_reads
            return response
        with self._lock:
            left = self._stale.get(path)
            if request.method == "GET" and left and "skip" not in request.target.lower():
                return left.pop()
        return ask(request)


def odd_pages(request: Request, ask: Ask) -> Response:
    """Lists begin with an empty page, and the address of the next one is spelled as no other one."""
    if not is_arm(request) or request.method != "GET":
        return ask(request)
    if "$odd" in request.query:
        return ask(request)
    response = ask(request)
    data = data_of(response) if response.status == 200 and response.body else None
    if not isinstance(data, dict) or not isinstance(data.get("value"), list) or _WHOLE.search(request.path):
        return response
    link = f"https://Management.Azure.Com:443{request.target}&%24odd={quote('a/b+c=', safe='')}"
    return changed(response, data={"value": [], "nextLink": link})


_MAPS = frozenset(
    ("tags", "traffic", "mirrortraffic", "environmentvariables", "userassignedidentities", "credentials",
     "requestheaders", "metadata", "collections", "inputs", "outputs")
)  # fmt: skip


def extra_fields(request: Request, ask: Ask) -> Response:
    """Answers say more than anybody has documented."""
    response = ask(request)
    if not is_arm(request) or not response.body or response.status >= 400:
        return response
    return changed(response, data=_enriched(data_of(response)))


def _enriched(data: Any) -> Any:
    if isinstance(data, list):
        return [_enriched(item) for item in data]
    if not isinstance(data, dict):
        return data
    made = {
        key: value
        if key.lower() in _MAPS or (key == "properties" and _is_text_map(value))
        else _enriched(value)
        for key, value in data.items()
    }
    return {**made, "xLater": {"any": [1, None, {"thing": True}]}}


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(item, str) for item in value.values())


_ALWAYS = ("value", "flavors")
"""Even where they are empty: the packages take them for granted."""


def sparse(request: Request, ask: Ask) -> Response:
    """What is empty is not in answers at all."""
    response = ask(request)
    if not is_arm(request) or not response.body or response.status >= 400:
        return response
    return changed(response, data=_thinned(data_of(response)))


def _thinned(data: Any) -> Any:
    if isinstance(data, list):
        return [_thinned(item) for item in data]
    if not isinstance(data, dict):
        return data
    return {
        key: _thinned(value)
        for key, value in data.items()
        if key in _ALWAYS or key.startswith("/") or value not in (None, {}, "", False, [])
    }


def nulls(request: Request, ask: Ask) -> Response:
    """What is empty is null in answers, and so is much that could be said."""
    response = ask(request)
    if not is_arm(request) or not response.body or response.status >= 400:
        return response
    return changed(response, data=_nulled(data_of(response), ""))


_SAID_NULL: Mapping[str, tuple[str, ...]] = {
    "": ("etag", "kind", "sku", "systemData", "managedBy", "tags", "identity"),
    "properties": ("description", "provisioningError", "runningStateDetails", "mirrorTraffic", "traffic", "keys",
                   "dataCollector", "livenessProbe", "requestSettings", "workloadProfileName"),
    "ingress": ("stickySessions", "customDomains", "ipSecurityRestrictions", "corsPolicy", "clientCertificateMode"),
    "configuration": ("dapr", "service", "maxInactiveRevisions", "secrets", "registries", "runtime"),
    "template": ("initContainers", "volumes", "serviceBinds", "terminationGracePeriodSeconds"),
    "traffic": ("label", "latestRevision", "revisionName"),
    "env": ("value", "secretRef"),
}  # fmt: skip


def _nulled(data: Any, inside: str) -> Any:
    if isinstance(data, list):
        return [_nulled(item, inside) for item in data]
    if not isinstance(data, dict):
        return data
    if inside in ("tags", "environmentVariables") or (inside == "properties" and _is_text_map(data)):
        return data or None
    made = {
        key: None
        if value in ({}, "") and key not in _ALWAYS and not key.startswith("/")
        else _nulled(value, key)
        for key, value in data.items()
    }
    is_map = inside == "traffic" and all(isinstance(value, int) for value in data.values())
    names = (
        () if is_map or "status" in data or ("value" in data and inside == "") else _SAID_NULL.get(inside, ())
    )
    return {**dict.fromkeys(names), **made}


def other_case(request: Request, ask: Ask) -> Response:
    """Ids in answers are spelled another way than they were given."""
    response = ask(request)
    if not is_arm(request) or not response.body or response.status >= 400:
        return response
    return changed(response, data=_recased(data_of(response)))


def _recased(data: Any) -> Any:
    if isinstance(data, list):
        return [_recased(item) for item in data]
    if isinstance(data, dict):
        return {
            (_recase(key) if key.startswith("/sub") else key): _recased(value) for key, value in data.items()
        }
    return _recase(data) if isinstance(data, str) and data.startswith("/subscriptions/") else data


def _recase(text: str) -> str:
    """Another spelling of an id; ``azure-ai-ml`` itself reads no other one of words than the usual."""
    text = re.sub("/resourceGroups/([^/]+)", lambda match: f"/resourceGroups/{match[1].upper()}", text)
    if "MachineLearningServices" in text:
        return text
    for word in (
        "Microsoft",
        "resourceGroups",
        "userAssignedIdentities",
        "containerApps",
        "managedEnvironments",
    ):
        text = text.replace(word, word.lower())
    return text


# Requests

READ_ONLY = frozenset(
    ("provisioningState", "fqdn", "systemData", "latestRevisionName", "latestReadyRevisionName", "scoringUri", "swaggerUri",
     "latestRevisionFqdn", "outboundIpAddresses", "eventStreamEndpoint", "customDomainVerificationId", "principalId", "clientId",
     "runningStatus", "ephemeralStorage", "xLater")
)  # fmt: skip


def strict_bodies(request: Request, ask: Ask) -> Response:
    """What only the service may say is refused in bodies, and so are nulls and kinds of bodies that are not those of the method."""
    if is_arm(request) and request.method in ("PUT", "PATCH", "POST") and request.body:
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        kinds = (
            ("application/json",)
            if request.method != "PATCH"
            else ("application/json", "application/merge-patch+json")
        )
        if kind not in kinds:
            return refuse(415, "UnsupportedMediaType", f"The content type '{kind}' is not supported.")
        wrong = _find_read_only(json.loads(request.body), "")
        if wrong:
            return refuse(
                400, "InvalidRequestContent", f"Could not find member or read-only: Path '{wrong}'."
            )
    return ask(request)


def _find_read_only(data: Any, path: str) -> str:
    if isinstance(data, list):
        return next(
            filter(None, (_find_read_only(item, f"{path}[{index}]") for index, item in enumerate(data))), ""
        )
    if not isinstance(data, dict):
        return ""
    for key, value in data.items():
        here = f"{path}.{key}".lstrip(".")
        if key in READ_ONLY or (path == "" and key in ("id", "type", "name")):
            return here
        if found := _find_read_only(value, here):
            return found
    return ""


# Tokens and limits


class Challenges:
    """The first request to the resource manager is answered with a challenge, until a token with its claims was asked for.

    Attributes:
        n_met: How often a token with the claims was asked for.
    """

    def __init__(self) -> None:
        self.n_met = 0

    def __call__(self, request: Request, ask: Ask) -> Response:
        if request.host == AUTHORITY and b"claims=" in request.body:
            self.n_met += 1
        if not is_arm(request) or self.n_met:
            return ask(request)
        claims = b64encode(b'{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}').decode()
        challenge = (
            f'Bearer realm="", authorization_uri="https://{AUTHORITY}/common/oauth2/authorize", '
            f'error="insufficient_claims", claims="{claims}"'
        )
        message = "Continuous access evaluation resulted in challenge."
        return refuse(401, "InvalidAuthenticationToken", message, headers={"WWW-Authenticate": challenge})


class Throttling:
    """Every so many requests one is refused for now.

    Args:
        every: How many.
        headers: Of the refusal.
        hosts: Whose requests are counted, as a regular expression.
    """

    def __init__(
        self, every: int = 5, headers: Mapping[str, str] | None = None, hosts: str = ARM_HOST
    ) -> None:
        self._every = every
        self._headers = {"Retry-After": "0"} if headers is None else headers
        self._hosts = re.compile(hosts)
        self._n_asked = 0
        self.n_refused = 0

    def __call__(self, request: Request, ask: Ask) -> Response:
        if self._hosts.search(request.host):
            self._n_asked += 1
            if self._n_asked % self._every == 0:
                self.n_refused += 1
                limits = {"x-ms-ratelimit-remaining-subscription-reads": "0", **self._headers}
                return refuse(
                    429, "SubscriptionRequestsThrottled", "Number of requests exceeded.", headers=limits
                )
        return ask(request)


# Servers


class SlowStart:
    """Each address of a deployment answers another way at first.

    Args:
        *statuses: Of the first answers to requests for a score at each host.
    """

    def __init__(self, *statuses: int) -> None:
        self._statuses = statuses
        self._seen: dict[str, int] = {}

    def __call__(self, request: Request, ask: Ask) -> Response:
        is_score = request.path.endswith("/score")
        key = request.host + request.headers.get("azureml-model-deployment", "")
        number = self._seen.get(key, 0)
        if is_score and number < len(self._statuses):
            self._seen[key] = number + 1
            page = b"<html><h1>Error - This Container App is stopped or does not exist.</h1></html>"
            return Response(status=self._statuses[number], headers={"Content-Type": "text/html"}, body=page)
        return ask(request)


class ActiveWeights:
    """Only a revision that runs and has not failed can have a share or a label, and none that has one can be stopped."""

    def __init__(self, azure: StandIn) -> None:
        self._azure = azure

    def __call__(self, request: Request, ask: Ask) -> Response:
        match = re.search(r"/containerApps/([^/]+)(?:/revisions/([^/]+)/deactivate)?$", request.path)
        app = next(
            (item for item in self._azure.apps.by_id.values() if match and item.name == match[1]), None
        )
        if not is_arm(request) or match is None or app is None:
            return ask(request)
        if match[2] and any(item["revisionName"] == match[2] for item in app.traffic):
            return refuse(400, "RevisionInUse", f"The revision {match[2]} has a label or traffic.")
        if request.method in ("PUT", "PATCH") and not match[2]:
            properties = json.loads(request.body).get("properties") or {}
            ingress = (properties.get("configuration") or {}).get("ingress") or {}
            for item in ingress.get("traffic") or ():
                revision = app.revisions.get(item.get("revisionName") or "")
                if revision is not None and (not revision.is_active or revision.failure):
                    return refuse(400, "RevisionNotActive", f"The revision {revision.name} is not active.")
        return ask(request)


class LaggingRevisions:
    """A revision that was started or stopped is shown for a while as it was.

    Args:
        n_reads: How often.
    """

    def __init__(self, n_reads: int = 2) -> None:
        self._n_reads = n_reads
        self._stale: dict[str, list[Response]] = {}

    def __call__(self, request: Request, ask: Ask) -> Response:
        path, _, verb = request.path.rpartition("/")
        if is_arm(request) and verb in ("activate", "deactivate"):
            target = request.target.replace(f"/{verb}", "")
            before = ask(replace(request, method="GET", target=target, body=b""))
            response = ask(request)
            self._stale[path] = [before] * self._n_reads if response.status < 300 else []
            return response
        left = self._stale.get(request.path)
        return left.pop() if request.method == "GET" and left else ask(request)
