"""The embedded model behind the protocol."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headrace.domain.connection import Connection
from headrace.errors import RemoteRequestError
from headrace.providers.base import ModelClient, ModelRequest, ModelResponse, StreamChunk
from headrace.providers.baseline import count_tokens, read_chat
from headrace.providers.baseline_client import BaselineClient

MESSAGES = [
    {"role": "system", "content": "Answer from the context."},
    {
        "role": "user",
        "content": "Context:\nThe headrace leads water to the wheel. The tailrace leads it away.\n\n"
        "Question: What leads water to the wheel?",
    },
]


def request(operation: str = "chat", /, **body: Any) -> ModelRequest:
    return ModelRequest(operation=operation, model="baseline", body=body)


def send(made: ModelRequest) -> ModelResponse:
    return asyncio.run(BaselineClient().send(made))


def stream(made: ModelRequest) -> list[StreamChunk]:
    async def collect() -> list[StreamChunk]:
        return [chunk async for chunk in BaselineClient().stream(made)]

    return asyncio.run(collect())


def test_chat_says_what_the_reader_reads() -> None:
    reading = read_chat(MESSAGES)
    response = send(request(messages=MESSAGES, temperature=0))
    (choice,) = response.body["choices"]
    assert choice["message"] == {"role": "assistant", "content": reading.text}
    assert "headrace" in reading.text
    assert (response.usage.calls, response.usage.prompt_tokens, response.usage.completion_tokens) == (
        1,
        reading.prompt_tokens,
        reading.completion_tokens,
    )
    assert (response.model, response.finish_reasons) == ("baseline", ("stop",))


def test_same_request_gives_the_same_answer_and_id() -> None:
    first, second, other = (
        send(made)
        for made in (request(messages=MESSAGES), request(messages=MESSAGES), request(messages=MESSAGES[1:]))
    )
    assert first.body == second.body
    assert first.response_id != other.response_id


def test_stream_is_the_same_answer_in_pieces_with_usage() -> None:
    chunks = stream(request(messages=MESSAGES))
    reading = read_chat(MESSAGES)
    assert "".join(chunk.text for chunk in chunks) == reading.text
    assert len([chunk for chunk in chunks if chunk.text]) == len(reading.text.split())
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == reading.completion_tokens
    assert chunks[-1].finish_reason == "stop"


def test_answer_is_cut_at_max_tokens() -> None:
    whole = read_chat(MESSAGES)
    assert whole.completion_tokens > 2
    for limit in ({"max_tokens": 2}, {"max_completion_tokens": 2}):
        response = send(request(messages=MESSAGES, **limit))
        assert response.usage.completion_tokens == 2
        assert response.finish_reasons == ("length",)


def test_json_object_is_one() -> None:
    response = send(request(messages=MESSAGES, response_format={"type": "json_object"}))
    assert response.body["choices"][0]["message"]["content"].startswith("{")


def test_several_choices_are_counted() -> None:
    response = send(request(messages=MESSAGES, n=3))
    assert [choice["index"] for choice in response.body["choices"]] == [0, 1, 2]
    assert response.usage.completion_tokens == 3 * read_chat(MESSAGES).completion_tokens


def test_completion_reads_its_prompt() -> None:
    prompt = MESSAGES[1]["content"]
    response = send(request("completion", prompt=prompt))
    assert response.body["choices"][0]["text"] == read_chat([{"role": "user", "content": prompt}]).text


def test_embeddings_have_the_asked_length_and_exact_usage() -> None:
    texts = ["water wheel", "a mill"]
    response = send(request("embeddings", input=texts, dimensions=64))
    assert [len(item["embedding"]) for item in response.body["data"]] == [64, 64]
    assert response.usage.prompt_tokens == sum(count_tokens(text) for text in texts)
    assert len(send(request("embeddings", input="one")).body["data"]) == 1


@pytest.mark.parametrize(
    "made",
    [
        request(),
        request(messages=[]),
        request(messages="hello"),
        request(messages=["hello"]),
        request(messages=MESSAGES, max_tokens=0),
        request(messages=MESSAGES, n=True),
        request("completion", prompt=["a", "b"]),
        request("embeddings", input=[]),
        request("embeddings", input=[[1, 2]]),
        request("embeddings", input="x", dimensions="many"),
    ],
)
def test_request_that_it_does_not_take(made: ModelRequest) -> None:
    with pytest.raises(RemoteRequestError) as caught:
        send(made)
    assert caught.value.problems[0].code == "P705"


def test_it_is_a_model_client_in_process() -> None:
    client: ModelClient = BaselineClient()
    assert (client.system, client.address, client.port) == ("headrace.baseline", None, None)
    asyncio.run(client.close())
    assert Connection(name="baseline", type="baseline").secrets == {}
