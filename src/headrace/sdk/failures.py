"""What code that runs flows gets to catch: our errors, which are promptflow's as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.compat.exceptions import ErrorTarget, UserErrorException
from headrace.errors import DefinitionError, ExecutionError, Problem, UsageError


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
