"""What is found in a request as clients really send them."""

from __future__ import annotations

import pytest
from tests.support.evidence import a_traffic

from headrace.domain.traffic import UnitSource
from headrace.planning.asked_facts import AskedFacts

VISITOR = UnitSource(place="cookie", name="visitor")
USER = UnitSource(place="header", name="X-User")


def facts(**headers: bytes) -> AskedFacts:
    sent = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return AskedFacts({"headers": sent}, b"", a_traffic(), "r1")


@pytest.mark.parametrize(
    "sent",
    [
        b"visitor=v-1",
        b'prefs={"theme": "dark", "sizes": [1, 2]}; visitor=v-1',
        b"a=1;visitor=v-1; b",
        b'caf\xe9=(x); visitor="v-1"',
        b"$Path=/; visitor=v-1; =; ;",
    ],
)
def test_a_cookie_is_found_whatever_stands_beside_it(sent: bytes) -> None:
    assert facts(cookie=sent).find(VISITOR) == "v-1"


def test_a_cookie_without_a_value_is_absent() -> None:
    assert facts(cookie=b"visitor; other=1").find(VISITOR) is None


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("j\u00fcrgen \u2603".encode(), "j\u00fcrgen \u2603"),
        (b"j\xfcrgen", "j\u00fcrgen"),
        (b"ann", "ann"),
        (b"", None),
    ],
)
def test_a_header_is_the_text_that_a_body_would_have(sent: bytes, found: str | None) -> None:
    assert facts(x_user=sent).find(USER) == found
