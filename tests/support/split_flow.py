"""A flow whose requests are split among arms, and what its test leaves in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tests.support.endpoint import Endpoint

from headrace.domain.evidence import Completion, Evidence, Exposure, Feedback

FLOW = {
    "f/flow.dag.yaml": """\
inputs: {q: {type: string}, key: {type: secret, default: ""}, user: {type: string, default: ""}}
outputs: {r: {type: string, reference: "${say.output}"}}
nodes:
- name: say
  type: python
  source: {type: code, path: say.py}
  inputs: {q: "${inputs.q}", key: "${inputs.key}", style: plain}
""",
    "f/say.py": """\
import time
from promptflow.core import tool

@tool
def say(q: str, key: str, style: str):
    if q == "fail" and style == "loud":
        raise ValueError("loud fails")
    if q == "slow" and style == "dark":
        time.sleep(0.3)
    return f"{style}:{q}{key}"
""",
}

STREAMING = {
    "f/flow.dag.yaml": """\
inputs: {q: {type: string}, chat_history: {type: list, default: [], is_chat_history: true}}
outputs: {r: {type: string, reference: "${say.output}", is_chat_output: true}}
nodes:
- name: say
  type: python
  source: {type: code, path: say.py}
  inputs: {q: "${inputs.q}", style: plain}
""".replace("q: {type: string}", "q: {type: string, is_chat_input: true}"),
    "f/say.py": """\
from promptflow.core import tool

@tool
def say(q: str, style: str):
    if q == "fail" and style == "loud":
        raise ValueError("loud fails at once")
    yield style
    if q == "fail late" and style == "loud":
        raise ValueError("loud fails late")
    yield ":" + q
""",
}

RecordT = TypeVar("RecordT", Exposure, Completion, Feedback)


def traffic(more: str = "", arms: str = "") -> dict[str, str]:
    """The traffic file of the flow, with further keys or other arms."""
    arms = arms or "[{name: plain, weight: 0.5}, {name: loud, weight: 0.5, overrides: {say.style: loud}}]"
    text = f"name: styles\nflow: .\nunit: [{{header: x-user}}]\narms: {arms}\n{more}"
    return {"f/traffic.yaml": text}


def evidence(endpoint: Endpoint) -> tuple[Evidence, ...]:
    """What is in the store, in order of arrival."""
    return tuple(item.evidence for item in endpoint.workspace.store.read_arrivals("styles"))


def of_kind(records: Iterable[Evidence], kind: type[RecordT]) -> list[RecordT]:
    return [record for record in records if isinstance(record, kind)]


def wait_for(endpoint: Endpoint, kind: type[RecordT], count: int) -> list[RecordT]:
    """The records of a kind once there are so many."""
    found: list[RecordT] = []

    def is_there() -> bool:
        found[:] = of_kind(evidence(endpoint), kind)
        return len(found) >= count

    wait_until(is_there, lambda: f"{len(found)} of {count} {kind.__name__} arrived")
    return found


def wait_until(is_true: Callable[[], Any], say: Callable[[], str] = lambda: "it does not happen") -> None:
    """Wait for something that another thread or process does."""
    end = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < end, say()
        time.sleep(0.05)
