"""What code that runs flows gets to catch: our errors, which are promptflow's as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.compat.exception_families import exception_family
from headrace.compat.exceptions import ErrorTarget, SystemErrorException, UserErrorException
from headrace.compat.translation import translated
from headrace.errors import DefinitionError, ExecutionError, HeadraceError, Problem, StateError, UsageError

_KINDS = {
    "S801": "RunNotFoundError",
    "S802": "RunExistsError",
    "C501": "ConnectionNotFoundError",
    "V301": "InvalidFlowError",
    "V302": "InvalidFlowError",
}
"""Problem code to the exception by which prompt flow's client says the same."""


class _UserError(UserErrorException):
    """Makes the message that promptflow's exceptions have from our problems."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(problem.headline() for problem in problems), target=ErrorTarget.UNKNOWN)
        self.args = problems


class FlowDefinitionError(DefinitionError, _UserError):
    """A flow, or what it was called with, is wrong; nothing was run."""

    def __init__(self, *problems: Problem) -> None:
        _UserError.__init__(self, *problems)
        self.problems = problems


class FlowUsageError(UsageError, _UserError):
    """A flow was asked for something that it does not have."""

    def __init__(self, *problems: Problem) -> None:
        _UserError.__init__(self, *problems)
        self.problems = problems


class FlowFailedError(ExecutionError, _UserError):
    """A flow failed while it ran."""

    def __init__(self, *problems: Problem) -> None:
        _UserError.__init__(self, *problems)
        self.problems = problems


def flow_failed(problem: Problem) -> HeadraceError:
    """The FlowFailedError of a called flow, which is a ToolExecutionError where its own code failed."""
    error = FlowFailedError(problem)
    if problem.code != "E601":
        return error
    return translated(error, exception_family("promptflow._core._errors")["ToolExecutionError"])


@contextmanager
def as_user_errors() -> Iterator[None]:
    """Let code catch what is raised during the block under promptflow's names too.

    Raises:
        FlowDefinitionError: For a DefinitionError.
        FlowUsageError: For a UsageError.
    """
    try:
        yield
    except _UserError:
        raise
    except DefinitionError as error:
        raise FlowDefinitionError(*error.problems) from error
    except UsageError as error:
        raise FlowUsageError(*error.problems) from error


@contextmanager
def as_sdk_errors() -> Iterator[None]:
    """Let code catch what is raised during the block by the names of ``promptflow._sdk._errors`` too.

    Raises:
        HeadraceError: Our error, which is a RunNotFoundError, RunExistsError, ConnectionNotFoundError or
            InvalidFlowError where it says that, a SystemErrorException for the store, else a UserErrorException.
    """
    try:
        yield
    except HeadraceError as error:
        if isinstance(error, (UserErrorException, SystemErrorException)):
            raise
        name = _KINDS.get(error.problems[0].code)
        if name is not None:
            raise translated(error, exception_family("promptflow._sdk._errors")[name]) from error
        kind = SystemErrorException if isinstance(error, StateError) else UserErrorException
        raise translated(error, kind) from error


def run_failed(name: str, problem: Problem | None) -> HeadraceError:
    """The InvalidRunStatusError for a run that failed as a whole."""
    found = problem or Problem(code="E608", what=f"The run {name!r} failed.")
    return translated(
        ExecutionError(found), exception_family("promptflow._sdk._errors")["InvalidRunStatusError"]
    )
