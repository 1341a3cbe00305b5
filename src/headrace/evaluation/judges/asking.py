"""One judge asked once; where the reply is no judgement, once more with what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from typing import Any, TypeVar

from headrace.domain.flow import ModelPrompt
from headrace.domain.values import JsonValue
from headrace.domain.variant import Price
from headrace.errors import RemoteRequestError
from headrace.evaluation.judges.graders import Grader
from headrace.evaluation.judges.replies import UnreadableReplyError
from headrace.formats.template import Template, load_template
from headrace.providers.base import ModelClient, ModelRequest, ModelResponse
from headrace.tools.base import NodeContext
from headrace.tools.chat import Message
from headrace.tools.chat_prompt import make_messages
from headrace.tools.model_call import answer_message, call_model
from headrace.tools.model_parameters import OPENAI

ReplyT = TypeVar("ReplyT")

_FENCE_LENGTH = 20
_SHOWN_REPLY = 2_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """A model that grades.

    Attributes:
        name: How its own scores are called.
        connection: Name of the connection.
        model: Model or deployment.
        parameters: Take the place of the grader's own; ``None`` leaves a parameter out of the request.
        price: ``None`` when unknown; then the cost is unknown too.
    """

    name: str
    connection: str
    model: str
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    price: Price | None = None


async def ask(
    grader: Grader,
    judge: Judge,
    texts: Mapping[str, str],
    read: Callable[[str], ReplyT],
    context: NodeContext,
) -> ReplyT:
    """Ask a judge.

    Args:
        grader: What is asked.
        judge: Who is asked.
        texts: The inputs of the grader's prompt.
        read: Reads the reply.
        context: Of the node that the call is a part of.

    Raises:
        UnreadableReplyError: The second reply is no judgement either.
        RemoteError: The model service does not answer.
    """
    client = context.open_client(judge.connection)
    if judge.price is not None:
        client = _PricedClient(client, judge.price)
    messages = render_messages(grader, texts)
    text = await _send(client, grader, judge, messages, context)
    try:
        return read(text)
    except UnreadableReplyError as error:
        again = f"Your reply could not be read. {error} Reply again, with the JSON object only."
        messages = [
            *messages,
            {"role": "assistant", "content": text[:_SHOWN_REPLY] or "(empty)"},
            {"role": "user", "content": again},
        ]
    return read(await _send(client, grader, judge, messages, context))


def render_messages(grader: Grader, texts: Mapping[str, str]) -> list[Message]:
    """The messages that a judge is sent; no text among the inputs can open a message or end its own block.

    Raises:
        NodeError: E602 when the template cannot be rendered.
    """
    names = [name for name in grader.flow.inputs if name != "fence"]
    values = {name: texts.get(name, "") for name in names}
    return make_messages(
        _template(grader),
        {**values, "fence": _fence(values)},
        family=OPENAI,
        inputs_to_escape=tuple(names),
    )


def request_parameters(grader: Grader, judge: Judge) -> dict[str, Any]:
    """The parameters of the request: the grader's, with the judge's in their place."""
    merged = {**_prompt_of(grader).parameters, **judge.parameters}
    return {name: value for name, value in merged.items() if value is not None}


def _fence(values: Mapping[str, str]) -> str:
    """A word that no text can hold that was written before it: it is made of all of them."""
    text = "\0".join(f"{name}\0{value}" for name, value in sorted(values.items()))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_FENCE_LENGTH]


@cache
def _loaded(file: str, text: str, first_line: int) -> Template:
    return load_template(text, file, first_line)


def _template(grader: Grader) -> Template:
    prompt = _prompt_of(grader)
    return _loaded(grader.name, prompt.template, prompt.first_line)


def _prompt_of(grader: Grader) -> ModelPrompt:
    if grader.flow.prompt is None:
        message = f"{grader.name} is no prompty"
        raise ValueError(message)
    return grader.flow.prompt


async def _send(
    client: ModelClient, grader: Grader, judge: Judge, messages: list[Message], context: NodeContext
) -> str:
    request = ModelRequest(
        operation="chat",
        model=judge.model,
        body={**request_parameters(grader, judge), "messages": messages},
    )
    try:
        content = answer_message(await call_model(client, request, context))["content"]
    except RemoteRequestError as error:
        if (
            error.problems[0].code == "P707"
        ):  # it answered, with no message: no judgement, but no failure either
            return ""
        raise
    return content if isinstance(content, str) else ""


class _PricedClient:
    """A client whose answers say what they cost."""

    def __init__(self, client: ModelClient, price: Price) -> None:
        self.system = client.system
        self.address = client.address
        self.port = client.port
        self._client = client
        self._price = price

    async def send(self, request: ModelRequest) -> ModelResponse:
        """As the client sends it."""
        response = await self._client.send(request)
        usage = response.usage
        cost = self._price.cost_usd(usage.prompt_tokens, usage.completion_tokens)
        return replace(response, usage=replace(usage, cost_usd=cost))

    def stream(self, request: ModelRequest) -> Any:
        """As the client streams it."""
        return self._client.stream(request)

    async def close(self) -> None:
        """Left to whoever opened the client."""
