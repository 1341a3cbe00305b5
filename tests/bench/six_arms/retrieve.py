"""Notes each of its calls, so that they can be counted."""

import os

from promptflow.core import tool


@tool
def retrieve(text: str) -> str:
    with open(os.environ["BENCH_CALLS"], "a") as calls:
        calls.write(text + "\n")
    return text[::-1]
