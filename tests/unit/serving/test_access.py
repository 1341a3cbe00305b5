"""Who may ask: over real HTTP, without a key, with a right one, with wrong ones, from pages, and too often."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.guarded import Guarded, guarded

from headrace.domain.access import AccessRules, RateLimit, known_key, make_key
from headrace.formats.key_file import write_key_file
from headrace.serving import keys as key_ring

NOW = datetime(2026, 11, 29, tzinfo=UTC)
PAGE = "https://elsewhere.example"
OPEN = AccessRules(is_local=False)


def write_keys(path: Path, **expires: datetime | None) -> dict[str, str]:
    """A file with a key for each name; the keys themselves by name."""
    made = {name: make_key(name, created=NOW, expires=end) for name, end in expires.items()}
    write_key_file(path, [key for _, key in made.values()])
    return {name: token for name, (token, _) in made.items()}


def test_without_a_key_nobody_asks_but_the_platform(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.yaml", shop=None)
    with guarded(AccessRules(is_local=False, key_file=tmp_path / "keys.yaml")) as served:
        answer = served.ask()
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.body["error"]["code"] == "UserError"
        for path in ("/score", "/swagger.json", "/", "/health/", "/healthz/../score", "//health", "/HEALTH"):
            assert served.ask("GET", path).status == 401, path
        assert served.app.n_requests == 0
        for path in ("/health", "/healthz", "/readyz", "/page"):
            assert served.ask("GET", path).body == {"caller": None}, path
            assert served.ask("POST", path).status == 401, path  # else anybody's body would be read


def test_a_probe_that_tells_more_to_callers_hears_who_asks(tmp_path: Path) -> None:
    token = write_keys(tmp_path / "keys.yaml", shop=None)["shop"]
    with guarded(AccessRules(is_local=False, key_file=tmp_path / "keys.yaml")) as served:
        asked = [
            served.ask("GET", "/readyz", authorization=f"Bearer {shown}") for shown in (token, "another")
        ]
        assert [answer.body["caller"] for answer in asked] == ["key:shop", None]


@pytest.mark.parametrize("header", ["authorization", "api_key", "x_api_key", "Authorization"])
def test_a_key_is_known_in_each_header(tmp_path: Path, header: str) -> None:
    tokens = write_keys(tmp_path / "keys.yaml", shop=None, desk=None)
    with guarded(AccessRules(is_local=False, key_file=tmp_path / "keys.yaml")) as served:
        for name, token in tokens.items():
            shown = token if "key" in header else f"bearer  {token}"
            answer = served.ask(**{header: shown})
            assert (answer.status, answer.body) == (200, {"caller": f"key:{name}"})


def test_what_is_no_key_is_refused_without_a_word_of_it(tmp_path: Path) -> None:
    token = write_keys(tmp_path / "keys.yaml", shop=None)["shop"]
    wrong = {
        "one letter less": f"Bearer {token[:-1]}",
        "one more": f"Bearer {token}A",
        "other case": f"Bearer {token.upper()}",
        "the name alone": "Bearer hr_shop_",
        "empty": "Bearer ",
        "no bearer": token,
        "basic": "Basic c2hvcDpzaG9w",
        "two": f"Bearer {token} {token}",
        "not ascii": "Bearer \xe9\xff",
        "long": f"Bearer {'A' * 20_000}",
    }
    with guarded(AccessRules(is_local=False, key_file=tmp_path / "keys.yaml")) as served:
        for what, shown in wrong.items():
            answer = served.ask(authorization=shown)
            assert answer.status == 401, what
            assert answer.headers["www-authenticate"].startswith("Bearer error="), what
            assert "shop" not in str(answer), what
        assert served.ask(authorization=f"Bearer {token}", api_key="another").status == 401
        assert served.ask("POST", f"/score?api-key={token}").status == 401
        assert served.app.n_requests == 0


def test_a_key_that_has_ended_counts_no_more(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    tokens = write_keys(tmp_path / "k.yaml", old=now - timedelta(seconds=1), new=now + timedelta(hours=1))
    with guarded(AccessRules(is_local=False, key_file=tmp_path / "k.yaml")) as served:
        assert [served.caller(token) for token in tokens.values()] == [401, "key:new"]


def test_keys_change_while_the_server_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(key_ring, "LOOK_EVERY_S", 0.0)
    file = tmp_path / "keys.yaml"
    first = write_keys(file, first=None)["first"]
    with guarded(AccessRules(is_local=False, key_file=file)) as served:
        assert served.caller(first) == "key:first"
        second = write_keys(file, second=None)["second"]
        assert (served.caller(first), served.caller(second)) == (401, "key:second")
        file.write_text("keys: [{name: second, hash: secret-canary}]")
        assert served.caller(second) == "key:second"
        file.unlink()
        assert served.caller(second) == "key:second"
        third = write_keys(file, third=None)["third"]
        assert (served.caller(second), served.caller(third)) == (401, "key:third")
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 2
    assert "canary" not in caplog.text


def test_a_key_of_the_environment_is_known_by_its_name() -> None:
    key = known_key("chosen-by-somebody-1", "environment")
    with guarded(AccessRules(is_local=False, keys=(key,))) as served:
        assert served.caller("chosen-by-somebody-1") == "key:environment"
        assert served.caller("chosen-by-somebody-2") == 401


@pytest.mark.parametrize("is_local", [True, False])
def test_pages_of_other_sites_are_kept_out(is_local: bool) -> None:
    with guarded(replace(OPEN, is_local=is_local)) as served:
        for origin in (
            PAGE,
            "null",
            "file://",
            "http://localhost.evil.example",
            "https://127.0.0.1.evil.example",
        ):
            answer = served.ask(origin=origin, content_type="text/plain")
            assert answer.status == 403, origin
            assert "access-control-allow-origin" not in answer.headers
        ours = f"http://127.0.0.1:{served.port}"
        assert served.ask(origin=ours).status == 200
        asked = {"access_control_request_method": "POST", "access_control_request_headers": "authorization"}
        assert served.ask("OPTIONS", origin=PAGE, **asked).status == 403
        assert "access-control-allow-origin" not in served.ask("GET", origin=PAGE).headers
    assert served.app.n_requests == 2


def test_a_named_page_may_ask_and_sees_the_answer() -> None:
    with guarded(replace(OPEN, origins=frozenset({PAGE}))) as served:
        asked = {
            "access_control_request_method": "POST",
            "access_control_request_headers": "authorization, x-a",
        }
        preflight = served.ask("OPTIONS", origin=PAGE, **asked)
        assert preflight.status == 204
        assert preflight.headers["access-control-allow-origin"] == PAGE
        assert preflight.headers["access-control-allow-headers"] == "authorization, x-a"
        answer = served.ask(origin=PAGE)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, PAGE)
        assert answer.headers["vary"] == "origin"
        assert "x-headrace-flow-version" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers
        assert served.ask(origin="https://elsewhere.example:444").status == 403
        assert "access-control-allow-origin" not in served.ask().headers


def test_a_named_page_needs_a_key_as_everybody_and_is_told_so(tmp_path: Path) -> None:
    token = write_keys(tmp_path / "keys.yaml", shop=None)["shop"]
    rules = AccessRules(is_local=False, key_file=tmp_path / "keys.yaml", origins=frozenset({PAGE}))
    with guarded(rules) as served:
        answer = served.ask(origin=PAGE)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (401, PAGE)
        assert served.ask(origin=PAGE, authorization=f"Bearer {token}").status == 200


def test_on_loopback_a_request_names_this_machine() -> None:
    with guarded(AccessRules()) as served:
        for host in ("rebound.example", "127.0.0.1.nip.example", "localhost.", "", "[::2]:80"):
            assert served.ask(host=host).status == 400, host
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80"):
            assert served.ask(host=host).status == 200, host
        assert served.ask(origin="http://localhost:3000").status == 200
        assert served.ask(origin="http://[::1]").status == 200


def test_behind_a_proxy_the_browser_says_whose_page_it_is() -> None:
    with guarded(OPEN) as served:
        page = {"origin": "https://flows.example", "host": "10.0.0.4:8080"}
        assert served.ask(**page).status == 403
        assert served.ask(**page, sec_fetch_site="same-origin").status == 200
        assert served.ask(**page, sec_fetch_site="same-site").status == 403


def test_browsers_are_told_to_keep_nothing_and_to_embed_nothing() -> None:
    with guarded(AccessRules()) as served:
        for answer in (served.ask(), served.ask(host="elsewhere.example"), served.ask(origin=PAGE)):
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_a_caller_has_so_many_requests_a_minute_and_others_have_theirs(tmp_path: Path) -> None:
    tokens = write_keys(tmp_path / "keys.yaml", shop=None, desk=None)
    rules = AccessRules(
        is_local=False, key_file=tmp_path / "keys.yaml", rate=RateLimit(requests_per_minute=3)
    )
    with guarded(rules) as served:
        answers = [served.ask(authorization=f"Bearer {tokens['shop']}") for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == [
            "r=2",
            "r=1",
            "r=0",
            "r=0",
        ]
        assert answers[3].headers["ratelimit-policy"] == '"requests";q=3;w=60'
        assert 1 <= int(answers[3].headers["retry-after"]) <= 20
        assert served.caller(tokens["desk"]) == "key:desk"
        assert served.app.n_requests == 4
        assert served.ask("GET", "/health").status == 200


def test_a_key_may_have_limits_of_its_own(tmp_path: Path) -> None:
    token, key = make_key("batch", created=NOW, rate=RateLimit(requests_per_minute=2))
    write_key_file(tmp_path / "keys.yaml", [key])
    rules = AccessRules(key_file=tmp_path / "keys.yaml", rate=RateLimit(requests_per_minute=1))
    with guarded(rules) as served:
        assert [served.caller(token) for _ in range(3)] == ["key:batch", "key:batch", 429]


def test_so_many_requests_are_under_way_at_once_and_a_place_is_given_back() -> None:
    with guarded(replace(OPEN, rate=RateLimit(concurrent=1))) as served:
        slow = threading.Thread(target=served.ask, args=("POST", "/slow"))
        slow.start()
        while not served.app.n_requests:
            pass
        answer = served.ask()
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        assert answer.headers["ratelimit-policy"] == '"concurrent";q=1;qu="concurrent-requests"'
        served.app.go.set()
        slow.join(10)
        assert [served.ask().status for _ in range(3)] == [200, 200, 200]


def send_raw(served: Guarded, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while piece := connection.recv(65_536):
            found += piece
    return found


@pytest.mark.parametrize(
    "head",
    [
        b"origin: https://a.example\r\n x-injected: 1",
        b"origin: https://a.example\rx-injected: 1",
        b"host: localhost\r\nhost: evil.example",
        b"authorization: Bearer a\x00b",
        b"content-length: 5\r\ntransfer-encoding: chunked",
    ],
)
def test_headers_of_wrong_form_reach_nothing_that_is_answered(head: bytes) -> None:
    with guarded(AccessRules(is_local=False, keys=(known_key("a-key-of-20-letters-x", "a"),))) as served:
        answer = send_raw(served, b"POST /score HTTP/1.1\r\nhost: localhost\r\n" + head + b"\r\n\r\n")
        assert answer.split(b" ")[1] in (b"400", b"401", b"403")
        assert b"x-injected" not in answer
        assert served.app.n_requests == 0
