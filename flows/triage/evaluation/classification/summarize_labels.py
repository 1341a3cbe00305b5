"""Accuracy, macro F1 and the confusion table of a classification."""

from __future__ import annotations

from collections import Counter

from promptflow.core import log_metric, tool


@tool
def summarize_labels(grades: list[dict[str, str | int]]) -> dict[str, object]:
    """Logs `accuracy` and `macro_f1`, returns them with the F1 of each label and the confusion table.

    Macro F1 is the plain mean of F1 = 2 TP / (2 TP + FP + FN) over the labels that occur in the
    ground truth, so that a rare label counts as much as a common one. A prediction outside of these
    labels is a miss of the true label and has no F1 of its own. The confusion table maps each true
    label to its predictions and their counts. Without any line nothing is logged.
    """
    pairs = [(str(grade["groundtruth"]), str(grade["prediction"])) for grade in grades]
    if not pairs:
        return {"lines": 0, "f1": {}, "confusion": {}}
    counts = Counter(pairs)
    labels = sorted({truth for truth, _ in pairs})
    f1 = {label: _f1(label, counts) for label in labels}
    accuracy = sum(truth == predicted for truth, predicted in pairs) / len(pairs)
    macro_f1 = sum(f1.values()) / len(labels)
    log_metric("accuracy", accuracy)
    log_metric("macro_f1", macro_f1)
    return {
        "lines": len(pairs),
        "accuracy": accuracy,
        "macro_f1": macro_f1,
        "f1": f1,
        "confusion": {label: _predictions(label, counts) for label in labels},
    }


def _f1(label: str, counts: Counter[tuple[str, str]]) -> float:
    hits = counts[label, label]
    true = sum(count for (truth, _), count in counts.items() if truth == label)
    predicted = sum(count for (_, prediction), count in counts.items() if prediction == label)
    return 2 * hits / (true + predicted)


def _predictions(label: str, counts: Counter[tuple[str, str]]) -> dict[str, int]:
    found = {prediction: count for (truth, prediction), count in counts.items() if truth == label}
    return dict(sorted(found.items()))
