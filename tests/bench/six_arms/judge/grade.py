from promptflow.core import tool


@tool
def grade(answer: str) -> int:
    return len(answer)
