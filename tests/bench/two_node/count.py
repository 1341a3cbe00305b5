from promptflow.core import tool


@tool
def count(prompt: str) -> int:
    return len(prompt.split())
