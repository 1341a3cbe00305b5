"""Why a store of any kind cannot be used, as errors that name the store and say what to do."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.errors import Problem, StateError


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What happened, as the end of a sentence, and what to do about it."""

    what: str
    fix: str


DISK_FULL = Cause(
    what="the disk is full", fix="Free some space, then try again; what was recorded before is safe."
)
TOO_LARGE = Cause(
    what="a value is too large for it", fix="Let the flow give back less: a path instead of content."
)
DAMAGED = Cause(what="it is damaged", fix="Move it away to start a new store, or restore a copy of it.")
OTHER = Cause(
    what="the database failed", fix="Try again; if it stays, set HEADRACE_STORE to start a new store."
)
CLOSED = Cause(what="it has been closed", fix="Open the store again.")


def store_failure(place: str, cause: Cause, *detail: str) -> StateError:
    """The S803 error for the store at ``place``, which is written as people may see it: without a password."""
    what = f"The store {place} cannot be used: {cause.what}."
    return StateError(Problem(code="S803", what=what, fix=cause.fix, detail=detail))


def unmoved_log(place: str, cause: Cause, *detail: str) -> StateError:
    """The S803 error for a file whose log could not be moved into it: nothing is lost."""
    what = f"All that was recorded in the store {place} is safe, but could not be moved out of its log: {cause.what}."
    fix = f"Keep {place}-wal beside it; the next command that uses the store moves it, once that can be done."
    return StateError(Problem(code="S803", what=what, fix=fix, detail=detail))


def newer_store(place: str, *, version: int, known: int) -> StateError:
    """The S804 error for a store that a newer headrace wrote."""
    what = f"The store {place} has schema version {version}; this headrace knows up to {known}."
    fix = "Update headrace, or set HEADRACE_STORE to another store."
    return StateError(Problem(code="S804", what=what, fix=fix))


class LostContentError(StateError):
    """A content that rows refer to is missing or damaged."""


def lost_content(name: str, *, is_missing: bool) -> LostContentError:
    """The S803 error for a content that rows refer to; ``name`` is what people call it."""
    what = f"A recorded value cannot be read: {name} is {'missing' if is_missing else 'damaged'}."
    fix = "Bring it back from a copy of the store; everything else can still be read."
    return LostContentError(Problem(code="S803", what=what, fix=fix))
