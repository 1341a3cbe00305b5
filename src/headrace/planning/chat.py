"""What makes a flow one that can be chatted with, and what one turn of a chat gives it (promptflow-format: 9.5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headrace.domain.flow import PROMPTY, Flow, FlowInput, FlowOutput
from headrace.errors import Problem
from headrace.planning.convert import ConversionError, convert_input
from headrace.source import Pointer

HISTORY: Final = "chat_history"
"""Name of the input that holds the history where none is marked as such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPorts:
    """The inputs and the output of a flow that a chat uses.

    Attributes:
        message: Input that takes what the person says.
        history: Input that takes the turns before.
        answer: Output that is the answer; ``None`` where all outputs together are.
    """

    message: str
    history: str
    answer: str | None


def find_chat_ports(flow: Flow) -> tuple[ChatPorts | None, tuple[Problem, ...]]:
    """The ports of a chat, or F013 for everything that is missing or there twice."""
    messages = [item for item in flow.inputs.values() if item.is_chat_input]
    history = _find_history(flow)
    answers = [item for item in flow.outputs.values() if item.is_chat_output]
    problems = [
        *_check_messages(flow, messages),
        *_check_history(flow, history),
        *_check_answers(flow, answers),
    ]
    if problems or history is None:
        return None, tuple(problems)
    answer = answers[0].name if answers else None
    return ChatPorts(message=messages[0].name, history=history.name, answer=answer), ()


def with_history(flow: Flow, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` with an empty history where the flow has one that is neither given nor has a default."""
    history = _find_history(flow)
    if history is None or history.has_default:
        return dict(given)
    return {history.name: [], **given}


def read_message(flow: Flow, ports: ChatPorts, text: str) -> Any:
    """What a person says, for the chat input; where that is a list, text that is no list is the only item of one."""
    if flow.inputs[ports.message].type != "list":
        return text
    try:
        return convert_input(text, "list")
    except ConversionError:
        return [text]


def make_turn(flow: Flow, ports: ChatPorts, message: Any, outputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What one turn adds to the history: for a prompty two messages, for other flows a pair of inputs and outputs."""
    if flow.kind != PROMPTY:
        return [{"inputs": {ports.message: message}, "outputs": dict(outputs)}]
    answer = read_answer(ports, outputs)
    return [{"role": "user", "content": message}, {"role": "assistant", "content": answer}]


def read_answer(ports: ChatPorts, outputs: Mapping[str, Any]) -> Any:
    """The answer among the outputs of a turn."""
    if ports.answer is not None and ports.answer in outputs:
        return outputs[ports.answer]
    return outputs["output"] if list(outputs) == ["output"] else dict(outputs)


def _find_history(flow: Flow) -> FlowInput | None:
    marked = (item for item in flow.inputs.values() if item.is_chat_history)
    return next(marked, flow.inputs.get(HISTORY))


def _check_messages(flow: Flow, found: Sequence[FlowInput]) -> Collection[Problem]:
    if not found:
        what = "The flow has no chat input, which takes what a person says in a chat."
        return [_problem(flow, ("inputs",), what, "Mark one of the inputs with is_chat_input: true.")]
    return _check_single(flow, found, "inputs", "is_chat_input")


def _check_history(flow: Flow, history: FlowInput | None) -> Collection[Problem]:
    if history is not None:
        return []
    what = "The flow has no input for the history of a chat."
    fix = f"Add an input {HISTORY} of type list with the default [], or mark one with is_chat_history: true."
    return [_problem(flow, ("inputs",), what, fix)]


def _check_answers(flow: Flow, found: Sequence[FlowOutput]) -> Collection[Problem]:
    if flow.outputs and not found:
        what = "None of the outputs is the chat output, which is the answer in a chat."
        return [_problem(flow, ("outputs",), what, "Mark one of the outputs with is_chat_output: true.")]
    return _check_single(flow, found, "outputs", "is_chat_output")


def _check_single(
    flow: Flow, found: Sequence[FlowInput] | Sequence[FlowOutput], block: str, mark: str
) -> Collection[Problem]:
    if len(found) < 2:
        return []
    names = " and ".join(repr(item.name) for item in found)
    what = f"More than one of the {block} is marked with {mark}: {names}."
    return [_problem(flow, (block, found[1].name, mark), what, "Keep the mark on one of them.")]


def _problem(flow: Flow, pointer: Pointer, what: str, fix: str) -> Problem:
    span = flow.source_map.key_span(pointer)
    return Problem(code="F013", what=what, span=span, pointer=pointer, fix=fix)
