"""Taking out of content what must not leave.

Keys always; e-mail addresses and long numbers where that is asked for; and what a function of the user's takes out.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from headrace.config import Settings
from headrace.errors import Problem, UsageError

HOOK_VARIABLE: Final = "HEADRACE_TRACE_REDACT"
Redact = Callable[[Any], Any]
"""Plain data without what must not leave."""

_KEY = "[key]"
_EMAIL = "[email]"
_DIGITS = "[digits]"
_KEY_NAME = re.compile(
    r"(?i)(^|[_.-])(api[_-]?key|secret|password|passwd|token|authorization|credential|connection[_-]?string)s?$"
)
# Every repetition has an end, so that a long text takes a time in proportion to its length.
_KEYS = re.compile(
    r"""
      \bsk-[A-Za-z0-9_-]{16,256}
    | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b
    | \bgh[pousr]_[A-Za-z0-9]{20,256}
    | \bxox[abprs]-[A-Za-z0-9-]{10,256}
    | \bAIza[0-9A-Za-z_-]{35}
    | \beyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,4096}
    | (?i:\bbearer[ ]+)[A-Za-z0-9._~+/-]{16,4096}=*
    | (?i:\b(?:account|shared ?access|instrumentation)?key=)[A-Za-z0-9+/_-]{16,256}=*
    | -----BEGIN[ ][A-Z ]{0,40}PRIVATE[ ]KEY-----[A-Za-z0-9+/=\s]{0,8192}(?:-----END[ ][A-Z ]{0,40}-----)?
    | (?<![A-Za-z0-9])[0-9a-f]{32}(?![A-Za-z0-9])
    | (?<![A-Za-z0-9])[A-Za-z0-9]{52,128}(?![A-Za-z0-9])
    """,
    re.VERBOSE,
)
_EMAILS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_NUMBERS = re.compile(r"(?<!\d)\d(?:[ -]?\d){8,40}(?!\d)")
_LONGEST_NUMBER = 10**8
_LONGEST_KEY = 16_384
LONGEST_TEXT: Final = 16_384
"""Characters of one text that leave, so that images and files do not fill queues; no back end shows more."""


def load_redaction(settings: Settings, *, is_redacted: bool) -> Redact:
    """What takes things out of content.

    Args:
        settings: Names the user's function, as ``module:function``; it is given a text and returns one.
        is_redacted: Whether e-mail addresses and long numbers are taken out as well.

    Raises:
        UsageError: C506 when the function cannot be imported or called.
    """
    text = settings.environment.get(HOOK_VARIABLE, "").strip()
    hook = _import_hook(text) if text else None

    def redact_text(value: str) -> str:
        n_more = len(value) - LONGEST_TEXT
        if n_more > 0:
            value = value[: LONGEST_TEXT + _LONGEST_KEY]  # a key at the cut is seen whole
        value = _KEYS.sub(_KEY, value)
        if is_redacted:
            value = _NUMBERS.sub(_DIGITS, _EMAILS.sub(_EMAIL, value))
        value = value if hook is None else str(hook(value))
        return f"{value[:LONGEST_TEXT]}… [{n_more} characters more]" if n_more > 0 else value

    def redact(value: Any) -> Any:
        if isinstance(value, str):
            return redact_text(value)
        if isinstance(value, Mapping):
            return {
                redact_text(str(name)): _KEY if _is_key(name, item) else redact(item)
                for name, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [redact(item) for item in value]
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            return _DIGITS if is_redacted and abs(value) >= _LONGEST_NUMBER else value
        return redact_text(str(value))

    return redact


def _is_key(name: Any, value: Any) -> bool:
    """Whether a value is a key by its name; numbers, such as ``max_tokens``, are none."""
    return bool(value) and not isinstance(value, int | float) and bool(_KEY_NAME.search(str(name)))


def _import_hook(text: str) -> Callable[[str], str]:
    module, _, name = text.partition(":")
    try:
        hook = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(_bad_hook(text, str(error))) from error
    if not callable(hook):
        raise UsageError(_bad_hook(text, "It is not a function."))
    named: Callable[[str], str] = hook
    return named


def _bad_hook(text: str, reason: str) -> Problem:
    return Problem(
        code="C506",
        what=f"{HOOK_VARIABLE} names a function that cannot be imported: {text}",
        fix="Write module:function, of a module that Python finds; it is given a text and returns a text.",
        detail=(reason,),
    )
