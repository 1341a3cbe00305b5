from promptflow.core import tool


@tool
def count_words(prompt: str) -> int:
    return len(prompt.split())
