"""What a revision of an online test did, in words."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.domain.traffic import Revision


def say_revision(revision: Revision) -> str:
    """What it did and whom it moved, in sentences."""
    return " ".join(
        [f"{revision.test}, revision {revision.number}: {say_reason(revision)}.", *say_moves(revision)]
    )


def say_reason(revision: Revision) -> str:
    """Why it was made, and which arm it is about."""
    return f"{revision.reason}: {revision.arm}" if revision.arm else revision.reason


def say_shares(revision: Revision) -> str:
    """Who has how much of the traffic."""
    if revision.is_over:
        return f"{revision.answering} answers everybody"
    shares = ", ".join(
        f"{arm} {percent(revision.share(arm))}" for arm in revision.ranges if revision.share(arm)
    )
    return shares or f"nobody is in the test, {revision.answering} answers"


def say_moves(revision: Revision) -> Iterator[str]:
    """How many units went from where to where, a sentence each."""
    for move in revision.moves:
        source, target = (str(move.get(end)) or "outside the test" for end in ("from", "to"))
        share = move.get("share")
        if isinstance(share, (int, float)):
            yield f"{percent(share)} of all units move from {source} to {target}."


def percent(share: float) -> str:
    """A share of all units, as fine as buckets are."""
    return f"{share * 100:.4g}%"
