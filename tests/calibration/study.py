"""What a study finds: a table for readers and checks for machines."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt


@dataclass(frozen=True)
class Check:
    """A number and where it has to lie."""

    what: str
    value: float
    low: float = -inf
    high: float = inf

    @property
    def holds(self) -> bool:
        return self.low <= self.value <= self.high

    def __str__(self) -> str:
        if self.low == -inf:
            bounds = f"at most {self.high:.3f}"
        elif self.high == inf:
            bounds = f"at least {self.low:.3f}"
        else:
            bounds = f"{self.low:.3f} to {self.high:.3f}"
        return f"{self.what}: {self.value:.3f}, wanted {bounds}"


@dataclass(frozen=True)
class Study:
    """Part of the page: a table with a sentence before it, and what has to hold."""

    title: str
    text: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    checks: tuple[Check, ...]

    def markdown(self) -> str:
        lines = [f"## {self.title}", "", self.text, "", _row(self.header), _row(("---",) * len(self.header))]
        return "\n".join([*lines, *map(_row, self.rows), ""])


def noise(share: float, runs: int) -> float:
    """Three standard errors of a share that was seen in ``runs`` simulations."""
    return 3.0 * sqrt(share * (1.0 - share) / runs)


def reproduces(what: str, value: float, published: float, *, runs: int, slack: float = 0.005) -> Check:
    """The value that was found before, within the noise of both simulations and the last digit printed."""
    margin = noise(min(0.97, max(0.03, published)), runs) * 1.5 + slack
    return Check(what, value, published - margin, published + margin)


def number(value: float) -> str:
    return f"{value:.3f}"


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
