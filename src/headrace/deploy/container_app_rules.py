"""What of a deployment file Container Apps cannot do, with places in the file; pure.

Names, sizes, times and what another target has are checked where the file is read; here is what follows from several
of its words together.
"""

from __future__ import annotations

from collections.abc import Iterator

from headrace.deploy.container_app_template import (
    AUDIENCE_VARIABLE,
    ISSUER_VARIABLE,
    KEY_VARIABLE,
    KEYS_VARIABLE,
    OPEN_VARIABLE,
)
from headrace.domain.deployment import Deployment, Endpoint
from headrace.errors import Problem
from headrace.source import Pointer, Span


def check_container_app(endpoint: Endpoint) -> tuple[Problem, ...]:
    """Everything that cannot be done."""
    problems = [*_check_identities(endpoint)]
    for deployment in endpoint.deployments:
        problems += _check_scale(endpoint, deployment)
        problems += _check_access(endpoint, deployment)
    return tuple(problems)


def _check_identities(endpoint: Endpoint) -> Iterator[Problem]:
    if endpoint.identities or all(item.image for item in endpoint.deployments):
        return
    what = "The app has no user-assigned identity, and its own may pull images only once the app exists."
    fix = (
        "Name one under identities that has the role AcrPull on the registry. Without it the app needs a registry "
        "that everybody may pull from."
    )
    span, pointer = find_place(endpoint, ("identities",), ("azure", "registry"))
    yield Problem(code="X271", what=what, span=span, pointer=pointer, fix=fix, severity="warning")


def _check_scale(endpoint: Endpoint, deployment: Deployment) -> Iterator[Problem]:
    scale = deployment.scale
    if scale.minimum == 0 and scale.cpu_percent is not None and scale.requests_at_once is None:
        what = "An app that is scaled by its load alone never starts again: without a copy there is no load."
        fix = "Add scale.requests_at_once, or write scale.min: 1."
        span, pointer = _place(endpoint, deployment, "scale")
        yield Problem(code="X272", what=what, span=span, pointer=pointer, fix=fix)


def _check_access(endpoint: Endpoint, deployment: Deployment) -> Iterator[Problem]:
    given = {item.name: item for item in deployment.settings}
    missing = [name for name in (ISSUER_VARIABLE, AUDIENCE_VARIABLE) if name not in given]
    if endpoint.authentication == "entra" and missing:
        what = f"Tokens are to be asked for, and without {' and '.join(missing)} nobody knows whose and for whom."
        fix = (
            f"Add to environment: {ISSUER_VARIABLE}: https://login.microsoftonline.com/TENANT_ID/v2.0 and "
            f"{AUDIENCE_VARIABLE}: api://CLIENT_ID."
        )
        span, pointer = _place(endpoint, deployment, "authentication")
        yield Problem(code="X273", what=what, span=span, pointer=pointer, fix=fix)
    unfit = {
        "none": (KEY_VARIABLE, KEYS_VARIABLE, ISSUER_VARIABLE),
        "entra": (OPEN_VARIABLE,),
        "key": (OPEN_VARIABLE,),
    }[endpoint.authentication]
    for name in unfit:
        if name in given:
            what = f"authentication is {endpoint.authentication}, and {name} says something else."
            fix = f"Remove {name}, or change authentication."
            span = given[name].span or _place(endpoint, deployment, "environment")[0]
            yield Problem(code="X273", what=what, span=span, pointer=("environment", name), fix=fix)


def find_place(endpoint: Endpoint, *pointers: Pointer) -> tuple[Span | None, Pointer]:
    """Where the file says something: the first of several places that is there, else its name.

    Args:
        endpoint: What the file wishes for.
        pointers: Places in order of preference.
    """
    source_map = endpoint.source_map
    if source_map is None:
        return None, next(iter(pointers), ())
    pointer = next((item for item in (*pointers, ("name",)) if item and item in source_map.values), ())
    return source_map.span(pointer), pointer


def _place(endpoint: Endpoint, deployment: Deployment, key: str) -> tuple[Span | None, Pointer]:
    """Where a word stands: at the deployment, else at the file, else the deployment itself."""
    own: Pointer = (*deployment.pointer, key)
    return find_place(endpoint, own, (key,), deployment.pointer)
