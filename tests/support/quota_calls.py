"""One process of many that call a limited service: ``python -m tests.support.quota_calls URL N CONCURRENCY MINUTE_S``.

Prints how many calls were answered and how many were refused before.
"""

from __future__ import annotations

import asyncio
import json
import sys

from headrace.config import load_settings, quota_folder
from headrace.domain.connection import Connection
from headrace.providers.base import ModelRequest
from headrace.providers.quota import Quota
from headrace.providers.registry import open_client

REQUEST = ModelRequest(operation="chat", model="m", body={"messages": [{"role": "user", "content": "hi"}]})


async def call(url: str, n: int, concurrency: int, minute_s: float) -> None:
    """Send the calls."""
    settings = load_settings()
    quota = Quota(settings, quota_folder(settings), minute_s=minute_s)
    connection = Connection(name="limited", type="open_ai", configs={"base_url": url})
    client = open_client(connection, lambda *_: None, settings, quota)
    numbers = iter(range(n))
    answered = 0

    async def work() -> None:
        nonlocal answered
        for _ in numbers:
            await client.send(REQUEST)
            answered += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    await client.close()
    (use,) = quota.snapshot()
    quota.close()
    print(json.dumps({"answered": answered, "refused": use.refused, "sent": use.sent}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(call(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
