"""Which arm a live request gets: a pure function of the rules, the revision that holds and the request.

The hash is GrowthBook's (version 2, on UTF-16 code units as JavaScript has them), so that its SDKs assign alike; its
published vectors are the test. Version 1, which is worse spread, is used where GrowthBook uses it: for namespaces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from struct import iter_unpack
from typing import Any, Final, Literal, Protocol, TypeAlias

from headrace.domain.evidence import Role
from headrace.domain.traffic import RESOLUTION, Condition, Namespace, Revision, Traffic, UnitSource
from headrace.domain.values import JsonValue
from headrace.planning.ranges import Buckets

Question: TypeAlias = Literal["over", "forced", "condition", "namespace", "holdout", "bucket"]
"""What settled an assignment, in the order in which it is asked."""

MAX_ATTRIBUTE_CHARS: Final = 200
"""Length of an attribute in the evidence; what is longer is cut, because requests come from anybody."""

_COARSE_RESOLUTION = 1_000
_OFFSET, _PRIME, _WORD = 0x811C9DC5, 0x01000193, 0xFFFFFFFF


class RequestFacts(Protocol):
    """What an assignment asks of a request."""

    @property
    def request_id(self) -> str:
        """Its id: the unit of a request that has no other."""

    @property
    def forced(self) -> str | None:
        """The arm that a tester asks for; one that does not exist is the caller's to refuse."""

    def find(self, source: UnitSource) -> str | None:
        """The text at a place of the request; ``None`` where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The arm of a request, and why.

    Attributes:
        arm: Name of the arm that answers.
        role: See :data:`headrace.domain.evidence.Role`.
        propensity: Chance of the arm for a unit in the test; 1 for every role but "assigned".
        unit: As the request gives it; empty where it gives none: then the request is a unit of its own.
        shadows: Arms that the request is mirrored to, in the order of the file.
        attributes: ``place:name`` to the value of what conditions looked at; absent ones are left out.
        settled_by: The question that settled it.
        bucket: Of the unit; ``None`` where it was not asked for.
    """

    arm: str
    role: Role
    settled_by: Question
    propensity: float = 1.0
    unit: str = ""
    shadows: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    bucket: int | None = None


def hash_share(seed: str, value: str) -> float:
    """Where a value stands between 0 and 1, in steps of 1 / 10,000; never 1.

    Source: GrowthBook's hash of version 2: FNV-1a of 32 bits over the seed and the value, and once more over the
    decimal digits of that.
    """
    return bucket(seed, value) / RESOLUTION


def bucket(seed: str, unit: str) -> int:
    """The bucket of a unit, from 0 to 9,999; see :func:`hash_share`."""
    return _again(_fnv1a(seed + unit)) % RESOLUTION


def coarse_share(seed: str, value: str) -> float:
    """Where a value stands between 0 and 1, in steps of 1 / 1,000; never 1.

    Source: GrowthBook's hash of version 1: FNV-1a of 32 bits over the value and the seed. It spreads worse than
    version 2, and tests under several seeds depend on each other.
    """
    return (_fnv1a(value + seed) % _COARSE_RESOLUTION) / _COARSE_RESOLUTION


def is_in_namespace(namespace: Namespace, unit: str) -> bool:
    """Whether a test in this namespace has the unit.

    Source: GrowthBook's ``inNamespace``, which hashes by version 1 whatever the version of the test.
    """
    return namespace.start <= coarse_share(f"__{namespace.name}", unit) < namespace.end


class Assigner:
    """Assigns requests under one revision of a test; immutable, without I/O, microseconds per request.

    Args:
        traffic: The rules.
        revision: What holds. Buckets of arms that the rules do not have count as none.
    """

    __slots__ = (
        "_answering",
        "_arms",
        "_buckets",
        "_conditions",
        "_propensities",
        "_seeded",
        "_shadows",
        "revision",
        "traffic",
    )

    def __init__(self, traffic: Traffic, revision: Revision) -> None:
        self.traffic = traffic
        self.revision = revision
        self._arms = frozenset(arm.name for arm in traffic.answering)
        known = {name: ranges for name, ranges in revision.ranges.items() if name in self._arms}
        self._buckets = Buckets(known)
        whole = sum(revision.share(name) for name in known)
        self._propensities = {name: revision.share(name) / whole if whole else 0.0 for name in known}
        self._seeded = _fnv1a(traffic.seed)
        self._answering = revision.answering if revision.answering in self._arms else traffic.baseline
        self._conditions = tuple((item.attribute, condition_test(item)) for item in traffic.target)
        self._shadows = tuple(
            (arm.name, f"{traffic.seed}:shadow:{arm.name}", arm.shadow_share)
            for arm in traffic.arms
            if arm.shadow_share
        )

    def assign(self, facts: RequestFacts) -> Assignment:
        """The arm of a request."""
        traffic = self.traffic
        unit = find_unit(traffic.units, facts)
        if self.revision.is_over:
            return Assignment(arm=self._answering, role="outside", settled_by="over", unit=unit)
        if traffic.forced_by and facts.forced in self._arms:
            return Assignment(arm=facts.forced or "", role="forced", settled_by="forced", unit=unit)
        attributes: Mapping[str, str] = {}
        hashed = unit or facts.request_id
        if self._conditions:
            is_in, attributes = self._ask(facts)
            if not is_in:
                return self._outside("condition", unit, attributes)
        if traffic.namespace is not None and not is_in_namespace(traffic.namespace, hashed):
            return self._outside("namespace", unit, attributes)
        if traffic.holdout and hash_share(f"{traffic.seed}:holdout", hashed) < traffic.holdout:
            return Assignment(
                arm=traffic.baseline,
                role="holdout",
                settled_by="holdout",
                unit=unit,
                attributes=attributes,
            )
        place = _again(_fnv1a(hashed, self._seeded)) % RESOLUTION
        arm = self._buckets.arm(place)
        if not arm:
            return self._outside("bucket", unit, attributes, place)
        return Assignment(
            arm=arm,
            role="assigned",
            settled_by="bucket",
            propensity=self._propensities[arm],
            unit=unit,
            shadows=self._mirrors(hashed) if self._shadows else (),
            attributes=attributes,
            bucket=place,
        )

    def _ask(self, facts: RequestFacts) -> tuple[bool, Mapping[str, str]]:
        """Whether a request meets all conditions, and what they looked at; not the unit, whose name nobody keeps."""
        found = [(source, facts.find(source), is_met) for source, is_met in self._conditions]
        attributes = {
            f"{source.place}:{source.name}": value[:MAX_ATTRIBUTE_CHARS]
            for source, value, _ in found
            if value is not None and source not in self.traffic.units
        }
        return all(is_met(value) for _, value, is_met in found), attributes

    def _mirrors(self, hashed: str) -> tuple[str, ...]:
        return tuple(name for name, seed, share in self._shadows if hash_share(seed, hashed) < share)

    def _outside(
        self, question: Question, unit: str, attributes: Mapping[str, str], place: int | None = None
    ) -> Assignment:
        return Assignment(
            arm=self._answering,
            role="outside",
            settled_by=question,
            unit=unit,
            attributes=attributes,
            bucket=place,
        )


def find_unit(sources: Iterable[UnitSource], facts: RequestFacts) -> str:
    """The unit of a request by the first place that has one; empty where none has."""
    for source in sources:
        found = facts.find(source)
        if found:
            return found
    return ""


def condition_test(condition: Condition) -> Callable[[str | None], bool]:
    """What tells whether an attribute meets a condition.

    An absent attribute meets only ``not_in`` and ``exists: false``. Numbers are compared as numbers, all else as text;
    ``matches`` looks for its pattern anywhere in the text.
    """
    wanted = condition.value
    listed = list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]
    if condition.operator == "exists":
        return lambda found: (found is not None) is bool(wanted)
    if condition.operator == "not_in":
        return lambda found: found is None or not any(_is_same(found, item) for item in listed)
    if condition.operator == "matches":
        pattern = re.compile(str(wanted))
        return lambda found: found is not None and pattern.search(found) is not None
    if condition.operator in ("is", "in"):
        return lambda found: found is not None and any(_is_same(found, item) for item in listed)
    limit = _number(wanted)
    sign = 1 if condition.operator == "at_least" else -1
    return lambda found: (
        limit is not None and (number := _number(found)) is not None and sign * (number - limit) >= 0
    )


def _is_same(found: str, wanted: JsonValue) -> bool:
    if isinstance(wanted, str):
        return found == wanted
    if isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        return _number(found) == wanted
    return found == json.dumps(wanted)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _again(value: int) -> int:
    """The hash of the digits of a hash."""
    return _fnv1a(str(value))


def _fnv1a(text: str, value: int = _OFFSET) -> int:
    """FNV-1a; what a text before this one came to is its ``value``."""
    if text.isascii():
        units: Iterable[int] = text.encode("ascii")
    else:
        units = (unit for (unit,) in iter_unpack("<H", text.encode("utf-16-le", "surrogatepass")))
    for unit in units:
        value = ((value ^ unit) * _PRIME) & _WORD
    return value
