"""Races: the order of the lines, and who is in the race after the blocks that are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from math import fsum

from headrace.domain.race import Drop, RaceSpec
from headrace.domain.scores import LineObservation, MetricSpec
from headrace.evaluation.line_scores import usable_score
from headrace.evaluation.stats.racing import Fall, Rules, Tally, falls, leader

_FEW_LINES = 10
"""Smaller blocks decide hardly earlier, and every block costs the time to get ready."""

LineScores = Mapping[str, Mapping[int, float | None]]
"""Arm to line number to its score, higher being better; ``None`` where the line is done and has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """What a race is run over.

    Attributes:
        spec: Its batch is settled.
        arms: In the order of the experiment.
        order: Numbers of all lines in the order of the race.
    """

    spec: RaceSpec
    arms: tuple[str, ...]
    order: tuple[int, ...]

    @property
    def batch(self) -> int:
        """Lines of a block."""
        return self.spec.batch or 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a race stands.

    Attributes:
        blocks: Blocks that are done and decided.
        n_lines: Their lines.
        alive: Arms that are still in the race, in the order of the experiment.
        drops: The others.
        left_out: Lines that counted for nobody, because an arm has no score there.
        leader: The arm that is ahead among those in the race.
        next_lines: Numbers of the lines of the next block; empty where the race is over.
    """

    blocks: int
    n_lines: int
    alive: tuple[str, ...]
    drops: Mapping[str, Drop] = field(default_factory=dict)
    left_out: tuple[int, ...] = ()
    leader: str
    next_lines: tuple[int, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to run."""
        return not self.next_lines


def draw_order(n_lines: int, seed: int) -> tuple[int, ...]:
    """The numbers from 0 in a random order that is the same everywhere: by the SHA-256 of ``seed:number``."""
    return tuple(sorted(range(n_lines), key=lambda number: sha256(f"{seed}:{number}".encode()).digest()))


def order_digest(order: Sequence[int]) -> str:
    """SHA-256 over the numbers, separated by commas; hexadecimal."""
    return sha256(",".join(map(str, order)).encode()).hexdigest()


def score_line(
    observations: Sequence[LineObservation], metric: MetricSpec, score_range: float | None
) -> float | None:
    """What a line counts in a race, higher being better: the mean over its repeats.

    A failed execution counts as the worst value of a metric from 0 to 1. A metric with another range has no worst value
    that is known, so the line has no score then and is left out for all arms, as a line is that an evaluator could not
    judge.

    Args:
        observations: One per repeat.
        metric: The primary metric.
        score_range: The range that was given; ``None`` for 0 to 1.
    """
    found: list[float] = []
    for observation in observations:
        score = usable_score(observation.scores.get(metric.name))
        if observation.is_failed and score_range is None:
            score = 0.0 if metric.direction == "higher" else 1.0
        elif observation.is_failed:
            score = None
        if score is None:
            return None
        found.append(score)
    if not found:
        return None
    mean = found[0] if len(found) == 1 else fsum(found) / len(found)
    if metric.direction == "higher":
        return mean
    return 1.0 - mean if score_range is None else -mean


def find_standing(field: Field, scores: LineScores) -> Standing:
    """Decide every block of which all arms in the race have done all lines, one after the other.

    The same scores give the same standing, so a race that was interrupted goes on as if it had not been. Nothing is
    dropped after the last line: then all is known.
    """
    names = {name: number for number, name in enumerate(field.arms)}
    alive, drops, left_out = list(names.values()), {}, []
    tally = Tally(len(names), keeps_lines=field.spec.mode == "population")
    blocks = 0
    next_lines: tuple[int, ...] = ()
    for begin in range(0, len(field.order), field.batch):
        if len(alive) < 2:
            break
        block = field.order[begin : begin + field.batch]
        present = {number: scores.get(field.arms[number], {}) for number in alive}
        if any(line not in done for done in present.values() for line in block):
            next_lines = block
            break
        for line in block:
            values = {number: done[line] for number, done in present.items()}
            usable = {number: value for number, value in values.items() if value is not None}
            if len(usable) == len(values):
                tally.add(usable)
            else:
                left_out.append(line)
        blocks += 1
        if begin + len(block) < len(field.order):
            rules = _rules(field, len(field.order) - len(left_out))
            for fall in falls(tally, alive, rules):
                drops[field.arms[fall.arm]] = _drop(fall, field.arms, blocks, begin + len(block))
            alive = [number for number in alive if field.arms[number] not in drops]
    return Standing(
        blocks=blocks,
        n_lines=min(blocks * field.batch, len(field.order)),
        alive=tuple(field.arms[number] for number in alive),
        drops=drops,
        left_out=tuple(left_out),
        leader=field.arms[leader(tally, alive)],
        next_lines=next_lines,
    )


def settle_batch(spec: RaceSpec, n_at_once: int, n_lines: int) -> RaceSpec:
    """The race with the size of its blocks, where it does not say: a twentieth of the lines, 10 or more.

    No more than an arm answers at once, as a larger block is no faster.

    Args:
        spec: As it was asked for.
        n_at_once: Lines that an arm answers at once.
        n_lines: Lines of the data.
    """
    if spec.batch is not None:
        return spec
    return replace(spec, batch=max(_FEW_LINES, min(n_at_once, n_lines // 20)))


def say_guarantee(spec: RaceSpec, n_lines: int) -> str:
    """What the race protects, in words."""
    chance = f"{spec.alpha:.3g}"
    if spec.mode == "winner":
        return (
            f"The arm that would win over all {n_lines:,} lines of this data is dropped with a probability of at most "
            f"{chance}. This is a claim about these lines and no others: dropped does not mean significantly worse."
        )
    return (
        f"The arm that is best over all lines like these is dropped with a probability of at most {chance}, "
        "provided that the lines are independent draws from them."
    )


def _rules(field: Field, n_lines: int) -> Rules:
    spec = field.spec
    return Rules(
        n_lines=n_lines,
        n_arms=len(field.arms),
        mode=spec.mode,
        alpha=spec.alpha,
        batch=field.batch,
        start=spec.start,
        score_range=spec.score_range or 1.0,
    )


def _drop(fall: Fall, arms: Sequence[str], block: int, n_lines: int) -> Drop:
    return Drop(
        block=block,
        n_lines=n_lines,
        ahead=arms[fall.ahead],
        deficit=fall.deficit,
        spread=fall.spread,
        p=fall.p,
        log_e=fall.log_e,
    )
