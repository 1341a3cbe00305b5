"""What goes wrong in Azure, as errors of ours with a code, a place in the deployment file and what to do.

Long-running operations that fail raise ``HttpResponseError`` with status 200: their code counts, not the status
(azure.md: 1.4). The codes of managed online endpoints are those of Microsoft's page on troubleshooting them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from headrace.deploy.azure_answers import UnreadableAnswerError, readable_answers, unwrapped
from headrace.deploy.azure_faults import (
    Fault,
    is_busy,
    is_denied,
    is_held,
    is_not_offered,
    is_quota,
    lacks_room,
    read_fault,
    read_offer,
    region_name,
    registering,
)
from headrace.deploy.azure_roles import role_for
from headrace.domain.deployment import Deployment, Endpoint
from headrace.errors import (
    AccessDeniedError,
    HeadraceError,
    Problem,
    RateLimitedError,
    RemoteError,
    RemoteRequestError,
    RemoteTimeoutError,
    RemoteUnavailableError,
)
from headrace.providers.azure_network import SIGN_IN, connection_fault
from headrace.source import Pointer, Span

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ADVERTS = re.compile(
    r"\s*(?:Resolutions?:|Additional Resources:|Visit this link|For troubleshooting, see).*", re.DOTALL
)
_PREAMBLE = re.compile(r"^(?:1\) )?One or more fields are invalid Details: |^Validation for \w+ failed: ")
_SECRETS = re.compile(
    r"""(?ix) (sig|code(?==)|accountkey|sharedaccesskey|password|client_secret|api[-_]?key) ["']? \s* [=:] \s* ["']?
    (?! \*) [^&;,\s"'}]+"""
)
_BEARER = re.compile(r"(?i)bearer\s+[\w.~+/-]+=*|eyJ[\w-]+\.[\w.-]+")
_LONGEST = 600
_LOG_LINES = 40

_ACTION = re.compile(
    r"perform(?:ing)? (?:the )?action[s]? '(?P<action>[^']+)'(?: over (?:the )?scope '(?P<scope>[^']+)')?",
    re.I,
)
_LINKED = re.compile(
    r"does not have permission to perform action(?:\(s\)|s)? '(?P<action>[^']+)' on (?:the )?linked scope(?:\(s\)|s)? "
    r"'(?P<scope>[^']+)'",
    re.I,
)
_DATA_ACTION = re.compile(r"Action: '(?P<action>[^']+)'")
_WRONG_TENANT = re.compile(
    r"wrong issuer .*?must match (?:the|one of the) tenants? '(?P<tenant>[^']+)'", re.I | re.S
)
_QUOTA = (
    re.compile(
        r"Not enough quota available for (?P<what>[\w .-]+?) in SubscriptionId .*?usage/limit: "
        r"(?P<used>\d+)/(?P<limit>\d+)\. Additional needed: (?P<needed>\d+)",
        re.I | re.S,
    ),
    re.compile(
        r"exceeding approved (?P<what>[\w .-]+?) (?:Cores )?quota.*?Current Limit: (?P<limit>\d+), Current Usage: "
        r"(?P<used>\d+), Additional Required: (?P<needed>\d+)",
        re.I | re.S,
    ),
    re.compile(
        r"quota limits? of (?P<what>[\w .-]+?)\. Maximum allowed: (?P<limit>\d+), Current in use: (?P<used>\d+), "
        r"Additional requested: (?P<needed>\d+)",
        re.I | re.S,
    ),
)

_FETCH_WORDS = re.compile(
    r"(?:unable|fail\w*) to (?:pull|download|fetch) (?:the )?(?:user |container |base )*(?:container )?(?:image|model)|"
    r"ImagePullBackOff|ErrImagePull|manifest unknown",
    re.I,
)
Log = Callable[[], Sequence[str]]
"""Reads the last lines of a container's log; asked only where they may say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """What was being done when something went wrong.

    Attributes:
        what: For people, as a noun: ``deployment blue``, ``the image for blue``.
        endpoint: What is wished for; its file is where places are.
        deployment: That it was about; ``None`` for the endpoint.
        log: Reads its container's log.
    """

    what: str
    endpoint: Endpoint
    deployment: Deployment | None = None
    log: Log | None = None

    def place(self, *keys: str) -> tuple[Span | None, Pointer]:
        """Where the file says something: for this deployment, else for all, else the nearest around it."""
        source_map = self.endpoint.source_map
        own = self.deployment.pointer if self.deployment is not None else ()
        for pointer in ((*own, *keys), keys):
            if pointer and source_map is not None and pointer in source_map.values:
                return source_map.values[pointer], pointer
        # A part of what is asked for may stand there: azure, where azure.workspace does not.
        fallback = keys[:-1] if len(keys) > 1 else own or ("name",)
        return self.endpoint.span(*fallback), fallback


@contextmanager
def azure_failures(
    what: str, endpoint: Endpoint, deployment: Deployment | None = None, *, log: Log | None = None
) -> Iterator[None]:
    """Turn what the packages of Azure raise in the block into our errors.

    Args:
        what: What is being done, for people, as a noun: ``deployment blue``.
        endpoint: What is wished for.
        deployment: That it is about; ``None`` for the endpoint.
        log: Reads the last lines of its container's log.

    Raises:
        AccessDeniedError: X201, X202, X203, X220.
        RemoteRequestError: X204 to X210, X216 to X219, X221.
        RateLimitedError: X211.
        RemoteUnavailableError: X212, X215.
        RemoteTimeoutError: X213.
    """
    try:
        with readable_answers():
            yield
    except _raised() as error:
        raise as_our_error(
            error, Doing(what=what, endpoint=endpoint, deployment=deployment, log=log)
        ) from error


def _raised() -> tuple[type[Exception], ...]:
    """What Azure's packages raise; ``azure-ai-ml`` lets through what its schema library finds wrong."""
    library = sys.modules.get("marshmallow")
    return (AzureError, *((library.ValidationError,) if library is not None else ()))


def as_our_error(error: Exception, doing: Doing) -> HeadraceError:
    """The error of ours for one that a package of Azure has raised."""
    error = unwrapped(error) if isinstance(error, AzureError) else error
    fault = read_fault(error)
    if isinstance(error, HttpResponseError) or fault.codes:
        for is_it, make in _FAMILIES:
            if is_it(fault):
                return make(fault, doing)
        return _make_other(fault, doing)
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return _make_unreachable(fault, doing)
    if isinstance(error, UnreadableAnswerError):
        return _make_failed(fault, doing)
    return _make_refused(fault, doing)


def plain_message(text: str) -> str:
    """What Azure said, on one line, without colours, and without what may be a secret."""
    text = _ADVERTS.sub("", _COLOURS.sub("", text))
    text = _SECRETS.sub(lambda match: f"{match[1]}=******", text)
    text = re.sub(r"\s+", " ", _BEARER.sub("******", text)).strip()
    text = _PREAMBLE.sub("", text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _problem(
    code: str, what: str, fix: str, place: tuple[Span | None, Pointer], detail: Sequence[str] = ()
) -> Problem:
    span, pointer = place
    return Problem(code=code, what=what, fix=fix, span=span, pointer=pointer, detail=tuple(detail))


def _make_tenant(fault: Fault, doing: Doing) -> RemoteError:
    match = _WRONG_TENANT.search(fault.message)
    tenant = match["tenant"].rstrip("/").rpartition("/")[2] if match else ""
    of = f" {tenant}" if tenant else ""
    what = f"The subscription belongs to another tenant{of} than the identity that was used."
    name = tenant or "TENANT"
    fix = f"Sign in there: az login --tenant {name}, or set AZURE_TENANT_ID={name} with an application of that tenant."
    return AccessDeniedError(_problem("X202", what, fix, doing.place("azure", "subscription")))


def _make_denied(fault: Fault, doing: Doing) -> RemoteError:
    match = (
        _LINKED.search(fault.message) or _ACTION.search(fault.message) or _DATA_ACTION.search(fault.message)
    )
    place = doing.place("azure", "resource_group")
    if match is None:
        what = f"Azure does not allow it for {doing.what}: {plain_message(fault.message)}"
        fix = "Give the identity the role that this needs, and look whether a network rule or a policy is in the way."
        return AccessDeniedError(_problem("X203", what, fix, place))
    action = match["action"]
    scope = match.groupdict().get("scope") or ""
    role = role_for(action)
    who = re.search(r"(?:object id '?|oid=)([0-9a-f-]{36})", fault.message)
    what = f"The identity may not do {action}{f' on {scope}' if scope else ''}, which {doing.what} needs."
    of = f" to {who[1]}" if who else ""
    fix = (
        f'Give the role "{role}"{of}, which takes some minutes: az role assignment create --role "{role}" '
        f'--assignee {who[1] if who else "OBJECT_ID"} --scope "{scope or "SCOPE"}"'
    )
    if "userassignedidentities" in action.lower():
        place = doing.place("identities")
    return AccessDeniedError(_problem("X203", what, fix, place))


def _make_held(fault: Fault, doing: Doing) -> RemoteError:
    """What nobody may do here, whatever his roles."""
    said = plain_message(fault.message)
    if fault.has("RequestDisallowedByPolicy"):
        what = f"A policy of the subscription does not allow {doing.what}: {said}"
        fix = "Change what the policy asks for, mostly tags, a size or a region, or have it exempt the resource group."
        return AccessDeniedError(_problem("X220", what, fix, doing.place()))
    if fault.has("ScopeLocked"):
        what = f"A lock keeps {doing.what} from being changed: {said}"
        fix = "Have the lock removed, which az lock list shows; then give the same command again."
        return AccessDeniedError(_problem("X220", what, fix, doing.place("azure", "resource_group")))
    what = f"The subscription is disabled, so that nothing is made or changed in it: {said}"
    fix = "Have it enabled again, which is a matter of its bill or spending limit, or name another one."
    return AccessDeniedError(_problem("X220", what, fix, doing.place("azure", "subscription")))


_MISSING: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("SubscriptionNotFound", ("azure", "subscription"), "subscription"),
    ("InvalidSubscriptionId", ("azure", "subscription"), "subscription"),
    ("ResourceGroupNotFound", ("azure", "resource_group"), "resource group"),
)
_MISSING_TYPES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("Microsoft.App/managedEnvironments", ("azure", "environment"), "managed environment"),
    ("Microsoft.ContainerRegistry/registries", ("azure", "registry"), "container registry"),
    ("Microsoft.ManagedIdentity/userAssignedIdentities", ("identities",), "identity"),
    ("Microsoft.MachineLearningServices/workspaces", ("azure", "workspace"), "workspace"),
)


def _make_missing(fault: Fault, doing: Doing) -> RemoteError:
    said = plain_message(fault.message)
    for code, keys, word in _MISSING:
        if fault.has(code):
            what = f"There is no such {word}, or the identity may not see it: {said}"
            fix = f"Check azure.{keys[-1]}, and that the identity may read it; az account show says which is signed in."
            return RemoteRequestError(_problem("X204", what, fix, doing.place(*keys)))
    for kind, keys, word in _MISSING_TYPES:
        # Not what is inside one, such as a version of a model of a workspace.
        if re.search(rf"{re.escape(kind)}/[^/\s'\"]+(?![^\s'\"])", fault.message, re.IGNORECASE):
            what = f"There is no such {word}: {said}"
            fix = f"Check {'.'.join(keys)}; headrace makes no {word}, which outlives deployments."
            return RemoteRequestError(_problem("X204", what, fix, doing.place(*keys)))
    what = f"Something that {doing.what} needs is not there: {said}"
    fix = "Look whether somebody deleted it meanwhile; headrace deploy plan says what is missing, apply makes it again."
    return RemoteRequestError(_problem("X204", what, fix, doing.place()))


def _make_busy(fault: Fault, doing: Doing) -> RemoteError:
    what = f"Azure is busy with {doing.what}: {plain_message(fault.message)}"
    fix = "Give the same command again once what is under way has ended; headrace deploy status says so."
    error = RemoteRequestError(_problem("X205", what, fix, doing.place()))
    error.retryable = True
    return error


def _make_quota(fault: Fault, doing: Doing) -> RemoteError:
    match = next(filter(None, (pattern.search(fault.message) for pattern in _QUOTA)), None)
    size = doing.deployment.size.instance_type if doing.deployment is not None else ""
    if match is not None:
        left = max(0, int(match["limit"]) - int(match["used"]))
        what = (
            f"The quota for {match['what']} does not suffice: {match['used']} of {match['limit']} are used, {left} are "
            f"left, {match['needed']} are needed for {doing.what}."
        )
    else:
        what = f"There is not enough quota for {doing.what}: {plain_message(fault.message)}"
    fix = (
        f"Take a smaller size{f' than {size}' if size else ''} or fewer copies, delete deployments without traffic, or "
        "ask for more: Azure portal, Quotas. Managed endpoints keep a fifth more in reserve, for upgrades."
    )
    place = doing.place("size", "instance_type") if size else doing.place("scale")
    return RemoteRequestError(_problem("X206", what, fix, place))


def _make_room(fault: Fault, doing: Doing) -> RemoteError:
    what = f"Azure has no room for {doing.what} in this region now: {plain_message(fault.message)}"
    fix = "Take another size, or give the same command again later; a workspace in another region may have room."
    return RemoteRequestError(_problem("X206", what, fix, doing.place("size", "instance_type")))


def _make_unfetched(fault: Fault, doing: Doing) -> RemoteError:
    what = f"Azure cannot fetch what {doing.what} is made of: {plain_message(fault.message)}"
    fix = (
        'Give the identity of the endpoint the role "AcrPull" on the registry and "Storage Blob Data Reader" on the '
        "store of the workspace, and look whether the image is there; then give the same command again."
    )
    key = "image" if doing.deployment is not None and doing.deployment.image else "identities"
    return RemoteRequestError(_problem("X218", what, fix, doing.place(key), _read_log(doing)))


def _make_unregistered(fault: Fault, doing: Doing) -> RemoteError:
    match = re.search(r"namespace '([^']+)'", fault.message)
    namespace = match[1] if match else ""
    needed = namespace or "a provider"
    what = f"The subscription is not registered for {needed}, which {doing.what} needs."
    fix = f"Register it, which takes a minute or two: {registering(namespace)}"
    return RemoteRequestError(_problem("X219", what, fix, doing.place("azure", "subscription")))


_MOST_REGIONS = 12


def _make_not_offered(fault: Fault, doing: Doing) -> RemoteError:
    """A region that does not have it, a version of the interface that the cloud does not know, or no registration."""
    offer = read_offer(fault)
    kind = offer.kind or offer.namespace or "what it needs"
    regions = {region_name(item) for item in offer.regions}
    is_region = fault.has(
        "LocationNotAvailable", "LocationNotAvailableForResourceType", "LocationNotSupported"
    )
    if is_region or (offer.region and regions and region_name(offer.region) not in regions):
        more = f" and {len(offer.regions) - _MOST_REGIONS} more" if len(offer.regions) > _MOST_REGIONS else ""
        have = f", such as {', '.join(offer.regions[:_MOST_REGIONS])}{more}" if offer.regions else ""
        what = f"The region {offer.region or 'that is asked for'} does not have {kind}, which {doing.what} needs."
        keys = ("azure", "workspace") if doing.endpoint.target == "azureml" else ("azure", "environment")
        fix = f"Name a {keys[1]} in another region{have}; what is deployed stands in the region of its {keys[1]}."
        return RemoteRequestError(_problem("X221", what, fix, doing.place(*keys)))
    place = doing.place("azure", "subscription")
    register = registering(offer.namespace)
    known = {item.lower() for item in offer.versions}
    if not known or offer.version.lower() in known:
        what = (
            f"The subscription does not know {kind}, which {doing.what} needs: {plain_message(fault.message)}"
        )
        fix = f"Mostly it is not registered for it; that takes a minute or two: {register}"
        return RemoteRequestError(_problem("X219", what, fix, place))
    version = f"the version {offer.version} of the interface" if offer.version else "the version"
    what = f"This cloud does not know {version} for {kind}, which {doing.what} needs; it has {offer.versions[-1]}."
    fix = (
        "Clouds of governments and of countries get versions later than the public one, which headrace is made for: "
        f"look which one is signed in to, with az cloud show. In the public one, register again: {register}"
    )
    return RemoteRequestError(_problem("X221", what, fix, place))


def _make_unauthenticated(fault: Fault, doing: Doing) -> RemoteError:
    what = f"Azure does not take the token that it was sent for {doing.what}: {plain_message(fault.message)}"
    return AccessDeniedError(_problem("X201", what, SIGN_IN, doing.place("azure", "subscription")))


def _make_image(fault: Fault, doing: Doing) -> RemoteError:
    what = f"The image for {doing.what} was not built: {plain_message(fault.message)}"
    fix = (
        "Read the last lines of the build. Mostly a package of the flow's requirements cannot be installed: "
        "headrace flow build --format docker makes the same image on this machine."
    )
    return RemoteRequestError(_problem("X207", what, fix, doing.place("flow"), _read_log(doing)))


def _make_not_ready(fault: Fault, doing: Doing) -> RemoteError:
    what = f"The container of {doing.what} did not become ready: {plain_message(fault.message)}"
    lines = _read_log(doing)
    fix = (
        "Read the last lines of its log. Mostly a variable for a connection is missing, or it needs more time or more "
        "memory: probes.readiness, size. headrace deploy logs shows more."
    )
    return RemoteRequestError(_problem("X208", what, fix, doing.place("probes"), lines))


def _make_secrets(fault: Fault, doing: Doing) -> RemoteError:
    what = f"A secret for {doing.what} cannot be read by its identity: {plain_message(fault.message)}"
    fix = (
        'Give the identity of the endpoint the role "Key Vault Secrets User" on the vault, or "Azure Machine Learning '
        'Workspace Connection Secrets Reader" on the workspace, and check the address of the secret.'
    )
    return RemoteRequestError(_problem("X209", what, fix, doing.place("environment")))


def _make_refused(fault: Fault, doing: Doing) -> RemoteError:
    code = f" ({fault.codes[-1]})" if fault.codes else ""
    what = f"Azure refuses {doing.what}{code}: {plain_message(fault.message)}"
    fix = (
        "Change what the message names in the deployment file; headrace deploy plan shows what would be sent."
    )
    return RemoteRequestError(_problem("X210", what, fix, doing.place()))


def _make_throttled(fault: Fault, doing: Doing) -> RemoteError:
    what = f"Azure takes no more requests for now, after several tries for {doing.what}: {plain_message(fault.message)}"
    fix = "Give the same command again in some minutes; it goes on where it stopped."
    return RateLimitedError(_problem("X211", what, fix, doing.place()))


def _make_unreachable(fault: Fault, doing: Doing) -> RemoteError:
    reason, advice = connection_fault(fault.message) or (
        plain_message(fault.message),
        "Check the network, HTTPS_PROXY and REQUESTS_CA_BUNDLE.",
    )
    what = f"Azure cannot be reached for {doing.what}: {reason.rstrip('.')}."
    fix = f"{advice} Then give the same command again."
    return RemoteUnavailableError(_problem("X212", what, fix, doing.place()))


def _make_late(fault: Fault, doing: Doing) -> RemoteError:
    what = f"Azure did not finish {doing.what} in time: {plain_message(fault.message)}"
    fix = "It may still go on. Give the same command again: it waits for what is under way."
    return RemoteTimeoutError(_problem("X213", what, fix, doing.place()))


def _make_failed(fault: Fault, doing: Doing) -> RemoteError:
    code = f" ({fault.codes[-1] if fault.codes else fault.status})" if fault.codes or fault.status else ""
    what = f"Azure failed at {doing.what}{code}: {plain_message(fault.message)}"
    fix = "Give the same command again; where it fails again, Azure's status page or its support knows more."
    return RemoteUnavailableError(_problem("X215", what, fix, doing.place(), _read_log(doing)))


def _make_cancelled(fault: Fault, doing: Doing) -> RemoteError:
    what = f"Somebody, or Azure itself, called off {doing.what}: {plain_message(fault.message)}"
    fix = "Give the same command again, once nobody else changes the endpoint."
    return RemoteRequestError(_problem("X216", what, fix, doing.place()))


def _make_network(fault: Fault, doing: Doing) -> RemoteError:
    what = f"The workspace's managed network is not ready for {doing.what}: {plain_message(fault.message)}"
    fix = "Make it: az ml workspace provision-network --name WORKSPACE; then give the same command again."
    return RemoteRequestError(_problem("X217", what, fix, doing.place("azure", "workspace")))


def _make_other(fault: Fault, doing: Doing) -> RemoteError:
    is_ours = 400 <= fault.status < 500
    return _make_refused(fault, doing) if is_ours else _make_failed(fault, doing)


def _read_log(doing: Doing) -> tuple[str, ...]:
    if doing.log is None:
        return ()
    try:
        lines = list(doing.log())
    except (AzureError, HeadraceError, OSError):  # the log would help, but it is not what went wrong
        return ()
    return tuple(plain_message(line) for line in lines[-_LOG_LINES:])


_FAMILIES: tuple[tuple[Callable[[Fault], bool], Callable[[Fault, Doing], RemoteError]], ...] = (
    (lambda fault: fault.has("InvalidAuthenticationTokenTenant"), _make_tenant),
    (lacks_room, _make_room),
    (is_quota, _make_quota),
    (is_held, _make_held),
    (
        lambda fault: fault.has("MissingSubscriptionRegistration", "SubscriptionNotRegistered"),
        _make_unregistered,
    ),
    (is_not_offered, _make_not_offered),
    (lambda fault: fault.has("SecretsInjectionError"), _make_secrets),
    (lambda fault: fault.has("ImageBuildFailure"), _make_image),
    (lambda fault: _FETCH_WORDS.search(fault.message) is not None, _make_unfetched),
    (
        lambda fault: fault.has("ResourceNotReady", "ContainerAppProbeFailure", "LivenessProbeFailed"),
        _make_not_ready,
    ),
    (lambda fault: fault.has("WorkspaceManagedNetworkNotReady"), _make_network),
    (lambda fault: fault.has("OperationCanceled", "OperationCancelled", "Canceled"), _make_cancelled),
    (lambda fault: fault.has("RequestTimeout", "GatewayTimeout") or fault.status in (408, 504), _make_late),
    (is_denied, _make_denied),
    (
        lambda fault: (
            fault.status == 404
            or fault.has("ResourceNotFound", "ParentResourceNotFound", *(code for code, _, _ in _MISSING))
        ),
        _make_missing,
    ),
    (lambda fault: fault.status == 429 or fault.has("TooManyRequests"), _make_throttled),
    (is_busy, _make_busy),
    (lambda fault: fault.status == 401, _make_unauthenticated),
    (lambda fault: fault.has("InternalServerError", "InternalError") or fault.status >= 500, _make_failed),
    (lambda fault: fault.has("BadArgument", "BadRequest") or 400 <= fault.status < 500, _make_refused),
)
"""What kind of failure it is, the first that fits, and the error it becomes."""
