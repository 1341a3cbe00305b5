from __future__ import annotations

from pathlib import Path

import pytest

from headrace.cli.connection_input import fill_secrets, merge_fields, override_fields, read_connection_data
from headrace.cli.connection_view import address_of, render_connections
from headrace.cli.terminal import Ink
from headrace.domain.connection import Connection, Secret
from headrace.errors import DefinitionError, UsageError
from headrace.formats.connection_file import connection_from_mapping
from headrace.source import SourceMap

NOWHERE = SourceMap(file="c.yaml", values={}, keys={})


def write(folder: Path, text: str, name: str = "c.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_set_overrides_fields_and_those_of_custom_connections() -> None:
    data = {"type": "custom", "secrets": {"token": "old"}}
    changed = override_fields(data, "store", {"secrets.token": "new", "configs.url": "u", "type": "custom"})
    assert changed == {
        "type": "custom",
        "secrets": {"token": "new"},
        "configs": {"url": "u"},
        "name": "store",
    }
    assert data == {"type": "custom", "secrets": {"token": "old"}}
    with pytest.raises(UsageError):
        override_fields(data, None, {"other.x": "1"})


def test_fields_of_a_file_are_merged_and_placeholders_keep_what_is_stored() -> None:
    stored = {
        "name": "s",
        "type": "custom",
        "configs": {"a": "1", "b": "2"},
        "secrets": {"t": "old", "u": "kept"},
    }
    data = {"name": "x", "type": "custom", "configs": {"b": "3"}, "secrets": {"t": "new", "u": "<no-change>"}}
    assert merge_fields(stored, data) == {
        "name": "s",
        "type": "custom",
        "configs": {"a": "1", "b": "3"},
        "secrets": {"t": "new", "u": "kept"},
    }
    plain = {"name": "o", "type": "open_ai", "api_key": "k"}
    assert merge_fields(plain, {"api_key": "******", "organization": "org"}) == {
        **plain,
        "organization": "org",
    }


def test_fields_of_another_type_replace_what_is_stored() -> None:
    stored = {"name": "s", "type": "custom", "secrets": {"t": "old"}}
    data = {"name": "x", "type": "open_ai", "api_key": "k"}
    assert merge_fields(stored, data) == {"name": "s", "type": "open_ai", "api_key": "k"}


def test_an_env_file_makes_a_custom_connection_of_secrets(tmp_path: Path) -> None:
    data, _ = read_connection_data(write(tmp_path, "A=1\nB=2\n", "my.env"))
    connection = connection_from_mapping(override_fields(data, "mine", {}))
    assert connection.type == "custom"
    assert {name: secret.value for name, secret in connection.secrets.items()} == {"A": "1", "B": "2"}


def test_open_secrets_are_asked_for_and_others_are_not(tmp_path: Path) -> None:
    text = "name: s\ntype: custom\nconfigs: {url: u}\nsecrets: {a: <user-input>, b: kept, c: '${env:C}'}\n"
    data, places = read_connection_data(write(tmp_path, text))
    asked: list[str] = []

    def ask(secret: str) -> str:
        asked.append(secret)
        return "typed"

    filled = fill_secrets(connection_from_mapping(data, places), places, ask)
    assert asked == ["a"]
    assert filled.secrets == {
        "a": Secret(value="typed"),
        "b": Secret(value="kept"),
        "c": Secret(variable="C"),
    }


def test_where_nobody_can_answer_every_open_secret_is_named_with_its_place(tmp_path: Path) -> None:
    text = "name: s\ntype: custom\nconfigs: {url: u}\nsecrets:\n  a: <user-input>\n  b: <user-input>\n"
    data, places = read_connection_data(write(tmp_path, text))
    with pytest.raises(DefinitionError) as caught:
        fill_secrets(connection_from_mapping(data, places), places, lambda _: None)
    assert [(item.code, item.span and item.span.line) for item in caught.value.problems] == [
        ("C502", 5),
        ("C502", 6),
    ]
    assert "--set secrets.a=VALUE" in str(caught.value.problems[0].fix)


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        read_connection_data(write(tmp_path, "- a\n"))
    assert caught.value.problems[0].code == "C502"


def test_the_table_shows_addresses_and_never_secrets() -> None:
    connections = [
        Connection(name="mine", type="open_ai", configs={"base_url": "http://127.0.0.1:9/v1"},
                   secrets={"api_key": Secret(value="hidden")}, origin=".headrace/connections/mine.yaml"),
        Connection(name="baseline", type="baseline", origin="built in"),
    ]  # fmt: skip
    text = render_connections(connections, ink=Ink(), width=80)
    assert "http://127.0.0.1:9/v1" in text
    assert "hidden" not in text
    assert address_of(connections[1]) == "in this process"
    assert address_of(Connection(name="x", type="open_ai")) == ""
    assert max(map(len, text.splitlines())) <= 80
