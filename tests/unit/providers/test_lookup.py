"""Where connections are found, what overrides them, and how their files are kept."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.domain.connection import Connection, Secret
from headrace.errors import DefinitionError, StateError, UsageError
from headrace.providers.lookup import Connections

KEY = "key-that-must-stay-secret"


def connections(tmp_path: Path, **environment: str) -> Connections:
    home = tmp_path / "home"
    return Connections(tmp_path / "work", load_settings({"HOME": str(home), **environment}))


def keep(folder: Path, name: str, text: str) -> Path:
    path = folder / ".headrace" / "connections" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def open_ai_text(address: str, key: str = KEY) -> str:
    return f"name: any\ntype: open_ai\nbase_url: {address}\napi_key: {key}\n"


def test_search_order_from_nearest_to_built_in(tmp_path: Path) -> None:
    listed = tmp_path / "connections.json"
    listed.write_text(json.dumps({"openai": {"type": "open_ai", "api_key": "x", "base_url": "http://json"}}))
    environment = {"PROMPTFLOW_CONNECTIONS": str(listed), "OPENAI_API_KEY": "x", "OPENAI_BASE_URL": ""}
    seen = []
    places = [tmp_path / "work", tmp_path / "home"]
    files = [keep(place, "openai.yaml", open_ai_text(f"http://{place.name}")) for place in places]
    for remove in (
        files[0].unlink,
        files[1].unlink,
        listed.unlink,
        lambda: environment.pop("OPENAI_API_KEY"),
    ):
        found = connections(tmp_path, **environment).find("openai")
        assert found is not None
        seen.append((found.configs.get("base_url"), found.origin))
        remove()
        if not listed.exists():
            environment.pop("PROMPTFLOW_CONNECTIONS", None)
    assert seen == [
        ("http://work", str(files[0])),
        ("http://home", str(files[1])),
        ("http://json", str(listed)),
        (None, "environment"),
    ]
    assert connections(tmp_path, **environment).find("openai") is None


def test_baseline_is_always_there(tmp_path: Path) -> None:
    found = connections(tmp_path).find("baseline")
    assert found is not None
    assert (found.type, found.origin) == ("baseline", "built in")
    assert connections(tmp_path).names() == ("baseline",)


def test_file_of_a_name_hides_the_built_in_one(tmp_path: Path) -> None:
    keep(tmp_path / "work", "baseline.yml", open_ai_text("http://127.0.0.1:8777/v1"))
    found = connections(tmp_path).find("baseline")
    assert found is not None
    assert (found.name, found.type) == ("baseline", "open_ai")


@pytest.mark.parametrize("name", ["openai", "open_ai_connection"])
def test_openai_from_the_environment(tmp_path: Path, name: str) -> None:
    lookup = connections(tmp_path, OPENAI_API_KEY=KEY, OPENAI_BASE_URL="http://x/v1", OPENAI_ORG_ID="org")
    found = lookup.find(name)
    assert found is not None
    assert (found.name, found.type) == (name, "open_ai")
    assert dict(found.configs) == {"base_url": "http://x/v1", "organization": "org"}
    assert lookup.secret(found, "api_key") == KEY


@pytest.mark.parametrize("name", ["azure_openai", "azure_open_ai_connection"])
def test_azure_from_the_environment_with_and_without_a_key(tmp_path: Path, name: str) -> None:
    address = {"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com/"}
    keyless = connections(tmp_path, **address).find(name)
    assert keyless is not None
    assert (keyless.configs["auth_mode"], dict(keyless.secrets)) == ("meid_token", {})
    lookup = connections(tmp_path, **address, AZURE_OPENAI_API_KEY=KEY, OPENAI_API_VERSION="2024-10-21")
    keyed = lookup.find(name)
    assert keyed is not None
    assert (keyed.configs["auth_mode"], keyed.configs["api_version"]) == ("key", "2024-10-21")
    assert lookup.secret(keyed, "api_key") == KEY


def test_local_server_needs_an_address_only(tmp_path: Path) -> None:
    found = connections(tmp_path, OPENAI_BASE_URL="http://127.0.0.1:11434/v1").find("openai")
    assert found is not None
    assert dict(found.secrets) == {}


def test_any_field_is_overridden_by_its_variable(tmp_path: Path) -> None:
    keep(tmp_path / "work", "my-aoai x.yaml", "type: azure_open_ai\napi_base: https://file\napi_key: file\n")
    lookup = connections(
        tmp_path,
        MY_AOAI_X_API_KEY="process",
        MY_AOAI_X_API_BASE="https://process",
        MY_AOAI_X_RESOURCE_ID="/id",
    )
    found = lookup.find("my-aoai x")
    assert found is not None
    assert (found.configs["api_base"], found.configs["resource_id"]) == ("https://process", "/id")
    assert lookup.secret(found, "api_key") == "process"


def test_fields_of_a_custom_connection_are_overridden(tmp_path: Path) -> None:
    keep(
        tmp_path / "work", "store.yaml", "type: custom\nconfigs: {url: http://file}\nsecrets: {token: file}\n"
    )
    lookup = connections(tmp_path, STORE_URL="http://process", STORE_TOKEN="process", STORE_OTHER="x")
    found = lookup.find("store")
    assert found is not None
    assert dict(found.configs) == {"url": "http://process"}
    assert lookup.secret(found, "token") == "process"


def test_secret_is_a_literal_a_variable_or_not_set(tmp_path: Path) -> None:
    text = "type: custom\nsecrets: {plain: abc, named: '${env:TOKEN}', open: <user-input>}\n"
    keep(tmp_path / "work", "store.yaml", text)
    lookup = connections(tmp_path, TOKEN="from the variable")
    found = lookup.find("store")
    assert found is not None
    values = [lookup.secret(found, name) for name in ("plain", "named", "open", "absent")]
    assert values == ["abc", "from the variable", None, None]


def test_secret_whose_variable_is_not_set(tmp_path: Path) -> None:
    path = keep(tmp_path / "work", "mine.yaml", "type: open_ai\napi_key: ${env:MY_KEY}\n")
    lookup = connections(tmp_path)
    found = lookup.find("mine")
    assert found is not None
    with pytest.raises(DefinitionError) as caught:
        lookup.secret(found, "api_key")
    (problem,) = caught.value.problems
    assert problem.code == "C503"
    assert "MY_KEY" in problem.what
    assert str(path) in (problem.fix or "")


def test_plain_fields_take_values_of_variables(tmp_path: Path) -> None:
    keep(tmp_path / "work", "mine.yaml", "type: open_ai\napi_key: x\nbase_url: http://${env:HOST}/v1\n")
    found = connections(tmp_path, HOST="here").find("mine")
    assert found is not None
    assert found.configs["base_url"] == "http://here/v1"
    with pytest.raises(DefinitionError, match="HOST"):
        connections(tmp_path).find("mine")


def test_json_file_of_prompt_flow(tmp_path: Path) -> None:
    listed = tmp_path / "connections.json"
    entries = {
        "aoai": {
            "type": "AzureOpenAIConnection",
            "module": "promptflow.connections",
            "value": {
                "api_base": "https://x",
                "api_key": KEY,
                "api_version": "2024-06-01",
                "resource_id": None,
            },
        },
        "store": {
            "type": "CustomConnection",
            "value": {"url": "http://s", "token": KEY},
            "secret_keys": ["token"],
        },
        "plain": {"type": "open_ai", "api_key": "${env:PLAIN_SECRET}"},
    }
    listed.write_text(json.dumps(entries), encoding="utf-8")
    lookup = connections(tmp_path, PROMPTFLOW_CONNECTIONS=str(listed), PLAIN_SECRET="p")
    assert lookup.names() == ("aoai", "baseline", "plain", "store")
    aoai, store, plain = (lookup.find(name) for name in ("aoai", "store", "plain"))
    assert aoai is not None
    assert store is not None
    assert plain is not None
    assert (aoai.type, aoai.configs["api_version"], aoai.secrets["api_key"].value) == (
        "azure_open_ai",
        "2024-06-01",
        KEY,
    )
    assert (dict(store.configs), store.secrets["token"].value) == ({"url": "http://s"}, KEY)
    assert lookup.secret(plain, "api_key") == "p"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": {"type": "open_ai"', "line 1"),
        ("[]", "object of connections"),
        ('{"a": 1}', '"a"'),
        ('{"a": {"type": "open_ay", "value": {}}}', "open_ay"),
    ],
)
def test_json_file_that_is_wrong(tmp_path: Path, text: str, expected: str) -> None:
    listed = tmp_path / "connections.json"
    listed.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError, match=expected) as caught:
        connections(tmp_path, PROMPTFLOW_CONNECTIONS=str(listed)).find("a")
    assert {problem.code for problem in caught.value.problems} == {"C502"}


def test_list_holds_what_can_be_read_and_the_problems_of_the_rest(tmp_path: Path) -> None:
    keep(tmp_path / "work", "good.yaml", open_ai_text("http://x"))
    keep(tmp_path / "work", "bad.yaml", "type: open_ai\n")
    found, problems = connections(tmp_path).list_connections()
    assert [connection.name for connection in found] == ["good", "baseline"]
    assert [problem.code for problem in problems] == ["C502"]


def test_unknown_name_says_where_it_was_looked_for(tmp_path: Path) -> None:
    keep(tmp_path / "work", "my_aoai.yaml", open_ai_text("http://x"))
    problem = connections(tmp_path).unknown("my_aoia")
    assert problem.code == "C501"
    assert '"my_aoai"' in (problem.fix or "")
    assert ".headrace/connections" in (problem.fix or "")


def test_create_find_and_delete(tmp_path: Path) -> None:
    lookup = connections(tmp_path)
    made = Connection(
        name="my aoai",
        type="azure_open_ai",
        configs={"api_base": "https://x", "api_version": "2024-10-21"},
        secrets={"api_key": Secret(value=KEY)},
    )
    path = lookup.create(made)
    assert path == tmp_path / "work" / ".headrace" / "connections" / "my aoai.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert (tmp_path / "work" / ".headrace" / ".gitignore").read_text() == "*\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["my aoai.yaml"]
    found = lookup.find("my aoai")
    assert found is not None
    assert lookup.secret(found, "api_key") == KEY
    assert lookup.delete("my aoai") == path
    assert lookup.find("my aoai") is None


def test_create_for_the_person(tmp_path: Path) -> None:
    path = connections(tmp_path).create(
        Connection(name="mine", type="open_ai", secrets={"api_key": Secret(variable="X")}), for_person=True
    )
    assert path == tmp_path / "home" / ".headrace" / "connections" / "mine.yaml"
    assert "${env:X}" in path.read_text(encoding="utf-8")


def test_create_replaces_what_is_there(tmp_path: Path) -> None:
    lookup = connections(tmp_path)
    first = Connection(name="mine", type="open_ai", secrets={"api_key": Secret(value="first")})
    second = Connection(name="mine", type="open_ai", secrets={"api_key": Secret(value="second")})
    assert lookup.create(first) == lookup.create(second)
    found = lookup.find("mine")
    assert found is not None
    assert lookup.secret(found, "api_key") == "second"


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "ü", "x" * 200])
def test_names_that_are_no_file_names(tmp_path: Path, name: str) -> None:
    lookup = connections(tmp_path)
    with pytest.raises(UsageError) as caught:
        lookup.create(Connection(name=name, type="open_ai"))
    assert caught.value.problems[0].code == "C507"
    assert lookup.find(name) is None


def test_what_is_stored_is_read_without_overrides_and_written_back_where_it_was(tmp_path: Path) -> None:
    lookup = connections(tmp_path, MINE_API_KEY="from the environment")
    stored = Connection(name="mine", type="open_ai", secrets={"api_key": Secret(variable="X")})
    path = lookup.create(stored, for_person=True)
    found = lookup.stored("mine")
    assert (found.secrets, found.origin) == (stored.secrets, str(path))
    assert lookup.update(replace(found, configs={"organization": "o"})) == path
    assert lookup.stored("mine").configs == {"organization": "o"}


@pytest.mark.parametrize(("name", "text"), [("baseline", "not kept in a file"), ("none", "no connection")])
def test_what_is_in_no_file_is_not_stored(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        connections(tmp_path).stored(name)
    assert caught.value.problems[0].code == "C501"
    assert text in caught.value.problems[0].what


def test_delete_of_what_is_in_no_file(tmp_path: Path) -> None:
    lookup = connections(tmp_path)
    for name, said in (("baseline", "not kept in a file"), ("none", "no connection")):
        with pytest.raises(UsageError, match=said) as caught:
            lookup.delete(name)
        assert caught.value.problems[0].code == "C501"


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".headrace").write_text("a file where the folder should be")
    with pytest.raises(StateError) as caught:
        connections(tmp_path).create(Connection(name="mine", type="open_ai"))
    assert caught.value.problems[0].code == "S808"


def test_secrets_never_show_in_the_text_of_a_connection(tmp_path: Path) -> None:
    keep(tmp_path / "work", "mine.yaml", open_ai_text("http://x"))
    assert KEY not in repr(connections(tmp_path).find("mine"))


def test_broken_json_file_is_listed_as_one_problem(tmp_path: Path) -> None:
    listed = tmp_path / "connections.json"
    listed.write_text("{", encoding="utf-8")
    keep(tmp_path / "work", "good.yaml", open_ai_text("http://x"))
    lookup = connections(tmp_path, PROMPTFLOW_CONNECTIONS=str(listed), OPENAI_API_KEY="x")
    found, problems = lookup.list_connections()
    assert [connection.name for connection in found] == ["good"]
    assert len(problems) == 1
