"""Tokens of an issuer on loopback: which are taken, and every way in which they are not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.warnings import InsecureKeyLengthWarning
from tests.support.guarded import Issuer, another_rsa_key, guarded, issuer
from tests.support.web_server import web_server

from headrace.domain.access import AccessRules, TokenRules, is_secure
from headrace.serving.key_sets import KeySet, KeySetError

AUDIENCE = "api://flows"


@pytest.fixture
def entra() -> Iterator[Issuer]:
    with issuer() as found:
        yield found


def claims(entra: Issuer, **more: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {
        "iss": entra.address,
        "aud": AUDIENCE,
        "exp": now + 600,
        "nbf": now,
        "iat": now,
        "oid": "ann",
        **more,
    }
    return {name: value for name, value in given.items() if value is not None}


def rules(entra: Issuer, **more: Any) -> AccessRules:
    return AccessRules(
        is_local=False, tokens=TokenRules(issuer=entra.address, audiences=(AUDIENCE, "other"), **more)
    )


@pytest.mark.parametrize(("key", "algorithm"), [("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256")])
def test_a_token_is_taken_and_the_keys_are_asked_for_once(entra: Issuer, key: str, algorithm: str) -> None:
    with guarded(rules(entra)) as served:
        for name in ("ann", "bob"):
            token = entra.token(claims(entra, oid=name), key=key, algorithm=algorithm)
            assert served.caller(token) == f"token:{name}"
        assert served.caller(entra.token(claims(entra, aud=["x", "other"]))) == "token:ann"
    assert entra.n_asked == 1


def unsigned(entra: Issuer) -> str:
    return jwt.encode(claims(entra), "", algorithm="none", headers={"kid": "rsa"})


def signed_with_public_key(entra: Issuer) -> str:
    """The classic: the public key taken for the secret of an HMAC."""

    def part(data: Any) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=")

    entry = next(entry for entry in entra.key_set()["keys"] if entry["kid"] == "rsa")
    body = part({"alg": "HS256", "kid": "rsa"}) + b"." + part(claims(entra))
    made = hmac.digest(json.dumps(entry).encode(), body, hashlib.sha256)
    return (body + b"." + base64.urlsafe_b64encode(made).rstrip(b"=")).decode()


def changed(entra: Issuer) -> str:
    head, body, mark = entra.token(claims(entra)).split(".")
    other = base64.urlsafe_b64encode(json.dumps(claims(entra, oid="root")).encode()).rstrip(b"=").decode()
    assert body != other
    return f"{head}.{other}.{mark}"


def test_tokens_that_are_made_up_are_not_taken(entra: Issuer) -> None:
    entra.extra.append({"kty": "oct", "kid": "secret", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"})
    forged = jwt.encode(claims(entra), another_rsa_key(), algorithm="RS256", headers={"kid": "rsa"})
    with_own_key = jwt.encode(
        claims(entra),
        another_rsa_key(),
        algorithm="RS256",
        headers={"kid": "x", "jku": f"{entra.address}/keys", "jwk": {"kty": "RSA"}},
    )
    secret = jwt.encode(
        claims(entra), b"secret-secret-secret-secret-secret", algorithm="HS256", headers={"kid": "secret"}
    )
    wrong = {
        "none": unsigned(entra),
        "hmac": signed_with_public_key(entra),
        "secret": secret,
        "changed": changed(entra),
        "forged": forged,
        "own key": with_own_key,
        "rs512": entra.token(claims(entra), algorithm="RS512"),
        "crit": entra.token(claims(entra), crit=["exp"]),
        "other kind": entra.token(claims(entra), kid="ec"),
        "no kid": jwt.encode(claims(entra), another_rsa_key(), algorithm="RS256"),
        "cut": entra.token(claims(entra))[:-3],
        "not json": "bm90.bm90.bm90",
        "dots": "a.b.c",
    }
    with guarded(rules(entra)) as served:
        assert {what: served.caller(token) for what, token in wrong.items()} == dict.fromkeys(wrong, 401)
        assert served.app.n_requests == 0
        assert served.caller(entra.token(claims(entra))) == "token:ann"


@pytest.mark.parametrize(
    "more",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://another.example"},
        {"iss": None},
        {"exp": 1},
        {"exp": None},
        {"exp": "never"},
        {"nbf": 99_999_999_999},
        {"iat": "x"},
    ],
    ids=str,
)
def test_claims_that_do_not_fit_are_refused(entra: Issuer, more: dict[str, Any]) -> None:
    with guarded(rules(entra)) as served:
        answer = served.ask(authorization=f"Bearer {entra.token(claims(entra, **more))}")
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
        assert AUDIENCE not in str(answer.body)


def test_clocks_may_differ_by_a_minute(entra: Issuer) -> None:
    now = int(time.time())
    with guarded(rules(entra)) as served:
        assert served.caller(entra.token(claims(entra, exp=now - 30))) == "token:ann"
        assert served.caller(entra.token(claims(entra, nbf=now + 30, iat=now + 30))) == "token:ann"
        assert served.caller(entra.token(claims(entra, exp=now - 90))) == 401


def test_one_of_the_scopes_or_roles_is_needed(entra: Issuer) -> None:
    asked = rules(entra, scopes=frozenset({"Flow.Run"}), roles=frozenset({"Runner"}))
    with guarded(asked) as served:
        for more in ({"scp": "User.Read Flow.Run"}, {"roles": ["Runner"]}, {"scope": "Flow.Run"}):
            assert served.caller(entra.token(claims(entra, **more))) == "token:ann", more
        for more in (
            {},
            {"scp": "Flow.Run.All"},
            {"roles": "Flow.Run"},
            {"roles": [["Runner"]]},
            {"scp": "Runner"},
        ):
            answer = served.ask(authorization=f"Bearer {entra.token(claims(entra, **more))}")
            assert answer.status == 403, more
            assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'


def test_a_new_key_is_asked_for_and_a_made_up_one_only_now_and_then(entra: Issuer) -> None:
    clock = [0.0]
    keys = KeySet(entra.address, None, clock=lambda: clock[0])

    async def find(key_id: str) -> bool:
        return await keys.find(key_id) is not None

    async def check() -> None:
        assert await find("rsa")
        entra.keys["new"] = another_rsa_key()
        for _ in range(5):
            assert not await find("new")
        assert entra.n_asked == 1
        clock[0] += 31
        assert await find("new")
        assert entra.n_asked == 2
        clock[0] += 31
        del entra.keys["new"]
        found = await asyncio.gather(*(find("made-up") for _ in range(20)))
        assert found == [False] * 20
        assert entra.n_asked == 3
        assert not await find("new")

    asyncio.run(check())


def test_keys_outlast_an_issuer_that_is_away_for_a_while(
    entra: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [0.0]
    keys = KeySet(entra.address, None, clock=lambda: clock[0])

    async def check() -> None:
        assert await keys.find("rsa")
        entra.is_broken = True
        clock[0] += 7200
        assert await keys.find("rsa")
        assert "could not be fetched" in caplog.text
        clock[0] += 86_400
        with pytest.raises(KeySetError):
            await keys.find("rsa")
        entra.is_broken = False
        clock[0] += 31
        assert await keys.find("rsa")

    asyncio.run(check())


def test_without_the_keys_of_the_issuer_nobody_is_let_in(entra: Issuer) -> None:
    entra.is_broken = True
    with guarded(rules(entra)) as served:
        answer = served.ask(authorization=f"Bearer {entra.token(claims(entra))}")
        assert (answer.status, answer.headers["retry-after"]) == (503, "30")
        assert served.ask(authorization="Bearer of-another-kind").status == 401


def test_a_key_set_may_be_a_file_or_an_address(entra: Issuer, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(entra.key_set()))
    for source in (str(file), f"{entra.address}/keys"):
        with guarded(rules(entra, key_set=source)) as served:
            assert served.caller(entra.token(claims(entra))) == "token:ann"


def test_an_issuer_of_another_name_has_no_say(entra: Issuer) -> None:
    asked = AccessRules(is_local=False, tokens=TokenRules(issuer=f"{entra.address}/", audiences=(AUDIENCE,)))
    with guarded(asked) as served:
        assert served.caller(entra.token(claims(entra, iss=f"{entra.address}/"))) == 503


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://a.example/keys", True),
        ("http://localhost:1/keys", True),
        ("http://a.example/keys", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("https://[", False),
    ],
)
def test_keys_come_over_https_or_from_this_machine(address: str, expected: bool) -> None:
    assert is_secure(address) is expected


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", "token:ann"), ("127.0.0.2", 503)])
def test_keys_that_have_moved_are_taken_only_where_nobody_can_change_them_on_the_way(
    entra: Issuer, host: str, expected: Any
) -> None:
    with web_server(host=host) as elsewhere, guarded(rules(entra)) as served:
        elsewhere.answers = [(200, json.dumps(entra.key_set()))]
        entra.moved_to = elsewhere.url
        assert served.caller(entra.token(claims(entra))) == expected
        assert len(elsewhere.asked) == (expected != 503)


def test_short_keys_are_not_taken(entra: Issuer) -> None:
    entra.keys["short"] = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    with pytest.warns(InsecureKeyLengthWarning):
        token = entra.token(claims(entra), key="short")
    with guarded(rules(entra)) as served:
        answer = served.ask(authorization=f"Bearer {token}")
        assert (answer.status, answer.body["error"]["message"]) == (401, "The key of the token is too short.")
