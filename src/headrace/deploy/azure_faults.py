"""What Azure said when something went wrong, and which kind of trouble that is, by its codes before its words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_QUOTA_WORDS = re.compile(
    r"not enough quota|exceed\w* (?:the |approved |your )*[\w ]*quota|quota limit|quota exceeded", re.I
)
_CAPACITY_WORDS = re.compile(r"lack of [\w ]*capacity|insufficient capacity|capacity is not available", re.I)
_BUSY_WORDS = re.compile(r"in progress|another operation|is being|is busy|currently updating|try again", re.I)
_QUOTA_CODES = re.compile(r"quota|^MaxNumberOf\w+Exceeded$", re.I)
_NO_ROOM = (
    "OutOfCapacity",
    "AllocationFailed",
    "ZonalAllocationFailed",
    "OverconstrainedAllocationRequest",
    "SkuNotAvailable",
    "InsufficientCapacity",
)
_HELD = ("RequestDisallowedByPolicy", "ScopeLocked", "ReadOnlyDisabledSubscription", "SubscriptionDisabled")
_BUSY = (
    "OperationInProgress",
    "AnotherOperationInProgress",
    "ContainerAppOperationInProgress",
    "OperationPreempted",
    "PreconditionFailed",
)
_CHANGED, _LOCKED = 412, 423
_NOT_OFFERED = (
    "InvalidApiVersionParameter",
    "InvalidResourceNamespace",
    "InvalidResourceType",
    "LocationNotAvailable",
    "LocationNotAvailableForResourceType",
    "LocationNotSupported",
    "NoRegisteredProviderFound",
    "UnsupportedApiVersion",
)
_OFFER_PATTERNS = {
    "region": r"location '(?P<found>[^']+)'",
    "kind": r"(?:resource type|for type|for the type) '(?P<found>[^']+)'",
    "namespace": r"namespace '(?P<found>[^']+)'",
    "regions": r"(?:supported locations are|available regions for the resource type is) '(?P<found>[^']*)'",
    "version": r"(?<!supported )api-?\s?version '(?P<found>[^']+)'",
    "versions": r"supported (?:api-)?versions are '(?P<found>[^']*)'",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What Azure said.

    Attributes:
        status: HTTP status; 200 for an operation that failed, 0 where there was no answer.
        codes: All codes in the answer, outermost first.
        message: All its messages in one line.
    """

    status: int
    codes: tuple[str, ...]
    message: str

    def has(self, *codes: str) -> bool:
        """Whether one of the codes is among them, whatever the case."""
        return any(code.lower() == known.lower() for code in self.codes for known in codes)


def region_name(text: str) -> str:
    """The name of a region, which is also spelled as people do: ``westeurope`` of ``West Europe``."""
    return text.replace(" ", "").lower()


def read_fault(error: Exception) -> Fault:
    """What an error of a package of Azure holds."""
    status = getattr(error, "status_code", None) or 0
    codes: list[str] = []
    messages: list[str] = []
    _collect(getattr(error, "error", None), codes, messages)
    said = str(getattr(error, "message", "") or error)
    if not codes and (match := re.match(r"\((\w+)\) ", said)):
        codes.append(match[1])
    text = " ".join(dict.fromkeys(messages)) or re.sub(r"^\(\w+\) ", "", said)
    return Fault(status=int(status), codes=tuple(codes), message=text)


def _collect(said: object, codes: list[str], messages: list[str]) -> None:
    """Codes and messages of an error and of what is inside it."""
    code, message = getattr(said, "code", None), getattr(said, "message", None)
    if isinstance(code, str) and code:
        codes.append(code)
    if isinstance(message, str) and message:
        messages.append(message)
    inner = getattr(said, "innererror", None)
    if isinstance(inner, Mapping) and isinstance(inner.get("code"), str):
        codes.append(inner["code"])
    for detail in getattr(said, "details", None) or ():
        _collect(detail, codes, messages)


def is_quota(fault: Fault) -> bool:
    """Whether what may be used is used up."""
    is_named = any(_QUOTA_CODES.search(code) for code in fault.codes)
    return is_named or _QUOTA_WORDS.search(fault.message) is not None


def lacks_room(fault: Fault) -> bool:
    """Whether the region has no machines left of what was asked for."""
    return fault.has(*_NO_ROOM) or _CAPACITY_WORDS.search(fault.message) is not None


def is_held(fault: Fault) -> bool:
    """Whether nobody may do it here: a policy, a lock, or a subscription that is disabled."""
    return fault.has(*_HELD)


def is_busy(fault: Fault) -> bool:
    """Whether something else is under way that passes."""
    if fault.has(*_BUSY) or fault.status in (_CHANGED, _LOCKED):
        return True
    if fault.status != 409 and not fault.has("Conflict"):
        return False
    # 409 is also said of names that are taken, and of what was deleted and is kept, which no waiting helps.
    return not fault.codes or fault.has("Conflict") or _BUSY_WORDS.search(fault.message) is not None


def is_denied(fault: Fault) -> bool:
    """Whether whoever asked lacks a right."""
    return fault.status == 403 or fault.has("AuthorizationFailed", "LinkedAuthorizationFailed", "Forbidden")


def is_not_offered(fault: Fault) -> bool:
    """Whether a region, or a cloud, does not have what is asked for, or not the version of it."""
    return fault.has(*_NOT_OFFERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What Azure says of what it does not offer; empty where it does not say.

    Attributes:
        kind: Type of the resource, ``Microsoft.App/containerApps``.
        namespace: Of the provider.
        region: That was asked for.
        regions: That have it.
        version: Of the interface, that was asked for.
        versions: That there are.
    """

    kind: str
    namespace: str
    region: str
    regions: tuple[str, ...]
    version: str
    versions: tuple[str, ...]


def read_offer(fault: Fault) -> Offer:
    """What a fault that :func:`is_not_offered` says of it."""
    found = {
        name: match["found"] if (match := re.search(pattern, fault.message, re.I)) else ""
        for name, pattern in _OFFER_PATTERNS.items()
    }

    def listed(name: str) -> tuple[str, ...]:
        return tuple(item.strip() for item in found[name].split(",") if item.strip())

    kind, namespace = found["kind"], found["namespace"]
    return Offer(
        kind=kind,
        namespace=namespace or (kind.partition("/")[0] if "/" in kind else ""),
        region=found["region"],
        regions=listed("regions"),
        version=found["version"],
        versions=listed("versions"),
    )


def registering(namespace: str) -> str:
    """What registers a provider, or where nobody has named it, what shows those that are not."""
    if namespace:
        return f"az provider register --namespace {namespace} --wait"
    listing = "az provider list --query \"[?registrationState!='Registered'].namespace\" --output tsv"
    return f"az provider register, with a namespace of those that are not, which shows: {listing}"
