"""Who may ask a served flow, and how often."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

KEY_PREFIX: Final = "hr"
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]", "::1")
"""What a request that means this machine may call it."""
MIN_GIVEN_KEY_LENGTH: Final = 20
"""Characters that a key must have which somebody chose: it is guessed at, and only its length stands against that."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?")
_SALT_BYTES = 16
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """How much one caller may ask of one process; ``None`` means without limit.

    Attributes:
        requests_per_minute: Tokens that a caller's bucket holds, and that flow into it within a minute.
        concurrent: Requests that may be under way at once.
    """

    requests_per_minute: int | None = None
    concurrent: int | None = None

    @property
    def is_limit(self) -> bool:
        """Whether it limits anything."""
        return self.requests_per_minute is not None or self.concurrent is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeKey:
    """One key by which a caller is known. The key itself is nowhere kept.

    Salted SHA-256 is enough, and a slow digest such as scrypt would harm: a generated key has 256 random bits, so that
    there is nothing to guess, while every request, also of those who have no key, would cost tens of milliseconds.

    Attributes:
        name: Who has it.
        salt: Random bytes of its own.
        digest: SHA-256 over salt and key.
        created: When it was made; ``None`` where nobody knows.
        expires: When it ends; ``None`` for never.
        rate: What this caller may ask, in place of the server's own limits.
    """

    name: str
    salt: bytes
    digest: bytes
    created: datetime | None = None
    expires: datetime | None = None
    rate: RateLimit = field(default_factory=RateLimit)

    def fits(self, token: str) -> bool:
        """Whether ``token`` is this key; takes as long whether it is or not."""
        return hmac.compare_digest(key_digest(self.salt, token), self.digest)

    def has_ended(self, now: datetime) -> bool:
        """Whether it counts no more."""
        return self.expires is not None and now >= self.expires


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """Which tokens of an issuer, such as Microsoft Entra ID, are taken.

    Attributes:
        issuer: What ``iss`` must be, to the letter.
        audiences: What ``aud`` must hold one of.
        scopes: Of which ``scp`` must hold one, for people.
        roles: Of which ``roles`` must hold one, for programs. With neither scopes nor roles, every token for the
            audience is taken.
        key_set: Address or file of the issuer's keys; ``None`` asks the issuer where they are.
    """

    issuer: str
    audiences: tuple[str, ...]
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    key_set: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """Who may ask.

    Attributes:
        is_local: Only programs and pages of this machine may ask.
        key_file: File of keys, read again when it changes.
        keys: Keys that are not in the file.
        tokens: Which tokens are taken.
        origins: Pages, as ``https://host``, that may ask from a browser, beside those that the server itself sends.
        rate: What each caller may ask.
    """

    is_local: bool = True
    key_file: Path | None = None
    keys: tuple[ServeKey, ...] = ()
    tokens: TokenRules | None = None
    origins: frozenset[str] = frozenset()
    rate: RateLimit = field(default_factory=RateLimit)

    @property
    def asks_who(self) -> bool:
        """Whether a caller has to show a key or a token."""
        return self.key_file is not None or bool(self.keys) or self.tokens is not None


def key_digest(salt: bytes, token: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(salt + token.encode("utf-8", "surrogatepass")).digest()


def is_key_name(name: str) -> bool:
    """Whether a key may be called so: lower case, digits, dots and dashes, up to 64."""
    return _NAME.fullmatch(name) is not None


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_secure(address: str) -> bool:
    """Whether an address may be asked for keys: https, or this machine."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    local = ("localhost", "127.0.0.1", "::1")
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in local)
    )


def make_key(
    name: str, *, created: datetime, expires: datetime | None = None, rate: RateLimit | None = None
) -> tuple[str, ServeKey]:
    """A new key, and what is kept of it."""
    token = f"{KEY_PREFIX}_{name}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return token, _known_key(token, name, created=created, expires=expires, rate=rate or RateLimit())


def known_key(token: str, name: str) -> ServeKey:
    """A key that exists already, as the environment gives one."""
    return _known_key(token, name, created=None, expires=None, rate=RateLimit())


def _known_key(
    token: str, name: str, *, created: datetime | None, expires: datetime | None, rate: RateLimit
) -> ServeKey:
    salt = secrets.token_bytes(_SALT_BYTES)
    return ServeKey(
        name=name, salt=salt, digest=key_digest(salt, token), created=created, expires=expires, rate=rate
    )
