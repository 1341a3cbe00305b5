"""The public keys of an issuer of tokens: fetched, kept for an hour, and asked for again when a token names another.

Reached through ``serving.tokens``. How often an unknown key may cause a request is limited, so that made-up tokens
cannot be used to drive the issuer's server.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from headrace.domain.access import is_secure
from headrace.providers.web import WebError, request

MAX_AGE_S = 3600.0
MAX_STALE_S = 86_400.0
"""How long keys count that could not be fetched again."""
MIN_INTERVAL_S = 30.0
FETCH_TIMEOUT_S = 10.0

_DISCOVERY = "/.well-known/openid-configuration"
_KINDS = ("RSA", "EC")
_LOGGER = logging.getLogger("headrace.serving")


class KeySetError(Exception):
    """The keys of the issuer cannot be had. The text says why, without a value."""


class KeySet:
    """The keys of one issuer by their id.

    Args:
        issuer: Whose keys.
        source: Address or file of the key set; ``None`` asks the issuer.
        clock: Seconds that only go on.
    """

    def __init__(
        self, issuer: str, source: str | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._source = source
        self._clock = clock
        self._keys: Mapping[str, Mapping[str, Any]] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._lock = asyncio.Lock()

    async def find(self, key_id: str) -> Mapping[str, Any] | None:
        """The key with an id, as JSON; ``None`` where the issuer has none.

        Raises:
            KeySetError: No key set could be had, or none for too long.
        """
        key = self._keys.get(key_id)
        is_old = self._age_s() > MAX_AGE_S
        # Who finds its key does not wait for others that fetch.
        if self._may_try() and (key is None or (is_old and not self._lock.locked())):
            async with self._lock:
                if self._may_try() and (key_id not in self._keys or self._age_s() > MAX_AGE_S):
                    await self._fetch()
            key = self._keys.get(key_id)
        elif key is None and self._lock.locked():
            async with self._lock:
                key = self._keys.get(key_id)
        if self._age_s() > MAX_STALE_S:
            message = "the keys of the issuer cannot be read"
            raise KeySetError(message)
        return key

    def _age_s(self) -> float:
        return float("inf") if self._fetched_at is None else self._clock() - self._fetched_at

    def _may_try(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= MIN_INTERVAL_S

    async def _fetch(self) -> None:
        self._tried_at = self._clock()
        try:
            self._keys = _by_id(await asyncio.to_thread(partial(_read_set, self._issuer, self._source)))
            self._fetched_at = self._clock()
        except KeySetError as error:
            _LOGGER.warning("The keys of the issuer of tokens could not be fetched: %s.", error)


def _read_set(issuer: str, source: str | None) -> Any:
    """The key set as JSON; blocks."""
    if source is not None and not source.startswith(("http://", "https://")):
        try:
            return json.loads(Path(source).read_bytes())
        except (OSError, ValueError) as error:
            message = "the file of the key set cannot be read"
            raise KeySetError(message) from error
    if source is None:
        described = _get(issuer.rstrip("/") + _DISCOVERY)
        if not isinstance(described, dict) or described.get("issuer") != issuer:
            message = "the issuer describes itself with another name"
            raise KeySetError(message)
        source = described.get("jwks_uri")
        if not isinstance(source, str):
            message = "the issuer does not say where its keys are"
            raise KeySetError(message)
    return _get(source)


def _get(address: str) -> Any:
    if not is_secure(address):
        message = "an address does not begin with https://"
        raise KeySetError(message)
    try:
        answer = request(address, timeout_s=FETCH_TIMEOUT_S, may_ask=is_secure)
        if answer.status == 200:
            return answer.json()
    except (WebError, ValueError) as error:
        message = "no answer that can be read"
        raise KeySetError(message) from error
    message = f"status {answer.status}"
    raise KeySetError(message)


def _by_id(data: Any) -> dict[str, Mapping[str, Any]]:
    """The public keys for signatures among the entries; what is of another kind is left out."""
    entries = data.get("keys") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        message = "it is no key set"
        raise KeySetError(message)
    return {
        entry["kid"]: entry
        for entry in entries
        if isinstance(entry, dict)
        and isinstance(entry.get("kid"), str)
        and entry.get("kty") in _KINDS
        and entry.get("use", "sig") == "sig"
        and "d" not in entry
    }
