"""The list of modules that nobody may import, against the tables that reach them by name."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from headrace.deploy import base as deploy
from headrace.operations import deploy_models, job_runner, line_runners, serve_model, track_comparison
from headrace.providers import registry as providers
from headrace.serving import callers, server
from headrace.store import opening
from headrace.telemetry import setup

ADAPTERS = (
    *providers.ADAPTERS.values(),
    providers.PACKAGE,
    *opening.STORES.values(),
    setup._EXPORTER[0],
    *setup.EXPORTERS.values(),
    line_runners._OPEN_CLUSTER,
    *track_comparison.TRACKERS.values(),
    callers.OPEN_TOKEN_CHECK,
    server._FAST_HTTP,
    *deploy.TARGETS.values(),
    job_runner.COMMAND_JOBS,
    deploy_models.MODELS,
    deploy_models.SERVERLESS,
)
WITHOUT_TABLE = {"headrace.providers.fake", "headrace.deploy.memory"}
"""Ship for tests, which reach them by their names; no table names them."""


def read_contract(name: str) -> dict[str, Any]:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    contracts: list[dict[str, Any]] = project["tool"]["importlinter"]["contracts"]
    return next(contract for contract in contracts if contract["name"] == name)


def test_every_adapter_of_a_table_is_protected_from_imports() -> None:
    contract = read_contract("Adapters are reached by name, never imported")
    assert contract["allowed_importers"] == []
    assert {module.partition(":")[0] for module in ADAPTERS} | WITHOUT_TABLE == set(
        contract["protected_modules"]
    )


def test_the_model_server_is_reached_by_name_because_its_packages_are_an_extra() -> None:
    assert serve_model._SERVER.startswith("headrace.serving.")
