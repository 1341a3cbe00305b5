"""Asking what is deployed: patiently where it was just made, with the key and the deployment of its address."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.deployments import an_endpoint, open_memory_target, remember, remembered
from tests.support.scoring_server import Answer, scoring_server

from headrace.config import load_settings
from headrace.deploy.base import Address
from headrace.deploy.memory import MemoryTarget
from headrace.errors import AccessDeniedError, RemoteError, UsageError
from headrace.operations.ask_deployment import ask_deployment, try_deployment
from headrace.operations.open_deployment import DeploymentChoice, OpenDeployment
from headrace.operations.workspace import open_workspace


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@contextmanager
def opened(folder: Path, url: str, headers: dict[str, str] | None = None) -> Iterator[OpenDeployment]:
    endpoint = an_endpoint()
    remember(folder, {"blue": remembered(1)}, {"blue": 100}, url=url)
    target: MemoryTarget = open_memory_target(folder, endpoint)
    if headers is not None:
        target.address = lambda deployment: Address(url=url, headers=headers)  # type: ignore[method-assign]
    with open_workspace(load_settings({"HOME": str(folder)}), folder) as workspace:
        yield OpenDeployment(workspace=workspace, choice=DeploymentChoice(), endpoint=endpoint, target=target)


def test_a_new_deployment_may_lead_nowhere_for_a_while(tmp_path: Path) -> None:
    clock = Clock()
    with scoring_server() as server, opened(tmp_path, server.url) as place:
        server.answer = lambda inputs, n: Answer(inputs) if n >= 3 else Answer({}, 404)

        answered = try_deployment(place, "blue", {"text": "a"}, sleep=clock.sleep, clock=clock)

    assert answered.outputs == {"text": "a"}
    assert answered.deployment == "blue"
    assert clock.now_s == 7.0


@pytest.mark.parametrize(("status", "n_asked"), [(400, 1), (401, 1), (500, 1), (404, 10)])
def test_what_it_says_itself_is_final(status: int, n_asked: int, tmp_path: Path) -> None:
    clock = Clock()
    with scoring_server() as server, opened(tmp_path, server.url) as place:
        server.answer = lambda *_: Answer({"error": {"code": "UserError", "message": "no"}}, status)

        with pytest.raises(RemoteError):
            try_deployment(place, "blue", {}, sleep=clock.sleep, clock=clock)

        assert len(server.asked) == n_asked


def test_the_key_and_the_deployment_of_an_address_are_sent(tmp_path: Path) -> None:
    headers = {"Authorization": "Bearer k", "azureml-model-deployment": "green"}
    with scoring_server() as server, opened(tmp_path, server.url, headers) as place:
        ask_deployment(place, "green", {"text": "a"})

        (asked,) = server.asked
    assert asked.headers["authorization"] == "Bearer k"
    assert asked.headers["azureml-model-deployment"] == "green"


def test_the_container_behind_a_gateway_is_heard(tmp_path: Path) -> None:
    with scoring_server() as server, opened(tmp_path, server.url) as place:
        server.answer = lambda *_: Answer({}, 424, {"ms-azureml-model-error-statuscode": "401"})

        with pytest.raises(AccessDeniedError):
            ask_deployment(place, None, {})


def test_other_headers_are_refused_without_their_values(tmp_path: Path) -> None:
    with (
        opened(tmp_path, "http://127.0.0.1:9/score", {"x-api-key": "secret"}) as place,
        pytest.raises(UsageError) as caught,
    ):
        ask_deployment(place, None, {})

    assert "x-api-key" in caught.value.problems[0].what
    assert "secret" not in str(caught.value)
