"""The client and the server of headrace together, over HTTP on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
from tests.support.endpoint import Endpoint, serving
from tests.support.split_flow import FLOW as SPLIT
from tests.support.split_flow import traffic, wait_for

from headrace.client import Answer, AsyncClient, Call, Client, Outcome
from headrace.domain.access import AccessRules, known_key
from headrace.domain.evidence import Exposure, Feedback
from headrace.errors import AccessDeniedError, RemoteRequestError, RemoteTimeoutError, UsageError

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


def test_an_answer_says_its_arm_and_what_became_of_it_is_counted_once(tmp_path: Path) -> None:
    files = SPLIT | traffic()
    files["f/traffic.yaml"] = files["f/traffic.yaml"].replace("x-user", "x-headrace-unit-id")

    async def ask(url: str) -> Answer:
        async with AsyncClient(url) as client:
            answer = await client.score({"q": "hi"}, Call(unit_id="u1"))
            liked = Outcome(metric="thumbs", value=1)
            await client.report(liked, answer)
            await client.report(liked, answer)
            await client.report(Outcome(metric="note", text="fine", unit_id="u1"))
            with pytest.raises(UsageError, match="neither which answer nor which unit"):
                await client.report(liked)
            return answer

    with serving(tmp_path, files, [], traffic=["f/traffic.yaml"]) as endpoint:
        answer = asyncio.run(ask(f"http://127.0.0.1:{endpoint.port}"))
        (exposure,) = wait_for(endpoint, Exposure, 1)
        said = wait_for(endpoint, Feedback, 2)
    assert (answer.arm, answer.exposure_id) == (exposure.arm, exposure.id)
    assert answer.outputs == {"r": f"{answer.arm}:hi"}
    assert [(item.metric, item.value, item.text) for item in said] == [
        ("thumbs", 1.0, ""),
        ("note", None, "fine"),
    ]
    assert (said[0].exposure, said[1].unit) == (exposure.id, exposure.unit)


def test_names_of_arms_and_units_may_be_in_any_script(tmp_path: Path) -> None:
    files = SPLIT | traffic(arms='[{name: "レ 5%", weight: 1}]')
    files["f/traffic.yaml"] = files["f/traffic.yaml"].replace("x-user", "x-headrace-unit-id")
    with (
        serving(tmp_path, files, [], traffic=["f/traffic.yaml"]) as endpoint,
        Client(f"http://127.0.0.1:{endpoint.port}") as client,
    ):
        answer = client.score({"q": "hi"}, Call(unit_id="日本"))
        client.report(Outcome(metric="thumbs", value=1, unit_id="日本"))
        (exposure,), (said,) = wait_for(endpoint, Exposure, 1), wait_for(endpoint, Feedback, 1)
    assert answer.arm == exposure.arm == "レ 5%"
    assert said.unit == exposure.unit
