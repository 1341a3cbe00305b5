"""What moves traffic in an online test: each act here is a revision, numbered without gaps.

Whoever writes a revision has looked at the one before. Of two that write at once the store takes one; the other looks
again, and then often finds nothing left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn, TypeVar

from headrace.domain.traffic import BucketRange, Reason, Revision, Traffic
from headrace.domain.values import JsonValue
from headrace.errors import Problem, UsageError, nearest
from headrace.formats.plain_definition import read_traffic_definition, traffic_as_plain
from headrace.planning.ranges import RangeChange, first_ranges, moved_ranges, moves_anew
from headrace.store.base import RunStore

MIN_STEP = 0.02
"""A bandit moves units only where the share of an arm changes by so much: less is not worth that people change arms."""

_FILE = "traffic file"
_ROUNDING = 1e-9
_LEAVES: frozenset[Reason] = frozenset({"rolled back", "stopped"})

MadeT = TypeVar("MadeT", Revision, Revision | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Act:
    """What a revision is to say, apart from what follows from the one before.

    Attributes:
        arm: The arm that it is about; empty where it is about the test.
        weights: Arm to its share of the test; ``None`` for those that hold.
        answering: The arm that answers everybody from now on; empty for a test that goes on.
    """

    reason: Reason
    by: str
    arm: str = ""
    evidence: Mapping[str, JsonValue] | None = None
    weights: Mapping[str, float] | None = None
    answering: str = ""


def settle_revision(
    store: RunStore, traffic: Traffic, now: datetime, *, read_at: datetime | None = None
) -> Revision:
    """The revision that holds now, made where it is due: the first one, that of a changed file, a step of the ramp.

    Servers and watches may call this at once and as often as they like.

    Args:
        store: Where revisions are kept.
        traffic: The rules.
        now: In UTC.
        read_at: When ``traffic`` was read from its file; ``None`` for now. A file that was read before another one
            took effect does not replace that one: servers that follow different files would fight otherwise.

    Raises:
        UsageError: S842 for a changed file without the arm that answers everybody.
        StateError: The store is away.
    """
    latest = store.latest_revision(traffic.name)
    if latest is not None and latest.digest == traffic.digest and not traffic.ramp:
        return latest
    while True:
        history = store.list_revisions(traffic.name)
        made = _due(history, traffic, now, read_at or now)
        if made is None:
            return history[-1]
        if store.append_revision(made):
            return made


def roll_back(
    store: RunStore,
    traffic: Traffic,
    arm: str,
    evidence: Mapping[str, JsonValue],
    by: str,
    now: datetime,
) -> Revision | None:
    """Give the units of an arm to the baseline; it stays without any until :func:`resume` names it.

    Args:
        store: Where revisions are kept.
        traffic: The rules.
        arm: The arm; not the baseline.
        evidence: What it was decided by.
        by: Whose decision it is, e.g. ``guardrail failures``.
        now: In UTC.

    Returns:
        The revision; ``None`` where the arm has no units any more, or the test is over.

    Raises:
        StateError: The store is away.
    """
    act = _Act(reason="rolled back", by=by, arm=arm, evidence=evidence)

    def plan(history: Sequence[Revision]) -> Revision | None:
        latest = history[-1] if history else None
        is_idle = latest is None or latest.is_over or arm in arms_out(history) or arm == traffic.baseline
        return None if is_idle else _next(history, traffic, act, now)

    return _append(store, traffic.name, plan)


def allocate(
    store: RunStore,
    traffic: Traffic,
    weights: Mapping[str, float],
    evidence: Mapping[str, JsonValue],
    now: datetime,
    *,
    seen: int,
) -> Revision | None:
    """Give each arm the share of the test that a bandit says; moves as few units as that needs.

    Args:
        store: Where revisions are kept.
        traffic: The rules.
        weights: Arm to its share, which add up to 1; arms that are out stay without units.
        evidence: What the shares follow from.
        now: In UTC.
        seen: Number of the revision that the shares were found under.

    Returns:
        The revision; ``None`` where no share would change by :data:`MIN_STEP`, the test is over, or somebody else has
        made a revision since.

    Raises:
        StateError: The store is away.
    """
    act = _Act(reason="allocated", by="thompson", evidence=evidence, weights=weights)

    def plan(history: Sequence[Revision]) -> Revision | None:
        if not history or history[-1].is_over or history[-1].number != seen:
            return None
        made = _next(history, traffic, act, now)
        steps = (abs(made.propensity(name) - history[-1].propensity(name)) for name in weights)
        return made if max(steps, default=0.0) > MIN_STEP - _ROUNDING else None

    return _append(store, traffic.name, plan)


def stop(store: RunStore, test: str, now: datetime, *, by: str, arm: str = "") -> Revision:
    """End a test, so that the baseline answers everybody, or take one arm out of it.

    Args:
        store: Where revisions are kept.
        test: Name of the test.
        now: In UTC.
        by: Who wants it.
        arm: The arm to take out; empty for the whole test.

    Raises:
        UsageError: S841 for a test that the store does not know, S842 for what cannot be stopped.
        StateError: The store is away.
    """

    def plan(history: Sequence[Revision]) -> Revision:
        traffic = _traffic_of(store, test, history)
        if history[-1].is_over:
            _refuse(f"{test} is over already.", f"Begin again with: headrace ab resume {test}")
        if not arm:
            return _next(history, traffic, _Act(reason="stopped", by=by, answering=traffic.baseline), now)
        _check_arm(traffic, arm)
        if arm == traffic.baseline:
            fix = f"Stop the whole test with: headrace ab stop {test}"
            _refuse(f"{arm} is the baseline of {test}, which everything is compared with.", fix)
        if arm in arms_out(history):
            fix = f"Put it back with: headrace ab resume {test} {arm}"
            _refuse(f"{arm} is out of {test} already.", fix)
        return _next(history, traffic, _Act(reason="stopped", by=by, arm=arm), now)

    return _append(store, test, plan)


def promote(store: RunStore, test: str, arm: str, now: datetime, *, by: str) -> Revision:
    """Let an arm answer everybody and end the test; a person's act.

    Raises:
        UsageError: S841 for a test that the store does not know, S842 for an arm that cannot be promoted.
        StateError: The store is away.
    """

    def plan(history: Sequence[Revision]) -> Revision:
        traffic = _traffic_of(store, test, history)
        _check_arm(traffic, arm)
        if history[-1].is_over and history[-1].answering == arm:
            _refuse(f"{arm} answers everybody already.", f"See: headrace ab revisions {test}")
        return _next(history, traffic, _Act(reason="promoted", by=by, arm=arm, answering=arm), now)

    return _append(store, test, plan)


def resume(store: RunStore, test: str, now: datetime, *, by: str, arm: str = "") -> Revision:
    """Begin a test again that was stopped or promoted, each unit at the arm that it had, or put one arm back.

    Raises:
        UsageError: S841 for a test that the store does not know, S842 for what was not stopped.
        StateError: The store is away.
    """

    def plan(history: Sequence[Revision]) -> Revision:
        traffic = _traffic_of(store, test, history)
        is_over = history[-1].is_over
        if not arm and not is_over:
            _refuse(f"{test} is not over.", f"See: headrace ab status {test}")
        if arm:
            _check_arm(traffic, arm)
            if is_over:
                _refuse(f"{test} is over.", f"Begin again with: headrace ab resume {test}")
            if arm not in arms_out(history):
                _refuse(f"{arm} is not out of {test}.", f"See: headrace ab status {test}")
        return _next(history, traffic, _Act(reason="resumed", by=by, arm=arm), now)

    return _append(store, test, plan)


def check_answering(revision: Revision, traffic: Traffic) -> None:
    """Refuse rules that would give everybody another arm than the one that answers since the test is over.

    Raises:
        UsageError: S842 where that arm does not answer any more.
    """
    arm = revision.answering
    if revision.is_over and all(item.name != arm for item in traffic.answering):
        what = f"{arm} answers everybody since {traffic.name} is over, and the traffic file has no such arm any more."
        fix = f"Keep it in the file, or let another arm answer first: headrace ab promote {traffic.name} ARM"
        _refuse(what, fix)


def arms_out(history: Sequence[Revision]) -> frozenset[str]:
    """The arms that were rolled back or stopped and not resumed since, whatever the weights of the file say."""
    out: set[str] = set()
    for revision in history:
        arm = revision.arm
        if arm and revision.reason in _LEAVES:
            out.add(arm)
        elif arm and revision.reason == "resumed":
            out.discard(arm)
    return frozenset(out)


def find_revisions(store: RunStore, test: str) -> tuple[Revision, ...]:
    """All revisions of a test, of which there is at least one.

    Raises:
        UsageError: S841 when the store does not know the test.
        StateError: The store is away.
    """
    history = store.list_revisions(test)
    if history:
        return history
    near = nearest(test, store.list_ab_tests())
    fix = f'Did you mean "{near}"?' if near else "List the tests of this store with: headrace ab status"
    raise UsageError(Problem(code="S841", what=f'There is no online test named "{test}".', fix=fix))


def latest_revisions(store: RunStore) -> tuple[Revision, ...]:
    """The revision that holds of every test of a store, by name.

    Raises:
        StateError: The store is away.
    """
    found = (store.latest_revision(test) for test in store.list_ab_tests())
    return tuple(revision for revision in found if revision is not None)


def recorded_traffic(revision: Revision) -> Traffic:
    """The rules as the file gave them for this revision."""
    return read_traffic_definition(revision.definition)


def say_split_apart(revision: Revision, traffic: Traffic) -> str:
    """What to tell whoever splits by rules that give units other arms than those of the revision do; else empty."""
    if revision.is_over or not _is_hashed_anew(revision, traffic):
        return ""
    return (
        f"Units of {traffic.name} get other arms here than where the file of revision {revision.number} is served, "
        "because seeds or units differ: give all servers the same file."
    )


def coverage_at(history: Sequence[Revision], traffic: Traffic, now: datetime) -> float:
    """Share of all units that are in a test, which began with its first revision, or begins now.

    A clock that is behind those of other machines takes no step of a ramp back.
    """
    if not history:
        return traffic.coverage_after(0.0)
    latest = max(now, *(revision.at for revision in history))
    return traffic.coverage_after((latest - history[0].at).total_seconds())


def file_weights(traffic: Traffic) -> dict[str, float]:
    """Arm to its share of the test as the file says, for the arms that answer."""
    return {arm.name: arm.weight for arm in traffic.answering}


def _append(store: RunStore, test: str, plan: Callable[[Sequence[Revision]], MadeT]) -> MadeT:
    """What ``plan`` makes of the revisions so far, once the store has taken it."""
    while True:
        made = plan(store.list_revisions(test))
        if made is None or store.append_revision(made):
            return made


def _due(history: Sequence[Revision], traffic: Traffic, now: datetime, read_at: datetime) -> Revision | None:
    if not history:
        return _next(history, traffic, _Act(reason="started", by=_FILE), now)
    latest = history[-1]
    if latest.digest != traffic.digest:
        if read_at < _took_effect_at(history):
            return None
        check_answering(latest, traffic)
        answering = latest.answering if latest.is_over else ""
        act = _Act(reason="changed", by=_FILE, weights=file_weights(traffic), answering=answering)
        return _next(history, traffic, act, now)
    if latest.is_over or coverage_at(history, traffic, now) == coverage_at(history, traffic, latest.at):
        return None
    return _next(history, traffic, _Act(reason="ramped", by="ramp"), now)


def _took_effect_at(history: Sequence[Revision]) -> datetime:
    """Since when the file of the latest revision holds."""
    since = history[-1].at
    for revision in reversed(history):
        if revision.digest != history[-1].digest:
            break
        since = revision.at
    return since


def _next(history: Sequence[Revision], traffic: Traffic, act: _Act, now: datetime) -> Revision:
    evidence = dict(act.evidence or {})
    if act.arm:
        evidence["arm"] = act.arm
    ranges: Mapping[str, tuple[BucketRange, ...]] = {}
    if not act.answering:
        change = _ranges(history, traffic, act, now)
        ranges = {arm: parts for arm, parts in change.ranges.items() if parts}
        if change.moves:
            evidence["moves"] = [
                {"from": move.source, "to": move.target, "share": move.share} for move in change.moves
            ]
    return Revision(
        test=traffic.name,
        number=history[-1].number + 1 if history else 1,
        at=now,
        reason=act.reason,
        ranges=ranges,
        answering=act.answering or traffic.baseline,
        digest=traffic.digest,
        is_over=bool(act.answering),
        by=act.by,
        evidence=evidence,
        definition=traffic_as_plain(traffic),
    )


def _ranges(history: Sequence[Revision], traffic: Traffic, act: _Act, now: datetime) -> RangeChange:
    """The buckets of each arm, as near to those of before as the shares allow."""
    before = _last_running(history)
    out = set(arms_out(history))
    if act.reason in _LEAVES:
        out.add(act.arm)
    if act.reason == "resumed":
        out.discard(act.arm)
    weights = _weights_in(act.weights or _held_weights(before, traffic, act), out, traffic)
    coverage = coverage_at(history, traffic, now)
    if before is None:
        return RangeChange(ranges=first_ranges(weights, coverage), moves=())
    change = moved_ranges(before.ranges, weights, coverage)
    if _is_hashed_anew(before, traffic):  # now, or by a file that changed while nobody was in the test
        return replace(change, moves=moves_anew(before.ranges, change.ranges))
    return change


def _last_running(history: Sequence[Revision]) -> Revision | None:
    """The latest revision under which units were in the test."""
    return next((revision for revision in reversed(history) if not revision.is_over), None)


def _is_hashed_anew(before: Revision, traffic: Traffic) -> bool:
    """Whether units get other buckets than under a revision: by another seed, or because others count as units."""
    rules = recorded_traffic(before)
    return (rules.seed, rules.units[:1]) != (traffic.seed, traffic.units[:1])


def _held_weights(before: Revision | None, traffic: Traffic, act: _Act) -> dict[str, float]:
    """What the arms share the test by: the file, or what a bandit has said since."""
    names = file_weights(traffic)
    is_bandit = traffic.allocation.method == "thompson"
    if before is None or not is_bandit or act.reason == "resumed" or not any(map(before.share, names)):
        return names
    return {name: before.propensity(name) for name in names}


def _weights_in(weights: Mapping[str, float], out: set[str], traffic: Traffic) -> dict[str, float]:
    """The weights with those of the arms that are out at the baseline."""
    known = {arm.name: weights.get(arm.name, 0.0) for arm in traffic.answering}
    kept = {
        name: 0.0 if name in out and name != traffic.baseline else weight for name, weight in known.items()
    }
    kept[traffic.baseline] += sum(known.values()) - sum(kept.values())
    return kept


def _traffic_of(store: RunStore, test: str, history: Sequence[Revision]) -> Traffic:
    return recorded_traffic((history or find_revisions(store, test))[-1])


def _check_arm(traffic: Traffic, arm: str) -> None:
    names = [item.name for item in traffic.answering]
    if arm in names:
        return
    if traffic.arm(arm) is not None:
        fix = "Give it a weight in the traffic file in place of a shadow share."
        _refuse(f"{arm} is a shadow arm of {traffic.name} and answers nobody.", fix)
    near = nearest(arm, names)
    fix = f'Did you mean "{near}"?' if near else f"Its arms are: {', '.join(names)}."
    raise UsageError(Problem(code="V305", what=f'{traffic.name} has no arm "{arm}".', fix=fix))


def _refuse(what: str, fix: str) -> NoReturn:
    raise UsageError(Problem(code="S842", what=what, fix=fix))
