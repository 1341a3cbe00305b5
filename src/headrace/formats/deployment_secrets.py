"""Keys that stand as text in a deployment file: found by what they are called, and by what they look like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import SplitResult, parse_qsl, urlsplit

from headrace.domain.deployment import Endpoint
from headrace.errors import Problem
from headrace.formats.remote import SECRET_NAME
from headrace.source import Span

_ALWAYS = re.compile(r"(?i).*(password|passwd|pwd|secret).*")
"""Names whose values are keys even when they are numbers."""
_HARMLESS = re.compile(
    r"(?i)[+-]?[0-9]*\.?[0-9]*|true|false|yes|no|on|off|none|null|auto|managed_?identity|entra"
)
_REFERENCE = re.compile(r"\$\{\{[^{}]+\}\}|@Microsoft\.KeyVault\(.+\)|keyvaultref:.+")
# Every repetition has an end, so that a long text takes a time in proportion to its length.
_KNOWN = re.compile(
    r"""
      \bsk-[A-Za-z0-9_-]{16,256}
    | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b
    | \bgh[pousr]_[A-Za-z0-9]{20,256}
    | \bgithub_pat_[A-Za-z0-9_]{20,256}
    | \bglpat-[A-Za-z0-9_-]{16,256}
    | \bhf_[A-Za-z0-9]{30,64}
    | \bxox[abprs]-[A-Za-z0-9-]{10,256}
    | \bAIza[0-9A-Za-z_-]{35}
    | \beyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,4096}
    | (?i:\bbearer[ ]{1,4})[A-Za-z0-9._~+/-]{16,4096}
    | (?i:\b(?:account|sharedaccess|access)?key=)[A-Za-z0-9+/_-]{16,256}
    | (?i:\bpassword=)[^;\s]{1,256}
    | \bH4sI[A-Za-z0-9+/]{32,4096}  # connections with their keys, packed by gzip
    | -----BEGIN[ ][A-Z ]{0,40}PRIVATE[ ]KEY-----
    | (?<![A-Za-z0-9-])[0-9a-f]{32}(?![A-Za-z0-9-])
    | [?&]sig=[A-Za-z0-9%+/=_-]{16,256}
    """,
    re.VERBOSE,
)
_WORD = re.compile(r"[A-Za-z0-9+_~.-]{24,512}={0,2}")
_PLAIN_WORDS = re.compile(
    r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?:sha256:)?[0-9a-f]{40}|(?:sha256:)?[0-9a-f]{64}"
)
"""Long words that are no keys: identifiers, and digests of commits and images."""
_LEAST_CHANGES = 0.4
"""Share of neighbours of different kinds in a long word that was drawn at random: 0.64 is expected of base64, words in
capitals and small letters seldom reach it, and have few digits."""

_LEAST_DIGITS = 2
"""Places in such a word where digits begin."""


def looks_secret(name: str, value: str) -> str | None:
    """Why a text seems to be a key: ``"by its name"`` or ``"by its look"``; ``None`` where it does not.

    Args:
        name: What the text is called.
        value: The text.
    """
    if not value or _REFERENCE.fullmatch(value.strip()):
        return None
    if _KNOWN.search(value) or _has_key_in_address(value) or any(map(_is_random, _WORD.findall(value))):
        return "by its look"
    if not SECRET_NAME.fullmatch(name):
        return None
    is_harmless = _HARMLESS.fullmatch(value) is not None or _is_address(value)
    return None if is_harmless and not (_ALWAYS.fullmatch(name) and value[:1].isdigit()) else "by its name"


def plain_secrets(endpoint: Endpoint) -> tuple[Problem, ...]:
    """X109 for every variable and tag that seems to hold a key as text; their values are in no problem."""
    found: dict[tuple[str, Span | None], Problem] = {}
    for name, value, span, is_tag in _texts(endpoint):
        reason = looks_secret(name, value)
        if reason is None:
            continue
        what = f"{name} seems to be a key {reason}, and everybody who may read the deployment can read it."
        kept = (
            f"Keep it in a Key Vault, {name}: {{keyvault: ADDRESS}}, or in a variable, {name}: {{env: NAME}}."
        )
        fix = "Remove it; tags are for people." if is_tag else kept
        found.setdefault((name, span), Problem(code="X109", what=what, span=span, fix=fix))
    return tuple(found.values())


def _texts(endpoint: Endpoint) -> Iterator[tuple[str, str, Span | None, bool]]:
    """Names and values that others can read, with their place and whether they are tags."""
    for name, value in endpoint.tags.items():
        yield name, value, endpoint.span("tags", name), True
    for deployment in endpoint.deployments:
        for item in deployment.settings:
            if item.value is not None:
                yield item.name, item.value, item.span, False
        for name, value in deployment.tags.items():
            if endpoint.tags.get(name) != value:
                yield name, value, endpoint.span(*deployment.pointer, "tags", name), True


def _has_key_in_address(value: str) -> bool:
    parts = _split(value)
    if parts is None:
        return False
    named = any(SECRET_NAME.fullmatch(key) and item for key, item in parse_qsl(parts.query))
    return bool(parts.password) or named


def _is_address(value: str) -> bool:
    parts = _split(value)
    return parts is not None and bool(parts.hostname)


def _split(value: str) -> SplitResult | None:
    try:
        parts = urlsplit(value)
        _ = parts.hostname, parts.password
    except ValueError:
        return None
    return parts if parts.scheme else None


def _is_random(word: str) -> bool:
    """Whether a word of small and capital letters and digits changes among them as only a drawn one does."""
    if _PLAIN_WORDS.fullmatch(word):
        return False
    pairs = [(_kind(before), _kind(after)) for before, after in pairwise(word)]
    changes = [pair for pair in pairs if "other" not in pair and pair[0] != pair[1]]
    n_digits = sum(after == "digit" for _, after in changes)
    return n_digits >= _LEAST_DIGITS and len(changes) >= _LEAST_CHANGES * len(pairs)


def _kind(sign: str) -> str:
    if sign.isdigit():
        return "digit"
    return "small" if sign.islower() else "capital" if sign.isupper() else "other"
