"""The client and the server of headrace together, over HTTP on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import monotonic, sleep

import pytest
from tests.support.endpoint import Endpoint, serving

from headrace.client import AsyncClient, Client
from headrace.domain.access import AccessRules, known_key
from headrace.errors import AccessDeniedError, RemoteRequestError, RemoteTimeoutError

FLOW = """\
inputs: {q: {type: string}}
outputs: {answer: {type: string, reference: "${say.output}"}, whole: {type: string, reference: "${inputs.q}"}}
nodes:
- {name: say, type: python, source: {type: code, path: say.py}, inputs: {q: "${inputs.q}"}}
"""
SAY = """\
import asyncio
from promptflow.core import tool

@tool
async def say(q: str):
    if q == "boom":
        raise ValueError("SECRET")
    yield "a"
    if q == "slow":
        await asyncio.sleep(60)
    yield "b"
"""
KEY = "k" * 24


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    rules = AccessRules(keys=(known_key(KEY, "me"),))
    files = {"flow/flow.dag.yaml": FLOW, "flow/say.py": SAY}
    folder = tmp_path_factory.mktemp("asked")
    with serving(folder, files, [f"one={folder / 'flow'}"], access=rules) as served:
        yield served


def test_a_flow_is_asked(endpoint: Endpoint) -> None:
    url = f"http://127.0.0.1:{endpoint.port}"
    with Client(url, path="one", key=KEY) as client:
        answer = client.score({"q": "x"})
        assert answer.outputs == {"answer": "ab", "whole": "x"}
        assert answer.flow_version == endpoint.served.flows["/one"].version.name
        with client.stream({"q": "x"}) as stream:
            assert list(stream) == [{"whole": "x"}, {"answer": "a"}, {"answer": "b"}]
            assert stream.answer.flow_version == answer.flow_version
        client.feedback({"good": True}, answer)
        assert "/one/score" in client.openapi()["paths"]
        assert client.health()["status"] == "Healthy"
        with pytest.raises(RemoteRequestError) as raised:
            client.score({"q": "boom"})
        assert (raised.value.refusal.status, raised.value.refusal.problem) == (400, "E601")
        assert "SECRET" not in str(raised.value)
    with Client(url, path="one", key="x" * 24) as client, pytest.raises(AccessDeniedError):
        client.score({"q": "x"})


def wait_for_gone(endpoint: Endpoint, before: int) -> None:
    until = monotonic() + 10
    while endpoint.served.load.n_gone == before:
        assert monotonic() < until
        sleep(0.02)


def test_leaving_a_stream_ends_the_work_of_the_flow(endpoint: Endpoint) -> None:
    url, before = f"http://127.0.0.1:{endpoint.port}", endpoint.served.load.n_gone
    with Client(url, path="one", key=KEY) as client, client.stream({"q": "slow"}) as stream:
        assert next(iter(stream)) == {"whole": "slow"}
    wait_for_gone(endpoint, before)

    async def leave() -> None:
        async with AsyncClient(url, path="one", key=KEY) as client, client.stream({"q": "slow"}) as stream:
            async for piece in stream:
                assert piece == {"whole": "slow"}
                break

    asyncio.run(leave())
    wait_for_gone(endpoint, before + 1)
    hasty = Client(url, path="one", key=KEY, timeout_s=0.3)
    with pytest.raises(RemoteTimeoutError), hasty as client, client.stream({"q": "slow"}) as stream:
        list(stream)
    wait_for_gone(endpoint, before + 2)
    assert endpoint.served.load.n_running == 0
