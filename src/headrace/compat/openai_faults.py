"""``handle_openai_error``: what tools of packages put around their own calls of the ``openai`` package."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from headrace.compat.exception_families import exception_family
from headrace.compat.exceptions import PromptflowException
from headrace.providers.limits import RetryPolicy, parse_retry_after

P = ParamSpec("P")
T = TypeVar("T")

_UNPROCESSABLE = 422
_TOO_MANY = 429
_FIRST_SERVER_FAULT = 500


def handle_openai_error(
    tries: int = 100, unprocessable_entity_error_tries: int = 3
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator for a function that calls a model through the ``openai`` package.

    Faults that pass are waited out: 429 (but for a quota that is used up), 5xx, 422 a few times in a row, and a
    service that cannot be reached. What is final, or was tried too often, is raised as an exception of prompt flow;
    its own exceptions go through.

    Args:
        tries: Attempts after the first one.
        unprocessable_entity_error_tries: Attempts in a row that end with 422.
    """
    policy = RetryPolicy(max_retries=tries)

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            n_unprocessable = 0
            for retries in range(tries + 1):
                try:
                    return function(*args, **kwargs)
                except PromptflowException:
                    raise
                except Exception as error:
                    kind = _kind_of(error)
                    n_unprocessable = n_unprocessable + 1 if _status(error) == _UNPROCESSABLE else 0
                    is_last = retries == tries or n_unprocessable == unprocessable_entity_error_tries
                    if kind is None and is_last:
                        kind = "ExceedMaxRetryTimes"
                    if kind is not None:
                        raise _error(kind, error) from error
                    time.sleep(policy.delay_s(retries, _asked_s(error), random.random))
            raise AssertionError  # the last attempt returns or raises

        return call

    return decorate


def _kind_of(error: Exception) -> str | None:
    """Name of the exception that stands for an error that is final; ``None`` for one that may pass."""
    openai = sys.modules.get("openai")
    if openai is None or not isinstance(error, openai.OpenAIError):
        return "LLMError"
    if isinstance(error, openai.APIConnectionError):
        return None
    status = _status(error)
    may_pass = status is not None and (status >= _FIRST_SERVER_FAULT or status in (_UNPROCESSABLE, _TOO_MANY))
    if may_pass and getattr(error, "type", None) != "insufficient_quota":
        return None
    return "WrappedOpenAIError"


def _status(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _asked_s(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", {})
    return parse_retry_after({name.lower(): value for name, value in headers.items()}, time.time())


def _error(kind: str, error: Exception) -> Any:
    message = f"OpenAI API hits {type(error).__name__}: {error}"
    return exception_family("promptflow.tools.exception")[kind](message)
