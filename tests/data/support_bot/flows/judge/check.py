from promptflow import tool


@tool
def check(answer: str, truth: str) -> float:
    return float(truth.lower() in answer.lower())
