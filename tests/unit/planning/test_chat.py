"""Which flows can be chatted with, and what a turn adds to the history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.flow import PROMPTY, Flow
from headrace.formats.flow_file import load_flow
from headrace.planning.chat import ChatPorts, find_chat_ports, make_turn, read_answer, read_message

MESSAGE = "q: {type: string, is_chat_input: true}"
HISTORY = "chat_history: {type: list}"
ANSWER = 'a: {type: string, reference: "${inputs.q}", is_chat_output: true}'


def flow(folder: Path, inputs: list[str], outputs: list[str]) -> Flow:
    lines = ["inputs:", *(f"  {item}" for item in inputs), "outputs:", *(f"  {item}" for item in outputs)]
    (folder / "flow.dag.yaml").write_text("\n".join([*lines, "nodes: []"]))
    return load_flow(folder)


@pytest.mark.parametrize(
    ("inputs", "outputs", "ports"),
    [
        ([MESSAGE, HISTORY], [ANSWER], ("q", "chat_history", "a")),
        (
            [MESSAGE, HISTORY, "n: {type: int}"],
            [ANSWER, 'b: {type: int, reference: "1"}'],
            ("q", "chat_history", "a"),
        ),
        ([MESSAGE, "before: {type: list, is_chat_history: true}"], [ANSWER], ("q", "before", "a")),
        ([MESSAGE, HISTORY, "b: {type: list, is_chat_history: true}"], [ANSWER], ("q", "b", "a")),
        ([MESSAGE, HISTORY], [], ("q", "chat_history", None)),
    ],
)
def test_the_ports_of_a_chat_flow(
    tmp_path: Path, inputs: list[str], outputs: list[str], ports: tuple[str, str, str | None]
) -> None:
    found, problems = find_chat_ports(flow(tmp_path, inputs, outputs))
    assert problems == ()
    assert found == ChatPorts(message=ports[0], history=ports[1], answer=ports[2])


@pytest.mark.parametrize(
    ("inputs", "outputs", "places"),
    [
        (["q: {type: string}", HISTORY], [ANSWER], ["1:1"]),
        ([MESSAGE, HISTORY, "r: {type: string, is_chat_input: true}"], [ANSWER], ["4:21"]),
        ([MESSAGE], [ANSWER], ["1:1"]),
        ([MESSAGE, HISTORY], ['a: {type: string, reference: "x"}'], ["4:1"]),
        ([MESSAGE, HISTORY], [ANSWER, ANSWER.replace("a:", "b:")], ["6:47"]),
        (["x: {type: string}"], ['a: {type: string, reference: "x"}'], ["1:1", "1:1", "3:1"]),
    ],
)
def test_everything_that_is_missing_or_there_twice_is_said_at_once(
    tmp_path: Path, inputs: list[str], outputs: list[str], places: list[str]
) -> None:
    ports, problems = find_chat_ports(flow(tmp_path, inputs, outputs))
    assert ports is None
    assert {problem.code for problem in problems} == {"F013"}
    assert [str(problem.span).rpartition("flow.dag.yaml:")[2] for problem in problems] == places
    assert all(problem.fix for problem in problems)


PORTS = ChatPorts(message="q", history="chat_history", answer="a")
ALL = replace(PORTS, answer=None)


def test_a_turn_is_a_pair_with_all_outputs_or_two_messages(tmp_path: Path) -> None:
    dag = flow(tmp_path, [MESSAGE, HISTORY], [ANSWER])
    outputs = {"a": "hello", "n": 1}
    assert make_turn(dag, PORTS, "hi", outputs) == [
        {"inputs": {"q": "hi"}, "outputs": {"a": "hello", "n": 1}}
    ]
    assert make_turn(replace(dag, kind=PROMPTY), ALL, "hi", {"output": "hello"}) == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
    ]


@pytest.mark.parametrize(
    ("ports", "outputs", "answer"),
    [
        (PORTS, {"a": "hello", "n": 1}, "hello"),
        (ALL, {"a": "hello"}, {"a": "hello"}),
        (ALL, {"output": "hello"}, "hello"),
        (ALL, {}, {}),
    ],
)
def test_the_answer_is_the_chat_output_or_what_a_flow_of_one_node_returns(
    ports: ChatPorts, outputs: dict[str, Any], answer: Any
) -> None:
    assert read_answer(ports, outputs) == answer


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("string", "[1]", "[1]"),
        ("object", "[1]", "[1]"),  # converted with the other inputs
        ("list", '["a", 1]', ["a", 1]),
        ("list", "what is this?", ["what is this?"]),
        ("list", "{}", ["{}"]),
        ("int", "no number", "no number"),
    ],
)
def test_a_message_for_a_list_is_a_list(tmp_path: Path, type_name: str, text: str, value: Any) -> None:
    message = f"q: {{type: {type_name}, is_chat_input: true}}"
    assert read_message(flow(tmp_path, [message, HISTORY], [ANSWER]), PORTS, text) == value
