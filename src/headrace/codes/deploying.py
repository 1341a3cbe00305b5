"""Codes of deployments, the family X."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

DEPLOY_CODES: Mapping[str, Entry] = {}
