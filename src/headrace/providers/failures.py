"""What went wrong with a model request, in our words: HTTP status, service code and fix, never the body.

Error bodies quote prompts and sometimes keys. Only short machine-readable words are taken from them: the
error code, the name of the parameter, the content filter's categories.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from headrace.errors import (
    AccessDeniedError,
    ContentFilteredError,
    Problem,
    RateLimitedError,
    RemoteError,
    RemoteRequestError,
    RemoteTimeoutError,
    RemoteUnavailableError,
)
from headrace.providers.authorization import how_to_set_key
from headrace.providers.endpoint import Endpoint

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.\[\]-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceError:
    """What a service's error body says, reduced to machine-readable words; each may be missing.

    Attributes:
        code: The service's own code, e.g. ``DeploymentNotFound``.
        parameter: The request parameter that it complains about.
        categories: Content filter categories that were hit, e.g. ``("violence",)``.
    """

    code: str | None = None
    parameter: str | None = None
    categories: tuple[str, ...] = ()


def read_service_error(content: bytes) -> ServiceError:
    """Read an error body of OpenAI's, Azure's or a lookalike's form; anything else gives an empty result."""
    try:
        body = json.loads(content)
    except ValueError:
        return ServiceError()
    return service_error(body)


def service_error(body: Any) -> ServiceError:
    """Reduce a parsed error body to its machine-readable words."""
    if not isinstance(body, dict):
        return ServiceError()
    error = body.get("error")
    fields = error if isinstance(error, dict) else body
    inner = fields.get("innererror")
    inner = inner if isinstance(inner, dict) else {}
    filters = inner.get("content_filter_result") or inner.get("content_filter_results")
    return ServiceError(
        code=_word(fields.get("code")) or _word(fields.get("type")),
        parameter=_word(fields.get("param")),
        categories=_categories(filters),
    )


def _word(value: Any) -> str | None:
    """``value`` when it is a machine-readable word; a sentence could quote the prompt."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _categories(filters: Any) -> tuple[str, ...]:
    if not isinstance(filters, dict):
        return ()
    return tuple(
        name
        for name, result in filters.items()
        if isinstance(result, dict) and (result.get("filtered") or result.get("detected")) and _word(name)
    )


def status_failure(
    endpoint: Endpoint, model: str, status: int, content: bytes, retry_after_s: float | None
) -> RemoteError:
    """The error for an HTTP status other than 2xx.

    Args:
        endpoint: Where the request went.
        model: Model or deployment that it asked for.
        status: HTTP status.
        content: Body of the answer, as it came.
        retry_after_s: Seconds that the service asks to wait, ``None`` when it does not say.
    """
    error = read_service_error(content)
    said = f"{status} {error.code}" if error.code else str(status)
    what = f'The model service at {endpoint.host} answered {said} for model "{model}".'
    if status in (401, 403):
        return AccessDeniedError(_access_denied(endpoint, what, status))
    if status == 429:
        return _rate_limited(endpoint, what, error, retry_after_s)
    if status == 408:
        return RemoteTimeoutError(Problem(code="P704", what=what, fix=_SLOW), retry_after_s=retry_after_s)
    if status == 409 or status >= 500:
        problem = Problem(code="P703", what=what, fix=_BROKEN)
        return RemoteUnavailableError(problem, retry_after_s=retry_after_s)
    if error.categories or (error.code or "").lower() in ("content_filter", "responsibleaipolicyviolation"):
        return ContentFilteredError(filtered(endpoint, error.categories))
    refused = RemoteRequestError(_refused(endpoint, model, status, error, what), retry_after_s=retry_after_s)
    # Gateways answer 422 for a moment when their back end changes; the policy gives up after a few in a row.
    refused.retryable = status == 422
    return refused


MORE_QUOTA = (
    "Raise the model's quota at the service, or HEADRACE_QUOTA_WAIT_S to wait longer; or go on later."
)
_SLOW = "Try again later, or raise HEADRACE_MODEL_TIMEOUT_S when long answers are expected."
_BROKEN = "Try again later; the lines that failed can be run again. The service's own log says more."


def _access_denied(endpoint: Endpoint, what: str, status: int) -> Problem:
    connection = endpoint.connection
    where = f' The connection is "{connection.name}", found in {connection.origin}.'
    if endpoint.scope and not connection.secrets:
        fix = "Give your Microsoft Entra ID identity the role Cognitive Services OpenAI User on the resource."
    elif status == 403:
        fix = f"Ask for access to this model, or use another key. {how_to_set_key(connection)}"
    else:
        fix = how_to_set_key(connection)
    return Problem(code="P701", what=what, fix=fix + where)


def _rate_limited(
    endpoint: Endpoint, what: str, error: ServiceError, retry_after_s: float | None
) -> RateLimitedError:
    if error.code == "insufficient_quota":
        fix = f'Check plan and billing behind connection "{endpoint.connection.name}": its quota is used up.'
        final = RateLimitedError(Problem(code="P702", what=what, fix=fix), retry_after_s=retry_after_s)
        # Waiting does not refill a paid quota.
        final.retryable = False
        return final
    return RateLimitedError(Problem(code="P702", what=what, fix=MORE_QUOTA), retry_after_s=retry_after_s)


def _refused(endpoint: Endpoint, model: str, status: int, error: ServiceError, what: str) -> Problem:
    connection = endpoint.connection
    if error.parameter:
        what = f"{what.removesuffix('.')}, because of the parameter {error.parameter}."
    fix = "Compare the node's inputs with what the model takes."
    if status == 404 and endpoint.api_version is not None:
        fix = (
            f'Set deployment_name to a deployment of {endpoint.address} ("{model}" seems to be none), and '
            f'check api_version {endpoint.api_version} of connection "{connection.name}".'
        )
    elif status == 404:
        fix = (
            f'Check the model name "{model}" and the address {endpoint.base_url} of connection '
            f'"{connection.name}" ({connection.origin}).'
        )
    elif error.code == "context_length_exceeded":
        fix = "Shorten the prompt, or use a model with a longer context."
    elif error.parameter:
        fix = f"Change or remove {error.parameter} among the node's inputs: this model refuses it as it is."
    elif 300 <= status < 400:
        fix = f'Set the address of connection "{connection.name}" to where the service redirects to.'
    return Problem(code="P705", what=what, fix=fix)


def filtered(endpoint: Endpoint, categories: tuple[str, ...]) -> Problem:
    """P706: a content filter stopped the prompt or the answer."""
    named = f" ({', '.join(categories)})" if categories else ""
    return Problem(
        code="P706",
        what=f"A content filter of the model service at {endpoint.host} stopped the request{named}.",
        fix="Change the prompt or the input of this line, or the content filter of the deployment"
        + (f": field {' and '.join(categories)}." if categories else "."),
    )


def timed_out(endpoint: Endpoint, model: str, timeout_s: float) -> RemoteTimeoutError:
    """P704: no complete answer within the model timeout."""
    what = f'The model service at {endpoint.host} did not answer within {timeout_s:g} s for model "{model}".'
    return RemoteTimeoutError(Problem(code="P704", what=what, fix=_SLOW))


def stalled(endpoint: Endpoint, model: str, idle_s: float) -> RemoteTimeoutError:
    """P704: an answer that had begun, and of which nothing more came."""
    what = f'The answer of the model service at {endpoint.host} for model "{model}" stalled for {idle_s:g} s.'
    fix = "Try again later, or raise HEADRACE_IDLE_TIMEOUT_S when the service pauses that long between two pieces."
    return RemoteTimeoutError(Problem(code="P704", what=what, fix=fix))


def broken_off(endpoint: Endpoint, kind: str) -> RemoteUnavailableError:
    """P703: the connection broke; ``kind`` is the name of the client library's error."""
    what = (
        f"The connection to the model service at {endpoint.host} broke before the answer was there ({kind})."
    )
    return RemoteUnavailableError(Problem(code="P703", what=what, fix=_BROKEN))


def stream_failure(endpoint: Endpoint, model: str, body: Any) -> RemoteUnavailableError:
    """P703: the service reported an error in the middle of a stream; ``body`` is its error object."""
    code = service_error({"error": body}).code
    said = f"with {code} " if code else ""
    what = f'The model service at {endpoint.host} ended its stream {said}for model "{model}".'
    return RemoteUnavailableError(Problem(code="P703", what=what, fix=_BROKEN))


def unreachable(endpoint: Endpoint, why: str) -> RemoteUnavailableError:
    """P708: no connection could be made; ``why`` is a few words."""
    connection = endpoint.connection
    return RemoteUnavailableError(
        Problem(
            code="P708",
            what=f"The model service at {endpoint.host} cannot be reached: {why}.",
            fix=f'Check the address {endpoint.base_url} of connection "{connection.name}" '
            f"({connection.origin}), that the service runs there, and HTTPS_PROXY where a proxy is needed.",
        )
    )


def untrusted(endpoint: Endpoint, kind: str) -> RemoteUnavailableError:
    """P708 for a TLS handshake that failed; not retried, because certificates do not change by waiting."""
    error = RemoteUnavailableError(
        Problem(
            code="P708",
            what=f"No secure connection to the model service at {endpoint.host} could be made ({kind}).",
            fix="Check that the address speaks HTTPS; where a certificate of your own organization is used, "
            "set SSL_CERT_FILE to its file.",
        )
    )
    error.retryable = False
    return error


def bad_answer(endpoint: Endpoint, why: str) -> RemoteRequestError:
    """P707: an answer that is not what was asked for; ``why`` completes "answered with …"."""
    connection = endpoint.connection
    return RemoteRequestError(
        Problem(
            code="P707",
            what=f"The model service at {endpoint.host} answered with {why}.",
            fix=f'Check that {endpoint.base_url} of connection "{connection.name}" ({connection.origin}) is '
            "an OpenAI-compatible address; many need /v1 at the end.",
        )
    )
