"""Connection files: fields, secrets that never show, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.domain.connection import Connection, Secret
from headrace.errors import DefinitionError, Problem
from headrace.formats.connection_file import (
    CONNECTION_TYPES,
    connection_from_mapping,
    connection_to_json,
    load_connection,
    render_connection,
)
from headrace.formats.positions import load_yaml


def connection_of(text: str) -> Connection:
    return connection_from_mapping(*load_yaml(text, "c.yaml"))


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        connection_of(text)
    return caught.value.problems


AZURE = """\
$schema: https://example.invalid/AzureOpenAIConnection.schema.json
name: my_aoai
type: azure_open_ai
api_key: s3cret
api_base: https://host.example/
api_version: 2024-02-01
"""


def test_reads_a_connection_and_fills_defaults() -> None:
    connection = connection_of(AZURE)
    assert connection == Connection(
        name="my_aoai",
        type="azure_open_ai",
        configs={
            "api_base": "https://host.example/",
            "api_type": "azure",
            "api_version": "2024-02-01",
            "auth_mode": "key",
        },
        secrets={"api_key": Secret(value="s3cret")},
    )


def test_file_name_is_the_default_name(tmp_path: Path) -> None:
    file = tmp_path / "local.yaml"
    file.write_text("type: open_ai\napi_key: x\nbase_url: http://localhost:1/v1\n")
    connection = load_connection(file)
    assert (connection.name, connection.origin) == ("local", str(file))


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("${env:MY_KEY}", Secret(variable="MY_KEY")),
        ("<user-input>", Secret()),
        ("'******'", Secret()),
        ("<no-change>", Secret()),
        ("12345", Secret(value="12345")),
    ],
)
def test_secrets(text: str, secret: Secret) -> None:
    assert connection_of(f"name: a\ntype: open_ai\napi_key: {text}\n").secrets == {"api_key": secret}


def test_an_absent_secret_is_not_a_missing_one() -> None:
    assert connection_of("type: azure_open_ai\napi_base: x\n").secrets == {}


def test_custom_connections() -> None:
    connection = connection_of(
        "name: s\ntype: custom\nconfigs: {url: https://x, n: 5}\nsecrets: {token: t, other: <user-input>}\n"
    )
    assert connection.configs == {"url": "https://x", "n": "5"}
    assert connection.secrets == {"token": Secret(value="t"), "other": Secret()}


def test_strong_custom_connections_keep_their_class() -> None:
    text = "name: s\ntype: custom\ncustom_type: Mine\nmodule: my.mod\npackage: p\nconfigs: {a: b}\nsecrets: {t: u}\n"
    connection = connection_of(text)
    assert connection.configs["promptflow.connection.custom_type"] == "Mine"
    assert connection.configs["promptflow.connection.module"] == "my.mod"
    assert connection_of(render_connection(connection, show_secrets=True)) == connection


@pytest.mark.parametrize(
    ("text", "places", "fixes"),
    [
        ("type: azure_open_ai\napi_bas: x\n", ["c.yaml:1:1", "c.yaml:2:1"], ["Add api_base", '"api_base"']),
        ("name: a\ntype: azure_openai\n", ["c.yaml:2:7"], ['"azure_open_ai"']),
        ("name: a\n", ["c.yaml:1:1"], ["Add type"]),
        ("", ["c.yaml:1:1"], ["keys"]),
        ("- a\n", ["c.yaml:1:1"], ["mapping"]),
        ("type: open_ai\n", ["c.yaml:1:1"], ["Add api_key"]),
        ("type: open_ai\napi_key: [1]\n", ["c.yaml:2:10"], ["text"]),
        ("type: open_ai\napi_key: Bearer ${env:X}\n", ["c.yaml:2:10"], ["whole value"]),
        ("type: custom\nconfigs: {a: b}\n", ["c.yaml:1:1"], ["Add secrets"]),
        (
            "type: custom\nsecret: {a: b}\nsecrets: {a: [1]}\n",
            ["c.yaml:2:1", "c.yaml:3:14"],
            ['"secrets"', "text"],
        ),
        ("type: azure_open_ai\napi_base: x\nauth_mode: meid\n", ["c.yaml:3:12"], ["meid_token"]),
        ("type: baseline\napi_key: x\n", ["c.yaml:2:1"], ["none"]),
    ],
)
def test_wrong_files(text: str, places: list[str], fixes: list[str]) -> None:
    problems = sorted(problems_of(text), key=lambda problem: str(problem.span))
    assert {problem.code for problem in problems} == {"C502"}
    assert [str(problem.span) for problem in problems] == places
    assert all(fix in (problem.fix or "") for fix, problem in zip(fixes, problems, strict=True))


def test_without_a_file_problems_have_no_place() -> None:
    with pytest.raises(DefinitionError) as caught:
        connection_from_mapping({"type": "serp", "x": 1})
    assert [problem.span for problem in caught.value.problems] == [None]


@pytest.mark.parametrize("kind", CONNECTION_TYPES)
def test_every_type_is_written_and_read_back(kind: str) -> None:
    entry = CONNECTION_TYPES[kind]
    fields = {name: default or "value" for name, default in entry.configs.items()}
    fields.update((name, "${env:NAME}") for name in entry.secrets)
    if kind == "custom":
        fields = {"configs": {"a": "no", "b": "0o12"}, "secrets": {"t": "012"}}  # type: ignore[dict-item]
    connection = connection_from_mapping({"name": "n", "type": kind, **fields})
    assert connection_of(render_connection(connection, show_secrets=True)) == connection
    assert connection_from_mapping({"name": "n", "type": entry.class_name, **fields}) == connection


@pytest.mark.parametrize(
    "text", ["type: open_ai\napi_key: k\nfoo: x\n", "type: custom\nsecrets: {k: v}\nfoo: x\n"]
)
def test_unknown_fields_are_warned_of_where_somebody_listens(text: str) -> None:
    data, source_map = load_yaml(text, "c.yaml")
    heard: list[Problem] = []
    assert connection_from_mapping(data, source_map, heard.append).type == data["type"]
    assert [(item.code, item.severity, item.span and item.span.line) for item in heard] == [
        ("C502", "warning", 3)
    ]
    with pytest.raises(DefinitionError):
        connection_from_mapping(data, source_map)


def test_secrets_are_shown_on_request_only() -> None:
    connection = connection_of(AZURE)
    assert "s3cret" in render_connection(connection, show_secrets=True)
    for text in (
        render_connection(connection, show_secrets=False),
        str(connection_to_json(connection)),
        repr(connection),
    ):
        assert "s3cret" not in text
        assert "******" in text
    custom = connection_of("name: a\ntype: custom\nsecrets: {t: s3cret, v: '${env:V}'}\n")
    assert connection_to_json(custom) == {
        "name": "a",
        "module": "promptflow.connections",
        "type": "custom",
        "configs": {},
        "secrets": {"t": "******", "v": "******"},
    }
    assert "${env:V}" in render_connection(custom, show_secrets=False)
