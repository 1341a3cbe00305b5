"""Compares one predicted label with the true one."""

from __future__ import annotations

from promptflow.core import tool


@tool
def grade_label(groundtruth: str, prediction: str) -> dict[str, str | int]:
    """1 when the labels are equal, apart from case and surrounding space, else 0."""
    truth, predicted = groundtruth.strip().lower(), prediction.strip().lower()
    return {"correct": int(truth == predicted), "groundtruth": truth, "prediction": predicted}
