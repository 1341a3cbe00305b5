"""Messages of OpenAI's chat as the inputs of a chat flow, and its outputs as a message.

Messages before the last are the history in prompt flow's form. Messages of the roles ``system`` and ``developer`` are
left out: what the flow tells its model is part of the version that was evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from headrace.domain.flow import Flow
from headrace.domain.multimedia import VISION, Image, MediaForm
from headrace.errors import Problem, UsageError
from headrace.planning.chat import ChatPorts, make_turn

_LEFT_OUT = ("system", "developer")
_DATA_ADDRESS = re.compile(r"data:(image/[\w.+*-]+);base64,(.*)", re.DOTALL)
_ANSWER = "output"


def read_messages(flow: Flow, ports: ChatPorts, messages: Any) -> dict[str, Any]:
    """The chat input and the history.

    Raises:
        UsageError: D401 for messages that are none, or that the flow has no place for.
    """
    turns = [message for message in _check(messages) if message["role"] not in _LEFT_OUT]
    if not turns or turns[-1]["role"] != "user":
        _reject(
            "The last message is not one of the user.", "Send what is to be answered as the last message."
        )
    history: list[Any] = []
    said: Any = None
    for message in turns[:-1]:
        if message["role"] == "assistant":
            history += _turn(flow, ports, said, _text(message["content"]))
            said = None
        else:
            if said is not None:
                history += _turn(flow, ports, said, "")
            said = _content(flow, ports, message["content"])
    if said is not None:
        history += _turn(flow, ports, said, "")
    return {ports.message: _content(flow, ports, turns[-1]["content"]), ports.history: history}


def _check(messages: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(messages, list) or not messages:
        _reject('"messages" is not a list of messages.', 'Send [{"role": "user", "content": "…"}].')
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("user", "assistant", *_LEFT_OUT):
            what = "A message is not one of a user, an assistant or the system."
            _reject(what, "Leave calls of tools and their results away: the flow makes its own.")
        content = message.setdefault("content", None)
        if not isinstance(content, str | list) and not (content is None and role == "assistant"):
            _reject("The content of a message is neither text nor a list of parts.", "Send text.")
    return messages


def _turn(flow: Flow, ports: ChatPorts, said: Any, answer: str) -> list[dict[str, Any]]:
    message = said if said is not None else ([] if _takes_list(flow, ports) else "")
    return make_turn(flow, ports, message, {ports.answer or _ANSWER: answer})


def _takes_list(flow: Flow, ports: ChatPorts) -> bool:
    return flow.inputs[ports.message].type == "list"


def _content(flow: Flow, ports: ChatPorts, content: Any) -> Any:
    """What a user says, for the chat input: a list where that is one, else text."""
    if not _takes_list(flow, ports):
        return _text(content)
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [_part(flow, part) for part in parts]


def _part(flow: Flow, part: Any) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]} if flow.message_format == VISION else part["text"]
    image = part.get("image_url") if kind == "image_url" else None
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        _reject("A part of a message is neither text nor an image.", "Send parts text and image_url.")
    if flow.message_format == VISION:
        return {"type": "image_url", "image_url": {"url": url}}
    inline = _DATA_ADDRESS.fullmatch(url)
    return {f"data:{inline[1]};base64": inline[2]} if inline else {"data:image/*;url": url}


def _text(content: Any) -> str:
    """The text of a content."""
    if not isinstance(content, list):
        return content or ""
    texts = [
        part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        for part in content
    ]
    if any(not isinstance(text, str) for text in texts):
        what = "The flow takes text in this place, and a part of a message is something else."
        _reject(what, "Send text, or make the chat input of the flow a list.")
    return "\n".join(str(text) for text in texts)


def _reject(what: str, fix: str) -> NoReturn:
    raise UsageError(Problem(code="D401", what=what, fix=fix))


def answer_text(value: Any) -> str:
    """An answer as the content of a message: images in Markdown, what has further structure as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, MediaForm):
        shown = value.value
        return f"![image]({shown.to_base64(with_type=True)})" if isinstance(shown, Image) else str(shown)
    if isinstance(value, list) and any(isinstance(item, MediaForm) for item in value):
        return "\n\n".join(answer_text(item) for item in value)
    return json.dumps(value, ensure_ascii=False)
