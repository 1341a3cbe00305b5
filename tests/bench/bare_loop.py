"""Bare asyncio loops around a client that record nothing: ``python bare_loop.py CLIENT URL N CONCURRENCY``.

CLIENT is ``openai``, ``aiohttp`` or ``headrace``, the client that runs use.
"""

import asyncio
import importlib.util
import sys
import time

CLIENT, URL, N, CONCURRENCY = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


def messages(number):
    return [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": f"text {number}"}]


async def main():
    if CLIENT == "openai":
        import openai

        # The fastest transport that the package offers; without aiohttp there is only its own.
        is_installed = importlib.util.find_spec("aiohttp") is not None
        transport = openai.DefaultAioHttpClient if is_installed else openai.DefaultAsyncHttpxClient
        client = openai.AsyncOpenAI(base_url=URL, api_key="bench", max_retries=0, http_client=transport())

        async def call(number):
            await client.chat.completions.create(model="bench", temperature=0, messages=messages(number))
    elif CLIENT == "headrace":
        from headrace.config import load_settings
        from headrace.domain.connection import Connection
        from headrace.providers.base import ModelRequest
        from headrace.providers.registry import open_client

        connection = Connection(name="bench", type="open_ai", configs={"base_url": URL})
        client = open_client(connection, lambda *_: None, load_settings())

        async def call(number):
            body = {"temperature": 0, "messages": messages(number)}
            await client.send(ModelRequest(operation="chat", model="bench", body=body))
    else:
        import aiohttp

        client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY))

        async def call(number):
            body = {"model": "bench", "temperature": 0, "messages": messages(number)}
            async with client.post(f"{URL}/chat/completions", json=body) as response:
                await response.json()

    numbers = iter(range(N))

    async def work():
        for number in numbers:
            await call(number)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(work())
    print(f"{time.perf_counter() - began:.3f}")
    await client.close()


asyncio.run(main())
