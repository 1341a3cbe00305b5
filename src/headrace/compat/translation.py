"""Our errors under promptflow's names as well, so that both our own code and a project's ``except`` know them."""

from __future__ import annotations

from typing import Any

from headrace.compat.exceptions import PromptflowException
from headrace.errors import HeadraceError

_made: dict[tuple[type, type], type[HeadraceError]] = {}


def translated(error: HeadraceError, kind: type[PromptflowException]) -> HeadraceError:
    """The same error, which is also one of class ``kind``; raise it ``from`` the one that was given."""
    if isinstance(error, kind):
        return error
    both = _both(type(error), kind)
    made: Any = both.__new__(both, *error.problems)
    made.__dict__.update(error.__dict__)
    PromptflowException.__init__(made, "\n".join(problem.headline() for problem in error.problems))
    made.args = error.problems
    found: HeadraceError = made
    return found


def _both(ours: type[HeadraceError], theirs: type[PromptflowException]) -> type[HeadraceError]:
    made = _made.get((ours, theirs))
    if made is None:
        members = {
            "__module__": theirs.__module__,
            "__doc__": theirs.__doc__,
            "__str__": HeadraceError.__str__,
        }
        made = _made[ours, theirs] = type(theirs.__name__, (ours, theirs), members)
    return made
