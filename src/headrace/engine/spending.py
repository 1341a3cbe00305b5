"""What runs may spend on model calls, and what they have spent: lines are taken only while there is enough left."""

from __future__ import annotations

from collections.abc import Callable
from shlex import quote
from typing import NamedTuple

from headrace.domain.run import Cap, Usage
from headrace.errors import Problem


class Spending:
    """Counts what finished lines have spent; shared by all runs of one command, within one event loop at a time.

    The next line is expected to spend as much as those of its batch did on average, and so are the lines in flight: a
    cap is exceeded by no more than what they spend above that. The first line of a batch is expected to spend what
    those of other arms did; the others wait for it, see :mod:`headrace.engine.batch`.
    """

    def __init__(self, cap: Cap) -> None:
        self.cap = cap
        self._n_lines = 0
        self._cost_usd = 0.0
        self._tokens = 0
        self._earlier = Usage()
        self._run = ""
        self.begin_batch()

    def begin_run(self, name: str) -> None:
        """The lines that follow are those of this run."""
        self._run = name

    def begin_batch(self) -> None:
        """The lines that follow are those of another arm, which may cost more or less."""
        self._before = (self._n_lines, self._cost_usd, self._tokens)

    def add(self, usage: Usage, *, n_lines: int = 1) -> None:
        """Count what ``n_lines`` finished lines have spent."""
        self._n_lines += n_lines
        self._cost_usd += usage.cost_usd or 0.0
        self._tokens += usage.total_tokens

    def add_earlier(self, usage: Usage, *, n_lines: int) -> None:
        """Count what the lines have spent that were finished before the run was resumed."""
        self.add(usage, n_lines=n_lines)
        self._earlier = usage
        self.begin_batch()

    def refuse(self, n_in_flight: int, n_more: int = 1) -> Problem | None:
        """Why ``n_more`` lines should not be taken while ``n_in_flight`` are on their way; ``None`` when they may be.

        The problem is E609.
        """
        n_before, cost_before, tokens_before = self._before
        if self._n_lines == n_before:
            n_before, cost_before, tokens_before = 0, 0.0, 0
        share = (n_in_flight + n_more) / (self._n_lines - n_before) if self._n_lines > n_before else 0.0
        cap, earlier = self.cap, self._earlier
        cost_usd = self._cost_usd + share * (self._cost_usd - cost_before)
        if cap.cost_usd is not None and cost_usd > cap.cost_usd:
            spent = _Spent(self._cost_usd, earlier.cost_usd or 0.0, n_in_flight)
            return _reached(spent, cap.cost_usd, _dollars, "--max-cost", self._run)
        if cap.tokens is not None and self._tokens + share * (self._tokens - tokens_before) > cap.tokens:
            spent = _Spent(self._tokens, earlier.total_tokens, n_in_flight)
            return _reached(spent, cap.tokens, _tokens, "--max-tokens", self._run)
        return None


def _dollars(amount: float) -> str:
    return f"${amount:,.4f}"


def _tokens(amount: float) -> str:
    return f"{amount:,} tokens"


class _Spent(NamedTuple):
    """By the lines that have ended, by those that had before the run was resumed, and who spends more."""

    amount: float
    earlier: float
    n_in_flight: int


def _reached(spent: _Spent, most: float, say: Callable[[float], str], option: str, run: str) -> Problem:
    limit, again = f"limit of {say(most)}", f"headrace run resume --name {quote(run)}"
    fix = f"Raise {option} and go on with: {again}"
    amount = f"{say(spent.amount)} are spent"
    if spent.earlier > most:
        what = f"Nothing was run: the {limit} counts what the run had spent before, which is {say(spent.earlier)}."
        fix = f"Give {option} more than that, or leave it away: {again}"
    elif spent.amount > most:
        what = f"The run was stopped at its {limit}: {amount}."
    elif spent.n_in_flight:
        lines = "the line" if spent.n_in_flight == 1 else f"the {spent.n_in_flight:,} lines"
        what = (
            f"The run was stopped at its {limit}: {amount} beside what {lines} in flight would take, "
            "and the next line might exceed it."
        )
    else:
        what = f"The run was stopped at its {limit}: {amount}, and the next line might exceed it."
    return Problem(code="E609", what=what, fix=fix)
