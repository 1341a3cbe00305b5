"""What runs may spend on model calls, and what they have spent: lines are taken only while there is enough left."""

from __future__ import annotations

from collections.abc import Callable

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
        self.begin_batch()

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

    def refuse(self, n_in_flight: int) -> Problem | None:
        """Why no further line should be taken while ``n_in_flight`` are on their way; ``None`` when one may be.

        The problem is E609.
        """
        n_before, cost_before, tokens_before = self._before
        if self._n_lines == n_before:
            n_before, cost_before, tokens_before = 0, 0.0, 0
        share = (n_in_flight + 1) / (self._n_lines - n_before) if self._n_lines > n_before else 0.0
        cap, earlier = self.cap, self._earlier
        cost_usd = self._cost_usd + share * (self._cost_usd - cost_before)
        if cap.cost_usd is not None and cost_usd > cap.cost_usd:
            return _reached(self._cost_usd, earlier.cost_usd or 0.0, cap.cost_usd, _dollars, "--max-cost")
        if cap.tokens is not None and self._tokens + share * (self._tokens - tokens_before) > cap.tokens:
            return _reached(self._tokens, earlier.total_tokens, cap.tokens, _tokens, "--max-tokens")
        return None


def _dollars(amount: float) -> str:
    return f"${amount:,.4f}"


def _tokens(amount: float) -> str:
    return f"{amount:,} tokens"


def _reached(spent: float, earlier: float, most: float, say: Callable[[float], str], option: str) -> Problem:
    limit, fix = f"limit of {say(most)}", f"Raise {option} and go on with: headrace run resume"
    if earlier > most:
        what = f"Nothing was run: the {limit} counts what the run had spent before, which is {say(earlier)}."
        fix = f"Give {option} more than that, or leave it away: headrace run resume"
    elif spent > most:
        what = f"The run was stopped at its {limit}: {say(spent)} are spent."
    else:
        what = (
            f"The run was stopped at its {limit}: {say(spent)} are spent, and the next line might exceed it."
        )
    return Problem(code="E609", what=what, fix=fix)
