"""Codes of evidence of live traffic (S, from 851)."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

EVIDENCE_CODES: Mapping[str, Entry] = {
    "S851": Entry(
        "journal-not-written",
        "Evidence that could not be recorded",
        "The journal of a server that splits traffic is out of reach, or its disk is full.",
    ),
}
