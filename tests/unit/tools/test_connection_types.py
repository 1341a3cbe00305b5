from __future__ import annotations

from typing import Any

import pytest
from tests.support.tool_nodes import MODELS, connection

from headrace.domain.multimedia import Image
from headrace.tools.connection_types import (
    CONNECTION_CLASSES,
    AzureOpenAIConnection,
    CustomConnection,
    CustomStrongTypeConnection,
    OpenAIConnection,
    SerpConnection,
    connection_type,
    is_connection_class,
    is_stored,
    make_connection_object,
    stored_connection,
)
from headrace.tools.value_types import Secret


def test_positional_arguments_are_the_required_fields_first() -> None:
    made = AzureOpenAIConnection("https://host", "key")
    assert (made.api_base, made.api_key) == ("https://host", "key")
    assert OpenAIConnection("key").api_key == "key"


def test_missing_fields_are_named() -> None:
    with pytest.raises(TypeError, match="OpenAIConnection needs api_key"):
        OpenAIConnection()


def test_attributes_write_the_fields() -> None:
    made = OpenAIConnection(api_key="k", base_url="_")
    assert made.base_url is None
    made.base_url = "https://host"
    made.api_key = "other"
    assert dict(made) == {"organization": None, "base_url": "https://host", "api_key": "other"}
    with pytest.raises(AttributeError, match="api_base"):
        _ = made.api_base
    with pytest.raises(KeyError):
        made["api_base"]


def test_identity_instead_of_a_key_leaves_no_key() -> None:
    made = AzureOpenAIConnection(api_base="https://host", api_key="k", auth_mode="meid_token")
    assert made.api_key is None
    assert "api_key" not in made.keys()  # noqa: SIM118 - the method is what projects call


@pytest.mark.parametrize("cls", CONNECTION_CLASSES.values())
def test_nothing_prints_a_secret(cls: Any) -> None:
    secrets = dict.fromkeys(getattr(cls, "SECRETS", {}), "hush") or {"secrets": {"token": "hush"}}
    made = cls(**secrets, **dict.fromkeys(getattr(cls, "FIELDS", {}), "plain"))
    assert "hush" not in f"{made!r} {made}"
    assert is_connection_class(cls)


def test_the_type_of_an_object_is_that_of_its_connection_file() -> None:
    assert {connection_type(cls): cls for cls in CONNECTION_CLASSES.values()} == dict(CONNECTION_CLASSES)
    assert connection_type(str) is None


def test_custom_fields_that_do_not_exist() -> None:
    with pytest.raises(AttributeError):
        _ = CustomConnection({"a": "1"}).b


def test_a_class_of_the_project_writes_where_it_reads() -> None:
    class Mine(CustomStrongTypeConnection):
        token: Secret
        url: str = "default"

    made = Mine(secrets={"token": "t"})
    assert (made.token, made.url) == ("t", "default")
    made.token, made.url = "t2", "u2"
    assert (made.secrets, made.configs) == ({"token": "t2"}, {"url": "u2"})
    assert Mine(secrets={"token": "t"}, configs={"url": "u"}).url == "u"


class TestFromTheEnvironment:
    def test_values_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://host")
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_API_VERSION", "2025-01-01")
        monkeypatch.setenv("OPENAI_API_KEY", "k2")
        azure, openai = AzureOpenAIConnection.from_env("a"), OpenAIConnection.from_env()
        assert (azure.api_base, azure.api_key, azure.api_version, azure.name) == (
            "https://host",
            "k",
            "2025-01-01",
            "a",
        )
        assert openai.api_key == "k2"

    def test_what_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
        with pytest.raises(ValueError, match="AZURE_OPENAI_ENDPOINT"):
            AzureOpenAIConnection.from_env()


def test_stored_and_back() -> None:
    stored = connection("c", "azure_open_ai", {"api_key": "k"}, api_base="https://host")
    made = make_connection_object(stored, AzureOpenAIConnection, MODELS.secret)
    assert is_stored(made)
    assert not is_stored(AzureOpenAIConnection("https://host"))
    back = stored_connection(made)
    assert (back.name, back.type, back.configs["api_base"], back.secrets["api_key"].value) == (
        "c",
        "azure_open_ai",
        "https://host",
        "k",
    )
    with pytest.raises(TypeError):
        stored_connection(SerpConnection(api_key="k"))


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF0000WEBPVP8 ", "image/webp"),
        (b"x", "image/*"),
    ],
)
def test_images_know_their_media_type_and_hide_their_content(content: bytes, media_type: str) -> None:
    image = Image(content)
    assert image.to_base64(with_type=True).startswith(f"data:{media_type};base64,")
    assert str(image) == repr(image)
    assert str(image).startswith("Image(")
    assert image == content
    assert Image(content, "IMAGE/TIFF", "https://host/a").source_url == "https://host/a"
