"""Connections in a variable of the environment, as prompt flow's server takes them."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from headrace.config import load_settings
from headrace.errors import DefinitionError
from headrace.providers.lookup import Connections


def connections(tmp_path: Path, text: str) -> Connections:
    return Connections(
        tmp_path, load_settings({"HOME": str(tmp_path), "PROMPTFLOW_ENCODED_CONNECTIONS": text})
    )


def encode(entries: Any) -> str:
    return b64encode(gzip.compress(json.dumps(entries).encode(), mtime=0)).decode()


def test_connections_that_the_environment_holds_are_found(tmp_path: Path) -> None:
    entry = {"type": "OpenAIConnection", "value": {"api_key": "k", "base_url": "http://127.0.0.1:9"}}
    found = connections(tmp_path, encode({"mine": entry}))
    connection = found.find("mine")
    assert connection is not None
    assert found.secret(connection, "api_key") == "k"


@pytest.mark.parametrize("text", ["no base64!", b64encode(b"not packed").decode(), encode([1])])
def test_what_cannot_be_decoded_is_said_without_its_content(tmp_path: Path, text: str) -> None:
    with pytest.raises(DefinitionError, match="PROMPTFLOW_ENCODED_CONNECTIONS") as raised:
        connections(tmp_path, text).find("mine")
    assert text not in str(raised.value)
