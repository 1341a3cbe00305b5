from __future__ import annotations

import timeit
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.multimedia import Image, Text
from headrace.planning.fingerprint import (
    CODE,
    CONNECTION,
    ENVIRONMENT,
    INPUTS,
    MODEL,
    PARTS,
    REPEAT,
    Fingerprinter,
    Identity,
    NoFormError,
    changed_parts,
    plain_form,
)
from headrace.tools.connection_types import CustomConnection
from headrace.tools.escape import PromptText
from headrace.tools.model_configuration import OpenAIModelConfiguration

BASE = Identity(
    code={"tool.py": "1", "words.py": "2"},
    model={"api": "chat"},
    model_arguments=frozenset(("temperature", "deployment_name")),
    left_out=frozenset(("connection",)),
    connections=({"type": "open_ai", "base_url": "http://one"},),
    variables=("REGION",),
    temperature=("temperature", 1.0),
)
ARGUMENTS: dict[str, Any] = {"q": "why", "temperature": 0.5, "deployment_name": "d", "connection": "mine"}
SETTINGS: dict[str, Any] = {
    "environment": {"REGION": "eu", "DECLARED": "1", "OTHER": "x"},
    "declared": ("DECLARED",),
}

CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    # part: changes of the identity, of the settings, of the arguments
    CODE: ({"code": {"tool.py": "1", "words.py": "3"}}, {}, {}),
    f"{CODE} (another file)": ({"code": {"tool.py": "1", "words.py": "2", "x.py": "4"}}, {}, {}),
    INPUTS: ({}, {}, {"q": "how"}),
    f"{INPUTS} (given)": ({"given": {"limit": 3}}, {}, {}),
    f"{INPUTS} (setting)": ({}, {"setting": {"escaped": ["q"]}}, {}),
    MODEL: ({}, {}, {"temperature": 0.7}),
    f"{MODEL} (deployment)": ({}, {}, {"deployment_name": "e"}),
    f"{MODEL} (api)": ({"model": {"api": "completion"}}, {}, {}),
    CONNECTION: ({"connections": ({"type": "open_ai", "base_url": "http://two"},)}, {}, {}),
    ENVIRONMENT: ({}, {"environment": {"REGION": "us", "DECLARED": "1"}}, {}),
    f"{ENVIRONMENT} (declared)": ({}, {"environment": {"REGION": "eu", "DECLARED": "2"}}, {}),
    REPEAT: ({}, {"repeat": 1}, {}),
}


def parts_of(
    identity: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    arguments: dict[str, Any] | None = None,
) -> tuple[str, dict[str, str]]:
    made = Fingerprinter(replace(BASE, **(identity or {})), **{**SETTINGS, **(settings or {})})
    found = made.fingerprint({**ARGUMENTS, **(arguments or {})})
    return found.key, dict(found.parts)


@pytest.mark.parametrize("name", CHANGES)
def test_changing_one_part_changes_the_fingerprint_and_that_part_alone(name: str) -> None:
    key, parts = parts_of()
    other, changed = parts_of(*CHANGES[name])
    assert other != key
    assert changed_parts(parts, changed) == (name.partition(" ")[0],)


def test_the_parts_have_names_that_people_are_told() -> None:
    assert set(parts_of()[1]) == set(PARTS)


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({"environment": {"REGION": "eu", "DECLARED": "1", "OTHER": "y"}}, {}),
        (
            {
                "declared": ("DECLARED", "A_TOKEN", "OPENAI_APIKEY_2", "KEYS", "PASSWORD1_OLD"),
                "environment": {
                    "REGION": "eu",
                    "DECLARED": "1",
                    "A_TOKEN": "t",
                    "OPENAI_APIKEY_2": "k",
                    "KEYS": "l",
                },
            },
            {},
        ),
        ({}, {"connection": "theirs"}),
    ],
    ids=["a variable that nobody asks for", "a key", "the name of a connection"],
)
def test_what_decides_nothing_changes_nothing(settings: dict[str, Any], arguments: dict[str, Any]) -> None:
    assert parts_of({}, settings, arguments)[0] == parts_of()[0]


@pytest.mark.parametrize("name", ["MAX_TOKENS", "KEYWORDS", "TOKENIZER", "KEYBOARD_LAYOUT"])
def test_a_variable_that_only_reads_like_a_key_counts(name: str) -> None:
    one, other = (parts_of({}, {"declared": (name,), "environment": {name: text}})[0] for text in "ab")
    assert one != other


@pytest.mark.parametrize(
    ("temperature", "is_shared"),
    [(0, True), (0.0, True), ("0", True), (0.1, False), (None, False), ("", False), ("hot", False)],
)
def test_repeats_share_a_result_where_the_temperature_is_zero(temperature: object, is_shared: bool) -> None:
    arguments = {"temperature": temperature}
    one, other = (parts_of({}, {"repeat": repeat}, arguments)[0] for repeat in (0, 1))
    assert (one == other) is is_shared


def test_repeats_of_code_share_a_result_where_nothing_hints_at_chance() -> None:
    for is_steady in (True, False):
        changes = {"temperature": None, "is_steady": is_steady}
        assert (parts_of(changes, {"repeat": 0})[0] == parts_of(changes, {"repeat": 1})[0]) is is_steady


class Colour(Enum):
    RED = 1


@dataclass
class Point:
    x: Any


DIFFERENT = [
    1, 1.0, True, "1", "", None, [], {}, (), [1], (1,), {"1": 1}, {1: 1}, {"": "x"}, {"a": 1, "b": 2}, {"b": 2, "a": 1},
    Point(1), Point(2), Colour.RED, date(2026, 1, 2), PromptText("a"), "a", PromptText("a", "a\0", frozenset("\0")),
    Image(b"1"), Image(b"2"), Image(b"1", "image/png"), Image(b"1", None, "http://x"), Text("a"), Text("a", [1]),
    float("nan"), float("inf"), "é", "\ud83d",
    OpenAIModelConfiguration(model="m"), CustomConnection(secrets={"k": "v"}, configs={"a": "b"}),
]  # fmt: skip


def test_different_values_have_different_fingerprints() -> None:
    made = Fingerprinter(BASE)
    keys = [made.fingerprint({"value": plain_form(value)}).key for value in DIFFERENT]
    assert len(set(keys)) == len(DIFFERENT)


def test_keys_are_in_no_form() -> None:
    assert plain_form(OpenAIModelConfiguration(model="m", api_key="one")) == plain_form(
        OpenAIModelConfiguration(model="m", api_key="two")
    )
    connections = [CustomConnection(secrets={"k": value}, configs={"a": "b"}) for value in "xy"]
    assert plain_form(connections[0]) == plain_form(connections[1])


def test_objects_that_do_not_say_what_they_are_have_no_form() -> None:
    with pytest.raises(NoFormError):
        plain_form([{"a": object()}])


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN, PLAIN)
def test_values_have_equal_fingerprints_exactly_when_they_are_the_same(one: Any, other: Any) -> None:
    made = Fingerprinter(BASE)
    keys = [made.fingerprint({"q": plain_form(value)}).key for value in (one, other)]
    assert (keys[0] == keys[1]) is (repr(one) == repr(other))


def test_a_fingerprint_takes_microseconds() -> None:
    made = Fingerprinter(BASE, **SETTINGS)
    arguments = {
        **ARGUMENTS,
        "context": "a passage " * 200,
        "sources": [{"id": n, "score": 0.5} for n in range(5)],
    }
    forms = {name: plain_form(value) for name, value in arguments.items()}
    took_s = min(timeit.repeat(lambda: made.fingerprint(forms), number=200, repeat=5)) / 200
    assert took_s < 200e-6  # about 20 on a machine that has nothing else to do
