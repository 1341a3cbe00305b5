"""Garbage collection around a short command: an eighth of the time of a single test went into it.

What imports make lives as long as the process. Looking through it for garbage while it is made, and once more when
the interpreter closes, finds nothing.
"""

from __future__ import annotations

import gc


def pause_collection() -> None:
    """Collect nothing while modules are imported."""
    gc.disable()


def resume_collection() -> None:
    """Collect as usual from here on, except for what is there already; does nothing unless it was paused."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def skip_last_collection() -> None:
    """Spare the interpreter the search through everything when it closes."""
    gc.freeze()
