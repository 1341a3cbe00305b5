from promptflow import log_metric, tool


@tool
def mean(holds: list[float]) -> float:
    value = sum(holds) / len(holds)
    log_metric("holds", value)
    return value
