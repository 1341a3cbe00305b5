"""Tokens of Microsoft Entra ID, or any other issuer of OpenID Connect, through PyJWT (extra ``entra``).

Only signatures by a private key are taken, RS256, PS256 and ES256, and only with a key of the issuer that is of the
kind that the algorithm needs: neither an unsigned token nor one that is signed with a public key as a secret passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt

from headrace.domain.access import TokenRules
from headrace.serving.callers import CheckToken, RefusedError
from headrace.serving.key_sets import KeySet, KeySetError

ALGORITHMS: Mapping[str, str] = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC"}
CLOCK_SKEW_S = 60.0

_REQUIRED = ("exp", "iss", "aud")
_SUBJECTS = ("oid", "sub", "azp", "appid")
_MAX_SUBJECT_LENGTH = 128


def open_token_check(rules: TokenRules, key_set: KeySet | None = None) -> CheckToken:
    """What checks the tokens of one issuer; fetches its keys when the first token comes."""
    return _TokenCheck(rules, key_set or KeySet(rules.issuer, rules.key_set))


class _TokenCheck:
    """Checks tokens."""

    def __init__(self, rules: TokenRules, key_set: KeySet) -> None:
        self._rules = rules
        self._key_set = key_set
        self._read: dict[tuple[str, str], tuple[Mapping[str, Any], jwt.PyJWK]] = {}

    async def __call__(self, token: str) -> str:
        """Who has the token.

        Raises:
            RefusedError: 401 for a token that is none of ours, 403 for one without scope or role, 503 where the keys of
                the issuer cannot be had.
        """
        key = await self._find_key(token)
        rules = self._rules
        try:
            claims = jwt.decode(
                token,
                key=key,
                algorithms=list(ALGORITHMS),
                audience=list(rules.audiences),
                issuer=rules.issuer,
                leeway=CLOCK_SKEW_S,
                options={"require": list(_REQUIRED), "enforce_minimum_key_length": True},
            )
        except jwt.InvalidTokenError as error:
            raise RefusedError(reason=_reason(error)) from error
        except jwt.InvalidKeyError as error:
            raise RefusedError(reason="The key of the token is too short.") from error
        self._check_rights(claims)
        return _subject(claims)

    async def _find_key(self, token: str) -> jwt.PyJWK:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise RefusedError(reason="The token cannot be read.") from error
        algorithm, key_id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS or "crit" in header:
            raise RefusedError(reason="The token is signed in a way that is not taken.")
        if not isinstance(key_id, str):
            raise RefusedError(reason="The token names no key.")
        try:
            entry = await self._key_set.find(key_id)
        except KeySetError as error:
            raise RefusedError(
                reason="The keys of the issuer of tokens cannot be read.", status=503, error=""
            ) from error
        if entry is None:
            raise RefusedError(reason="The token is signed with a key that its issuer does not have.")
        if entry.get("kty") != ALGORITHMS[algorithm] or entry.get("alg", algorithm) != algorithm:
            raise RefusedError(reason="The token is signed in a way that is not taken.")
        return self._read_key(key_id, algorithm, entry)

    def _read_key(self, key_id: str, algorithm: str, entry: Mapping[str, Any]) -> jwt.PyJWK:
        """The key of an entry, read once: that takes longer than to check a signature with it."""
        before = self._read.get((key_id, algorithm))
        if before is not None and before[0] is entry:
            return before[1]
        try:
            key = jwt.PyJWK(dict(entry), algorithm=algorithm)
        except (jwt.PyJWKError, jwt.InvalidKeyError) as error:
            raise RefusedError(reason="The key of the token cannot be read.") from error
        self._read[key_id, algorithm] = (entry, key)
        return key

    def _check_rights(self, claims: Mapping[str, Any]) -> None:
        rules = self._rules
        if not rules.scopes and not rules.roles:
            return
        scopes = _words(claims.get("scp")) | _words(claims.get("scope"))
        if scopes & rules.scopes or _words(claims.get("roles")) & rules.roles:
            return
        raise RefusedError(
            reason="The token lacks the scope or role.", status=403, error="insufficient_scope"
        )


def _words(value: Any) -> set[str]:
    """Scopes and roles, as one text or as a list."""
    items = value.split(" ") if isinstance(value, str) else value if isinstance(value, list) else ()
    return {item for item in items if isinstance(item, str)}


def _subject(claims: Mapping[str, Any]) -> str:
    """Who has the token, by an id without a name."""
    found = next((claims[name] for name in _SUBJECTS if isinstance(claims.get(name), str)), "")
    return found[:_MAX_SUBJECT_LENGTH]


def _reason(error: jwt.InvalidTokenError) -> str:
    if isinstance(error, jwt.ExpiredSignatureError):
        return "The token has ended."
    if isinstance(error, jwt.ImmatureSignatureError):
        return "The token does not count yet."
    if isinstance(error, jwt.InvalidAudienceError):
        return "The token is for another audience."
    if isinstance(error, jwt.InvalidIssuerError):
        return "The token is of another issuer."
    return "The token is not valid."
