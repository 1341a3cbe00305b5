from promptflow.core import tool


@tool
def grade(groundtruth: str, prediction: str) -> int:
    return int(groundtruth.strip().lower() == prediction.strip().lower())
