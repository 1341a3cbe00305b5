"""Managed online endpoints that somebody else changes at the same time: nobody's change is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.azure import rough_manners
from tests.support.managed_target import Managed, a_deployment, managed_target, with_deployments

from headrace.errors import RemoteUnavailableError, StateError

ENDPOINT = "/onlineEndpoints/triage"


@pytest.fixture
def managed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Managed]:
    with managed_target(tmp_path, monkeypatch) as found:
        found.deploy("blue")
        found.make("move traffic", after={"blue": 100})
        found.make("create deployment", "green")
        yield found


def add_tag(body: dict[str, Any]) -> None:
    body["tags"]["owner"] = "somebody else"


def take_traffic(body: dict[str, Any]) -> None:
    body["properties"]["traffic"] = {"blue": 70, "green": 30}


def test_what_somebody_else_changes_right_before_a_move_stays(managed: Managed) -> None:
    versions = rough_manners.ETags()
    managed.azure.manners += [rough_manners.Colleague(ENDPOINT, add_tag), versions]
    managed.make("move traffic", after={"blue": 90, "green": 10})
    assert managed.state().traffic == {"blue": 90, "green": 10}
    assert managed.state().settings["tags"] == {"owner": "somebody else"}
    assert (versions.n_refused, versions.n_matched) == (1, 1)


def test_a_move_that_somebody_else_makes_right_before_is_not_undone(managed: Managed) -> None:
    managed.azure.manners += [rough_manners.Colleague(ENDPOINT, take_traffic), rough_manners.ETags()]
    with pytest.raises(StateError) as raised:
        managed.make("move traffic", after={"blue": 90, "green": 10})
    (problem,) = raised.value.problems
    assert problem.code == "X146"
    assert "was blue=100 when this was planned and is blue=70 green=30 now" in problem.what
    assert managed.state().traffic == {"blue": 70, "green": 30}


def test_a_deployment_that_somebody_else_changes_right_before_is_made_as_wished(managed: Managed) -> None:
    managed.azure.manners += [
        rough_manners.Colleague("/deployments/green", add_tag),
        rough_manners.ETags(),
    ]
    managed.flows["v3"] = "v3"
    with_deployments(managed, a_deployment("blue"), a_deployment("green", "v3"))
    managed.make("update deployment", "green")
    assert managed.ask({"a": 1}, "green").body["flow"] == "v3"


def test_an_answer_that_the_package_cannot_read_is_said(managed: Managed) -> None:
    managed.azure.manners += [rough_manners.null_flavors]
    with pytest.raises(RemoteUnavailableError) as raised:
        managed.make("prepare", "blue")
    (problem,) = raised.value.problems
    assert problem.code == "X215"
    assert "azure-ai-ml cannot read an answer" in problem.what
