"""What goes wrong with Container Apps, as errors of ours: images that cannot be pulled, revisions that do not start."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx2
from azure.core.exceptions import AzureError, HttpResponseError

from headrace.deploy.azure_answers import readable_answers
from headrace.deploy.azure_failures import Doing, as_our_error, plain_message
from headrace.deploy.container_app_rules import find_place
from headrace.deploy.container_app_state import failure_text
from headrace.deploy.container_app_template import Wire
from headrace.domain.deployment import Deployment, Endpoint
from headrace.errors import HeadraceError, Problem, RemoteRequestError, RemoteUnavailableError

_PULL = re.compile(
    r"manifest[_ ]unknown|imagepull|pull(ing)? image|unauthorized: |denied: |authentication required|"
    r"failed to resolve (image|reference)|template\.containers\.[^ ]*\.image",
    re.IGNORECASE,
)
_SECRET = re.compile(
    r"using managed identity for secret|keyvaultunavailable|key ?vault secret", re.IGNORECASE
)


@contextmanager
def container_app_failures(endpoint: Endpoint, deployment: Deployment | None = None) -> Iterator[None]:
    """Turn what the packages of Azure raise into our errors.

    Raises:
        RemoteRequestError: X277 for an image that cannot be pulled, X209 for a secret that cannot be read.
        HeadraceError: Everything else as :func:`headrace.deploy.azure_failures.azure_failures` has it.
    """
    try:
        with readable_answers():
            yield
    except AzureError as error:
        raise _translate(error, endpoint, deployment) from error
    except httpx2.HTTPError as error:
        what = f"Container Apps do not show the log of {endpoint.name}: {type(error).__name__}."
        fix = "Try again; Log Analytics has it as well."
        span, pointer = find_place(endpoint)
        problem = Problem(code="X279", what=what, span=span, pointer=pointer, fix=fix)
        raise RemoteUnavailableError(problem) from error


def _translate(error: AzureError, endpoint: Endpoint, deployment: Deployment | None) -> HeadraceError:
    said = (
        f"{getattr(error.error, 'code', '')} {error.message}" if isinstance(error, HttpResponseError) else ""
    )
    text = plain_message(str(error.message))
    if _SECRET.search(said):
        own = (*deployment.pointer, "environment") if deployment is not None else ()
        span, pointer = find_place(endpoint, own, ("environment",), ("identities",))
        what = f"A secret of a Key Vault cannot be read by the identity of the app: {text}"
        fix = 'Give the identity the role "Key Vault Secrets User" on the vault, and check the address of the secret.'
        return RemoteRequestError(Problem(code="X209", what=what, span=span, pointer=pointer, fix=fix))
    if _PULL.search(said):
        return RemoteRequestError(pull_problem(endpoint, deployment, text))
    name = f"deployment {deployment.name}" if deployment is not None else f"app {endpoint.name}"
    return as_our_error(error, Doing(what=name, endpoint=endpoint, deployment=deployment))


def pull_problem(endpoint: Endpoint, deployment: Deployment | None, text: str) -> Problem:
    """X277."""
    identity = endpoint.identities[0].rpartition("/")[2] if endpoint.identities else "the app itself"
    registry = endpoint.place.registry if endpoint.place else ""
    given = bool(deployment and deployment.image)
    where = "" if given or not registry else f" on the registry {registry}"
    fix = f"Give {identity} the role AcrPull{where}; it takes some minutes to take effect. Then apply again."
    if given:
        fix = f"Look whether the image is there, and whether {identity} may pull it. Then apply again."
    span, pointer = find_place(endpoint, ("identities",), ("azure", "registry"))
    what = f"The image{_of(deployment)} cannot be pulled: {text}"
    return Problem(code="X277", what=what, span=span, pointer=pointer, fix=fix)


def revision_failure(
    endpoint: Endpoint, deployment: Deployment, revision: Wire | None, lines: Sequence[str], why: str
) -> RemoteRequestError:
    """The error for a revision that does not become healthy.

    Args:
        endpoint: What is wished for.
        deployment: Whose revision it is.
        revision: As Azure answers; ``None`` where it never appeared.
        lines: The last ones of its log.
        why: What was waited for in vain.
    """
    said = failure_text(revision) if revision else ""
    if _PULL.search(said):
        return RemoteRequestError(pull_problem(endpoint, deployment, said))
    span, pointer = find_place(endpoint, deployment.pointer)
    return RemoteRequestError(
        Problem(
            code="X278",
            what=f"The deployment {deployment.name} does not become healthy: {why}. {said}".strip(),
            span=span,
            pointer=pointer,
            fix="Read the last lines of its log; mostly a variable of environment is missing, or it needs more memory, "
            "or more time: probes. Then apply again.",
            detail=tuple(lines),
        )
    )


def _of(deployment: Deployment | None) -> str:
    return f" of {deployment.name}" if deployment else ""
