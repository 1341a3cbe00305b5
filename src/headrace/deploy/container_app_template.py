"""What Container Apps are sent: a deployment becomes a revision, its name a label; pure.

Bodies are those of Microsoft.App 2026-01-01. A revision never changes and has no tags, so what we have to know of it
stands in its variables; secrets belong to the app and outlive revisions, so each is called after where it comes from.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from headrace import __version__
from headrace.domain.deployment import OWNER_TAG, Deployment, Endpoint, Probe, Setting

Wire: TypeAlias = dict[str, Any]
"""A JSON object as Azure has it."""

API_VERSION = "2026-01-01"
PORT = 8080
CONTAINER_NAME = "flow"
LATEST: Wire = {"latestRevision": True, "weight": 100}
"""The traffic of an app whose only revision has no name yet, or one that came to nothing."""

NAME_VARIABLE, VERSION_VARIABLE, SPEC_VARIABLE = (
    "HEADRACE_DEPLOYMENT",
    "HEADRACE_DEPLOYMENT_VERSION",
    "HEADRACE_DEPLOYMENT_SPEC",
)
"""Variables of a revision that say which deployment it is, of which version, made from what."""

UNMOVED_TAG = "headrace-unmoved"
"""On an app whose traffic nobody has moved yet. Container Apps give all of it to the first revision, before it was
tried out; until it is moved there on purpose, it counts as nobody's."""

KEY_VARIABLE, KEYS_VARIABLE, OPEN_VARIABLE = (
    "HEADRACE_SERVE_KEY",
    "HEADRACE_SERVE_KEYS",
    "HEADRACE_SERVE_NO_AUTH",
)
ISSUER_VARIABLE, AUDIENCE_VARIABLE = "HEADRACE_SERVE_ISSUER", "HEADRACE_SERVE_AUDIENCE"
KEY_SECRET = "headrace-serve-key"  # noqa: S105 - the name of one
SECRET_PREFIX = "hr-"  # noqa: S105 - likewise
CPU, MEMORY_GIB = 0.5, 1.0
"""What a copy gets where nothing is said."""

_MOST_REVISION_NAME = 54
_DIGEST_LENGTH = 10
_ATTEMPT_LENGTH = 4
_STARTUP_TRIES = 10
_CLIENT_ID = "AZURE_CLIENT_ID"
_NO_LETTERS = re.compile(r"[^a-z0-9]+")
_SENDABLE: Mapping[str, frozenset[str]] = {
    part: frozenset(names.split())
    for part, names in {
        "ingress": "additionalPortMappings allowInsecure clientCertificateMode corsPolicy customDomains exposedPort "
        "external ipSecurityRestrictions stickySessions targetPort targetPortHttpScheme traffic transport",
        "customDomains": "name bindingType certificateId",
        "template": "revisionSuffix containers initContainers scale volumes serviceBinds terminationGracePeriodSeconds",
        "containers": "name image command args env resources probes volumeMounts",
        "resources": "cpu memory gpu",
        "env": "name value secretRef",
        "registries": "server username passwordSecretRef identity",
    }.items()
}
"""What of a part may be sent; the rest of what Azure answers is for it to say, as the disk of a container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionWish:
    """One revision that is wanted.

    Attributes:
        app: Name of the app.
        spec: Digest of what it is made from.
        authentication: As :attr:`Endpoint.authentication`.
        identities: Resource ids of the app's user-assigned identities.
        client_id: Of the first of them; empty where there is none or nobody knows.
        port: That the ingress of the app asks; an app of others may have another one than ours.
    """

    app: str
    deployment: Deployment
    spec: str
    authentication: str = "key"
    identities: tuple[str, ...] = ()
    client_id: str = ""
    port: int = PORT

    @property
    def suffix(self) -> str:
        """What its name ends with: legal, and another one for everything that makes another revision.

        That is more than the digest of a deployment, which leaves out what can change while a copy stays: here the
        scale and whom the server lets in belong to the revision as well.
        """
        made_from = [
            self.deployment.name,
            self.spec,
            scale_rules(self.deployment),
            self.authentication,
            self.port,
        ]
        text = json.dumps([*made_from, [item.lower() for item in self.identities]], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
        room = _MOST_REVISION_NAME - len(self.app) - len("--") - _ATTEMPT_LENGTH - len("-") - _DIGEST_LENGTH
        name = _NO_LETTERS.sub("-", self.deployment.name.lower()).strip("-")[:room].strip("-")
        return f"{name if name[:1].isalpha() else 'v'}-{digest}"


def revision_name(app: str, suffix: str) -> str:
    """What a revision is called."""
    return f"{app}--{suffix}"


def next_suffix(suffix: str, app: str, taken: Iterable[str]) -> str:
    """The suffix of a further attempt, where revisions with it are there that came to nothing."""
    names = {name.lower() for name in taken}
    number = 1
    while revision_name(app, with_attempt(suffix, number)) in names:
        number += 1
    return with_attempt(suffix, number)


def with_attempt(suffix: str, number: int) -> str:
    """The suffix of one attempt, counted from 1."""
    return suffix if number == 1 else f"{suffix}-{number}"


def is_attempt(name: str, app: str, suffix: str) -> bool:
    """Whether a revision is one of the attempts at a suffix."""
    return re.fullmatch(re.escape(revision_name(app, suffix)) + r"(-\d+)?", name.lower()) is not None


def make_template(wish: RevisionWish, image: str, suffix: str) -> Wire:
    """The template of a revision.

    Args:
        wish: What it is to be.
        image: By digest.
        suffix: See :attr:`RevisionWish.suffix`.
    """
    deployment = wish.deployment
    container = {
        "name": CONTAINER_NAME,
        "image": image,
        "resources": _resources(deployment),
        "env": [*_user_variables(deployment.settings), *_own_variables(wish)],
        "probes": [
            _startup_probe(deployment.liveness, wish.port),
            _probe("Liveness", "/healthz", deployment.liveness, wish.port),
            _probe("Readiness", "/readyz", deployment.readiness, wish.port),
        ],
    }
    return {"revisionSuffix": suffix, "containers": [container], "scale": scale_rules(deployment)}


def remake_template(template: Wire, wish: RevisionWish, suffix: str) -> Wire:
    """The template of a revision that is there, with another scale, or other rules about whom its server lets in.

    Args:
        template: Of the revision.
        wish: What it is to be; its deployment need not have what the revision was made from.
        suffix: See :attr:`RevisionWish.suffix`.
    """
    made: Wire = json.loads(json.dumps(template))
    container = made["containers"][0]
    variables = [item for item in container.get("env") or () if not _is_own_access(item)]
    names = {item.get("name") for item in variables}
    if wish.authentication == "none":
        variables.append({"name": OPEN_VARIABLE, "value": "true"})
    elif wish.authentication == "key" and not names & {KEY_VARIABLE, KEYS_VARIABLE}:
        variables.append({"name": KEY_VARIABLE, "secretRef": KEY_SECRET})
    if wish.client_id:
        variables = [item for item in variables if item.get("name") != _CLIENT_ID]
        variables.append({"name": _CLIENT_ID, "value": wish.client_id})
    container["env"] = variables
    remade: Wire = _sendable({**made, "revisionSuffix": suffix, "scale": scale_rules(wish.deployment)})
    return remade


def _is_own_access(variable: Wire) -> bool:
    """Whether a variable stands for nothing but how the endpoint asks who calls."""
    is_own_key = variable.get("name") == KEY_VARIABLE and variable.get("secretRef") == KEY_SECRET
    return is_own_key or variable.get("name") == OPEN_VARIABLE


def _sendable(value: Any, inside: str = "template") -> Any:
    """What was read, as it can be sent: without null for what Azure was not told, and without what only Azure says."""
    if isinstance(value, list):
        return [_sendable(item, inside) for item in value]
    if not isinstance(value, dict):
        return value
    names = _SENDABLE.get(inside, value)
    return {key: _sendable(item, key) for key, item in value.items() if item is not None and key in names}


def _resources(deployment: Deployment) -> Wire:
    cpu, memory = deployment.size.cpu, deployment.size.memory_gib
    if cpu is None:
        cpu = memory / 2 if memory is not None else CPU
    return {"cpu": cpu, "memory": f"{memory if memory is not None else 2 * cpu:g}Gi"}


def scale_rules(deployment: Deployment) -> Wire:
    """How many copies there are, and what another one is started for; without rules, ten requests at once."""
    scale = deployment.scale
    rules: list[Wire] = []
    if scale.requests_at_once is not None:
        metadata = {"concurrentRequests": str(scale.requests_at_once)}
        rules.append({"name": "requests", "http": {"metadata": metadata}})
    if scale.cpu_percent is not None:
        metadata = {"type": "Utilization", "value": str(scale.cpu_percent)}
        rules.append({"name": "cpu", "custom": {"type": "cpu", "metadata": metadata}})
    return {"minReplicas": scale.minimum, "maxReplicas": scale.maximum, "rules": rules}


def _probe(kind: str, path: str, probe: Probe, port: int) -> Wire:
    """A probe; how long a copy may take to start is the startup probe's matter."""
    return {
        "type": kind,
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "initialDelaySeconds": 1,
        "periodSeconds": min(max(probe.period_s, 1), 240),
        "timeoutSeconds": min(max(probe.timeout_s, 1), 240),
        "successThreshold": 1 if kind != "Readiness" else min(max(probe.successes, 1), 10),
        "failureThreshold": min(max(probe.failures, 1), 10),
    }


def _startup_probe(probe: Probe, port: int) -> Wire:
    """Ten tries within five times the delay that the file gives a copy to start."""
    period_s = min(max(-(-5 * probe.initial_delay_s // _STARTUP_TRIES), 1), 240)
    wire = _probe("Startup", "/healthz", probe, port)
    return {**wire, "periodSeconds": period_s, "failureThreshold": _STARTUP_TRIES}


def startup_limit_s(deployment: Deployment) -> float:
    """How long a copy may take until it is ready once its image is there, seconds."""
    startup, ready = _startup_probe(deployment.liveness, PORT), deployment.readiness
    until_alive = startup["periodSeconds"] * startup["failureThreshold"]
    return float(until_alive + ready.period_s * max(ready.failures, ready.successes))


def _user_variables(settings: Sequence[Setting]) -> list[Wire]:
    return [
        {"name": item.name, "value": item.value}
        if item.value is not None
        else {"name": item.name, "secretRef": secret_name(item)}
        for item in settings
    ]


def _own_variables(wish: RevisionWish) -> list[Wire]:
    """What the server needs to know, but for what the file gives itself."""
    deployment = wish.deployment
    values = {
        NAME_VARIABLE: deployment.name,
        VERSION_VARIABLE: deployment.flow.version,
        SPEC_VARIABLE: wish.spec,
        "HEADRACE_SERVE_REQUESTS": str(deployment.limits.at_once),
        "HEADRACE_SERVE_TIMEOUT_S": f"{deployment.limits.timeout_s:g}",
        "PORT": str(wish.port),
        OPEN_VARIABLE: "true" if wish.authentication == "none" else "",
        _CLIENT_ID: wish.client_id,
    }
    given = {item.name for item in deployment.settings}
    variables = [
        {"name": name, "value": value} for name, value in values.items() if value and name not in given
    ]
    if needs_own_key(wish.authentication, deployment):
        variables.append({"name": KEY_VARIABLE, "secretRef": KEY_SECRET})
    return variables


def needs_own_key(authentication: str, deployment: Deployment) -> bool:
    """Whether the app makes the key of callers, because the file gives none."""
    given = {item.name for item in deployment.settings}
    return authentication == "key" and not given & {KEY_VARIABLE, KEYS_VARIABLE}


def secret_name(setting: Setting) -> str:
    """What the secret behind a variable is called: it tells where the value comes from, and nothing of the value."""
    text = json.dumps([setting.vault_url, setting.variable])
    name = _NO_LETTERS.sub("-", setting.name.lower()).strip("-")[:40].strip("-")
    return f"{SECRET_PREFIX}{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def wanted_secrets(
    settings: Sequence[Setting], identities: Sequence[str], variables: Mapping[str, str]
) -> list[Wire]:
    """The secrets that a revision refers to.

    Args:
        settings: Of the deployment.
        identities: The first reads the vaults; without any, that of the app itself.
        variables: The environment of whoever applies; holds everything that a setting names.
    """
    identity = identities[0] if identities else "system"
    found = []
    for item in settings:
        if item.vault_url is not None:
            found.append({"name": secret_name(item), "keyVaultUrl": item.vault_url, "identity": identity})
        elif item.variable is not None:
            found.append({"name": secret_name(item), "value": variables[item.variable]})
    return found


def merged_secrets(existing: Sequence[Wire], wanted: Sequence[Wire], used: Iterable[str]) -> list[Wire]:
    """All secrets of an app after a change: others' stay, ours stay while a revision refers to them.

    Args:
        existing: With their values, as ``listSecrets`` tells them.
        wanted: New or changed ones.
        used: Names that revisions refer to.
    """
    new = {item["name"]: item for item in wanted}
    keep = {*used, KEY_SECRET}
    kept = [
        _settable(item)
        for item in existing
        if item["name"] not in new and (item["name"] in keep or not item["name"].startswith(SECRET_PREFIX))
    ]
    return [*kept, *new.values()]


def _settable(secret: Wire) -> Wire:
    """A secret that was read, as it can be sent: what a vault holds is not copied into the app."""
    names = ("name", "keyVaultUrl", "identity") if secret.get("keyVaultUrl") else ("name", "value")
    return {name: secret[name] for name in names if secret.get(name) is not None}


def secrets_differ(existing: Sequence[Wire], merged: Sequence[Wire]) -> bool:
    """Whether anything is to be sent."""

    def by_name(secrets: Sequence[Wire]) -> dict[str, Wire]:
        return {item["name"]: _settable(item) for item in secrets}

    return by_name(existing) != by_name(merged)


def secret_references(templates: Iterable[Wire]) -> set[str]:
    """Names of the secrets that templates refer to."""
    return {
        variable["secretRef"]
        for template in templates
        for container in template.get("containers") or ()
        for variable in container.get("env") or ()
        if variable.get("secretRef")
    }


def make_identity(identities: Sequence[str]) -> Wire:
    """The identities of an app; without any, its own."""
    if not identities:
        return {"type": "SystemAssigned"}
    return {"type": "UserAssigned", "userAssignedIdentities": {item: {} for item in identities}}


def merged_identity(existing: Wire, identities: Sequence[str]) -> Wire:
    """The identities of an app that is there: those of the file, beside those that others gave it."""
    kind = str(existing.get("type") or "None")
    there = list(existing.get("userAssignedIdentities") or {})
    lower = {item.lower() for item in identities}
    all_ids = [*identities, *(item for item in there if item.lower() not in lower)]
    has_own = "SystemAssigned" in kind.replace(" ", "").split(",") or not all_ids
    words = [*(["SystemAssigned"] if has_own else []), *(["UserAssigned"] if all_ids else [])]
    return {
        "type": ",".join(words),
        **({"userAssignedIdentities": {item: {} for item in all_ids}} if all_ids else {}),
    }


def merged_registries(existing: Sequence[Wire], server: str, identities: Sequence[str]) -> list[Wire]:
    """The registries of an app, with the one that images come from."""
    own = {"server": server, "identity": identities[0] if identities else "system"}
    others = [dict(item) for item in existing if str(item.get("server", "")).lower() != server.lower()]
    return [*_sendable(others, "registries"), own]


def make_tags(endpoint: Endpoint, existing: Mapping[str, str]) -> dict[str, str]:
    """The tags of an app: those of others stay."""
    return {**existing, **endpoint.tags, OWNER_TAG: __version__}


def without_leftovers(template: Wire, current: Wire) -> Wire:
    """A template that also takes away what the one before has beside its containers: a patch would keep it."""
    gone: Wire = {key: [] for key in ("initContainers", "volumes", "serviceBinds") if current.get(key)}
    return {**gone, **template}


def make_ingress(existing: Wire, *, is_public: bool, traffic: Sequence[Wire]) -> Wire:
    """The ingress, with what is there already and can be sent.

    Sessions that stick to a copy go, because Container Apps have them for apps with one revision only.
    """
    kept = _sendable(existing, "ingress")
    if existing.get("stickySessions"):
        kept["stickySessions"] = {"affinity": "none"}
    base = {"transport": "auto", "allowInsecure": False, **kept}
    return {
        **base,
        "external": is_public,
        "targetPort": kept.get("targetPort") or PORT,
        "traffic": list(traffic),
    }


def weight(revision: str, percent: int, label: str = "") -> Wire:
    """One entry of the traffic."""
    entry: Wire = {"revisionName": revision, "weight": percent}
    return {**entry, "label": label} if label else entry


def make_app(
    wish: RevisionWish,
    endpoint: Endpoint,
    *,
    environment_id: str,
    location: str,
    template: Wire,
    registries: Sequence[Wire],
    secrets: Sequence[Wire],
) -> Wire:
    """A whole app with its first revision, which has all traffic: Container Apps know no app without one.

    Its label comes when it is healthy.
    """
    return {
        "location": location,
        "identity": make_identity(wish.identities),
        "tags": {**make_tags(endpoint, {}), UNMOVED_TAG: "true"},
        "properties": {
            "environmentId": environment_id,
            "configuration": {
                "activeRevisionsMode": "Multiple",
                "ingress": make_ingress({}, is_public=endpoint.is_public, traffic=[LATEST]),
                "registries": list(registries),
                "secrets": list(secrets),
            },
            "template": template,
        },
    }
