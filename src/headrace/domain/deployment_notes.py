"""What is noted in tags of an endpoint, as JSON of at most 256 characters, which is what Azure takes."""

from __future__ import annotations

import json
from collections.abc import Mapping

_LONGEST_TAG = 256
_SPEC_DIGITS = 8


def render_previous(traffic: Mapping[str, int], specs: Mapping[str, str]) -> str:
    """The tag :data:`~headrace.domain.deployment.PREVIOUS_TAG`: who had which share, and what each was made from.

    Args:
        traffic: Deployment to percent.
        specs: Deployment to the digest that it was made from.

    Returns:
        JSON such as ``{"blue":[90,"1f2e3d4c"]}``: without the digests where they are too long, and empty where that is
        too long as well.
    """
    full = {name: [percent, specs.get(name, "")[:_SPEC_DIGITS]] for name, percent in traffic.items()}
    texts = (json.dumps(data, separators=(",", ":")) for data in (full, dict(traffic)))
    return next((text for text in texts if len(text) <= _LONGEST_TAG), "")


def read_previous(text: str) -> tuple[dict[str, int], dict[str, str]]:
    """Shares and digests of a tag that :func:`render_previous` wrote; both empty for anything else."""
    try:
        data = json.loads(text or "{}")
    except ValueError:
        return {}, {}
    traffic: dict[str, int] = {}
    specs: dict[str, str] = {}
    for name, said in data.items() if isinstance(data, dict) else ():
        percent, spec = said if isinstance(said, list) and len(said) == 2 else (said, "")
        if not isinstance(percent, int) or isinstance(percent, bool) or not isinstance(spec, str):
            return {}, {}
        traffic[name] = percent
        if spec:
            specs[name] = spec
    return traffic, specs


def render_untried(specs: Mapping[str, str]) -> str:
    """The tag :data:`~headrace.domain.deployment.UNTRIED_TAG`: who has not answered a sample since it was changed.

    Args:
        specs: Deployment to the digest that it is made from.

    Returns:
        JSON such as ``{"blue":"1f2e3d4c"}``, of as many as there is room for; empty for none.
    """
    noted: dict[str, str] = {}
    text = ""
    for name, spec in sorted(specs.items()):
        noted[name] = spec[:_SPEC_DIGITS]
        longer = json.dumps(noted, separators=(",", ":"))
        if len(longer) > _LONGEST_TAG:
            break
        text = longer
    return text


def read_untried(text: str) -> dict[str, str]:
    """What :func:`render_untried` wrote; empty for anything else."""
    try:
        data = json.loads(text or "{}")
    except ValueError:
        return {}
    found = data if isinstance(data, dict) else {}
    return {name: spec for name, spec in found.items() if isinstance(spec, str) and spec}
