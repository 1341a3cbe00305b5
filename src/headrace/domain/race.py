"""Races: arms answer blocks of lines in a random order, and an arm that cannot win any more is dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

RaceMode: TypeAlias = Literal["winner", "population"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RaceSpec:
    """How the arms of an experiment race.

    Attributes:
        mode: What the race protects. "winner": the arm that would win over all lines of this data; "population": the
            arm that is best over all lines like these.
        alpha: Chance of dropping that arm that is accepted, above 0 and below 1.
        batch: Lines of a block, at least 1; ``None`` for a twentieth of the lines, no more than an arm answers at once
            and no fewer than 10.
        start: Lines that every arm answers before any may be dropped, at least 1; never fewer than a block.
        score_range: Largest less smallest value that the primary metric can have, above zero; ``None`` for that of its
            kind, which a metric without limits does not have.
    """

    mode: RaceMode = "winner"
    alpha: float = 0.05
    batch: int | None = None
    start: int = 20
    score_range: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """When and why an arm was dropped.

    Attributes:
        block: Number of the block after which it happened, from 1.
        n_lines: Lines that all arms had answered by then.
        ahead: The arm that it was behind.
        deficit: By how much, summed over these lines, in units of the metric.
        spread: What the squared differences of the two arms are expected to add up to over all lines; ``None`` in mode
            "population".
        p: Chance of such a deficit had the two been equal over all lines; 0 where the lines left could not make it up;
            ``None`` in mode "population".
        log_e: Natural logarithm of the evidence that the other arm is the better one over all lines like these;
            ``None`` in mode "winner".
    """

    block: int
    n_lines: int
    ahead: str
    deficit: float
    spread: float | None = None
    p: float | None = None
    log_e: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RaceArm:
    """What one arm did in a race.

    Attributes:
        n_lines: Lines that it answered.
        drop: ``None`` for an arm that was not dropped.
        calls: Model calls that were made, those of its evaluations included.
        tokens: Prompt and completion tokens of these calls together.
        cost_usd: US dollars for these calls; ``None`` where a price is not known.
        full_calls, full_tokens, full_cost_usd: The same over all lines, expected from those it answered.
    """

    arm: str
    n_lines: int
    drop: Drop | None
    calls: int
    tokens: int
    cost_usd: float | None
    full_calls: int
    full_tokens: int
    full_cost_usd: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RaceResult:
    """What came of a race.

    Attributes:
        metric: The primary metric, which alone decided.
        guarantee: What the race protects, in words.
        seed: Seed of the order.
        order_digest: SHA-256 over the numbers of the lines in the order of the race, hexadecimal.
        batch: Lines of a block.
        start: Lines before the first decision.
        n_lines: Lines of the data.
        n_left_out: Lines that were taken out for all arms, because one of them has no score there.
        blocks: How many blocks were run.
        leader: The arm that is ahead at the end; of equal ones the first.
        arms: One per arm, in the order of the experiment.
    """

    spec: RaceSpec
    metric: str
    guarantee: str
    seed: int
    order_digest: str
    batch: int
    start: int
    n_lines: int
    n_left_out: int
    blocks: int
    leader: str
    arms: tuple[RaceArm, ...]

    @property
    def answers(self) -> int:
        """Lines answered, over all arms."""
        return sum(arm.n_lines for arm in self.arms)

    @property
    def full_answers(self) -> int:
        """Lines that all arms would have answered without a race."""
        return self.n_lines * len(self.arms)

    @property
    def saved(self) -> float:
        """Share of the answers that were not needed, 0 to 1."""
        return 1.0 - self.answers / self.full_answers if self.full_answers else 0.0

    @property
    def dropped(self) -> tuple[str, ...]:
        """Names of the arms that were dropped, in the order of the experiment."""
        return tuple(arm.arm for arm in self.arms if arm.drop is not None)

    def arm_of(self, name: str) -> RaceArm:
        """What the arm called ``name`` did.

        Raises:
            KeyError: The race has no such arm.
        """
        for arm in self.arms:
            if arm.arm == name:
                return arm
        raise KeyError(name)
