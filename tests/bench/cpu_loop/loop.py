from promptflow.core import tool


@tool
def loop(text: str) -> int:
    """Some milliseconds of pure Python."""
    return sum(number * number % 7 for number in range(100_000)) + len(text)
