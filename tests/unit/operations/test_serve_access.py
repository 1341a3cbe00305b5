"""From options and environment to who may ask, and what is refused before anything is served."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.domain.access import AccessRules, RateLimit, TokenRules
from headrace.errors import DefinitionError, HeadraceError, UsageError
from headrace.formats.folder_lock import locked_folder
from headrace.operations.serve_access import AccessChoice, access_rules
from headrace.operations.serve_keys import create_key, list_keys, revoke_key

NOW = datetime(2026, 11, 29, tzinfo=UTC)
ISSUER = "https://login.microsoftonline.com/tenant/v2.0"
EVERYWHERE = "0.0.0.0"
KEY = "a-key-of-more-than-20-letters"


def refused(choice: AccessChoice, host: str = EVERYWHERE, **environment: str) -> str:
    with pytest.raises(HeadraceError) as caught:
        access_rules(choice, environment, host)
    (problem,) = caught.value.problems
    assert problem.fix
    return f"{problem.code} {problem.what} {problem.fix}"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_on_loopback_nobody_has_to_be_named(host: str) -> None:
    assert access_rules(AccessChoice(), {}, host) == AccessRules()


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "10.0.0.4", "flows.example", ""])
def test_an_address_that_others_reach_needs_a_word_on_who_may_ask(host: str) -> None:
    said = refused(AccessChoice(), host)
    assert said.startswith("C507")
    assert "--no-auth" in said
    assert "HEADRACE_SERVE_NO_AUTH=true" in said
    assert access_rules(AccessChoice(is_open=True), {}, host) == AccessRules(is_local=False)
    assert access_rules(AccessChoice(), {"HEADRACE_SERVE_NO_AUTH": "True"}, host) == AccessRules(
        is_local=False
    )
    assert access_rules(AccessChoice(), {"HEADRACE_SERVE_KEY": KEY}, host).asks_who


def test_the_environment_says_what_the_command_line_leaves_out(tmp_path: Path) -> None:
    create_key(tmp_path / "keys.yaml", "shop", now=NOW, expires=None, rate=RateLimit())
    rules = access_rules(
        AccessChoice(concurrent=7),
        {
            "HEADRACE_SERVE_KEYS": str(tmp_path / "keys.yaml"),
            "HEADRACE_SERVE_KEY": f"{KEY},{KEY}2",
            "HEADRACE_SERVE_ISSUER": ISSUER,
            "HEADRACE_SERVE_AUDIENCE": "api://a, b",
            "HEADRACE_SERVE_SCOPES": "Flow.Run",
            "HEADRACE_SERVE_ROLES": "Runner,Admin",
            "HEADRACE_SERVE_JWKS": f"{ISSUER}/keys",
            "HEADRACE_SERVE_CORS": "https://a.example,http://localhost:3000",
            "HEADRACE_SERVE_REQUESTS_PER_MINUTE": "60",
            "HEADRACE_SERVE_CONCURRENT": "4",
        },
        EVERYWHERE,
    )
    assert rules.key_file == tmp_path / "keys.yaml"
    assert [key.name for key in rules.keys if key.fits(KEY) or key.fits(KEY + "2")] == [
        "environment",
        "environment-2",
    ]
    assert rules.tokens == TokenRules(
        issuer=ISSUER,
        audiences=("api://a", "b"),
        scopes=frozenset({"Flow.Run"}),
        roles=frozenset({"Runner", "Admin"}),
        key_set=f"{ISSUER}/keys",
    )
    assert rules.origins == {"https://a.example", "http://localhost:3000"}
    assert rules.rate == RateLimit(requests_per_minute=60, concurrent=7)
    assert KEY not in repr(rules)


@pytest.mark.parametrize(
    ("choice", "environment", "word"),
    [
        (AccessChoice(is_open=True), {"HEADRACE_SERVE_KEY": KEY}, "--no-auth"),
        (AccessChoice(issuer=ISSUER), {}, "--audience"),
        (AccessChoice(audiences=["a"]), {}, "--issuer"),
        (AccessChoice(key_set="keys.json"), {}, "--issuer"),
        (AccessChoice(issuer="http://issuer.example", audiences=["a"]), {}, "https"),
        (AccessChoice(issuer=ISSUER, audiences=["a"], key_set="http://a.example/keys"), {}, "https"),
        (AccessChoice(issuer=ISSUER, audiences=["a"], key_set="none.json"), {}, "F001"),
        (AccessChoice(origins=["*"]), {}, "origin"),
        (AccessChoice(origins=["https://a.example/"]), {}, "origin"),
        (AccessChoice(origins=["null"]), {}, "origin"),
        (AccessChoice(), {"HEADRACE_SERVE_KEY": "short"}, "C506"),
        (AccessChoice(), {"HEADRACE_SERVE_NO_AUTH": "maybe"}, "C506"),
        (AccessChoice(), {"HEADRACE_SERVE_CONCURRENT": "0"}, "C506"),
        (AccessChoice(), {"HEADRACE_SERVE_REQUESTS_PER_MINUTE": "1.5"}, "C506"),
        (AccessChoice(key_file=Path("none.yaml")), {}, "F001"),
    ],
    ids=str,
)
def test_what_does_not_fit_together_is_refused_before_anything_is_served(
    choice: AccessChoice, environment: dict[str, str], word: str
) -> None:
    said = refused(choice, "127.0.0.1", **environment)
    assert word in said
    assert "short" not in said.replace("shorter", "")


def test_a_key_is_made_listed_and_revoked(tmp_path: Path) -> None:
    file = tmp_path / "new" / "keys.yaml"
    token = create_key(file, "shop", now=NOW, expires=NOW.replace(year=2027), rate=RateLimit(concurrent=2))
    other = create_key(file, "desk", now=NOW, expires=None, rate=RateLimit())
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    for secret in (token, other):
        assert secret.rpartition("_")[2] not in text
    shop, desk = list_keys(file)
    assert (shop.fits(token), shop.fits(other), desk.fits(other)) == (True, False, True)
    assert (shop.created, shop.expires, shop.rate) == (NOW, NOW.replace(year=2027), RateLimit(concurrent=2))
    revoke_key(file, "shop")
    assert [key.name for key in list_keys(file)] == ["desk"]
    assert [item.name for item in file.parent.iterdir()] == ["keys.yaml"]


CHANGE = """\
import sys
from datetime import UTC, datetime
from pathlib import Path
from headrace.domain.access import RateLimit
from headrace.operations.serve_keys import create_key, revoke_key

file, name = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    create_key(file, f"{name}-{number}", now=datetime.now(UTC), expires=None, rate=RateLimit())
    if number % 2:
        revoke_key(file, f"{name}-{number}")
"""


def test_keys_that_several_processes_change_at_once_are_all_kept(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", CHANGE, str(file), name],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ,
                )
            )
            for name in "abcd"
        ]  # fmt: skip
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait(60) for process in processes] == [0] * 4
    expected = {f"{name}-{number}" for name in "abcd" for number in range(0, 10, 2)}
    assert {key.name for key in list_keys(file)} == expected
    assert [item.name for item in tmp_path.iterdir()] == ["keys.yaml"]


def test_a_file_of_keys_that_another_process_is_changing_for_long_is_not_changed(tmp_path: Path) -> None:
    with locked_folder(tmp_path), pytest.raises(TimeoutError), locked_folder(tmp_path, wait_s=0.05):
        pass
    with locked_folder(tmp_path, wait_s=0.05):
        pass


def test_names_of_keys_are_plain_and_their_own(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    create_key(file, "shop", now=NOW, expires=None, rate=RateLimit())
    for name in ("shop", "Shop", "a_b", "a b", "", "-a", "a" * 65, "é"):
        with pytest.raises(UsageError):
            create_key(file, name, now=NOW, expires=None, rate=RateLimit())
    with pytest.raises(UsageError, match="desk"):
        revoke_key(file, "desk")
    assert len(list_keys(file)) == 1


HASH = "sha256:" + "0" * 32 + ":" + "0" * 64


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "1:1"),
        ("keys: 5", "1:7"),
        ("key: []", "1:1"),
        ("keys:\n- {name: a}", "2:3"),
        ("keys:\n- {name: a, hash: canary}", "2:19"),
        (f"keys:\n- {{name: A, hash: '{HASH}'}}", "2:10"),
        (f"keys:\n- {{name: a, hash: '{HASH}', expires: canary}}", None),
        (f"keys:\n- {{name: a, hash: '{HASH}', concurrent: 0}}", None),
        (f"keys:\n- {{name: a, hash: '{HASH}', expire: 2027-01-01}}", None),
        (f"keys:\n- {{name: a, hash: '{HASH}'}}\n- {{name: a, hash: '{HASH}'}}", "3:10"),
    ],
)
def test_a_file_of_keys_that_is_wrong_says_where(tmp_path: Path, text: str, place: str | None) -> None:
    (tmp_path / "keys.yaml").write_text(text)
    with pytest.raises(DefinitionError) as caught:
        list_keys(tmp_path / "keys.yaml")
    (problem,) = caught.value.problems
    assert problem.span is not None
    if place:
        assert f"{problem.span.line}:{problem.span.column}" == place
    assert "canary" not in str(caught.value)


def test_times_without_a_zone_are_utc(tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text(f"keys:\n- {{name: a, hash: '{HASH}', expires: 2027-01-01}}")
    (key,) = list_keys(tmp_path / "keys.yaml")
    assert key.expires == datetime(2027, 1, 1, tzinfo=UTC)
    assert key.has_ended(datetime(2027, 1, 1, tzinfo=UTC))
    assert not key.has_ended(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))
