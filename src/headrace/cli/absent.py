"""Commands and options of ``pf`` that headrace does not have yet, each with what to do instead."""

from __future__ import annotations

from collections.abc import Mapping

ABSENT: Mapping[str, str] = {
    "service": "No service is needed: runs and spans are in one file that headrace run list and run trace read.",
    "run build": "A run keeps no flow of its own to pack: headrace flow build packs the flow.",
    "flow test --port": "There is no page to chat on: chat in the terminal with --interactive.",
    "flow test --url-params": "There is no page to chat on: chat in the terminal with --interactive.",
    "flow test --experiment": "A chain of flows is tried out with headrace experiment test --template FILE.",
    "experiment list --archived-only": "Chains of flows are never archived: headrace experiment list shows all.",
    "experiment list --include-archived": "Chains of flows are never archived: headrace experiment list shows all.",
    "upgrade": "Upgrade with what installed it, such as pip install --upgrade headrace.",
}
"""Command path, or command path and option, without ``headrace``: one sentence."""


def find_instead(path: str, name: str) -> str | None:
    """What to do instead of ``name``, a command or an option that ``pf`` has and headrace does not.

    Args:
        path: The command that it was given to, e.g. ``headrace run``.
        name: As it was written.
    """
    return ABSENT.get(f"{path.partition(' ')[2]} {name}".strip())
