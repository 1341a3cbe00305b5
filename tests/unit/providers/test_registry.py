"""Connection types and their adapters, and what is imported when."""

from __future__ import annotations

import subprocess
import sys

import pytest

from headrace.config import MODEL_CLIENTS, load_settings
from headrace.domain.connection import Connection
from headrace.errors import DefinitionError, UsageError
from headrace.providers.loading import load_by_name
from headrace.providers.registry import ADAPTERS, PACKAGE, open_client


@pytest.mark.parametrize("import_string", [*ADAPTERS.values(), PACKAGE])
def test_import_strings_lead_to_classes(import_string: str) -> None:
    assert isinstance(load_by_name(import_string), type)


@pytest.mark.parametrize("adapter", MODEL_CLIENTS)
def test_setting_chooses_the_adapter(adapter: str) -> None:
    connection = Connection(name="x", type="open_ai")
    client = open_client(connection, lambda *_: None, load_settings({"HEADRACE_MODEL_CLIENT": adapter}))
    assert type(client).__module__.endswith({"wire": "openai_wire", "openai": "openai_client"}[adapter])


def test_service_behind_a_proxy_is_left_to_the_package() -> None:
    environment = {"HTTPS_PROXY": "http://127.0.0.1:1"}
    connection = Connection(name="x", type="open_ai")
    client = open_client(connection, lambda *_: None, load_settings(environment))
    assert type(client).__module__.endswith("openai_client")


def test_setting_with_another_word() -> None:
    with pytest.raises(UsageError, match="HEADRACE_MODEL_CLIENT"):
        load_settings({"HEADRACE_MODEL_CLIENT": "httpx"})


def test_connection_that_is_no_model_service() -> None:
    connection = Connection(name="search", type="cognitive_search", origin="search.yaml")
    with pytest.raises(DefinitionError) as caught:
        open_client(connection, lambda *_: None, load_settings({}))
    (problem,) = caught.value.problems
    assert problem.code == "C504"
    assert "open_ai" in (problem.fix or "")


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import headrace.providers.registry, headrace.providers.lookup", ["httpx2", "openai", "azure"]),
        (f"{'import headrace.providers.registry as r'}; r.load_by_name(r.BASELINE)()", ["httpx2", "openai"]),
        ("import headrace.providers.registry as r; r.load_by_name(r.WIRE)", ["httpx2", "openai", "azure"]),
        ("import headrace.providers.fake", ["httpx2", "openai"]),
    ],
)
def test_heavy_packages_are_not_imported_before_they_are_needed(statement: str, absent: list[str]) -> None:
    code = f"import sys; {statement}; print(*sorted(set({absent!r}) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
