"""What a run is called when nobody says so, and the macros of its title."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePath

from headrace.domain.flow import DAG, Flow

_DEFAULT_VARIANT = "variant_0"


def default_name(flow: Flow, choices: Mapping[str, str], now: datetime) -> str:
    """Prompt flow's form: ``<flow>_<variant>_<time>``; flex flows and prompties have no variants.

    Args:
        flow: The flow.
        choices: Node name to variant id, for the nodes whose variant was chosen.
        now: When the run begins.
    """
    variants = [*(choices.values() or [_DEFAULT_VARIANT])] if flow.kind == DAG else []
    words = [PurePath(flow.folder).name, *variants, now.strftime("%Y%m%d_%H%M%S_%f")]
    return re.sub(r"[\W_]+", "_", "_".join(words))


def expand_title(
    text: str | None, *, choices: Mapping[str, str], source_run: str | None, now: datetime
) -> str | None:
    """A ``display_name`` with ``${variant_id}``, ``${timestamp}`` and ``${run}`` filled in.

    ``${run}`` is the run that is evaluated; without one the text stays as it is.
    """
    if text is None:
        return None
    values = {
        "variant_id": "_".join(choices.values()) or _DEFAULT_VARIANT,
        "timestamp": now.strftime("%Y%m%d%H%M"),
    }
    if source_run is not None:
        values["run"] = source_run
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    return text
