"""Problems and the exceptions that carry them. Their codes stand in ``codes``.

One value describes everything that can be wrong: :class:`Problem`. Checks return problems as values; an
operation that has to stop raises one exception that carries all of them.

::

    HeadraceError(Exception)            .problems: tuple[Problem, ...]
    ├─ DefinitionError                  your files: flow, data, mapping, connection file      exit 3
    ├─ UsageError                       your request: bad option, unknown or conflicting run   exit 2
    ├─ ExecutionError                   your flow while it ran: a node, a line, an aggregation exit 1
    │   ├─ NodeError                    a tool raised, a template failed
    │   └─ LineTimeoutError             a line or node took longer than allowed
    ├─ RemoteError                      someone else: a model service                          exit 4
    │   ├─ RateLimitedError  RemoteTimeoutError  ContentFilteredError
    │   └─ AccessDeniedError RemoteUnavailableError RemoteRequestError
    └─ StateError                       our store or our files                                 exit 5
    anything else                       a bug of ours; a crash report is written               exit 70
    KeyboardInterrupt, CancelledError                                                          exit 130
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from enum import IntEnum
from typing import Any

from headrace.codes import CATALOGUE
from headrace.source import Pointer, Span, pointer_text


class ExitCode(IntEnum):
    """Process exit codes; documented in docs/errors.md."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DEFINITION = 3
    REMOTE = 4
    STATE = 5
    UNDECIDED = 6
    CRASH = 70
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An exception that a tool's code raised, as prompt flow's records tell it (promptflow-format: 9.2).

    Attributes:
        node: The node whose tool raised.
        module: Name of the module that the tool's code is in.
        type: Name of the exception's class.
        message: Its whole text.
        traceback: As Python prints it, causes first; frames of headrace are left out.
        file: Path of the file of the innermost frame; ``None`` when no frame is the tool's.
        line: Line of that frame, counted from 1.
        function: Function of that frame.
    """

    node: str
    module: str
    type: str
    message: str
    traceback: str
    file: str | None = None
    line: int | None = None
    function: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding: what is wrong, where, and how to fix it.

    Attributes:
        code: Catalogue code, e.g. ``"R102"``.
        what: One sentence without advice and without user values.
        span: Place in the user's file; ``None`` only where no file is involved.
        pointer: Path to the value inside the file, for machines.
        fix: What to do about it, in the imperative; ``None`` when we do not know.
        related: Other places that matter, each with a short note.
        severity: ``"error"`` or ``"warning"``.
        detail: Lines to show as they are, e.g. the tool's own traceback.
        raised: The exception behind it, where a tool's code raised one.
    """

    code: str
    what: str
    span: Span | None = None
    pointer: Pointer = ()
    fix: str | None = None
    related: tuple[tuple[str, Span], ...] = ()
    severity: str = "error"
    detail: tuple[str, ...] = ()
    raised: Raised | None = None

    @property
    def name(self) -> str:
        """Kebab name of the code."""
        return CATALOGUE[self.code].name

    def headline(self) -> str:
        """One line: place, code and what."""
        place = f"{self.span}: " if self.span else ""
        return f"{place}{self.severity}[{self.code} {self.name}] {self.what}"

    def to_json(self) -> dict[str, Any]:
        """Plain data for the store, HTTP bodies and ``--format json``; :func:`problem_from_json` reads it.

        ``raised`` is among its keys only where there is one.
        """
        data: dict[str, Any] = {
            "code": self.code,
            "name": self.name,
            "what": self.what,
            "severity": self.severity,
            "fix": self.fix,
            "pointer": pointer_text(self.pointer) or None,
            "span": _span_json(self.span),
            "related": [{"note": note, "span": _span_json(span)} for note, span in self.related],
            "detail": list(self.detail),
        }
        if self.raised is not None:
            data["raised"] = asdict(self.raised)
        return data


def _span_json(span: Span | None) -> dict[str, Any] | None:
    if span is None:
        return None
    return {
        "file": span.file,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }


def problem_from_json(data: Mapping[str, Any]) -> Problem:
    """Rebuild a problem from :meth:`Problem.to_json`; the pointer comes back as one text part."""
    return Problem(
        code=data["code"],
        what=data["what"],
        span=Span(**data["span"]) if data.get("span") else None,
        pointer=(data["pointer"],) if data.get("pointer") else (),
        fix=data.get("fix"),
        related=tuple((item["note"], Span(**item["span"])) for item in data.get("related", ())),
        severity=data.get("severity", "error"),
        detail=tuple(data.get("detail", ())),
        raised=Raised(**data["raised"]) if data.get("raised") else None,
    )


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word closest to ``word``, if one is close enough to be a likely misspelling."""
    found = get_close_matches(word, known, n=1, cutoff=0.6)
    return found[0] if found else None


class HeadraceError(Exception):
    """Root of all errors that headrace raises on purpose.

    Attributes:
        problems: At least one problem; the first is the headline.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(problem.headline() for problem in self.problems)


class DefinitionError(HeadraceError):
    """The user's files are wrong: flow, template, data, mapping or connection file."""

    exit_code = ExitCode.DEFINITION


class UsageError(HeadraceError):
    """The request is wrong: a bad option, an unknown run, a name that is taken."""

    exit_code = ExitCode.USAGE


class ExecutionError(HeadraceError):
    """The flow failed while it ran."""

    exit_code = ExitCode.FAILED


class NodeError(ExecutionError):
    """A node's tool or template failed."""


class LineTimeoutError(ExecutionError):
    """A node or line ran into its time limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What an endpoint said in place of an answer.

    Attributes:
        status: HTTP status; of the container where a gateway before it answered for it.
        code: Its word for the error, such as ``UserError``; empty where it has none.
        problem: Code of headrace, such as ``T202``; likewise.
        message: Its words, which may hold what was sent: for the caller, not for logs.
        request_id: Id by which its logs and traces know the request.
    """

    status: int
    code: str = ""
    problem: str = ""
    message: str = field(default="", repr=False)
    request_id: str = ""


class RemoteError(HeadraceError):
    """A model service or an endpoint failed.

    Attributes:
        retryable: Whether the same request may succeed later.
        retry_after_s: Seconds that the service asks to wait; ``None`` when it does not say.
        refusal: What the endpoint of a flow said; ``None`` for a model service, and where nothing was said.
    """

    exit_code = ExitCode.REMOTE
    retryable = False
    refusal: Refusal | None = None

    def __init__(self, *problems: Problem, retry_after_s: float | None = None) -> None:
        super().__init__(*problems)
        self.retry_after_s = retry_after_s


class RateLimitedError(RemoteError):
    """The service answered 429."""

    retryable = True


class RemoteTimeoutError(RemoteError):
    """The service did not answer in time."""

    retryable = True


class RemoteUnavailableError(RemoteError):
    """The service answered 5xx, cannot be reached, or the connection broke."""

    retryable = True


class AccessDeniedError(RemoteError):
    """The service refused the key (401, 403)."""


class ContentFilteredError(RemoteError):
    """A content filter of the service stopped the request or the answer."""


class RemoteRequestError(RemoteError):
    """The service refused the request (other 4xx) or its answer cannot be read."""


class StateError(HeadraceError):
    """The store or a file of ours cannot be used."""

    exit_code = ExitCode.STATE


def at_place(error: HeadraceError, span: Span, pointer: Pointer = ()) -> HeadraceError:
    """Give every problem of ``error`` that has no place yet the given one; returns the same error."""
    error.problems = tuple(
        problem if problem.span else replace(problem, span=span, pointer=pointer)
        for problem in error.problems
    )
    return error


def failure_exit_code(problem: Problem) -> ExitCode:
    """Exit code for one line that failed with ``problem``: a model service's failure is told from the flow's own."""
    return ExitCode.REMOTE if problem.code.startswith("P") else ExitCode.FAILED


def raise_if_errors(problems: Sequence[Problem]) -> None:
    """Raise one :class:`DefinitionError` with all problems if any of them is an error.

    Raises:
        DefinitionError: When a problem of severity ``error`` is among ``problems``.
    """
    if any(problem.severity == "error" for problem in problems):
        raise DefinitionError(*problems)
