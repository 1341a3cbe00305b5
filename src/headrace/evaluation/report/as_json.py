"""A comparison as JSON, for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime

from headrace.domain.comparison import Comparison
from headrace.domain.report import ReportContext
from headrace.evaluation.report.race import recommend

#: Raised when a field changes its meaning or goes away.
SCHEMA_VERSION = 2


def render_json(comparison: Comparison, context: ReportContext) -> str:
    """Render :func:`comparison_to_plain` as one JSON object; no NaN ever appears."""
    return (
        json.dumps(comparison_to_plain(comparison, context), ensure_ascii=False, allow_nan=False, indent=2)
        + "\n"
    )


def comparison_to_plain(comparison: Comparison, context: ReportContext) -> dict[str, object]:
    """A comparison, its recommendation and its context as plain data.

    Field names are those of the domain types; what is not known is ``None``.
    """
    return {
        "schema": SCHEMA_VERSION,
        "context": _plain(context),
        "recommendation": _plain(recommend(comparison, context)),
        "comparison": _plain(comparison),
    }


def _plain(value: object) -> object:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value
