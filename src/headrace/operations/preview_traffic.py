"""What a traffic file would do, without doing it: the revision that it leads to, and the arms of units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from headrace.domain.traffic import Revision, Traffic, UnitSource
from headrace.errors import Problem, UsageError
from headrace.operations.ab_revisions import settle_revision
from headrace.planning.assignment import Assigner, Assignment
from headrace.store.base import RunStore
from headrace.store.opening import open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Where a test stands, and where its file leads.

    Attributes:
        latest: The revision that holds; ``None`` for a test that has not begun.
        due: The revision that a server would make of the file now; ``None`` where nothing changes.
    """

    latest: Revision | None
    due: Revision | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenRequest:
    """A request of which only some things are known.

    Attributes:
        unit: Its unit.
        units: Where that stands.
        attributes: ``name`` or ``place:name`` to what stands there; names of headers in small letters.
        forced: The arm that a tester asks for.
    """

    unit: str
    units: Sequence[UnitSource] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    forced: str | None = None

    @property
    def request_id(self) -> str:
        """The unit: where the rules name none, a request is one."""
        return self.unit

    def find(self, source: UnitSource) -> str | None:
        """What was given for a place."""
        found = self.attributes.get(f"{source.place}:{source.name}", self.attributes.get(source.name))
        return self.unit if found is None and source in self.units else found


def preview_revision(store: RunStore, traffic: Traffic, now: datetime) -> Preview:
    """Where a test stands in a store and what the file would make of it; nothing is written.

    Args:
        store: Where revisions are kept.
        traffic: The rules.
        now: In UTC.

    Raises:
        UsageError: S842 for a file that a server would not follow.
        StateError: The store is away.
    """
    history = store.list_revisions(traffic.name)
    copy = open_store("memory:", Path())
    for revision in history:
        copy.append_revision(revision)
    due = settle_revision(copy, traffic, now)
    latest = history[-1] if history else None
    is_new = latest is None or due.number != latest.number
    return Preview(latest=latest, due=due if is_new else None)


def find_revision(store: RunStore, traffic: Traffic, now: datetime, number: int | None) -> Revision:
    """The revision of a number; without one the revision that holds, or the first one that the file leads to.

    Raises:
        UsageError: S841 for a number that there is not.
        StateError: The store is away.
    """
    if number is None:
        preview = preview_revision(store, traffic, now)
        found = preview.latest or preview.due
    else:
        history = store.list_revisions(traffic.name)
        found = next((revision for revision in history if revision.number == number), None)
    if found is None:
        what = f"The test {traffic.name} has no revision {number}."
        raise UsageError(Problem(code="S841", what=what, fix=f"See: headrace ab revisions {traffic.name}"))
    return found


def assign_units(
    traffic: Traffic,
    revision: Revision,
    units: Sequence[str],
    attributes: Mapping[str, str],
) -> tuple[Assignment, ...]:
    """The arm of each unit.

    Args:
        traffic: The rules.
        revision: What holds.
        units: As requests give them.
        attributes: What conditions look at, the same for all; see :class:`GivenRequest`.
    """
    assigner = Assigner(traffic, revision)
    return tuple(
        assigner.assign(GivenRequest(unit=unit, units=traffic.units, attributes=attributes)) for unit in units
    )
