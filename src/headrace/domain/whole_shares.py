"""Shares of an online test as whole percents, which is what targets take. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.traffic import Revision, Traffic

_ROUNDING = 1e-9


def whole_percents(shares: Mapping[str, float]) -> dict[str, int]:
    """Shares that add up to 1 as percents that add up to 100, by the largest remainder; without those that get none.

    Who has no share gets no percent. Of equal remainders the first by name is rounded up.

    Args:
        shares: Name to share, from 0 to 1.
    """
    exact = {name: 100 * share for name, share in shares.items() if share > 0}
    whole = {name: int(percent + _ROUNDING) for name, percent in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (whole[name] - exact[name], name))
    for name in by_remainder[: 100 - sum(whole.values())]:
        whole[name] += 1
    return {name: percent for name, percent in sorted(whole.items()) if percent}


def starting_percents(traffic: Traffic) -> dict[str, int]:
    """Arm to percent of all requests as a test begins, with its coverage or the first step of its ramp."""
    coverage = traffic.coverage_after(0.0)
    return _percents({arm.name: coverage * arm.weight for arm in traffic.answering}, traffic.baseline)


def revision_percents(revision: Revision) -> dict[str, int]:
    """Arm to percent of all requests under a revision: who is not in the test gets what its baseline gets."""
    shares = {} if revision.is_over else {name: revision.share(name) for name in revision.ranges}
    return _percents(shares, revision.answering)


def _percents(shares: Mapping[str, float], answering: str) -> dict[str, int]:
    """The same where ``answering`` gets what is left of all requests."""
    rest = max(1.0 - sum(shares.values()), 0.0)
    return whole_percents({**shares, answering: shares.get(answering, 0.0) + rest})
