"""Every request of an apply to Container Apps meets every fault, and a process dies at every one: the next apply completes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.azure import StandIn
from tests.support.container_app_target import Ground, make_ground
from tests.support.deadly_app import IMAGES, apply, check_traffic, outcome, run_and_die, wish

from headrace.codes import CATALOGUE
from headrace.errors import HeadraceError, Problem

pytestmark = pytest.mark.faults

FAULTS: dict[str, dict[str, Any]] = {
    "throttled": {"status": 429, "headers": {"Retry-After": "0"}, "times": 2},
    "throttled without a word": {"status": 429},
    "away": {"status": 503, "headers": {"Retry-After": "0"}},
    "broken": {"status": 500},
    "busy": {"status": 409, "code": "ContainerAppOperationInProgress"},
    "conflict": {"status": 409, "code": "Conflict", "headers": {"Retry-After": "0"}},
    "forbidden": {"status": 403, "code": "AuthorizationFailed"},
    "gone": {"status": 404, "code": "ResourceNotFound"},
    "lost before": {"drop": "before"},
    "lost after": {"drop": "after"},
    "no network": {"drop": "before", "times": 12},
    "operation fails": {"fail_operation": "ContainerAppOperationError"},
    "operation hangs": {"hang_operation": True},
}


@contextmanager
def a_ground(folder: Path) -> Iterator[tuple[StandIn, Ground]]:
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        azure = stack.enter_context(StandIn(folder))
        azure.enter(patch)
        azure.apps.is_pretending = True
        for image in IMAGES.values():
            azure.registries.add_image(image)
        ground = make_ground(azure, folder)
        stack.callback(ground.close)
        yield azure, ground


def kinds_of_requests(folder: Path, version: str) -> list[tuple[str, str]]:
    """Method and path of each kind of request that an apply makes, in order."""
    with a_ground(folder) as (azure, ground):
        if version == "v2":
            apply(ground, wish(ground, "v1"))
        azure.recording.clear()
        apply(ground, wish(ground, version))
        found = [
            (item.method, pattern(item.host + item.path))
            for item in azure.recording.requests
            if item.host == "management.azure.com"
        ]
    return list(dict.fromkeys(found))


def pattern(path: str) -> str:
    """A path as a regular expression, without what differs each time."""
    path = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]+", "[^/]+", path)
    path = re.sub(r"triage--[^/]+", "[^/]+", path)
    return path.partition("/providers/")[2] + "$"


def problem_of(act: Callable[[], object]) -> Problem | None:
    """What went wrong."""
    try:
        act()
    except HeadraceError as error:
        return error.problems[0]
    return None


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kind", FAULTS)
def test_whatever_a_request_meets_the_next_apply_completes_it(
    tmp_path: Path, version: str, kind: str
) -> None:
    requests = kinds_of_requests(tmp_path / "plain", version)
    assert len(requests) >= 5
    with a_ground(tmp_path / "good") as (azure, ground):
        apply(ground, wish(ground, "v1"))
        if version == "v2":
            apply(ground, wish(ground, "v2"))
        expected = outcome(azure)
    for number, (method, path) in enumerate(requests):
        with a_ground(tmp_path / str(number)) as (azure, ground):
            if version == "v2":
                apply(ground, wish(ground, "v1"))
            azure.faults.add(method=method, path=path, **FAULTS[kind])
            endpoint = wish(ground, version)
            problem = problem_of(lambda: apply(ground, endpoint, ground.open(endpoint, operation_s=1.0)))  # noqa: B023
            assert problem is None or (problem.code in CATALOGUE and problem.fix), problem
            check_traffic(azure)
            azure.faults.clear()
            azure.operations.release()
            apply(ground, wish(ground, version))
            check_traffic(azure)
            assert outcome(azure) == expected, (method, path)
            assert not apply(ground, wish(ground, version)).changes


@pytest.mark.parametrize("moment", ["before", "after"])
def test_wherever_a_process_dies_the_next_apply_completes_it(tmp_path: Path, moment: str) -> None:
    with a_ground(tmp_path / "good") as (azure, ground):
        apply(ground, wish(ground, "v1"))
        apply(ground, wish(ground, "v2"))
        expected = outcome(azure)
    number, is_dead = 0, True
    while is_dead:
        number += 1
        with a_ground(tmp_path / str(number)) as (azure, ground):
            apply(ground, wish(ground, "v1"))
            is_dead = run_and_die(azure, ground, number, moment)
            check_traffic(azure)
            apply(ground, wish(ground, "v2"))
            check_traffic(azure)
            assert outcome(azure) == expected, number
            assert not apply(ground, wish(ground, "v2")).changes
    assert number > 10


@pytest.mark.parametrize("moment", ["before", "after"])
def test_wherever_a_process_dies_no_request_goes_to_what_was_not_tried_out(
    tmp_path: Path, moment: str
) -> None:
    number, is_dead = 0, True
    while is_dead:
        number += 1
        with a_ground(tmp_path / str(number)) as (azure, ground):
            apply(ground, wish(ground, "v1", "blue"))
            first = shares_and_specs(azure)
            is_dead = run_and_die(azure, ground, number, moment, "blue")
            check_traffic(azure)
            is_moved = answering_spec(azure) != first[1]["blue"]
            steps = [item.action for item in apply(ground, wish(ground, "v2", "blue")).changes]
            assert is_moved == (not steps), number
            assert is_moved or steps[-2:] == ["smoke test", "move traffic"], number
            check_traffic(azure)
            shares, specs = shares_and_specs(azure)
            assert (shares, specs["blue"]) == ({"blue": 100}, answering_spec(azure))
            assert specs != first[1]
            assert not apply(ground, wish(ground, "v2", "blue")).changes
    assert number > 10


def shares_and_specs(azure: StandIn) -> tuple[Any, Any]:
    """Who has which share, and what each label points to."""
    return outcome(azure)[:2]


def answering_spec(azure: StandIn) -> str:
    """What the revision with all requests was made from."""
    app = azure.apps.find("triage")
    (name,) = [item["revisionName"] for item in app.traffic if item.get("weight")]
    variables = app.revisions[name].template["containers"][0]["env"]
    return next(str(item["value"]) for item in variables if item["name"] == "HEADRACE_DEPLOYMENT_SPEC")
