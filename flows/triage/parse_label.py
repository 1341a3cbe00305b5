"""Brings a model's answer into the one spelling of a label."""

from __future__ import annotations

import re

from promptflow.core import tool

LABELS = (
    "billing",
    "account_access",
    "bug",
    "how_to",
    "feature_request",
    "integration",
    "performance",
    "security",
)
UNKNOWN = "unknown"


@tool
def parse_label(raw: str) -> str:
    """The label that the answer names, or `unknown` when it names none or several.

    Models add things: `Label: Billing.`, `**how-to**`, `{"label": "bug"}`. Case, punctuation and the
    sign between two words do not matter; an answer that names two labels is no answer.
    """
    words = " ".join(re.findall(r"[a-z]+", raw.lower().replace("_", " ")))
    named = [label for label in LABELS if re.search(rf"\b{label.replace('_', ' ')}\b", words)]
    return named[0] if len(named) == 1 else UNKNOWN
