"""What Container Apps answer: an app and its revisions as the state of an endpoint; pure.

Unknown fields are left alone, words may have any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace.deploy.container_app_template import (
    ISSUER_VARIABLE,
    KEY_VARIABLE,
    KEYS_VARIABLE,
    NAME_VARIABLE,
    OPEN_VARIABLE,
    SPEC_VARIABLE,
    UNMOVED_TAG,
    VERSION_VARIABLE,
    Wire,
    weight,
)
from headrace.domain.deployment import (
    OWNER_TAG,
    PREVIOUS_TAG,
    DeploymentState,
    EndpointState,
    Health,
    Scale,
)
from headrace.domain.deployment_notes import read_previous
from headrace.domain.values import JsonValue

BUSY = frozenset({"inprogress", "deleting", "creating", "updating", "waiting"})
_STOPPED = frozenset({"stopped", "deprovisioned", "deprovisioning"})
_FAILED = frozenset({"failed", "activationfailed", "provisioningerror"})
_RUNNING = frozenset(
    {"running", "runningatmaxscale", "runningatmax", "scaledtozero", "scaleto0", "scaledto0"}
)
_OURS = (OWNER_TAG, PREVIOUS_TAG, UNMOVED_TAG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One entry of the traffic, settled: no entry means "whichever is the latest" any more.

    Attributes:
        revision: Name.
        percent: Its weight.
        label: Name of a deployment; empty for none.
    """

    revision: str
    percent: int
    label: str = ""

    def to_wire(self) -> Wire:
        """As Azure has it."""
        return weight(self.revision, self.percent, self.label)


def word(value: object) -> str:
    """A word of Azure for comparing: small letters only."""
    return "".join(letter for letter in str(value or "").lower() if letter.isalnum())


def properties(resource: Wire) -> Wire:
    """The properties of a resource."""
    return resource.get("properties") or {}


def configuration(app: Wire) -> Wire:
    """The part of an app that is the same for all revisions."""
    return properties(app).get("configuration") or {}


def ingress(app: Wire) -> Wire:
    """The ingress of an app; empty where it has none."""
    return configuration(app).get("ingress") or {}


def is_busy(app: Wire) -> bool:
    """Whether an operation on the app is under way."""
    return word(properties(app).get("provisioningState")) in BUSY


def shares(app: Wire) -> tuple[Share, ...]:
    """The traffic, with the name of a revision in every entry."""
    latest = properties(app).get("latestReadyRevisionName") or properties(app).get("latestRevisionName") or ""
    entries = ingress(app).get("traffic") or (
        [{"latestRevision": True, "weight": 100}] if ingress(app) else []
    )
    found = []
    for entry in entries:
        revision = latest if entry.get("latestRevision") else entry.get("revisionName") or ""
        if revision:
            percent = int(entry.get("weight") or 0)
            found.append(Share(revision=revision, percent=percent, label=entry.get("label") or ""))
    return tuple(found)


def named_shares(app: Wire, revisions: Sequence[Wire]) -> tuple[Share, ...]:
    """The traffic, with the label that a revision of ours is to have where it has none yet.

    An apply that was cut off leaves a revision without one.

    Args:
        app: As Azure answers.
        revisions: All of them.
    """
    values = {str(item.get("name", "")).lower(): variables(item) for item in revisions}
    entries = shares(app)
    taken = {item.label for item in entries if item.label}
    found = []
    for item in entries:
        own = values.get(item.revision.lower(), {})
        name = own.get(NAME_VARIABLE, "") if SPEC_VARIABLE in own else ""
        is_unnamed = not item.label and name and name not in taken
        taken.add(name)
        found.append(replace(item, label=name) if is_unnamed else item)
    return tuple(found)


def is_unmoved(app: Wire) -> bool:
    """Whether nobody has moved the traffic of an app yet, so that who has it has it by chance."""
    return (app.get("tags") or {}).get(UNMOVED_TAG) == "true"


def relabelled(entries: Sequence[Share], label: str, revision: str) -> tuple[Share, ...]:
    """The traffic with a label at another revision, which takes over what the label had."""
    percent = sum(item.percent for item in entries if item.label == label)
    others = [item for item in entries if item.label != label]
    same = [item for item in others if item.revision.lower() == revision.lower() and not item.label]
    percent += sum(item.percent for item in same)
    kept = [item for item in others if item not in same and (item.label or item.percent)]
    return (*kept, Share(revision=revision, percent=percent, label=label))


def tried_beside(entries: Sequence[Share], label: str, revision: str) -> tuple[Share, ...]:
    """The traffic with a label at another revision, while what the label had stays with the revision that had it."""
    percent, kept = 0, []
    for item in entries:
        if item.revision.lower() == revision.lower() and item.label in ("", label):
            percent += item.percent
        elif item.label != label:
            kept.append(item)
        elif item.percent:
            kept.append(replace(item, label=""))
    others = [item for item in kept if item.label or item.percent]
    return (*others, Share(revision=revision, percent=percent, label=label))


def owned_shares(app: Wire, revisions: Sequence[Wire]) -> tuple[tuple[str, Share], ...]:
    """The traffic with the name of the deployment that each entry belongs to; what has a label comes first.

    Args:
        app: As Azure answers.
        revisions: All of them.
    """
    by_name = {str(item.get("name", "")).lower(): item for item in revisions}
    owned = [
        (item.label or deployment_name(by_name.get(item.revision.lower(), {}), item.revision), item)
        for item in named_shares(app, revisions)
    ]
    return tuple(sorted(owned, key=lambda pair: not pair[1].label))


def answering_beside(app: Wire, owned: Sequence[tuple[str, Share]]) -> dict[str, str]:
    """Deployment to the revision that answers its requests while the one with its label is only tried."""
    if is_unmoved(app):
        return {}
    tried = {name for name, item in owned if item.label and not item.percent}
    found: dict[str, str] = {}
    for name, item in owned:
        if name in tried and item.percent and not item.label:
            found.setdefault(name, item.revision)
    return found


def variables(revision: Wire) -> dict[str, str]:
    """The variables of a revision by name; of those that are secrets, only that they are there."""
    containers = (properties(revision).get("template") or {}).get("containers") or [{}]
    return {
        str(item.get("name")): str(item.get("value") or item.get("secretRef") or "")
        for item in containers[0].get("env") or ()
    }


def health(revision: Wire) -> Health:
    """How a revision is."""
    found = properties(revision)
    provisioning, running = word(found.get("provisioningState")), word(found.get("runningState"))
    if found.get("active") is False or provisioning in _STOPPED:
        return "stopped"
    if is_final_failure(revision):
        return "failed"
    if provisioning not in ("provisioned", ""):
        return "starting"
    state = word(found.get("healthState"))
    if state == "unhealthy" or running == "degraded":
        return "failed"
    if state == "healthy" or running in _RUNNING or (running != "processing" and _has_no_copy(revision)):
        return "healthy"
    if running in _STOPPED:
        return "stopped"
    return "starting" if running == "processing" or state == "none" else "unknown"


def _has_no_copy(revision: Wire) -> bool:
    """Whether a revision has no copy because it needs none while nobody asks."""
    found = properties(revision)
    scale = (found.get("template") or {}).get("scale") or {}
    return found.get("active") is True and found.get("replicas") == 0 and not scale.get("minReplicas")


def is_final_failure(revision: Wire) -> bool:
    """Whether a revision has failed for good, and not only not come up yet."""
    found = properties(revision)
    return bool({word(found.get("provisioningState")), word(found.get("runningState"))} & _FAILED)


def failure_text(revision: Wire) -> str:
    """What Azure says of a revision that is not healthy."""
    found = properties(revision)
    said = [found.get("provisioningError"), found.get("runningStateDetails")]
    texts = [str(item).strip() for item in said if item]
    states = ", ".join(str(found[key]) for key in ("runningState", "healthState") if found.get(key))
    return " ".join(texts) or (f"Container Apps say: {states}." if states else "")


def read_endpoint(
    app: Wire | None, revisions: Sequence[Wire], identities: Sequence[str] = ()
) -> EndpointState:
    """The state of an endpoint.

    Args:
        app: As Azure answers; ``None`` where there is none.
        revisions: All of them, also those that do not run.
        identities: That are wished for; further ones of the app are others' business.
    """
    if app is None:
        return EndpointState()
    by_name = {str(item.get("name", "")).lower(): item for item in revisions}
    revision_of: dict[str, str] = {}
    traffic: dict[str, int] = {}
    owned = owned_shares(app, revisions)
    for name, share in owned:
        revision_of.setdefault(name, share.revision)
        traffic[name] = traffic.get(name, 0) + share.percent
    busy = is_busy(app)

    def read(name: str, revision: str) -> DeploymentState:
        return _read_deployment(name, revision, by_name.get(revision.lower()), is_app_busy=busy)

    answering = answering_beside(app, owned)
    found = [
        replace(read(name, answering[name]), tried=read(name, revision))
        if name in answering
        else read(name, revision)
        for name, revision in sorted(revision_of.items())
    ]
    fqdn = ingress(app).get("fqdn")
    tags = app.get("tags") or {}
    previous, previous_specs = read_previous(tags.get(PREVIOUS_TAG) or "")
    if is_unmoved(app):
        traffic = {}
    return EndpointState(
        exists=True,
        address=f"https://{fqdn}/score" if fqdn else "",
        deployments=tuple(found),
        traffic={name: percent for name, percent in sorted(traffic.items()) if percent},
        previous=previous,
        previous_specs=previous_specs,
        is_busy=busy,
        settings=_read_settings(
            app, [by_name.get(item.lower(), {}) for item in revision_of.values()], identities
        ),
        location=str(app.get("location") or ""),
    )


def deployment_name(revision: Wire, name: str) -> str:
    """What a revision without a label is called: as it was made, else by the end of its name."""
    return variables(revision).get(NAME_VARIABLE) or name.partition("--")[2] or name


def _read_deployment(
    name: str, revision_name: str, revision: Wire | None, *, is_app_busy: bool
) -> DeploymentState:
    if revision is None:
        return DeploymentState(name=name, revision=revision_name, health="unknown", is_busy=is_app_busy)
    values, state = variables(revision), health(revision)
    replicas = properties(revision).get("replicas")
    return DeploymentState(
        name=name,
        revision=revision_name,
        version=values.get(VERSION_VARIABLE, ""),
        spec=values.get(SPEC_VARIABLE, ""),
        health=state,
        is_busy=is_app_busy or state == "starting",
        message=failure_text(revision) if state in ("failed", "stopped") else "",
        n_copies=int(replicas) if isinstance(replicas, int) else None,
        is_ours=SPEC_VARIABLE in values,
        scale=read_scale((properties(revision).get("template") or {}).get("scale") or {}),
    )


def read_scale(scale: Wire) -> Scale:
    """The scale of a template."""
    requests = cpu = None
    for rule in scale.get("rules") or ():
        metadata = (rule.get("http") or {}).get("metadata") or {}
        if metadata.get("concurrentRequests"):
            requests = _number(metadata["concurrentRequests"])
        custom = rule.get("custom") or {}
        if word(custom.get("type")) == "cpu":
            cpu = _number((custom.get("metadata") or {}).get("value"))
    minimum = scale.get("minReplicas")
    maximum = scale.get("maxReplicas")
    return Scale(
        minimum=int(minimum or 0),
        maximum=int(maximum) if maximum is not None else 10,
        requests_at_once=requests,
        cpu_percent=cpu,
    )


def _number(text: object) -> int | None:
    try:
        return int(str(text))
    except ValueError:
        return None


def _read_settings(app: Wire, revisions: Sequence[Wire], wished: Sequence[str]) -> dict[str, JsonValue]:
    there = {str(item).lower() for item in (app.get("identity") or {}).get("userAssignedIdentities") or {}}
    authentication = read_authentication(revisions)
    return {
        **({"authentication": authentication} if authentication else {}),
        "identities": [item for item in wished if item.lower() in there],
        "public": bool(ingress(app).get("external")),
        "tags": {name: text for name, text in (app.get("tags") or {}).items() if name not in _OURS},
    }


def read_authentication(revisions: Sequence[Wire]) -> str:
    """Whom the servers of an app let in; empty for others' servers."""
    found = set()
    for revision in revisions:
        values = variables(revision)
        if SPEC_VARIABLE not in values:
            continue
        if KEY_VARIABLE in values or KEYS_VARIABLE in values:
            found.add("key")
        elif ISSUER_VARIABLE in values:
            found.add("entra")
        elif OPEN_VARIABLE in values:
            found.add("none")
    return next((kind for kind in ("none", "key", "entra") if kind in found), "")
