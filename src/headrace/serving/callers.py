"""Who a request comes from: a key, or a token of an issuer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from headrace.domain.access import AccessRules, RateLimit
from headrace.providers.loading import load_optional
from headrace.serving.keys import KeyRing

KEY_HEADERS = (b"api-key", b"x-api-key")
"""Headers, beside ``Authorization``, in which a caller may show a key."""

ANYBODY = "anybody"
"""What everybody is called where nobody is asked who he is."""

CheckToken = Callable[[str], Awaitable[str]]
"""From a token to who has it; raises :class:`RefusedError`."""

_MAX_LENGTH = 16_384
OPEN_TOKEN_CHECK = "headrace.serving.tokens:open_token_check"  # noqa: S105 - the name of a function
_BEARER = re.compile(rb"Bearer +([^\s]+) *", re.IGNORECASE)
_THREE_PARTS = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks.

    Attributes:
        name: ``key:NAME``, ``token:ID``, or :data:`ANYBODY`.
        rate: The limits of this caller.
    """

    name: str
    rate: RateLimit = field(default_factory=RateLimit)


class RefusedError(Exception):
    """A request that shows no key or token, or a wrong one. The text is for the caller and holds no value.

    Attributes:
        status: 401, 403 or 503.
        error: The word of RFC 6750; empty where nothing was shown.
    """

    def __init__(self, *, reason: str, status: int = 401, error: str = "invalid_token") -> None:
        super().__init__(reason)
        self.status = status
        self.error = error


class Callers:
    """Finds out who asks.

    Args:
        rules: Who may.

    Raises:
        DefinitionError: The file of keys is wrong.
        UsageError: C505 for tokens without the extra ``entra``.

    Attributes:
        anybody: Who asks where nobody has to say; ``None`` where somebody has to.
    """

    def __init__(self, rules: AccessRules) -> None:
        self._rate = rules.rate
        self._keys = KeyRing(rules.key_file, rules.keys) if rules.key_file is not None or rules.keys else None
        self._check_token: CheckToken | None = None
        if rules.tokens is not None:
            self._check_token = load_optional(OPEN_TOKEN_CHECK, extra="entra")(rules.tokens)
        self.anybody = None if rules.asks_who else Caller(name=ANYBODY, rate=self._rate)

    async def find(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Who asks.

        Raises:
            RefusedError: Nobody that may.
        """
        if self.anybody is not None:
            return self.anybody
        shown = _shown(headers)
        if shown is None:
            raise RefusedError(reason=self._wanted(), error="")
        if self._keys is not None and (key := self._keys.find(shown)) is not None:
            return Caller(name=f"key:{key.name}", rate=key.rate if key.rate.is_limit else self._rate)
        if self._check_token is not None and _THREE_PARTS.fullmatch(shown):
            return Caller(name=f"token:{await self._check_token(shown)}", rate=self._rate)
        raise RefusedError(reason="The key is not known, or has ended.")

    def _wanted(self) -> str:
        kinds = [*(["key"] if self._keys else []), *(["token"] if self._check_token else [])]
        return f"Send a {' or a '.join(kinds)} in the header Authorization: Bearer."


def _shown(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The one key or token that the headers show.

    Raises:
        RefusedError: There are several, or one of a form that cannot be.
    """
    found = set()
    for name, value in headers:
        if name == b"authorization":
            bearer = _BEARER.fullmatch(value.strip())
            if bearer is None:
                raise RefusedError(
                    reason="The header Authorization is not of the form: Bearer KEY.", error="invalid_request"
                )
            found.add(bearer[1])
        elif name in KEY_HEADERS:
            found.add(value.strip())
    if len(found) > 1:
        raise RefusedError(reason="The request shows more than one key or token.", error="invalid_request")
    if not found:
        return None
    (shown,) = found
    if not shown or len(shown) > _MAX_LENGTH or not shown.isascii():
        raise RefusedError(reason="The key is not known, or has ended.")
    return shown.decode("ascii")
