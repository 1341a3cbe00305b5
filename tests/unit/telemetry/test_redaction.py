from __future__ import annotations

import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from headrace.config import load_settings
from headrace.errors import UsageError
from headrace.telemetry.content import content_policy
from headrace.telemetry.redaction import LONGEST_TEXT, Redact, load_redaction


def redaction(hook: str = "", *, is_redacted: bool = True) -> Redact:
    return load_redaction(load_settings({"HEADRACE_TRACE_REDACT": hook}), is_redacted=is_redacted)


KEYS = [
    "sk-proj-abcdefghijklmnop1234",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_0123456789abcdefghijABCD",
    "Bearer abcdefghijklmnop.qrst",
    "AccountKey=abcdefghijklmnopqrstuvwx==",
    "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeK",
    "0123456789abcdef0123456789abcdef",
    "A1" * 42,
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("is_redacted", [True, False])
def test_keys_never_leave(key: str, is_redacted: bool) -> None:
    found = redaction(is_redacted=is_redacted)({"text": f"use {key} please", key: 1})
    assert key not in str(found)
    assert found["text"].startswith("use ")
    assert found["text"].endswith(" please")


def test_what_is_named_like_a_key_never_leaves() -> None:
    given = {"api_key": "short", "my-password": ["a"], "max_tokens": 5, "token": ""}
    found = redaction(is_redacted=False)(given)
    assert "short" not in str(found)
    assert found["my-password"] == "[key]"
    assert (found["max_tokens"], found["token"]) == (5, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to jo.an+x@mail.example.org today", "write to [email] today"),
        ("card 4111 1111 1111 1111, thanks", "card [digits], thanks"),
        ("call +49-170-1234567", "call +[digits]"),
        ("in 2026 I paid 12.50 for 1,000", "in 2026 I paid 12.50 for 1,000"),
        ("plain", "plain"),
    ],
)
def test_addresses_and_long_numbers_are_taken_out_where_asked(text: str, expected: str) -> None:
    assert redaction()([text]) == [expected]
    assert redaction(is_redacted=False)([text]) == [text]


def test_numbers_and_other_values() -> None:
    found = redaction()({"a": 4111111111111111, "b": 7, "c": True, "d": None, "e": Path("x@y.org"), "f": 0.5})
    assert found == {"a": "[digits]", "b": 7, "c": True, "d": None, "e": "[email]", "f": 0.5}


def test_a_long_text_is_cut_and_no_half_of_a_key_leaves() -> None:
    text = "x " * (LONGEST_TEXT // 2 - 5) + "sk-" + "abcdefgh" * 8 + " y" * 50_000
    found = redaction()(text)
    assert len(found) < LONGEST_TEXT + 50
    assert "sk-" not in found
    assert found.endswith("characters more]")


def test_a_function_of_the_user_takes_out_more(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_redaction")
    module.without_names = lambda text: text.replace("Ada", "[name]")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_redaction", module)
    redact = redaction("my_redaction:without_names", is_redacted=False)
    assert redact({"Ada": ["Ada Lovelace"]}) == {"[name]": ["[name] Lovelace"]}


@pytest.mark.parametrize("hook", ["nowhere_at_all:f", "json:nothing", "json", "json:__name__"])
def test_a_function_that_is_not_there_is_said(hook: str) -> None:
    with pytest.raises(UsageError) as raised:
        redaction(hook)
    assert raised.value.problems[0].code == "C506"


@pytest.mark.parametrize(
    "text", ["a" * 300_000, "1 " * 150_000, "a@" * 150_000, "eyJ" * 100_000, "-----BEGIN " * 30_000]
)
def test_a_long_text_takes_a_time_in_proportion(text: str) -> None:
    begun = time.perf_counter()
    redaction()(text)
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    ("mode", "place", "expected"),
    [
        ("", "", (False, False, False)),
        ("none", "true", (False, False, False)),
        ("redacted", "", (True, False, True)),
        ("full", "", (True, False, False)),
        ("", "true", (True, False, False)),
        ("", "span_only", (True, False, False)),
        ("redacted", "event_only", (False, True, True)),
        ("", "SPAN_AND_EVENT", (True, True, False)),
        ("", "false", (False, False, False)),
    ],
)
def test_content_leaves_as_asked(mode: str, place: str, expected: Any) -> None:
    variables = {
        "HEADRACE_TRACE_CONTENT": mode,
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": place,
    }
    policy = content_policy(load_settings(variables))
    assert (policy.places.on_spans, policy.places.in_events, policy.is_redacted) == expected


def test_a_word_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError):
        content_policy(load_settings({"HEADRACE_TRACE_CONTENT": "some"}))
