"""Racing: arms answer lines in a random order, and those that can hardly win any more are dropped.

Two rules decide. The lead rule protects the arm that would win over all lines of the data: the only chance in it is the
order of the lines, so nothing is assumed about the lines themselves. The evidence rule protects the arm that is best
over all lines like these: it takes the lines for independent draws and may be looked at after every one.

Source: ballot theorem for bridges: Feller, An Introduction to Probability Theory, volume 1, chapter III; the correction
for looks after blocks: Siegmund (1985), Sequential Analysis, chapter X; evidence: Ramdas et al. (2023), Statistical
Science 38:576.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb, exp, inf, lgamma, log, sqrt
from typing import Final

from headrace.domain.race import RaceMode
from headrace.evaluation.stats.betting import NO_BETS, add_bets, log_mean
from headrace.evaluation.stats.estimate import TIE_TOLERANCE
from headrace.evaluation.stats.special import incomplete_beta

DISCRETE_LOOK: Final = 0.5826
"""How far a walk overshoots between two looks, in standard deviations of a block: Siegmund (1985)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What a look at a race is decided by.

    Attributes:
        n_lines: Lines of the whole race.
        n_arms: Arms at its start.
        batch: Lines between two looks.
        start: Lines before the first look; never fewer than ``batch``.
        score_range: Largest less smallest possible score.
    """

    n_lines: int
    n_arms: int
    mode: RaceMode = "winner"
    alpha: float = 0.05
    batch: int = 10
    start: int = 20
    score_range: float = 1.0

    @property
    def first_look(self) -> int:
        """Lines before the first decision."""
        return max(self.start, self.batch)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fall:
    """Why an arm is dropped at a look; see :class:`~headrace.domain.race.Drop`."""

    arm: int
    ahead: int
    deficit: float
    spread: float | None = None
    p: float | None = None
    log_e: float | None = None


class Tally:
    """Scores of the arms line by line, and the sums of their pairwise differences.

    Args:
        n_arms: Arms are told by their numbers from 0.
        keeps_lines: Whether single differences are needed later on, for evidence about means.
    """

    def __init__(self, n_arms: int, *, keeps_lines: bool = False) -> None:
        self.n_lines = 0
        self.totals = [0.0] * n_arms
        self._sums = [[0.0] * n_arms for _ in range(n_arms)]
        self._squares = [[0.0] * n_arms for _ in range(n_arms)]
        self._wins = [[0] * n_arms for _ in range(n_arms)]
        self._lines: list[Mapping[int, float]] | None = [] if keeps_lines else None
        self._logs: dict[tuple[int, int], tuple[int, tuple[float, ...]]] = {}
        self.is_binary = True

    def add(self, scores: Mapping[int, float]) -> None:
        """Count one line: the scores of all arms that are still in the race, higher being better."""
        self.n_lines += 1
        arms = list(scores)
        for place, first in enumerate(arms):
            value = scores[first]
            self.totals[first] += value
            if self.is_binary and value not in (0.0, 1.0):
                self.is_binary = False
            for second in arms[place + 1 :]:
                gap = value - scores[second]
                if abs(gap) > TIE_TOLERANCE:
                    self._note(first, second, gap)
        if self._lines is not None:
            self._lines.append(dict(scores))

    def _note(self, first: int, second: int, gap: float) -> None:
        self._sums[first][second] += gap
        self._sums[second][first] -= gap
        self._squares[first][second] += gap * gap
        self._squares[second][first] += gap * gap
        winner, loser = (first, second) if gap > 0.0 else (second, first)
        self._wins[winner][loser] += 1

    def deficit(self, arm: int, rival: int) -> float:
        """How much more the rival has scored than the arm on the lines that both have."""
        return self._sums[rival][arm]

    def squares(self, arm: int, rival: int) -> float:
        """Sum of their squared differences."""
        return self._squares[arm][rival]

    def wins(self, arm: int, rival: int) -> int:
        """Lines on which the arm scored higher than the rival."""
        return self._wins[arm][rival]

    def log_e(self, arm: int, rival: int, score_range: float) -> float:
        """Evidence that the arm is worse than the rival: bets on what the rival is ahead by.

        What earlier looks added up is kept, so that a race does not grow with the square of its lines.
        """
        lines = self._lines or []
        seen, logs = self._logs.get((arm, rival), (0, NO_BETS))
        logs = add_bets(logs, [line[rival] - line[arm] for line in lines[seen:]], score_range)
        self._logs[arm, rival] = len(lines), logs
        return log_mean(logs)


def leader(tally: Tally, alive: Sequence[int]) -> int:
    """The arm with the highest total; of equal ones the first."""
    best = alive[0]
    for arm in alive[1:]:
        if tally.totals[arm] > tally.totals[best] + TIE_TOLERANCE:
            best = arm
    return best


def ballot_p(lead: int, discordant: int) -> float:
    """Chance that a race that ends in a tie is ever led by ``lead``.

    Args:
        lead: Lines by which one arm is ahead at some moment, at least 0.
        discordant: Lines on which the two arms differ, over the whole race.

    Source: reflection principle, C(D, D/2 + k) / C(D, D/2).
    """
    return comb(discordant, discordant // 2 + lead) / comb(discordant, discordant // 2)


def lead_spread(squares: float, n_seen: int, n_lines: int, score_range: float = 1.0) -> float:
    """What squared differences are expected to add up to over all lines, with two imagined lines of full difference.

    Args:
        squares: Their sum over the lines seen.
        n_seen: Lines seen.
        n_lines: Lines of the whole race.
        score_range: Largest difference possible.
    """
    return (squares + 2.0 * score_range**2) * n_lines / (n_seen + 2)


def lead_p(deficit: float, spread: float, *, batch: int, n_lines: int) -> float:
    """Chance of such a deficit at some look, had the two arms been equal over all lines.

    exp(-2 (k + .5826 sqrt(D b / N))^2 / D) for k > 0, which is the ballot theorem in its continuous form, corrected for
    looks after blocks of ``b`` lines.

    Args:
        deficit: Lead of the other arm over the lines seen.
        spread: See :func:`lead_spread`; above zero.
        batch: Lines of a block.
        n_lines: Lines of the whole race.
    """
    if deficit <= 0.0:
        return 1.0
    reach = deficit + DISCRETE_LOOK * sqrt(spread * batch / n_lines)
    return exp(-2.0 * reach * reach / spread)


def sequential_mcnemar_log_e(wins: int, losses: int) -> float:
    """Natural logarithm of the evidence that an arm is worse than another, from lines on which they differ.

    E = 2^m 2 B(w+2, l+2) I_{1/2}(w+2, l+2) / B(2, 2), with m = w + l: while the arm is no worse, the chance that it
    ever exceeds 1/alpha is at most alpha, however often one looks.

    Args:
        wins: Lines on which the arm scored higher.
        losses: Lines on which it scored lower.

    Source: Ville's inequality for the mixture of coin bets over a Beta(2, 2) on the worse half.
    """
    a, b = wins + 2, losses + 2
    log_beta = lgamma(a) + lgamma(b) - lgamma(a + b)
    return (wins + losses + 1) * log(2.0) + log_beta + _log_lower_half(a, b) + log(6.0)


def _log_lower_half(a: int, b: int) -> float:
    """Logarithm of I_{1/2}(a, b), also where it is too small for a float."""
    share = incomplete_beta(0.5, a, b)
    if share > 1e-250:
        return log(share)
    n = a + b - 1
    return log(sum(comb(n, k) for k in range(a, n + 1))) - n * log(2.0)


def falls(tally: Tally, alive: Sequence[int], rules: Rules) -> tuple[Fall, ...]:
    """The arms to drop at a look, in order of their numbers; never the leader.

    Args:
        tally: All lines so far.
        alive: Arms that are still in the race, in order of their numbers.
        rules: What decides.
    """
    if tally.n_lines < rules.first_look or len(alive) < 2:
        return ()
    ahead = leader(tally, alive)
    found = []
    for arm in alive:
        if arm != ahead:
            rivals = [rival for rival in alive if rival != arm]
            rule = _behind if rules.mode == "winner" else _outweighed
            fall = rule(tally, arm, rivals, rules)
            if fall is not None:
                found.append(fall)
    return tuple(found)


def _behind(tally: Tally, arm: int, rivals: Sequence[int], rules: Rules) -> Fall | None:
    """The lead rule; where several rivals decide, the strongest case."""
    worst: Fall | None = None
    for rival in rivals:
        deficit = tally.deficit(arm, rival)
        if deficit <= TIE_TOLERANCE:
            continue
        spread = lead_spread(tally.squares(arm, rival), tally.n_lines, rules.n_lines, rules.score_range)
        p = lead_p(deficit, spread, batch=rules.batch, n_lines=rules.n_lines)
        if deficit > rules.score_range * (rules.n_lines - tally.n_lines) + TIE_TOLERANCE:
            p = 0.0
        if p > rules.alpha / len(rivals):
            continue
        if worst is None or (p, -deficit) < (worst.p, -worst.deficit):
            worst = Fall(arm=arm, ahead=rival, deficit=deficit, spread=spread, p=p)
    return worst


def _outweighed(tally: Tally, arm: int, rivals: Sequence[int], rules: Rules) -> Fall | None:
    """The evidence rule; where several rivals decide, the strongest case."""
    needed = log((rules.n_arms - 1) / rules.alpha)
    worst: Fall | None = None
    for rival in rivals:
        if tally.is_binary:
            log_e = sequential_mcnemar_log_e(tally.wins(arm, rival), tally.wins(rival, arm))
        else:
            log_e = tally.log_e(arm, rival, rules.score_range)
        if log_e >= needed and (worst is None or log_e > (worst.log_e or -inf)):
            worst = Fall(arm=arm, ahead=rival, deficit=tally.deficit(arm, rival), log_e=log_e)
    return worst


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """A race over scores that are all known.

    Attributes:
        winner: Number of the arm that is ahead at the end.
        calls: Answers that the race needed.
        full_grid_calls: Answers of all arms to all lines.
        dropped_at: Arm to the lines that all arms had answered when it was dropped.
    """

    winner: int
    calls: int
    full_grid_calls: int
    dropped_at: Mapping[int, int]


def race(
    matrix: Sequence[Sequence[float]],
    order: Sequence[int] | None = None,
    *,
    batch: int = 10,
    start: int = 20,
    alpha: float = 0.05,
    mode: RaceMode = "winner",
    score_range: float = 1.0,
) -> Replay:
    """Race arms of which every score is known, to see what a race would have done.

    Args:
        matrix: Per arm its score on every line, higher being better.
        order: Numbers of the lines in the order of the race; as they stand when left out.
        batch: Lines between two looks.
        start: Lines before the first look.
        alpha: Chance of dropping the winner that is accepted.
        mode: Which rule decides.
        score_range: Largest less smallest possible score.

    Raises:
        ValueError: There is no arm, or the arms have not answered the same number of lines.
    """
    if not matrix or len({len(row) for row in matrix}) > 1:
        msg = "a race needs arms that have answered the same lines"
        raise ValueError(msg)
    lines = range(len(matrix[0])) if order is None else order
    rules = Rules(
        n_lines=len(lines),
        n_arms=len(matrix),
        mode=mode,
        alpha=alpha,
        batch=batch,
        start=start,
        score_range=score_range,
    )
    tally = Tally(len(matrix), keeps_lines=mode == "population")
    alive = list(range(len(matrix)))
    dropped: dict[int, int] = {}
    calls = 0
    while tally.n_lines < len(lines) and len(alive) > 1:
        for line in lines[tally.n_lines : tally.n_lines + batch]:
            tally.add({arm: matrix[arm][line] for arm in alive})
            calls += len(alive)
        fallen = {fall.arm for fall in falls(tally, alive, rules)}
        dropped.update((arm, tally.n_lines) for arm in alive if arm in fallen)
        alive = [arm for arm in alive if arm not in fallen]
    return Replay(
        winner=leader(tally, alive),
        calls=calls,
        full_grid_calls=len(matrix) * len(lines),
        dropped_at=dropped,
    )
