"""With which chances a unit got its arm, as they were known before."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from headrace.domain.traffic import Revision, Traffic

_SAME = 1e-6


class Odds:
    """Chances of the arms for one unit in the test.

    Attributes:
        revision: Number of the revision that chose.
        epoch: How often the test had been resumed by then: what guardrails know begins anew each time.
        shares: Arm to its chance; they add up to 1.
        against_baseline: Arm to its chance among itself and the baseline.
    """

    __slots__ = ("against_baseline", "epoch", "revision", "shares")

    def __init__(self, revision: int, epoch: int, shares: Mapping[str, float], baseline: str) -> None:
        self.revision = revision
        self.epoch = epoch
        self.shares = shares
        base = shares.get(baseline, 0.0)
        self.against_baseline = {
            arm: share / (share + base) if share + base > 0.0 else 0.0
            for arm, share in shares.items()
            if arm != baseline
        }


class OddsBook:
    """The odds of each revision.

    A revision that is not known is told by what was logged: the arm has the propensity that stands in its exposure, and
    the others have the rest in proportion to their weights in the file.
    """

    def __init__(self, traffic: Traffic) -> None:
        self._baseline = traffic.baseline
        self._weights = {arm.name: arm.weight for arm in traffic.answering}
        self._revisions: dict[int, Revision] = {}
        self._known: dict[int, Odds] = {}
        self._logged: dict[tuple[int, str, float], Odds] = {}

    def add(self, revision: Revision) -> None:
        """Take a revision; the same one again changes nothing."""
        if revision.number in self._revisions:
            return
        self._revisions[revision.number] = revision
        self._known.clear()
        self._logged.clear()

    @property
    def latest(self) -> Revision | None:
        """The revision that holds."""
        return self._revisions[max(self._revisions)] if self._revisions else None

    @property
    def epoch(self) -> int:
        """How often the test was resumed."""
        return self._epoch(max(self._revisions, default=0))

    def shuffling(self) -> list[int]:
        """Numbers of the revisions that changed how many units take part and their shares at once."""
        numbers = sorted(self._revisions)
        found = []
        for number, after in pairwise(numbers):
            old, new = self._revisions[number], self._revisions[after]
            if not old.ranges or not new.ranges or new.is_over:
                continue
            grows = sum(map(new.share, new.ranges)) > sum(map(old.share, old.ranges)) + 1e-9
            arms = {*old.ranges, *new.ranges}
            if grows and any(abs(old.propensity(arm) - new.propensity(arm)) > 1e-3 for arm in arms):
                found.append(after)
        return found

    def find(self, revision: int, arm: str, propensity: float) -> Odds:
        """The odds of a unit that got ``arm`` with ``propensity`` under a revision."""
        odds = self._known.get(revision)
        if odds is None and revision in self._revisions:
            odds = self._known[revision] = self._of_revision(self._revisions[revision])
        if odds is not None and abs(odds.shares.get(arm, 0.0) - propensity) < _SAME:
            return odds
        key = (revision, arm, propensity)
        odds = self._logged.get(key)
        if odds is None:
            odds = self._logged[key] = self._of_log(revision, arm, propensity)
        return odds

    def _epoch(self, number: int) -> int:
        return sum(one.reason == "resumed" and one.number <= number for one in self._revisions.values())

    def _of_revision(self, revision: Revision) -> Odds:
        shares = {arm: revision.propensity(arm) for arm in revision.ranges}
        return Odds(revision.number, self._epoch(revision.number), shares, self._baseline)

    def _of_log(self, revision: int, arm: str, propensity: float) -> Odds:
        others = {name: weight for name, weight in self._weights.items() if name != arm}
        whole = sum(others.values())
        rest = 1.0 - propensity
        shares = {
            name: rest * (weight / whole if whole else 1.0 / len(others)) for name, weight in others.items()
        }
        shares[arm] = propensity
        return Odds(revision, self._epoch(revision), shares, self._baseline)
