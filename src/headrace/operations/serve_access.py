"""Who may ask a served flow: from options and environment to rules, refused where they let in whom nobody meant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.config import read_flag
from headrace.domain.access import (
    MIN_GIVEN_KEY_LENGTH,
    AccessRules,
    RateLimit,
    ServeKey,
    TokenRules,
    is_loopback,
    is_secure,
    known_key,
)
from headrace.errors import Problem, UsageError
from headrace.formats.key_file import read_key_file
from headrace.providers.loading import load_optional

KEYS_VARIABLE = "HEADRACE_SERVE_KEYS"
_TOKENS = "headrace.serving.tokens:open_token_check"
_ORIGIN = re.compile(r"https?://[a-z0-9.\[\]:-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessChoice:
    """What a command line says of who may ask; what it leaves out, the environment may say.

    Attributes:
        key_file: File of keys (``HEADRACE_SERVE_KEYS``).
        issuer: Whose tokens are taken (``HEADRACE_SERVE_ISSUER``).
        audiences: For whom they have to be (``HEADRACE_SERVE_AUDIENCE``).
        scopes: Of which they have to hold one (``HEADRACE_SERVE_SCOPES``).
        roles: Or one of these (``HEADRACE_SERVE_ROLES``).
        key_set: Where the keys of the issuer are (``HEADRACE_SERVE_JWKS``).
        origins: Pages that may ask (``HEADRACE_SERVE_CORS``).
        requests_per_minute: Of each caller (``HEADRACE_SERVE_REQUESTS_PER_MINUTE``).
        concurrent: Of each caller (``HEADRACE_SERVE_CONCURRENT``).
        is_open: Nobody is asked who he is (``HEADRACE_SERVE_NO_AUTH``).
    """

    key_file: Path | None = None
    issuer: str | None = None
    audiences: Sequence[str] = ()
    scopes: Sequence[str] = ()
    roles: Sequence[str] = ()
    key_set: str | None = None
    origins: Sequence[str] = ()
    requests_per_minute: int | None = None
    concurrent: int | None = None
    is_open: bool = False


def access_rules(choice: AccessChoice, environment: Mapping[str, str], host: str) -> AccessRules:
    """The rules for a server on ``host``.

    Raises:
        DefinitionError: The file of keys is wrong.
        UsageError: C505 for tokens without the extra ``entra``, C506 for a variable that cannot be read, C507 for what
            does not fit together, and for an address that others reach while nothing says who may ask.
    """
    named = environment.get(KEYS_VARIABLE)
    key_file = choice.key_file or (Path(named) if named else None)
    if key_file is not None:
        key_file = key_file.absolute()  # flows change the working directory
        read_key_file(key_file)
    rules = AccessRules(
        is_local=is_loopback(host),
        key_file=key_file,
        keys=_given_keys(environment),
        tokens=_token_rules(choice, environment),
        origins=_origins(choice.origins or _words(environment, "HEADRACE_SERVE_CORS")),
        rate=RateLimit(
            requests_per_minute=choice.requests_per_minute
            or _count(environment, "HEADRACE_SERVE_REQUESTS_PER_MINUTE"),
            concurrent=choice.concurrent or _count(environment, "HEADRACE_SERVE_CONCURRENT"),
        ),
    )
    is_open = choice.is_open or read_flag(environment, "HEADRACE_SERVE_NO_AUTH")
    if is_open and rules.asks_who:
        raise _misfit(
            what="--no-auth lets everybody ask, and keys or tokens are asked for as well.",
            fix="Leave --no-auth (HEADRACE_SERVE_NO_AUTH) away, or the keys and the issuer.",
        )
    if not (rules.is_local or rules.asks_who or is_open):
        raise _misfit(
            what=f"{host} can be reached from other machines, and nothing says who may ask.",
            fix="Give keys with --keys FILE (headrace serve-key create makes them) or HEADRACE_SERVE_KEY, or take the "
            "tokens of --issuer with --audience. Only where something in front asks who calls, as the endpoints of "
            "Azure ML do, say --no-auth or HEADRACE_SERVE_NO_AUTH=true.",
        )
    return rules


def _given_keys(environment: Mapping[str, str]) -> tuple[ServeKey, ...]:
    keys = []
    for number, token in enumerate(_words(environment, "HEADRACE_SERVE_KEY"), 1):
        if len(token) < MIN_GIVEN_KEY_LENGTH or not token.isascii():
            raise _bad_variable(
                name="HEADRACE_SERVE_KEY",
                what=f"holds a key of fewer than {MIN_GIVEN_KEY_LENGTH} characters, or one with letters beyond ASCII",
                fix="Take a long random one, as headrace serve-key create makes them.",
            )
        keys.append(known_key(token, "environment" if number == 1 else f"environment-{number}"))
    return tuple(keys)


def _token_rules(choice: AccessChoice, environment: Mapping[str, str]) -> TokenRules | None:
    issuer = choice.issuer or environment.get("HEADRACE_SERVE_ISSUER")
    audiences = choice.audiences or _words(environment, "HEADRACE_SERVE_AUDIENCE")
    scopes = choice.scopes or _words(environment, "HEADRACE_SERVE_SCOPES")
    roles = choice.roles or _words(environment, "HEADRACE_SERVE_ROLES")
    key_set = choice.key_set or environment.get("HEADRACE_SERVE_JWKS") or None
    if not issuer:
        if audiences or scopes or roles or key_set:
            raise _misfit(
                what="Tokens are to be checked, and nothing says who issues them.",
                fix="Give --issuer, such as https://login.microsoftonline.com/TENANT_ID/v2.0.",
            )
        return None
    if not audiences:
        raise _misfit(
            what="Tokens of the issuer are to be taken, whomever they are for.",
            fix="Give --audience, such as api://CLIENT_ID: other programs get tokens of the same issuer.",
        )
    for address in filter(None, (issuer, key_set if key_set and "://" in key_set else None)):
        if not is_secure(address):
            raise _misfit(
                what=f"{address} does not begin with https://, so that anybody on the way could put in keys.",
                fix="Give the https address of the issuer and of its keys.",
            )
    if key_set and "://" not in key_set:
        key_set = str(Path(key_set).absolute())
        if not Path(key_set).is_file():
            raise UsageError(
                Problem(
                    code="F001", what=f"There is no file {key_set}.", fix="Give a JWKS file or its address."
                )
            )
    load_optional(_TOKENS, extra="entra")
    return TokenRules(
        issuer=issuer,
        audiences=tuple(audiences),
        scopes=frozenset(scopes),
        roles=frozenset(roles),
        key_set=key_set,
    )


def _origins(given: Sequence[str]) -> frozenset[str]:
    for origin in given:
        if not _ORIGIN.fullmatch(origin):
            raise _misfit(
                what=f"{origin!r} is not the origin of a page.",
                fix="Give each origin as browsers send it, such as https://app.example, without a path or a star.",
            )
    return frozenset(given)


def _words(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(environment.get(name, "").replace(",", " ").split())


def _count(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise _bad_variable(
            name=name, what="must be a whole number of at least 1", fix=f"Correct {name}, or unset it."
        )
    return int(text)


def _bad_variable(*, name: str, what: str, fix: str) -> UsageError:
    return UsageError(Problem(code="C506", what=f"The environment variable {name} {what}.", fix=fix))


def _misfit(*, what: str, fix: str) -> UsageError:
    return UsageError(Problem(code="C507", what=what, fix=fix))
