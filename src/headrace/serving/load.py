"""How busy a process is that serves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Load:
    """How busy a process is.

    Attributes:
        n_running: Requests that have a place.
        n_waiting: Requests that wait for one.
        n_refused: Requests that were sent away so far, because there was no room.
        n_cut: Requests that were ended so far, because they took too long, or the server stopped.
        n_gone: Requests whose client went away so far.
        mean_s: How long requests have a place, seconds; recent ones count more.
    """

    n_running: int = 0
    n_waiting: int = 0
    n_refused: int = 0
    n_cut: int = 0
    n_gone: int = 0
    mean_s: float = 0.0
