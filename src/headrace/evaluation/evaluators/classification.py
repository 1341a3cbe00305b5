"""Labels: right or wrong on each line; accuracy, F1 of each label and the table of confusions over all lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.evaluation.evaluators.base import Judge, Scores, score
from headrace.evaluation.evaluators.matching import NORMALISATIONS
from headrace.evaluation.evaluators.text import as_text, references_of, shorten

UNKNOWN = "(other)"
"""Stands for an answer that is none of the labels."""


def make_classification(*, labels: Sequence[str], normalisation: str) -> Judge:
    """1 where the label is the right one after ``normalisation``, else 0; an answer that is no label is wrong."""
    change = NORMALISATIONS[normalisation]
    known = {change(as_text(label)): as_text(label) for label in labels}

    def judge(prediction: Any = None, reference: Any = None) -> Scores:
        wanted = change(references_of(reference, "classification")[0])
        given = change(as_text(prediction))
        shown = known.get(given, UNKNOWN) if known else given or UNKNOWN
        is_right = given == wanted
        reason = None if is_right else f"Expected {shorten(wanted)!r}, got {shorten(as_text(prediction))!r}."
        return {"correct": score(float(is_right), reason, f"{known.get(wanted, wanted)} → {shown}")}

    return judge


def aggregate_labels(lines: Sequence[Mapping[str, Any]], name: str) -> dict[str, float]:
    """Accuracy, macro F1, F1 per label and the count of each confusion.

    Macro F1 is the mean of F1 over the labels that occur as right answers or as answers, as scikit-learn computes
    ``f1_score(average="macro", zero_division=0)``; answers that are no label count as a label of their own there only
    where no labels were given.

    Args:
        lines: What the evaluator returned for each line.
        name: Of the evaluator.
    """
    pairs = Counter(_pair(line[f"{name}_label"]) for line in lines if line.get(f"{name}_label"))
    total = pairs.total()
    if not total:
        return {}
    labels = sorted({label for pair in pairs for label in pair if label != UNKNOWN})
    f1 = {label: _f1(pairs, label) for label in labels}
    metrics = {
        "accuracy": sum(count for (wanted, given), count in pairs.items() if wanted == given) / total,
        "macro_f1": sum(f1.values()) / len(f1) if f1 else 0.0,
    }
    metrics |= {f"f1.{label}": value for label, value in f1.items()}
    metrics |= {
        f"confusion.{wanted} → {given}": float(count) for (wanted, given), count in sorted(pairs.items())
    }
    return metrics


def _pair(label: str) -> tuple[str, str]:
    wanted, _, given = label.partition(" → ")
    return wanted, given


def _f1(pairs: Counter[tuple[str, str]], label: str) -> float:
    hits = pairs[label, label]
    given = sum(count for pair, count in pairs.items() if pair[1] == label)
    wanted = sum(count for pair, count in pairs.items() if pair[0] == label)
    return 2 * hits / (given + wanted) if given + wanted else 0.0
